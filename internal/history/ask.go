package history

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// firstPause is what a busy GitLab needs at least to get over it.
	firstPause = time.Second
	// longestPause keeps an export from sleeping on long after GitLab came back.
	longestPause = time.Minute
	// patience is how long one request is tried: longer than an upgrade of GitLab
	// takes, shorter than a person waits for a job by night. What is read is kept.
	patience = 20 * time.Minute
	// firstPatience is the same before anything was read: the address may be wrong, and
	// somebody looks on.
	firstPatience = 2 * time.Minute
)

// ask makes one request until it is answered, or refused for good, or patience ends.
func ask[T any](ctx context.Context, r *run, op string, try func(context.Context) (T, error)) (T, error) {
	var none T
	began := time.Now()
	pause, limit := firstPause, patience
	if r.state.projects == nil {
		limit = firstPatience
	}
	for {
		answer, err := try(ctx)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() != nil {
			return none, ErrInterrupted
		}
		f := fleet.AsFailure(op, err)
		if f.Final() || f.Kind == fleet.Local {
			return none, f
		}
		wait := pause/2 + rand.N(pause/2+1) //nolint:gosec // jitter, no secret
		if f.RetryAfter > 0 {
			wait = max(wait, f.RetryAfter+rand.N(firstPause)) //nolint:gosec // jitter, no secret
		}
		if time.Since(began)+wait > limit {
			return none, f
		}
		r.Log.Warn("trying again", "error", f.Error(), "in", wait.Round(time.Millisecond).String())
		r.tell(wait)
		if !sleep(ctx, wait) {
			return none, ErrInterrupted
		}
		pause = min(2*pause, longestPause)
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
