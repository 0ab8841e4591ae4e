package cli

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
	"github.com/shoal-ci/shoal/internal/simulate/tune"
)

// tuneBench plays what a search asks for, as many runs at once as there are
// processors.
type tuneBench struct {
	plans []*capacity.Plan // of each part

	mu       sync.Mutex
	from, to float64 // what the batch under way is of the search
	total    int64   // jobs of the batch
	done     atomic.Int64
}

func newTuneBench(t trace.Trace) *tuneBench {
	b := &tuneBench{}
	for _, part := range tune.Parts(t) {
		b.plans = append(b.plans, capacity.NewPlan(part))
	}
	return b
}

func (b *tuneBench) evaluate(ctx context.Context, batch tune.Batch) ([]capacity.Result, error) {
	b.begin(batch)
	results, failed := make([]capacity.Result, len(batch.Plays)), make([]error, len(batch.Plays))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(batch.Plays) && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				results[n], failed[n] = b.play(ctx, batch.Plays[n])
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	return results, errors.Join(failed...)
}

func (b *tuneBench) begin(batch tune.Batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from, b.to, b.total = batch.From, batch.To, 0
	for _, p := range batch.Plays {
		b.total += int64(b.plans[p.Part].Jobs())
	}
	b.done.Store(0)
}

func (b *tuneBench) play(ctx context.Context, p tune.Play) (capacity.Result, error) {
	policy, err := capacity.Parse(p.Settings.Policy())
	if err != nil {
		return capacity.Result{}, err
	}
	if err := p.Options.Validate(); err != nil {
		return capacity.Result{}, err
	}
	told := int64(0)
	r := capacity.Run(b.plans[p.Part], policy, p.Options, p.Seed, func(done int) bool {
		b.done.Add(int64(done) - told)
		told = int64(done)
		return ctx.Err() == nil
	})
	b.done.Add(int64(b.plans[p.Part].Jobs()) - told)
	return r, nil
}

// bar is how far the search is: a batch moves it from its beginning to its end.
func (b *tuneBench) bar() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	share := min(1, float64(b.done.Load())/float64(max(b.total, 1)))
	return shareBar(b.from+(b.to-b.from)*share) + " of the search"
}
