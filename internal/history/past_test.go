package history

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/gitlab"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
	"github.com/shoal-ci/shoal/internal/world"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const readToken = "glpat-AAAAAAAAAAAAAAAAAAAA"

var (
	from = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	to   = time.Date(2026, 3, 30, 0, 0, 0, 0, time.UTC)
)

// truth is a job that must be in the trace, and how.
type truth struct {
	project  int64
	pipeline int64 // 0: it stands alone
	stage    int
	created  time.Time
	ran      time.Duration // no two jobs have the same
	waited   time.Duration
	name     string
	runner   string
}

// past is a history, and what a trace of it must say.
type past struct {
	projects []emulator.PastProject
	jobs     []truth
	left     LeftOut
	alone    int
	reckoned int
	ran      int
}

// planned is a job before it has an id.
type planned struct {
	emulator.PastJob
	project int
	truth   *truth
	out     *int // counts it, where it is left out
}

var stageNames = [][]string{{"validate", "build", "deploy"}, {"z-first", "middle", "a-last", "0-end"}, {"only"}}

// newPast draws a history of about n jobs from a seed.
func newPast(seed uint64, n int) *past {
	dice := rand.New(rand.NewPCG(seed, 7))
	p := &past{}
	for i := range 3 {
		p.projects = append(p.projects, emulator.PastProject{ID: 7_700_000_001 + int64(i), Path: []string{"acme/web", "acme/infra/base", "acme/infra/tools"}[i]})
	}
	var all []*planned
	every := to.Sub(from) / time.Duration(n/6+1)
	for k := 0; len(all) < n; k++ {
		at := from.Add(time.Duration(k)*every + time.Duration(dice.Int64N(int64(every)+1))).Truncate(time.Millisecond)
		all = append(all, p.pipeline(dice, 8_800_000_001+int64(k)*3, at)...)
	}
	slices.SortStableFunc(all, func(a, b *planned) int { return a.Created.Compare(b.Created) })
	id := int64(9_900_000_000)
	for _, j := range all {
		id += 1 + dice.Int64N(3)
		j.ID = id
		if j.truth != nil {
			p.jobs = append(p.jobs, *j.truth)
		} else if j.out != nil {
			*j.out++
		}
		p.projects[j.project].Jobs = append(p.projects[j.project].Jobs, j.PastJob)
	}
	return p
}

// pipeline draws one pipeline, with everything that happens in pipelines.
func (p *past) pipeline(dice *rand.Rand, id int64, created time.Time) []*planned {
	project := dice.IntN(len(p.projects))
	stages := stageNames[project]
	var out []*planned
	begin := func(stage int, name, status string) *planned {
		user := fmt.Sprintf("person%d", dice.IntN(20))
		j := &planned{project: project, PastJob: emulator.PastJob{
			Pipeline: id, Name: name, Stage: stages[stage], Status: status, Ref: "feature/secret-launch", Tags: []string{"docker", "linux"},
			Created: created, User: "Jane " + user, Username: user, Email: user + "@acme.example",
			Commit: fmt.Sprintf("%040x", dice.Uint64()), Message: "Fix what nobody may know\n",
		}}
		out = append(out, j)
		return j
	}
	runs := func(j *planned, stage int, queued time.Time, alone bool) {
		n := dice.Int64N(50)
		j.Queued = queued.Truncate(time.Millisecond)
		j.Started = j.Queued.Add(time.Duration(dice.IntN(90_000)) * time.Millisecond)
		p.ran++
		ran := 5*time.Second + time.Duration(p.ran)*7*time.Millisecond
		j.Finished = j.Started.Add(ran)
		j.Runner, j.RunnerID, j.SystemID = fmt.Sprintf("ci/i-0abc%02d", n), 6_600_000_000+n, fmt.Sprintf("s_%012d", n)
		def, _, _ := strings.Cut(j.Name, " ")
		def, _, _ = strings.Cut(def, ":")
		j.truth = &truth{
			project: p.projects[project].ID, pipeline: id, stage: stage, created: j.Created, ran: ran, waited: j.Started.Sub(j.Queued),
			name: fmt.Sprint(project, def), runner: j.Runner,
		}
		if alone {
			j.truth.pipeline, j.truth.stage, j.truth.created = 0, 0, j.Queued
			p.alone++
		}
	}
	at := created // when the stage begins
	for stage := range stages {
		end := at
		for i := range 1 + dice.IntN(4) {
			name := fmt.Sprintf("%s-unit%d", stages[stage], i)
			switch dice.IntN(8) {
			case 0:
				name += fmt.Sprintf(" %d/%d", 1+dice.IntN(3), 3)
			case 1:
				name += ": [amd64, eu]"
			}
			j := begin(stage, name, "success")
			runs(j, stage, at.Add(time.Duration(dice.IntN(3000))*time.Millisecond), false)
			end = maxTime(end, j.Finished)
		}
		if dice.IntN(6) == 0 { // failed, and tried again before anything went on
			out[len(out)-1].Status = "failed"
			again := begin(stage, out[len(out)-1].Name, "success")
			again.Created = end.Add(20 * time.Second)
			runs(again, stage, again.Created.Add(200*time.Millisecond), false)
			end = maxTime(end, again.Finished)
		}
		at = end
	}
	p.others(dice, begin, runs, len(stages)-1, at)
	return out
}

// others are the jobs of a pipeline that hold nobody up.
func (p *past) others(dice *rand.Rand, begin func(int, string, string) *planned, runs func(*planned, int, time.Time, bool), last int, end time.Time) {
	if dice.IntN(5) == 0 {
		begin(last, "rollback-never", "manual").out = &p.left.NeverRan
	}
	if dice.IntN(9) == 0 {
		begin(last, "cancelled-early", "canceled").out = &p.left.NeverRan
	}
	if dice.IntN(9) == 0 {
		j := begin(last, "still-runs", "running")
		j.Queued, j.Started, j.out = end, end, &p.left.Unfinished
	}
	if dice.IntN(9) == 0 {
		begin(last, "still-waits", "pending").out = &p.left.Unfinished
	}
	if dice.IntN(7) == 0 { // by hand, hours later
		j := begin(last, "publish-by-hand", "success")
		runs(j, last, end.Add(2*time.Hour), true)
	}
	if last > 0 && dice.IntN(7) == 0 { // retried when all was over
		j := begin(0, "first-again", "success")
		j.Created = end.Add(3 * time.Hour)
		runs(j, 0, j.Created.Add(time.Second), true)
	}
	if dice.IntN(7) == 0 { // of another fleet
		j := begin(last, "on-gpus", "success")
		j.Tags, j.Queued, j.Started, j.Finished, j.out = []string{"gpu"}, end, end, end.Add(time.Second), &p.left.Filtered
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// check compares a trace with the truth, right to the job.
func (p *past) check(t *testing.T, text []byte, sum Summary) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, r := range rows[1:] {
		if got[r[1]] != nil {
			t.Fatalf("a job twice: %v", r)
		}
		got[r[1]] = r
	}
	pairs := map[string]string{} // what stands for what, in both directions
	same := func(kind, hidden, shown string) {
		for _, pair := range [][2]string{{kind + " " + hidden, shown}, {"hash " + kind + " " + shown, hidden}} {
			if was, ok := pairs[pair[0]]; ok && was != pair[1] {
				t.Errorf("%s stands for %q and for %q", pair[0], was, pair[1])
			}
			pairs[pair[0]] = pair[1]
		}
	}
	for _, j := range p.jobs {
		r := got[decimal(j.ran)]
		if r == nil {
			t.Fatalf("a job lost: %+v", j)
		}
		pipeline, stage := "", ""
		if j.pipeline != 0 {
			pipeline, stage = r[2], strconv.Itoa(j.stage)
			same("pipeline", strconv.FormatInt(j.pipeline, 10), r[2])
			if r[2] == "" {
				t.Fatalf("%+v stands alone: %v", j, r)
			}
		}
		same("name", j.name, r[6])
		same("runner", j.runner, r[5])
		want := []string{j.created.Truncate(time.Second).Format(time.RFC3339), r[1], pipeline, stage, decimal(j.waited), r[5], r[6]}
		if !slices.Equal(r, want) || r[5] == "" || r[6] == "" {
			t.Fatalf("%+v: got %v, want %v", j, r, want)
		}
	}
	if len(got) != len(p.jobs) || sum.Jobs != len(got) || sum.LeftOut != p.left || sum.Alone != p.alone || sum.Reckoned != p.reckoned || sum.Ahead != 0 {
		t.Fatalf("%d jobs for %d; %+v, want %+v, %d alone, %d reckoned", len(got), len(p.jobs), sum, p.left, p.alone, p.reckoned)
	}
	back, err := trace.Read(bytes.NewReader(text))
	if err != nil || !back.Real || len(back.Jobs) != len(got) {
		t.Fatalf("read again: %d jobs, real %v, %v", len(back.Jobs), back.Real, err)
	}
}

func decimal(d time.Duration) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%03d", d.Milliseconds()/1000, d.Milliseconds()%1000), "0"), ".")
}

// lab is an emulated GitLab without a socket, and a client of it.
type lab struct {
	cloud  *emulator.Cloud
	client *gitlab.Client
}

func newLab(t *testing.T, p *past, fault func(emulator.Request) emulator.Fault) *lab {
	t.Helper()
	cloud, err := emulator.Start(emulator.Options{
		NoListen: true, Fault: fault, AccessTokens: []world.AccessToken{{Token: readToken, Scopes: []string{world.ScopeReadAPI}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	cloud.AddHistory(p.projects...)
	client, err := gitlab.New(gitlab.Options{URL: "http://gitlab.example.com", Transport: direct{cloud.GitLabHandler()}})
	if err != nil {
		t.Fatal(err)
	}
	return &lab{cloud, client}
}

func (l *lab) options(output string) Options {
	return Options{
		Query: Query{URL: "http://gitlab.example.com", Groups: []string{"acme"}, Since: "28d", Tags: []string{"linux", "docker"}},
		From:  from, To: to, Output: output, GitLab: l.client.History(fleet.NewToken(readToken), "--token"), Log: slog.New(slog.DiscardHandler),
	}
}

// direct carries requests to a handler as a network would, with its ways to break.
type direct struct{ h http.Handler }

func (d direct) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	asked := req.Clone(req.Context())
	asked.Body, asked.Host = http.NoBody, req.URL.Host
	served := make(chan bool)
	go func() {
		whole := false
		defer func() {
			if r := recover(); r != nil && r != http.ErrAbortHandler { //nolint:errorlint // the very value
				panic(r)
			}
			served <- whole
		}()
		d.h.ServeHTTP(w, asked)
		whole = true
	}()
	whole := <-served
	if !whole && w.Body.Len() == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	resp = w.Result()
	if !whole {
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, broken{}))
	}
	resp.Request = req
	return resp, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// errKilled is the end of a process at one of its effects.
var errKilled = errors.New("killed")

// killer ends a process at its n-th effect.
type killer struct {
	left   int
	output string
	dice   *rand.Rand
	synced int64 // the journal's size when it was last known to be on the disk
	kills  int
}

// at is an effect's hook: what comes behind a kill does not happen.
func (k *killer) at(what string) error {
	if k.left--; k.left > 0 {
		if what == "write to the journal" {
			k.synced = k.size()
		}
		return nil
	}
	if k.left == 0 {
		k.kills++
		if what == "sync the journal" {
			k.tear()
		}
	}
	return errKilled
}

func (k *killer) size() int64 {
	info, err := os.Stat(k.output + journalEnd)
	if err != nil {
		return 0
	}
	return info.Size()
}

// tear leaves as much of the last frame as a power cut might: a part of it, or all of
// its length with something else in it.
func (k *killer) tear() {
	now := k.size()
	if now <= k.synced {
		return
	}
	file, err := os.OpenFile(k.output+journalEnd, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	at := k.synced + k.dice.Int64N(now-k.synced)
	if k.dice.IntN(2) == 0 {
		err = file.Truncate(at)
	} else {
		_, err = file.WriteAt(make([]byte, now-at), at)
	}
	if err != nil {
		panic(err)
	}
}

func export(t *testing.T, o Options) ([]byte, Summary) {
	t.Helper()
	sum, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	return text, sum
}
