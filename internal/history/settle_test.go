package history

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// drawn is a pipeline by hand: a job on each line, as "id stage created queued started
// ended", in seconds; "-" is what GitLab does not say.
func drawn(t *testing.T, lines ...string) []record {
	t.Helper()
	r := &run{salt: salt("salt"), filter: filter{}}
	var out []record
	for _, line := range lines {
		f := strings.Fields(line)
		at := func(s string) (at time.Time) {
			var n float64
			if s == "-" {
				return at
			}
			if _, err := fmt.Sscan(s, &n); err != nil {
				t.Fatal(err)
			}
			return from.Add(time.Duration(n * float64(time.Second)))
		}
		j := fleet.PastJob{Pipeline: 1, Stage: f[1], Name: f[0], Status: "success", Created: at(f[2]), Started: at(f[4]), Finished: at(f[5]), Duration: -1, Queued: -1}
		if _, err := fmt.Sscan(f[0], &j.ID); err != nil {
			t.Fatal(err)
		}
		if f[3] != "-" && f[4] != "-" {
			j.Queued = j.Started.Sub(at(f[3]))
		}
		out = append(out, r.record(j))
	}
	return out
}

func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		jobs []string
		want string // "created+stage" of each job in the order of time, "alone" for those without a pipeline, with the wait
		sum  Summary
	}{
		"stages by the first job's id, not by name or by when they began": {
			[]string{"3 a 0 30 35 40", "1 z 0 0 10 20", "2 z 0 0 5 30", "4 b 0 40 41 50"},
			"0s/0 wait 10s, 0s/0 wait 5s, 0s/1 wait 5s, 0s/2 wait 1s",
			Summary{Jobs: 4, Pipelines: 1},
		},
		"a stage of which no job ran is one": {
			[]string{"1 build 0 0 1 10", "2 skipped 0 - - -", "3 deploy 0 10 10 20"},
			"0s/0 wait 1s, 0s/2 wait 0s",
			Summary{Jobs: 2, Pipelines: 1, LeftOut: LeftOut{NeverRan: 1}},
		},
		"by hand, an hour later": {
			[]string{"1 build 0 0 1 10", "2 deploy 0 3610 3612 3700"},
			"0s/0 wait 1s, 1h0m10s alone wait 2s",
			Summary{Jobs: 2, Pipelines: 1, Alone: 1},
		},
		"what waited for the one by hand is no earlier": {
			[]string{"1 build 0 0 1 10", "2 gate 0 3610 3612 3700", "3 deploy 0 3701 3702 3710"},
			"0s/0 wait 1s, 1h0m10s alone wait 2s, 1h1m41s alone wait 1s",
			Summary{Jobs: 3, Pipelines: 1, Alone: 2},
		},
		"retried before the next stage": {
			[]string{"1 build 0 0 1 10", "3 build 300 300 301 310", "2 test 0 311 312 320"},
			"0s/0 wait 1s, 0s/1 wait 1s, 5m0s/0 wait 1s",
			Summary{Jobs: 3, Pipelines: 1},
		},
		"retried when the next stage had begun": {
			[]string{"1 build 0 0 1 10", "3 build 300 300 301 310", "2 test 0 10 12 20"},
			"0s/0 wait 1s, 0s/1 wait 2s, 5m0s alone wait 1s",
			Summary{Jobs: 3, Pipelines: 1, Alone: 1},
		},
		"needs: it did not wait for its stage": {
			[]string{"1 build 0 0 1 100", "2 test 0 0 1 10"},
			"0s/0 wait 1s, 0s/1 wait 1s",
			Summary{Jobs: 2, Pipelines: 1, Ahead: 1},
		},
		"no queued_duration": {
			[]string{"1 build 0 - 7 10", "2 test 0 - 12 20", "3 test 0 - 8 20"},
			"0s/0 wait 7s, 0s/1 wait 2s, 0s/1 wait 8s",
			Summary{Jobs: 3, Pipelines: 1, Reckoned: 3, Ahead: 1},
		},
		"longer in the queue than it was there": {
			[]string{"1 build 100 0 150 160"},
			"1m40s/0 wait 50s",
			Summary{Jobs: 1, Pipelines: 1, Reckoned: 1},
		},
		"begun before it was created, by a clock": {
			[]string{"1 build 10 8 8 20"},
			"10s/0 wait 0s",
			Summary{Jobs: 1, Pipelines: 1},
		},
		"ended before it began": {
			[]string{"1 build 0 0 10 5", "2 build 0 0 10 12"},
			"0s/0 wait 10s",
			Summary{Jobs: 1, Pipelines: 1, LeftOut: LeftOut{Odd: 1}},
		},
		"not over": {
			[]string{"1 build 0 0 10 -", "2 build 0 0 10 12"},
			"0s/0 wait 10s",
			Summary{Jobs: 1, Pipelines: 1, LeftOut: LeftOut{Unfinished: 1}},
		},
	} {
		records := drawn(t, c.jobs...)
		for range 3 { // in whatever order they are listed
			s := &settling{}
			s.project(slices.Clone(records))
			s.order()
			slices.SortStableFunc(s.rows, func(a, b row) int { return int(a.created - b.created) })
			var got []string
			for _, j := range s.rows {
				where := fmt.Sprintf("/%d", j.stage)
				if j.pipeline == 0 {
					where = " alone"
				}
				got = append(got, fmt.Sprintf("%s%s wait %s", j.at().Sub(from), where, time.Duration(j.waited)*time.Millisecond))
			}
			want := strings.Split(c.want, ", ")
			slices.Sort(got)
			slices.Sort(want)
			s.sum.From, s.sum.To = time.Time{}, time.Time{}
			if !slices.Equal(got, want) || s.sum != c.sum {
				t.Errorf("%s: got %q, want %q; %+v, want %+v", name, got, want, s.sum, c.sum)
			}
			rand.Shuffle(len(records), func(i, k int) { records[i], records[k] = records[k], records[i] })
		}
	}
}

func TestDefinition(t *testing.T) {
	for name, want := range map[string]string{
		"rspec":                         "rspec",
		"rspec 3/20":                    "rspec",
		"rspec: [arm64, eu]":            "rspec",
		"rspec: [arm64, eu] 2/3":        "rspec",
		"build 1 / 2":                   "build",
		"go 1.26":                       "go 1.26",
		"3/20":                          "3/20",
		"deploy: eu":                    "deploy: eu",
		strings.Repeat("x 1/2 ", 3):     "x 1/2 x 1/2 x",
		strings.Repeat("[", 100) + " 1": strings.Repeat("[", 100) + " 1",
	} {
		if got := definition(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestFilter(t *testing.T) {
	j := fleet.PastJob{Tags: []string{"docker", "linux"}, Runner: 12, RunnerName: "ci/i-0abc"}
	for _, c := range []struct {
		q    Query
		want bool
	}{
		{Query{}, true},
		{Query{Tags: []string{"linux"}}, true},
		{Query{Tags: []string{"linux", "gpu"}}, false},
		{Query{Runners: []string{"12"}}, true},
		{Query{Runners: []string{"1", "2"}}, false},
		{Query{Runners: []string{"1", "ci/*"}}, true},
		{Query{Runners: []string{"*"}}, true}, // a description is no path
		{Query{Runners: []string{"ci*abc"}}, true},
		{Query{Runners: []string{"other/*"}}, false},
		{Query{Runners: []string{"ci/i-0abc"}, Tags: []string{"gpu"}}, false},
	} {
		f, err := newFilter(c.q)
		if err != nil || (f.tags(j) && f.runners(j)) != c.want {
			t.Errorf("%+v: want %v, %v", c.q, c.want, err)
		}
	}
	if _, err := newFilter(Query{Runners: []string{"["}}); err == nil {
		t.Error("a pattern that is none is taken")
	}
}

// TestWhateverGitLabSays: times that are impossible, or far away, are left out and
// counted, or make a trace that can be read.
func TestWhateverGitLabSays(t *testing.T) {
	for range 300 {
		seed := rand.Uint64()
		dice := rand.New(rand.NewPCG(seed, 1))
		begin := to.Add(-Longest)
		r := &run{salt: salt("salt"), state: &state{head: head{From: begin, To: to}}}
		time1 := func() time.Time {
			switch dice.IntN(6) {
			case 0:
				return time.Time{}
			case 1:
				return time.Date(dice.IntN(10_000), 1, 1, 0, 0, 0, 0, time.UTC)
			case 2:
				return begin.Add(time.Duration(dice.Int64N(int64(2 * Longest))))
			}
			return to.Add(-time.Duration(dice.Int64N(int64(72 * time.Hour))))
		}
		length := func() time.Duration {
			return []time.Duration{-1, 0, time.Minute, trace.MaxDuration, trace.MaxDuration + time.Second, mostDuration}[dice.IntN(6)]
		}
		var got fleet.HistoryPage
		for i := range 60 {
			got.Jobs = append(got.Jobs, fleet.PastJob{
				ID: int64(100 - i), Pipeline: int64(1 + dice.IntN(5)), Name: fmt.Sprint(i), Stage: fmt.Sprint(dice.IntN(4)), Status: []string{"success", "failed", "running", "new word", ""}[dice.IntN(5)],
				Created: time1(), Started: time1(), Finished: time1(), Duration: length(), Queued: length(), Runner: dice.Int64N(3),
			})
		}
		var p page
		r.fill(&p, got)
		s := &settling{}
		var records []record
		for _, j := range p.Jobs {
			records = append(records, j.record())
		}
		s.project(records)
		s.order()
		if n := s.sum.Jobs + s.sum.LeftOut.NeverRan + s.sum.LeftOut.Unfinished + s.sum.LeftOut.Odd; n != len(p.Jobs) {
			t.Fatalf("seed %d: %d jobs of %d: %+v", seed, n, len(p.Jobs), s.sum)
		}
		var out bytes.Buffer
		if err := s.write(&out); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if back, err := trace.Read(&out); s.sum.Jobs > 0 && (err != nil || len(back.Jobs) != s.sum.Jobs) {
			t.Fatalf("seed %d: %d jobs of %d, %v", seed, len(back.Jobs), s.sum.Jobs, err)
		}
	}
}

// mostDuration is the longest that package gitlab reads: a hundred years.
const mostDuration = 100 * 366 * 24 * time.Hour
