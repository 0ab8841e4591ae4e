package capacity

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// More golden cases of the peers, by hand: a parameter each, with figures that another
// value of it would not give. Whatever is drawn, the bounds hold, so each is played with
// several seeds.

// at is a job that comes and takes so many seconds.
func at(created, takes float64) trace.Job {
	return trace.Job{Created: seconds(created), Duration: seconds(takes)}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// each plays jobs with seeds.
func each(t *testing.T, spec string, o Options, jobs []trace.Job, look func(t *testing.T, r Result)) {
	t.Helper()
	p, err := Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	plan := NewPlan(trace.New(trace.Monday, jobs))
	for seed := range uint64(30) {
		if look(t, Run(plan, p, o, seed, nil)); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestOriginalIdleTime(t *testing.T) {
	// From zero, a job of 60 s: the instance is paid for its launch (85 to 115 s), the
	// job, up to the next reading (10 s), and 180 s from there.
	each(t, "original", golden(), []trace.Job{at(0, 60)}, func(t *testing.T, r Result) {
		between(t, "launches", r.Launches, 1, 1)
		between(t, "instance seconds", r.InstanceHours*3600, 85+60+180, 115+60+10+180)
	})
}

func TestOriginalGivesUpWaiting(t *testing.T) {
	// One instance is there, seven jobs of 1300 s come. It is full 0.5 s later, the
	// monitor reads that within 10 s and raises; scale-up waits for the launch, 85 to 115 s,
	// and then 200 times 5 s: until 85 + 1000 to 10.5 + 115 + 1000 = 1125.5 s. The next
	// reading, within 10 s, raises again, before the jobs end at 1300 s; that one waits
	// past their end. So there are 3 launches. With 8 s it would have waited until 85 + 1600
	// at least: 2. With 100 times until 625.5 s at most, and once more from 635.5 s until
	// 1250.5 s: 4.
	o := golden()
	o.Min = 1
	var jobs []trace.Job
	for range 7 {
		jobs = append(jobs, at(0, 1300))
	}
	each(t, "original", o, jobs, func(t *testing.T, r Result) {
		between(t, "launches", r.Launches, 3, 3)
	})
}

func TestOriginalRaisesOnceAtATime(t *testing.T) {
	// One instance is there; five jobs of 1000 s come, one of 40 s, and one more. It is
	// full, and raises within 10.5 s. The short job ends at 40 to 40.5 s, and the seventh
	// takes its slot: full again, at the latest read 10 s later. But scale-up still runs:
	// it waits for the launch, until 85 s at least, and then for a slot, which is free when
	// the jobs end at 1000 s. So the group has launched one, which nobody needed, and which
	// goes 180 to 200 s after it came up.
	o := golden()
	o.Min = 1
	jobs := []trace.Job{at(0, 40)}
	for range 5 {
		jobs = append(jobs, at(0, 1000))
	}
	jobs = append(jobs, at(0, 1000))
	each(t, "original", o, jobs, func(t *testing.T, r Result) {
		between(t, "launches", r.Launches, 2, 2)
		between(t, "unused", r.LaunchesUnused, 1, 1)
		between(t, "longest wait", r.Wait.Max, 40, 40.6)
	})
}

func TestGitHubMinimumRunningTime(t *testing.T) {
	// One instance is kept. It runs a job of 13 s and goes; its successor is launched at
	// 13 s, and is up at 98 to 128 s. A job of 2000 s comes at 20 s, still waits 30 s
	// later, and has one launched at 50 s, up at 135 to 165 s; but the successor takes it.
	// So the other one is idle and beyond the minimum: it goes with the first scale-down,
	// of one each 5 minutes, at which it is 5 minutes old, 300 to 600 s after its launch.
	o := golden()
	o.Min = 1
	jobs := []trace.Job{at(0, 13), at(20, 2000)}
	// What is paid beside it: 13 s, and a launch with 2000 s. As the last job ends the
	// minimum is launched anew, and the run is over.
	const least, most = 13 + 85 + 2000, 13 + 115 + 2000
	each(t, "github", o, jobs, func(t *testing.T, r Result) {
		between(t, "launches", r.Launches, 4, 4)
		between(t, "unused", r.LaunchesUnused, 2, 2)
		between(t, "instance seconds", r.InstanceHours*3600, least+300, most+600)
	})
	each(t, "github:minimum_running_time_in_minutes=20", o, jobs, func(t *testing.T, r Result) {
		between(t, "instance seconds of 20 minutes", r.InstanceHours*3600, least+1200, most+1500)
	})
}

func TestTaskscalerKeepsItsMinimum(t *testing.T) {
	// One instance is there at least: idle for an hour between two jobs of 60 s, it stays.
	o := golden()
	o.Min = 1
	each(t, "taskscaler", o, []trace.Job{at(0, 60), at(3600, 60)}, func(t *testing.T, r Result) {
		between(t, "launches", r.Launches, 1, 1)
		between(t, "longest wait", r.Wait.Max, 0, 3)
		between(t, "instance seconds", r.InstanceHours*3600, 3660, 3663)
	})
}

func TestTaskscalerCountsWhatItHasRequested(t *testing.T) {
	// Six jobs, and six more at 30 s, when the first instance is on its way: required is
	// ⌈12/6⌉ − 1 = 1 then, two in all.
	var jobs []trace.Job
	for _, created := range []float64{0, 30} {
		for range 6 {
			jobs = append(jobs, at(created, 1000))
		}
	}
	each(t, "taskscaler", golden(), jobs, func(t *testing.T, r Result) {
		between(t, "launches", r.Launches, 2, 2)
		between(t, "unused", r.LaunchesUnused, 0, 0)
	})
}

func TestLaunchTakesBootAndInit(t *testing.T) {
	// 100 s until the machine is up and 50 s from there, 15 % either way: 127.5 to 172.5 s;
	// the manager polls within 3 s and loops within 1 s.
	o := golden()
	o.Init = 50 * time.Second
	each(t, "taskscaler", o, []trace.Job{at(0, 60)}, func(t *testing.T, r Result) {
		between(t, "wait", r.Wait.Max, 127.5, 172.5+4)
		between(t, "instance seconds", r.InstanceHours*3600, 127.5+60+180, 172.5+60+181)
	})
}
