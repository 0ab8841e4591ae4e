package capacity

import (
	"slices"
	"testing"
	"time"
)

// Golden cases of the job hook, computed by hand.

func TestHook(t *testing.T) {
	// 13 jobs from zero: 500 ms later one look and one call, for ⌈13/6⌉ = 3 instances,
	// which poll when they come up, after 85 to 115 s. At 20, 40, … s it looks, and
	// raises nothing; each instance calls three times in its life for its busy flag and
	// to leave, and looks twice.
	r := play(t, 13, 400*time.Second, "shoal:hook=on", golden())
	between(t, "launches", r.Launches, 3, 3)
	between(t, "unused", r.LaunchesUnused, 0, 0)
	between(t, "shortest wait, about", r.Wait.P50, 85, 115.5)
	between(t, "longest wait", r.Wait.Max, 85, 115.5)
	between(t, "calls", r.APICalls, 2+4+3*5, 2+5+3*5)

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
