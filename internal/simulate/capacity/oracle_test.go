package capacity_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// TestOracleSeesJobsOfNoDuration: they need a slot for the instant in which they come.
func TestOracleSeesJobsOfNoDuration(t *testing.T) {
	var alone []trace.Job
	for n := range 200 {
		alone = append(alone, trace.Job{Created: time.Duration(n) * 10 * time.Second})
	}
	mixed := []trace.Job{{Duration: 300 * time.Second}, {Created: time.Hour}, {Created: 2 * time.Hour, Duration: 300 * time.Second}}
	// Every slot of the one instance that is needed otherwise is taken when they come.
	var beside []trace.Job
	for range 6 {
		beside = append(beside, trace.Job{Duration: 300 * time.Second})
	}
	beside = append(beside, trace.Job{Created: 100 * time.Second}, trace.Job{Created: 100 * time.Second})
	stages := []trace.Job{{Pipeline: 1}, {Pipeline: 1, Stage: 1}, {Pipeline: 1, Stage: 2, Duration: time.Minute}}
	for _, c := range []struct {
		name     string
		jobs     []trace.Job
		launches float64
	}{{"alone", alone, 1}, {"mixed", mixed, 3}, {"beside others", beside, 2}, {"in stages", stages, 1}} {
		r := run(t, c.jobs, "oracle", usual(), 1)
		if r.JobsLost != 0 || r.Wait.Max != 0 || r.Launches > c.launches {
			t.Errorf("%s: %d lost, one waited %.1f s, %g launches, want none, 0 and at most %g", c.name, r.JobsLost, r.Wait.Max, r.Launches, c.launches)
		}
	}
	// The slot for the hour's job is there for its launch, at 106 s the longest, not for
	// the hours between.
	if r := run(t, mixed, "oracle", usual(), 1); r.InstanceHours > (2*300+3*106)/3600.0 {
		t.Errorf("mixed: %.3f instance hours", r.InstanceHours)
	}
}

// TestNobodyWaitsLessThanTheOracle, whatever the jobs: some take no time at all.
func TestNobodyWaitsLessThanTheOracle(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 8))
		var jobs []trace.Job
		at := 0.0
		for range 300 {
			if r.IntN(3) == 0 { // else in the same moment as the one before
				at += r.ExpFloat64() * 120
			}
			j := trace.Job{Created: secs(at)}
			if r.IntN(2) == 0 {
				j.Duration = secs(r.ExpFloat64() * 300)
			}
			jobs = append(jobs, j)
		}
		o := usual()
		o.Min, o.Max = r.IntN(2), 1+r.IntN(12)
		least := run(t, jobs, "oracle", o, seed)
		if least.JobsLost != 0 {
			t.Errorf("seed %d: the oracle lost %d jobs", seed, least.JobsLost)
		}
		for _, other := range []string{"shoal", "original", "taskscaler", "buildkite", "static"} {
			if got := run(t, jobs, other, o, seed); got.Wait.Mean < least.Wait.Mean || got.Wait.Max < least.Wait.Max {
				t.Errorf("seed %d: with %s jobs wait %+v, with the oracle %+v", seed, other, got.Wait, least.Wait)
			}
		}
		o.SpotMTBF = time.Hour
		if taken := run(t, jobs, "oracle", o, seed); taken.JobsLost != 0 {
			t.Errorf("seed %d: with interruptions the oracle lost %d jobs", seed, taken.JobsLost)
		}
	}
}
