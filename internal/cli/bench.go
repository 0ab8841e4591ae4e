package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

// bench is a comparison: every policy with every seed, as many at once as there
// are processors.
type bench struct {
	plan     *capacity.Plan
	options  capacity.Options
	policies []capacity.Policy
	seeds    int
	record   bool         // whether records are wanted
	done     atomic.Int64 // jobs, of all runs

	// records are what one run of each policy was like: of those with the seeds, the
	// one whose mean wait is nearest to their median.
	records []capacity.Record
}

// total is how many jobs there are to do, in all runs.
func (b *bench) total() int64 {
	each := b.seeds
	if b.record {
		each++
	}
	return int64(b.plan.Jobs()) * int64(each) * int64(len(b.policies))
}

func (b *bench) run(ctx context.Context) ([]capacity.Result, error) {
	runs := make([][]capacity.Result, len(b.policies))
	for p := range runs {
		runs[p] = make([]capacity.Result, b.seeds)
	}
	b.each(ctx, len(b.policies)*b.seeds, func(n int) {
		p, seed := n/b.seeds, n%b.seeds
		runs[p][seed] = b.one(ctx, b.policies[p], uint64(seed)) //nolint:gosec // below mostSeeds
	})
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	results := make([]capacity.Result, len(runs))
	for p := range runs {
		results[p] = capacity.Median(runs[p])
	}
	if b.record {
		b.records = make([]capacity.Record, len(runs))
		b.each(ctx, len(runs), func(p int) {
			b.records[p] = b.again(ctx, b.policies[p], typical(runs[p], results[p]))
		})
	}
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	return results, nil
}

// each does n things, as many at once as there are processors, until it is interrupted.
func (b *bench) each(ctx context.Context, n int, do func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

// typical is the seed whose run is nearest to the median.
func typical(runs []capacity.Result, median capacity.Result) uint64 {
	best := 0
	far := func(n int) float64 { return math.Abs(runs[n].Wait.Mean - median.Wait.Mean) }
	for n := range runs {
		if far(n) < far(best) {
			best = n
		}
	}
	return uint64(best) //nolint:gosec // below mostSeeds
}

func (b *bench) one(ctx context.Context, p capacity.Policy, seed uint64) capacity.Result {
	progress, done := b.counted(ctx)
	defer done()
	return capacity.Run(b.plan, p, b.options, seed, progress)
}

// again is a run that was played already, recorded.
func (b *bench) again(ctx context.Context, p capacity.Policy, seed uint64) capacity.Record {
	progress, done := b.counted(ctx)
	defer done()
	_, record := capacity.RunRecorded(b.plan, p, b.options, seed, progress)
	return record
}

// counted has a run's jobs count as they are done, and all of them in the end.
func (b *bench) counted(ctx context.Context) (progress func(int) bool, done func()) {
	told := int64(0)
	progress = func(done int) bool {
		b.done.Add(int64(done) - told)
		told = int64(done)
		return ctx.Err() == nil
	}
	return progress, func() { b.done.Add(int64(b.plan.Jobs()) - told) }
}

// A bar appears when a person has begun to wonder.
const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
	progressWidth = 40
)

// work is what takes a while.
type work interface {
	// bar is how far it is, on a line.
	bar() string
}

func (b *bench) bar() string { return progressBar(b.done.Load(), b.total()) }

// showProgress draws a bar on a terminal until the returned function is called.
func (c *call) showProgress(w work) (stop func()) {
	if !isTerminal(c.Stderr) {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		began, drawn := time.Now(), false
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				if drawn {
					fmt.Fprint(c.Stderr, "\r\x1b[K")
				}
				return
			case now := <-tick.C:
				if now.Sub(began) >= progressAfter {
					fmt.Fprint(c.Stderr, "\r\x1b[K"+w.bar())
					drawn = true
				}
			}
		}
	}()
	return func() { close(quit); <-ended }
}

func progressBar(done, total int64) string {
	return fmt.Sprintf("%s of %d jobs", shareBar(float64(done)/float64(max(total, 1))), total)
}

func shareBar(share float64) string {
	full := min(int(share*progressWidth), progressWidth)
	return fmt.Sprintf("[%s%s] %3.0f %%", strings.Repeat("#", full), strings.Repeat(".", progressWidth-full), 100*share)
}
