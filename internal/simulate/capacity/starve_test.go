package capacity_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// TestNoJobStarves: every slot holds a job of an hour or more, so nothing is
// picked up and no gauge tells of the queue; then single jobs come.
func TestNoJobStarves(t *testing.T) {
	const most = 15 * time.Minute
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		var jobs []trace.Job
		for spell := range 6 {
			begin := time.Duration(spell) * 8 * time.Hour
			for range 6 * (1 + r.IntN(6)) {
				jobs = append(jobs, trace.Job{Created: begin + secs(r.Float64()*240), Duration: secs(3600 + r.Float64()*9000)})
			}
			for range 1 + r.IntN(12) {
				jobs = append(jobs, trace.Job{Created: begin + secs(600+r.Float64()*7200), Duration: secs(60 + r.Float64()*3600)})
			}
		}
		if got := run(t, jobs, "shoal", usual(), seed).Wait.Max; got > most.Seconds() {
			t.Errorf("seed %d: a job waited %.0f s", seed, got)
		}
	}
}
