// Command past serves a trace as the history of an emulated GitLab, on loopback, until
// it is interrupted: to try "shoal trace" without a GitLab of one's own. It is what the
// example in docs/tuning.md was made with.
//
//	go run ./test/past docs/traces/team-fortnight.csv
//
// The jobs ran on a fleet of eight instances with six slots that never changed, each
// when a slot was free, in the two weeks from 2026-03-02 on.
package main

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
	"github.com/shoal-ci/shoal/internal/world"
)

const (
	token     = "glpat-past-0123456789abcd" //nolint:gosec // of an emulated GitLab
	instances = 8
	slots     = 6
	poll      = 1500 * time.Millisecond // how long a job waits for the next one, on average
)

var begin = time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "past:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("say which trace: go run ./test/past docs/traces/team-fortnight.csv")
	}
	file, err := os.Open(args[0]) //nolint:gosec // whose else
	if err != nil {
		return err
	}
	defer file.Close()
	t, err := trace.Read(file)
	if err != nil {
		return err
	}
	cloud, err := emulator.Start(emulator.Options{AccessTokens: []world.AccessToken{{Token: token, Scopes: []string{world.ScopeReadAPI}}}})
	if err != nil {
		return err
	}
	defer cloud.Close()
	cloud.AddHistory(emulator.PastProject{ID: 1, Path: "acme/app", Jobs: past(t.Jobs)})
	fmt.Printf("export GITLAB_TOKEN=%s\nshoal trace --url %s --project acme/app --since %s --until %s --output month.csv\n\nCtrl-C ends it.\n",
		token, cloud.GitLabURL(), begin.Format(time.DateOnly), begin.AddDate(0, 0, 15).Format(time.DateOnly))
	<-ctx.Done()
	return nil
}

// waiting are jobs that can run, the one that has waited for longest first.
type waiting []ready

type ready struct {
	at  time.Duration
	job int
}

func (w waiting) Len() int { return len(w) }
func (w waiting) Less(a, b int) bool {
	return w[a].at < w[b].at || w[a].at == w[b].at && w[a].job < w[b].job
}
func (w waiting) Swap(a, b int) { w[a], w[b] = w[b], w[a] }
func (w *waiting) Push(x any)   { *w = append(*w, x.(ready)) }
func (w *waiting) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// past has the jobs run, one that has waited for longer first, in the slot that is free
// first; those of a stage when the one below it is over.
func past(jobs []trace.Job) []emulator.PastJob {
	stages := map[int][]int{} // of each pipeline, in order
	left := map[[2]int][]int{}
	over := map[[2]int]time.Duration{}
	var queue waiting
	for n, j := range jobs {
		at := [2]int{j.Pipeline, j.Stage}
		if left[at] == nil {
			stages[j.Pipeline] = append(stages[j.Pipeline], j.Stage)
		}
		left[at] = append(left[at], n)
	}
	open := func(pipeline int, from time.Duration) { // its next stage
		if len(stages[pipeline]) > 0 {
			for _, n := range left[[2]int{pipeline, stages[pipeline][0]}] {
				heap.Push(&queue, ready{max(from, jobs[n].Created), n})
			}
		}
	}
	for _, pipeline := range slices.Sorted(maps.Keys(stages)) {
		slices.Sort(stages[pipeline])
		open(pipeline, 0)
	}
	var free [instances * slots]time.Duration
	ran := make([]emulator.PastJob, len(jobs))
	for queue.Len() > 0 {
		r := heap.Pop(&queue).(ready) //nolint:errcheck // nothing else is in it
		j, slot := jobs[r.job], 0
		for i := range free {
			if free[i] < free[slot] {
				slot = i
			}
		}
		started := max(r.at, free[slot]) + poll
		ended := started + j.Duration
		free[slot] = ended
		at := [2]int{j.Pipeline, j.Stage}
		over[at] = max(over[at], ended)
		if left[at] = left[at][1:]; len(left[at]) == 0 { // as many as there were have begun
			stages[j.Pipeline] = stages[j.Pipeline][1:]
			open(j.Pipeline, over[at])
		}
		ran[r.job] = emulator.PastJob{
			Pipeline: int64(j.Pipeline), Name: "job " + strconv.Itoa(r.job%20), Stage: "stage " + strconv.Itoa(j.Stage), Status: "success",
			Ref: "main", Tags: []string{"docker"}, Created: begin.Add(j.Created), Queued: begin.Add(r.at), Started: begin.Add(started), Finished: begin.Add(ended),
			RunnerID: int64(slot/slots + 1), Runner: fmt.Sprintf("ci/i-%d", slot/slots+1), SystemID: fmt.Sprintf("s_%d", slot/slots+1), User: "Jane Doe", Username: "jane",
		}
	}
	// GitLab makes a pipeline's jobs stage by stage.
	order := make([]int, len(jobs))
	for n := range jobs {
		order[n] = n
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(jobs[a].Created, jobs[b].Created), cmp.Compare(jobs[a].Pipeline, jobs[b].Pipeline), cmp.Compare(jobs[a].Stage, jobs[b].Stage))
	})
	for id, n := range order {
		ran[n].ID = int64(id + 1)
	}
	return ran
}
