package cli

import (
	"context"
	"errors"
	"fmt"
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
	done     atomic.Int64 // jobs, of all runs
}

// total is how many jobs there are to do, in all runs.
func (b *bench) total() int64 { return int64(b.plan.Jobs()) * int64(b.seeds) * int64(len(b.policies)) }

func (b *bench) run(ctx context.Context) ([]capacity.Result, error) {
	runs := make([][]capacity.Result, len(b.policies))
	for p := range runs {
		runs[p] = make([]capacity.Result, b.seeds)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(b.policies)*b.seeds) && ctx.Err() == nil; n = next.Add(1) - 1 {
				p, seed := n/int64(b.seeds), n%int64(b.seeds)
				runs[p][seed] = b.one(ctx, b.policies[p], uint64(seed)) //nolint:gosec // below mostSeeds
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	results := make([]capacity.Result, len(runs))
	for p := range runs {
		results[p] = capacity.Median(runs[p])
	}
	return results, nil
}

func (b *bench) one(ctx context.Context, p capacity.Policy, seed uint64) capacity.Result {
	told := int64(0)
	r := capacity.Run(b.plan, p, b.options, seed, func(done int) bool {
		b.done.Add(int64(done) - told)
		told = int64(done)
		return ctx.Err() == nil
	})
	b.done.Add(int64(b.plan.Jobs()) - told)
	return r
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
