package capacity

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// Golden cases of the job hook, computed by hand.

func TestHook(t *testing.T) {
	// 13 jobs from zero: 500 ms later one look and one call, for ⌈13/6⌉ = 3 instances,
	// which poll when they come up, after 85 to 115 s. At 20, 40, … s it looks, and
	// raises nothing; each instance calls three times in its life for its busy flag and
	// to leave, looks twice, and asks once what became of those before it.
	r := play(t, 13, 400*time.Second, "shoal:hook=on", golden())
	between(t, "launches", r.Launches, 3, 3)
	between(t, "unused", r.LaunchesUnused, 0, 0)
	between(t, "shortest wait, about", r.Wait.P50, 85, 115.5)
	between(t, "longest wait", r.Wait.Max, 85, 115.5)
	between(t, "calls", r.APICalls, 2+4+3*6, 2+5+3*6)

	// Six that come while six run need one more instance, whenever they come between two
	// looks: a window of its own for each.
	jobs := append(slices.Repeat([]float64{0}, 6), 300, 301, 307)
	r = playAt(t, jobs, 1000*time.Second, "shoal:hook=on", golden())
	between(t, "launches", r.Launches, 2, 2)
	between(t, "longest wait", r.Wait.Max, 85, 115.5)
}

// TestHookWindowIsNotPushedBack: a job every 100 ms for a minute begins a window each
// 500 ms: instances are launched as they are needed, not when the stream ends.
func TestHookWindowIsNotPushedBack(t *testing.T) {
	var jobs []float64
	for n := range 600 {
		jobs = append(jobs, float64(n)/10)
	}
	o := golden()
	o.Max = 200
	r := playAt(t, jobs, time.Hour, "shoal:hook=on", o)
	between(t, "launches", r.Launches, 100, 100)
	between(t, "longest wait", r.Wait.Max, 85, 115.6)
}

// TestGrowsWithoutItsHook: instances that leave growing to a hook which is down grow by
// themselves, some minutes later.
func TestGrowsWithoutItsHook(t *testing.T) {
	o := golden()
	o.Min = 1
	deafened := Policy{make: func() policy {
		p := newShoal()
		p.growth.Grace = 2 * time.Minute
		return p
	}}
	jobs := planOf(slices.Repeat([]float64{0}, 100), 150*time.Second)
	r := Run(jobs, deafened, o, 1, nil)
	between(t, "longest wait", r.Wait.Max, 85, 600)
	between(t, "launches", r.Launches, 4, 20)
}

// TestHookIsThrottled: what was throttled is tried again.
func TestHookIsThrottled(t *testing.T) {
	o := golden()
	o.APIRate, o.APIBurst = 0.2, 2
	jobs := append(slices.Repeat([]float64{0}, 6), slices.Repeat([]float64{1}, 6)...) // the second raise is throttled
	r := playAt(t, jobs, 400*time.Second, "shoal:hook=on", o)
	between(t, "launches", r.Launches, 2, 2)
	between(t, "longest wait", r.Wait.Max, 85+2, 115+60)
}

// TestAnticipates: a job of 60 s, then eighteen, an hour apart. From the eleventh
// pipeline on the second stage is known to begin 60 s after the first: two instances
// more are raised for while the first one is on its way.
func TestAnticipates(t *testing.T) {
	var list []trace.Job
	for n := range 30 {
		at := time.Duration(n) * time.Hour
		list = append(list, trace.Job{Created: at, Duration: time.Minute, Pipeline: n + 1})
		for range 18 {
			list = append(list, trace.Job{Created: at, Duration: 200 * time.Second, Pipeline: n + 1, Stage: 1})
		}
	}
	wait := func(spec string) Result {
		p, err := Parse(spec)
		if err != nil {
			t.Fatal(err)
		}
		return Run(NewPlan(trace.New(trace.Monday, list)), p, golden(), 1, nil)
	}
	without, with := wait("shoal:hook=on"), wait("shoal:hook=on,anticipate=on")
	// Of each 19 jobs one waits for the first launch, six find that instance free, and
	// twelve wait for another: that is 13 × 100 s of 19. With anticipation, after ten
	// pipelines, those find theirs within ten seconds.
	between(t, "mean wait without", without.Wait.Mean, 13*95./19, 13*105./19)
	between(t, "mean wait with", with.Wait.Mean, (10*13*95+20*95)/(30*19.), (10*13*105+20*(105+12*10))/(30*19.))
	between(t, "launches", with.Launches, without.Launches, without.Launches+3)
	between(t, "hours", with.InstanceHours, 0.95*without.InstanceHours, 1.02*without.InstanceHours)
}

// TestForecastsOutliveInterruptions: a forecast outlives interruptions.
func TestForecastsOutliveInterruptions(t *testing.T) {
	var list []trace.Job
	for n := range 200 {
		at := time.Duration(n) * 20 * time.Minute
		for stage := range 3 {
			list = append(list, trace.Job{Created: at, Duration: 5 * time.Minute, Pipeline: n + 1, Stage: stage})
		}
	}
	o := golden()
	o.SpotMTBF = time.Hour
	p, err := Parse("shoal:hook=on,anticipate=on")
	if err != nil {
		t.Fatal(err)
	}
	if r := Run(NewPlan(trace.New(trace.Monday, list)), p, o, 1, nil); r.JobsLost != 0 || r.JobsUnfinished != 0 {
		t.Errorf("%+v", r)
	}
}
