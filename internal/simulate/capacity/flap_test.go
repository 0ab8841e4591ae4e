package capacity_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// TestNoFlapping: jobs come at a pace at which an instance that leaves when it may is
// needed again within its launch time, each time. It is let go a few times, not all day.
func TestNoFlapping(t *testing.T) {
	for _, pace := range []time.Duration{200 * time.Second, 240 * time.Second, 280 * time.Second, 300 * time.Second} {
		var jobs []trace.Job
		for n := range 400 {
			jobs = append(jobs, trace.Job{Created: time.Duration(n) * pace, Duration: 20 * time.Second})
		}
		for seed := range uint64(5) {
			got := run(t, jobs, "shoal", usual(), seed)
			if got.Launches > 12 {
				t.Errorf("a job each %s, seed %d: %.0f launches", pace, seed, got.Launches)
			}
		}
	}
}
