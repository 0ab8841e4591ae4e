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

// TestNoBurstStarves: the same behind a large fleet, which leaves part of a queue to
// jobs that end: bursts come that fill dozens of instances, none of whose jobs ends.
// Where a launch takes five minutes it is three of them, and the time to find out.
func TestNoBurstStarves(t *testing.T) {
	for boot, most := range map[time.Duration]time.Duration{90 * time.Second: 15 * time.Minute, 5 * time.Minute: 28 * time.Minute} {
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 4))
			o := usual()
			o.Max, o.Boot = 500, boot
			hours := 1 + r.Float64()*4
			var jobs []trace.Job
			for range 6 * (25 + r.IntN(100)) {
				jobs = append(jobs, trace.Job{Created: secs(r.Float64() * 300), Duration: secs(3600 * (hours + r.Float64()))})
			}
			for range 1 + r.IntN(3) {
				at := 1800 + r.Float64()*3600
				for range 10 + r.IntN(200) {
					jobs = append(jobs, trace.Job{Created: secs(at), Duration: secs(3600 * (1 + r.Float64()))})
				}
			}
			for _, spec := range []string{"shoal", "shoal:spares=6", "shoal:spares=20,spares_hold=600s"} {
				if got := run(t, jobs, spec, o, seed).Wait.Max; got > most.Seconds() {
					t.Errorf("seed %d, %s, a launch of %s: a job waited %.0f s", seed, spec, boot, got)
				}
			}
		}
	}
}
