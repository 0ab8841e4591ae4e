package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/fleet"
)

// interrupted leaves a journal behind.
func interrupted(t *testing.T, l *lab, output string) Options {
	t.Helper()
	o := l.options(output)
	k := &killer{left: 15, output: output, dice: rand.New(rand.NewPCG(1, 2))}
	o.effect = k.at
	if _, err := Run(context.Background(), o); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	o.effect = nil
	return o
}

func TestJournalIsGoneOnWithByTheSameAlone(t *testing.T) {
	p := newPast(11, 500)
	l := newLab(t, p, nil)
	o := interrupted(t, l, filepath.Join(t.TempDir(), "out.csv"))
	other := o
	other.Since = "8w"
	if _, err := Run(context.Background(), other); !errors.Is(err, ErrOtherQuery) || !strings.Contains(err.Error(), "--restart") {
		t.Errorf("another query: %v", err)
	}
	other.Restart, other.Since = true, "28d"
	sum, err := Run(context.Background(), other)
	if err != nil || sum.Resumed {
		t.Errorf("begun anew: %+v, %v", sum, err)
	}
}

// TestOnTheDisk: whenever GitLab is asked for a page all of the journal was synced, the
// trace is before the journal goes, and so are the names of both.
func TestOnTheDisk(t *testing.T) {
	p := newPast(17, 900)
	output := filepath.Join(t.TempDir(), "out.csv")
	synced := map[string]string{} // by the file's name, as it was then
	seen := func(name string) string {
		if list, err := os.ReadDir(name); err == nil {
			return fmt.Sprint(list)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	pages := 0
	l := newLab(t, p, func(q emulator.Request) emulator.Fault {
		if journal := output + journalEnd; strings.HasSuffix(q.HTTP.URL.Path, "/jobs") {
			pages++
			if now := seen(journal); now != synced[journal] || now == "" {
				t.Errorf("page %d is asked for with %d bytes in the journal, %d of them on the disk", pages, len(now), len(synced[journal]))
			}
			if folder := filepath.Dir(output); seen(folder) != synced[folder] {
				t.Errorf("page %d is asked for, and the journal's name is not on the disk", pages)
			}
		}
		return emulator.Fault{}
	})
	o := l.options(output)
	o.sync = func(file *os.File) error {
		synced[file.Name()] = seen(file.Name())
		return file.Sync()
	}
	o.effect = func(what string) error {
		if folder := filepath.Dir(output); what == "remove the journal" && (seen(output) != synced[output+partEnd] || seen(folder) != synced[folder]) {
			t.Error("the journal goes, and the trace is not on the disk")
		}
		return nil
	}
	text, sum := export(t, o)
	p.check(t, text, sum)
	if folder := filepath.Dir(output); pages < 9 || seen(folder) != synced[folder] {
		t.Errorf("%d pages; in the folder %s, on the disk %s", pages, seen(folder), synced[folder])
	}
}

// TestAPageOfOddJobs: one without a job that can be read leads on all the same, and what
// came before it is not forgotten.
func TestAPageOfOddJobs(t *testing.T) {
	s := &state{head: head{Salt: make([]byte, saltBytes)}, projects: []int64{1}, jobs: []int{0}, cursor: "a"}
	for _, x := range []struct {
		got  fleet.HistoryPage
		fits bool
	}{
		{fleet.HistoryPage{Next: "b", Jobs: []fleet.PastJob{{ID: 50}}}, true},
		{fleet.HistoryPage{Next: "c", Odd: 100}, true},
		{fleet.HistoryPage{Next: "d", Jobs: []fleet.PastJob{{ID: 60}}}, false},
		{fleet.HistoryPage{Next: "d"}, false},
		{fleet.HistoryPage{Next: "d", Jobs: []fleet.PastJob{{ID: 40}}}, true},
	} {
		err := s.fits("list", x.got)
		if (err == nil) != x.fits {
			t.Errorf("%+v: %v", x.got, err)
		}
		if err != nil {
			continue
		}
		p := page{Project: 1, Next: x.got.Next, Odd: x.got.Odd}
		for _, j := range x.got.Jobs {
			p.Last = j.ID
		}
		if err := s.take(frame{Page: &p}); err != nil {
			t.Fatal(err)
		}
	}
	if s.odd != 100 {
		t.Errorf("%d odd jobs", s.odd)
	}
}

// TestNothingToGoOnWith: where no page was read, and be it that the process was killed,
// the next export may ask for something else, and counts its time from now.
func TestNothingToGoOnWith(t *testing.T) {
	p := newPast(16, 300)
	for name, effects := range map[string]int{"refused": 0, "killed before the list": 5, "killed after it": 9} {
		l := newLab(t, p, nil)
		o := l.options(filepath.Join(t.TempDir(), "out.csv"))
		wrong := o
		wrong.From, wrong.To, wrong.Since = from.AddDate(0, 0, -3), to.AddDate(0, 0, -3), "31d"
		if effects == 0 {
			wrong.Groups = []string{"no/such/group"}
		} else {
			wrong.effect = (&killer{left: effects, output: o.Output, dice: rand.New(rand.NewPCG(1, 2))}).at
		}
		if _, err := Run(context.Background(), wrong); err == nil {
			t.Fatalf("%s: it was not", name)
		}
		if _, err := os.Stat(o.Output + journalEnd); (err == nil) != (effects > 0) {
			t.Errorf("%s: the journal: %v", name, err)
		}
		text, sum := export(t, o)
		p.check(t, text, sum)
		if sum.Resumed {
			t.Errorf("%s: it went on with what was not asked for", name)
		}
	}
}

// TestTheTimeIsThatOfTheBeginning: what "28d" meant when the export began counts when it
// goes on.
func TestTheTimeIsThatOfTheBeginning(t *testing.T) {
	p := newPast(12, 500)
	l := newLab(t, p, nil)
	o := interrupted(t, l, filepath.Join(t.TempDir(), "out.csv"))
	o.From, o.To = from.AddDate(0, 0, 14), to.AddDate(0, 0, 14)
	text, sum := export(t, o)
	p.check(t, text, sum)
	if !sum.Resumed {
		t.Error("it began anew")
	}
}

func TestForeignJournals(t *testing.T) {
	l := newLab(t, newPast(13, 100), nil)
	for name, spoil := range map[string]func(path string) error{
		"somebody's file": func(path string) error { return os.WriteFile(path, []byte("my notes\n"), 0o600) },
		"open to others":  func(path string) error { return os.Chmod(path, 0o644) },
		"a link":          func(path string) error { return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)) },
		"a folder":        func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"frames in a row": func(path string) error { return appendTo(path, frame{Listed: &listed{Projects: []int64{1}}}.line()) },
		"a second head": func(path string) error {
			return appendTo(path, frame{Head: &head{Salt: make([]byte, saltBytes)}}.line())
		},
		"another's project": func(path string) error { return appendTo(path, frame{Page: &page{Project: 1}}.line()) },
	} {
		o := interrupted(t, l, filepath.Join(t.TempDir(), "out.csv"))
		before, _ := os.ReadFile(o.Output + journalEnd)
		if err := spoil(o.Output + journalEnd); err != nil {
			t.Fatal(err)
		}
		_, err := Run(context.Background(), o)
		if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Local {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(o.Output + journalEnd); name == "somebody's file" && string(after) != "my notes\n" || len(after) < len(before) && name == "open to others" {
			t.Errorf("%s: it was touched: %q", name, after)
		}
	}
}

func appendTo(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// TestRefusedHalfway: a project that can be read no longer is not left half in the trace,
// and what was read is kept for when it can be.
func TestRefusedHalfway(t *testing.T) {
	p := newPast(15, 900)
	asked, refused := 0, true
	l := newLab(t, p, func(q emulator.Request) emulator.Fault {
		if !refused || q.HTTP.URL.Query().Get("cursor") == "" {
			return emulator.Fault{}
		}
		if asked++; asked > 2 {
			return emulator.Fault{Status: http.StatusNotFound, Body: `{"message":"404 Project Not Found"}`}
		}
		return emulator.Fault{}
	})
	o := l.options(filepath.Join(t.TempDir(), "out.csv"))
	_, err := Run(context.Background(), o)
	if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.NotFound || !strings.Contains(f.Mend, "--restart") {
		t.Fatalf("%v", err)
	}
	if _, err := os.Stat(o.Output); err == nil {
		t.Error("there is a trace all the same")
	}
	refused = false
	text, sum := export(t, o)
	p.check(t, text, sum)
	if !sum.Resumed {
		t.Error("it began anew")
	}
}

// TestSpoiltPages: what the disk gives back altered is read from GitLab again.
func TestSpoiltPages(t *testing.T) {
	p := newPast(16, 500)
	l := newLab(t, p, nil)
	o := interrupted(t, l, filepath.Join(t.TempDir(), "out.csv"))
	journal, err := os.ReadFile(o.Output + journalEnd)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(string(journal), `"last":`) + len(`"last":`)
	journal[at] = '1' + (journal[at]-'0')%9 // another digit: still JSON, still a frame
	if err := os.WriteFile(o.Output+journalEnd, journal, 0o600); err != nil {
		t.Fatal(err)
	}
	text, sum := export(t, o)
	p.check(t, text, sum)
}

// TestTwoAtOnce: the second one is told, and disturbs nothing.
func TestTwoAtOnce(t *testing.T) {
	p := newPast(14, 500)
	l := newLab(t, p, nil)
	o := l.options(filepath.Join(t.TempDir(), "out.csv"))
	tried := 0
	o.Tell = func(pr Progress) {
		if tried++; pr.Pages != 2 {
			return
		}
		second := o
		second.Tell = nil
		if _, err := Run(context.Background(), second); err == nil || !strings.Contains(err.Error(), "another shoal trace writes this output") {
			t.Errorf("the second: %v", err)
		}
	}
	text, sum := export(t, o)
	p.check(t, text, sum)
}

// FuzzReplay: whatever lies in the journal, it is refused or cut to its whole frames, and
// an export that goes on with it is whole.
func FuzzReplay(f *testing.F) {
	good := frame{Head: &head{Query: Query{Since: "x"}, Salt: make([]byte, saltBytes)}}.line()
	f.Add([]byte(magic))
	f.Add([]byte(magic + string(good)))
	f.Add([]byte(magic + string(good) + string(frame{Listed: &listed{Projects: []int64{1}, Named: 1}}.line()) + "0000"))
	f.Add([]byte("shoal"))
	f.Fuzz(func(t *testing.T, text []byte) {
		output := filepath.Join(t.TempDir(), "out.csv")
		if err := os.WriteFile(output+journalEnd, text, 0o600); err != nil {
			t.Fatal(err)
		}
		fresh := head{Query: Query{Since: "x"}, Salt: make([]byte, saltBytes)}
		j, s, err := openJournal(Options{Output: output}, fresh)
		if err != nil {
			return
		}
		defer j.close()
		left, err := os.ReadFile(output + journalEnd)
		if err != nil || int64(len(left)) != j.size || len(s.head.Salt) != saltBytes || s.at > len(s.projects) || s.named > len(s.projects) {
			t.Fatalf("%q: %d bytes left of %d, %+v, %v", text, len(left), j.size, s, err)
		}
		if err := j.append(frame{Listed: &listed{}}); err != nil {
			t.Fatal(err)
		}
		if err := j.each(func(*page) {}); err != nil {
			t.Fatalf("%q: cannot be read again: %v", text, err)
		}
	})
}

// TestPatience: a GitLab that does not come back ends the export after a while, by its
// own words, and what was read is kept.
func TestPatience(t *testing.T) {
	p := newPast(15, 500)
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		l := newLab(t, p, func(emulator.Request) emulator.Fault {
			if asked++; asked < 4 {
				return emulator.Fault{}
			}
			return emulator.Fault{Status: 503}
		})
		o := l.options(filepath.Join(t.TempDir(), "out.csv"))
		var waits []time.Duration
		o.Tell = func(p Progress) {
			if p.Waiting > 0 {
				waits = append(waits, p.Waiting)
			}
		}
		began := time.Now()
		_, err := Run(context.Background(), o)
		took := time.Since(began)
		if f := fleet.AsFailure("", err); f == nil || f.Final() || !strings.Contains(f.Error(), "GitLab answers 503") {
			t.Errorf("%v", err)
		}
		if took > patience || took < patience-longestPause || len(waits) > 60 || waits[0] > firstPause || waits[len(waits)-1] > longestPause {
			t.Errorf("%s, waits %v", took, waits)
		}
		o.GitLab, o.Tell = newLab(t, p, nil).client.History(fleet.NewToken(readToken), "--token"), nil
		text, sum := export(t, o)
		p.check(t, text, sum)
		l.cloud.Close()
	})
}

func TestInterrupted(t *testing.T) {
	p := newPast(16, 500)
	l := newLab(t, p, nil)
	ctx, stop := context.WithCancel(context.Background())
	o := l.options(filepath.Join(t.TempDir(), "out.csv"))
	o.Tell = func(Progress) { stop() }
	if _, err := Run(ctx, o); !errors.Is(err, ErrInterrupted) {
		t.Errorf("got %v", err)
	}
	o.Tell = nil
	text, sum := export(t, o)
	p.check(t, text, sum)
	if !sum.Resumed {
		t.Error("it began anew")
	}
}

// strange is a GitLab whose pages do not follow from each other.
type strange struct{ pages []fleet.HistoryPage }

func (s *strange) Project(context.Context, string) (int64, error)    { return 1, nil }
func (s *strange) Projects(context.Context, string) ([]int64, error) { return nil, nil }
func (s *strange) Jobs(context.Context, int64, string) (fleet.HistoryPage, error) {
	if len(s.pages) > 1 {
		defer func() { s.pages = s.pages[1:] }()
	}
	return s.pages[0], nil
}

func TestPagesThatDoNotFollow(t *testing.T) {
	of := func(next string, ids ...int64) fleet.HistoryPage {
		p := fleet.HistoryPage{Next: next}
		for _, id := range ids {
			p.Jobs = append(p.Jobs, fleet.PastJob{ID: id, Pipeline: 1, Created: from, Started: from, Finished: from, Duration: -1, Queued: -1})
		}
		return p
	}
	for want, pages := range map[string][]fleet.HistoryPage{
		"job 5 comes behind job 5":  {of("a", 6, 5), of("", 5, 4)},
		"job 9 comes behind job 8":  {of("", 8, 9)},
		"the pages lead nowhere":    {of("a", 6, 5), of("a", 4)},
		"the pages lead nowhere (d": {of("a")},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := Options{Query: Query{Projects: []string{"1"}}, From: from, To: to, Output: filepath.Join(t.TempDir(), "o"), GitLab: &strange{pages}, Log: slog.New(slog.DiscardHandler)}
			if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}
