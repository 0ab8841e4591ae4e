package capacity_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// every is a job of a minute at the beginning of each span, for a day from midnight.
func every(span time.Duration) []trace.Job {
	var jobs []trace.Job
	for at := time.Duration(0); at < 24*time.Hour; at += span {
		jobs = append(jobs, trace.Job{Created: at, Duration: time.Minute})
	}
	return jobs
}

// TestScheduleIsFollowed: spares that are wanted from an hour on stand ready by then
// where somebody is there to see to it, and go when they are not wanted any more.
func TestScheduleIsFollowed(t *testing.T) {
	o := usual()
	o.Min, o.Max = 1, 9
	// One instance is always there; at 06:00 the schedule wants two idle ones, at 07:00
	// twelve jobs come at once, and at noon none is wanted.
	jobs := []trace.Job{{Created: 0, Duration: time.Minute}, {Created: 20 * time.Hour, Duration: time.Minute}}
	for range 12 {
		jobs = append(jobs, trace.Job{Created: 7 * time.Hour, Duration: time.Minute})
	}
	with := run(t, jobs, "shoal:spares=12,spares_period=* 6-11 * * *", o, 1)
	if with.Wait.Max > 10 {
		t.Errorf("a job waited %.0f s", with.Wait.Max)
	}
	if with.InstanceHours < 25 || with.InstanceHours > 28 { // 20, and one more (two, while twelve jobs run and a little longer) for six hours
		t.Errorf("%.1f instance hours", with.InstanceHours)
	}
}

// TestSchedulesOfSeveralPolicies: the last policy that matches counts, and one policy is
// what the two options of it are.
func TestSchedulesOfSeveralPolicies(t *testing.T) {
	o := usual()
	o.Min = 1
	jobs := every(30 * time.Minute)
	for spec, same := range map[string]string{
		"shoal:spares_slots=12 * 6-11 * * *":                    "shoal:spares=12,spares_period=* 6-11 * * *",
		"shoal:spares_slots=12; 0 * 0-5 * * *; 0 * 12-23 * * *": "shoal:spares=12,spares_period=* 6-11 * * *",
		"shoal:spares_slots=6 * 1,3 * * *; 12":                  "shoal:spares=12",
	} {
		got, want := run(t, jobs, spec, o, 1), run(t, jobs, same, o, 1)
		got.Policy = want.Policy
		if got != want {
			t.Errorf("%s: %+v; %s: %+v", spec, got, same, want)
		}
	}
}

// TestLearningBridgesGaps: an instance that has learned its gaps stays over the next.
func TestLearningBridgesGaps(t *testing.T) {
	o := usual()
	o.Max = 1
	var jobs []trace.Job
	at := time.Duration(0)
	for n := range 60 { // gaps of 160 s, with one of 400 s after every ten
		at += 160 * time.Second
		if n%10 == 9 {
			at += 240 * time.Second
		}
		jobs = append(jobs, trace.Job{Created: at, Duration: 5 * time.Second})
	}
	fixed, learns := run(t, jobs, "shoal", o, 1), run(t, jobs, "shoal:learn=1800s", o, 1)
	if learns.Launches != 1 || fixed.Launches < 5 {
		t.Errorf("%.0f launches, %.0f where it does not learn", learns.Launches, fixed.Launches)
	}
}

// TestJobsThatNeverEnd: EC2 takes instances sooner than a job takes; it is neither lost
// nor done.
func TestJobsThatNeverEnd(t *testing.T) {
	o := usual()
	o.SpotMTBF = 10 * time.Minute
	r := run(t, []trace.Job{{Duration: 12 * time.Hour}, {Created: time.Minute, Duration: time.Second}}, "shoal", o, 1)
	if r.JobsLost != 0 || r.JobsUnfinished != 1 {
		t.Errorf("%d lost, %d not ended", r.JobsLost, r.JobsUnfinished)
	}
	// Nor is what waits for it.
	r = run(t, []trace.Job{{Duration: 12 * time.Hour, Pipeline: 1}, {Duration: time.Second, Pipeline: 1, Stage: 1}}, "shoal", o, 1)
	if r.JobsLost != 0 || r.JobsUnfinished != 2 {
		t.Errorf("of a pipeline %d lost, %d not ended", r.JobsLost, r.JobsUnfinished)
	}
}

// TestSparesTakeTheNextJobs: with a spare nobody waits for a launch but the first, and
// what that costs is an instance for as long as it is held.
func TestSparesTakeTheNextJobs(t *testing.T) {
	o := usual()
	o.Max = 9
	jobs := every(30 * time.Minute)
	for spec, c := range map[string]struct{ wait, least, most float64 }{
		"shoal":                                     {60, 1, 5}, // a launch each time
		"shoal:spares=6":                            {6, 24, 32},
		"shoal:spares=6,spares_hold=2h":             {6, 24, 32},
		"shoal:spares=6,spares_hold=600s":           {60, 12, 18}, // the gaps are longer
		"shoal:spares=6,spares_period=* 6-11 * * *": {50, 9, 16},  // a quarter of the day
	} {
		r := run(t, jobs, spec, o, 1)
		if r.JobsLost != 0 || r.InstanceHours < c.least || r.InstanceHours > c.most {
			t.Errorf("%s: %.1f instance hours, want %.0f to %.0f", spec, r.InstanceHours, c.least, c.most)
		}
		if c.wait < 10 && r.Wait.Mean > c.wait || c.wait > 10 && r.Wait.Mean < c.wait {
			t.Errorf("%s: mean wait %.1f s, want %.0f", spec, r.Wait.Mean, c.wait)
		}
	}
}
