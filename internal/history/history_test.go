package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
)

func TestExport(t *testing.T) {
	for seed := range uint64(20) {
		p := newPast(seed, 700)
		l := newLab(t, p, nil)
		dir := t.TempDir()
		text, sum := export(t, l.options(filepath.Join(dir, "out.csv")))
		p.check(t, text, sum)
		if list, err := os.ReadDir(dir); err != nil || len(list) != 1 || t.Failed() {
			t.Fatalf("seed %d: left behind: %v, %v", seed, list, err)
		}
	}
}

// worst answers the first request for each page with what goes wrong.
func worst() func(emulator.Request) emulator.Fault {
	asked := map[string]int{}
	pages := 0
	return func(q emulator.Request) emulator.Fault {
		key := q.HTTP.URL.String()
		asked[key]++
		if asked[key] > 1 {
			return emulator.Fault{}
		}
		pages++
		switch pages % 6 {
		case 0:
			return emulator.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}, Body: `{"message":{"error":"This endpoint has been requested too many times. Try again later."}}`}
		case 1:
			reset := strconv.FormatInt(time.Now().Add(13*time.Second).Unix(), 10)
			return emulator.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Ratelimit-Reset": {reset}}, Body: "Retry later\n"}
		case 2:
			return emulator.Fault{Status: http.StatusBadGateway, Body: "<html>502</html>"}
		case 3:
			return emulator.Fault{Status: http.StatusServiceUnavailable}
		case 4:
			return emulator.Fault{Cut: 20_000}
		}
		return emulator.Fault{Drop: true}
	}
}

// TestAHundredThousandJobs: every page is refused, cut or lost once, and none of its
// jobs.
func TestAHundredThousandJobs(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 3_000
	}
	p := newPast(1, n)
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, p, worst())
		text, sum := export(t, l.options(filepath.Join(t.TempDir(), "out.csv")))
		p.check(t, text, sum)
		l.cloud.Close()
	})
}

// TestKilledAtEveryEffect: wherever the process ends, the next one goes on, and the
// trace is the same.
func TestKilledAtEveryEffect(t *testing.T) {
	p := newPast(3, 250)
	l := newLab(t, p, nil)
	for n, killed := 1, true; killed; n++ {
		o := l.options(filepath.Join(t.TempDir(), "out.csv"))
		k := &killer{left: n, output: o.Output, dice: rand.New(rand.NewPCG(uint64(n), 0))}
		o.effect = k.at
		_, err := Run(context.Background(), o)
		if killed = k.kills > 0; killed != errors.Is(err, errKilled) {
			t.Fatalf("effect %d: %v", n, err)
		}
		if !killed && n < 20 {
			t.Fatalf("only %d effects: this test kills nothing", n)
		}
		o.effect = nil
		text, sum := export(t, o)
		p.check(t, text, sum)
		if left, _ := os.ReadDir(filepath.Dir(o.Output)); len(left) != 1 {
			t.Fatalf("effect %d: left behind: %v", n, left)
		}
	}
}

// TestKilledAgainAndAgain: at random, while jobs come, are refused and cut, until it is
// through.
func TestKilledAgainAndAgain(t *testing.T) {
	for round := range uint64(15) {
		seed := rand.Uint64()
		dice := rand.New(rand.NewPCG(seed, round))
		p := newPast(seed, 1_500)
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, p, worst())
			o := l.options(filepath.Join(t.TempDir(), "out.csv"))
			kills := 0
			for {
				k := &killer{left: 1 + dice.IntN(25), output: o.Output, dice: dice}
				o.effect = k.at
				sum, err := Run(context.Background(), o)
				kills += k.kills
				if k.kills > 0 && dice.IntN(4) > 0 {
					l.cloud.AddHistory(emulator.PastProject{ID: p.projects[dice.IntN(3)].ID, Jobs: []emulator.PastJob{{
						ID: 9_990_000_000 + int64(kills), Pipeline: 1, Name: "new", Stage: "new", Status: "success", Created: to.Add(time.Minute), Started: to.Add(time.Hour), Finished: to.Add(2 * time.Hour),
					}}})
				}
				if err == nil {
					text, _ := os.ReadFile(o.Output)
					p.check(t, text, sum)
					break
				}
				if !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
			}
			if t.Failed() || kills == 0 {
				t.Errorf("seed %d, %d kills", seed, kills)
			}
			l.cloud.Close()
		})
	}
}

// TestPowerCutAtTheFirstWrite: a journal of which nothing had come to the disk but its
// length is begun anew.
func TestPowerCutAtTheFirstWrite(t *testing.T) {
	p := newPast(5, 600)
	for at := range len(magic) + 1 {
		l := newLab(t, p, nil)
		o := l.options(filepath.Join(t.TempDir(), "out.csv"))
		if err := os.WriteFile(o.Output+journalEnd, append([]byte(magic[:at]), make([]byte, 200)...), 0o600); err != nil {
			t.Fatal(err)
		}
		text, sum := export(t, o)
		p.check(t, text, sum)
		l.cloud.Close()
	}
}

// TestTellsNothing: no name, number or address that GitLab knows is in the trace, and
// none in the journal but ids.
func TestTellsNothing(t *testing.T) {
	p := newPast(5, 600)
	l := newLab(t, p, nil)
	o := l.options(filepath.Join(t.TempDir(), "out.csv"))
	k := &killer{left: 30, output: o.Output, dice: rand.New(rand.NewPCG(1, 1))}
	o.effect = k.at
	_, _ = Run(context.Background(), o)
	journal, err := os.ReadFile(o.Output + journalEnd)
	if err != nil || len(journal) < 10_000 {
		t.Fatalf("%d bytes of journal, %v", len(journal), err)
	}
	if info, err := os.Stat(o.Output + journalEnd); err != nil || info.Mode() != 0o600 {
		t.Errorf("the journal's mode is %v, %v", info.Mode(), err)
	}
	_, pages, _ := strings.Cut(string(journal), `"listed"`) // the head says what was asked for
	o.effect = nil
	text, _ := export(t, o)

	words, ids := map[string]bool{}, map[string]bool{}
	for _, project := range p.projects {
		ids[strconv.FormatInt(project.ID, 10)] = true
		for _, part := range strings.Split(project.Path, "/") {
			words[part] = true
		}
		for _, j := range project.Jobs {
			for _, w := range []string{j.Name, j.Stage, j.Ref, j.User, j.Username, j.Email, j.Commit, strings.TrimSpace(j.Message), j.Runner, j.SystemID} {
				words[w] = true
			}
			for _, w := range j.Tags {
				words[w] = true
			}
			for _, id := range []int64{j.ID, j.Pipeline, j.RunnerID} {
				ids[strconv.FormatInt(id, 10)] = true
			}
		}
	}
	delete(words, "")
	delete(ids, "0")
	if len(words) < 100 || len(ids) < 500 {
		t.Fatalf("%d words, %d ids: this test looks for nothing", len(words), len(ids))
	}
	for w := range words {
		if strings.Contains(string(text), w) || strings.Contains(pages, w) {
			t.Errorf("%q is told", w)
		}
	}
	for id := range ids {
		if strings.Contains(string(text), id) {
			t.Errorf("the id %s is told", id)
		}
	}
	again, _ := export(t, o)
	if fmt.Sprint(hashes(text)) == fmt.Sprint(hashes(again)) {
		t.Error("two exports have the same hashes: the salt was kept")
	}
}

// hashes are the runners and names of a trace.
func hashes(text []byte) (found []string) {
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		cells := strings.Split(line, ",")
		found = append(found, cells[5], cells[6])
	}
	return found
}
