package capacity

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// begun is a run of Shoal that is played by hand.
func begun(t *testing.T, o Options, jobs ...trace.Job) (*engine, *shoal) {
	t.Helper()
	p := newShoal()
	e := newEngine(NewPlan(trace.New(trace.Monday, jobs)), o, 1, p)
	p.begin(e)
	return e, p
}

// until plays on until something is so, which it tells the time of.
func (e *engine) until(t *testing.T, what string, is func() bool) time.Duration {
	t.Helper()
	for !is() {
		if !e.step() {
			t.Fatalf("the run is over, at %s, before %s", e.now, what)
		}
	}
	return e.now
}

func (e *engine) past(at time.Duration) func() bool { return func() bool { return e.now >= at } }

// TestThrottledLooksAreSpaced: a fleet that may not look whether to leave does so once a
// minute on each instance, twice by the client, and not at each reading.
func TestThrottledLooksAreSpaced(t *testing.T) {
	o := golden()
	o.Min, o.Max = 20, 40
	o.APIRate, o.APIBurst = 1e-6, 1
	e, _ := begun(t, o, at(0, 1), at(10*3600, 1))
	e.setDesired(40)
	e.until(t, "an hour", e.past(time.Hour))
	before := e.score.calls
	e.until(t, "two hours", e.past(2*time.Hour))
	// 40 instances, 60 minutes, two calls each; the group could let 20 go.
	between(t, "calls in an hour", float64(e.score.calls-before), 40*59*2, 40*61*2)
	if len(e.alive) != 40 {
		t.Errorf("%d instances are there, and none could be asked about", len(e.alive))
	}
}

// TestThrottledFleetShrinks: 80 idle instances, and the calls of a third of them at once:
// the looks of the others leave enough of a call each second for them to go one by one.
func TestThrottledFleetShrinks(t *testing.T) {
	o := golden()
	o.Min, o.Max = 0, 80
	o.APIRate, o.APIBurst = 1, 100
	e, _ := begun(t, o, at(0, 1), at(10*3600, 1))
	e.setDesired(80)
	took := e.until(t, "nobody is left", func() bool { return e.created == 1 && len(e.alive) == 0 })
	between(t, "seconds until nobody is left", took.Seconds(), 180, 1800)
}

// TestProtectionTakesOfTheBudget: two instances that take a job each, and one call is
// answered: one is protected. The other one tries again 3 s later, at its next reading,
// six times, then once a minute; at a call in 100 s it is protected with the first that
// is answered.
func TestProtectionTakesOfTheBudget(t *testing.T) {
	o := golden()
	o.Min, o.Max = 2, 2
	o.APIRate, o.APIBurst = 0.01, 1
	e, p := begun(t, o, at(0, 1000), at(0, 1000))
	protected := func() (n int) {
		for _, i := range p.listing.Instances {
			if i.Protected {
				n++
			}
		}
		return n
	}
	e.until(t, "80 s", e.past(80*time.Second))
	if got := protected(); got != 1 {
		t.Errorf("after 80 s %d of two are protected, want one", got)
	}
	// One, and of the other one 7 tries within 10 + 18 s and none or one until 80 s, twice each.
	between(t, "calls", float64(e.score.calls), 1+7*2, 1+8*2)
	e.until(t, "170 s", e.past(170*time.Second))
	if got := protected(); got != 2 {
		t.Errorf("after 170 s %d of two are protected", got)
	}
}

// TestThrottledLeaveIsTakenBack: the call that ends an instance is throttled. Its runner
// is stopped: it asks what became of the call a few times, for 15 s at most, and is put
// back to work. It is idle for 180 s more, and leaves.
func TestThrottledLeaveIsTakenBack(t *testing.T) {
	o := golden()
	o.APIRate, o.APIBurst = 0.02, 5
	e, _ := begun(t, o, at(0, 60), at(10*3600, 60))
	in := func(s state) func() bool {
		return func() bool { return len(e.instances) == 1 && e.instances[0].state == s }
	}
	stopped := e.until(t, "it is about to leave", in(held))
	e.budget.left, e.budget.at = 1.5, e.now // for the second look alone
	calls := e.score.calls
	back := e.until(t, "it is put back", in(inService))
	between(t, "seconds until it is put back", (back - stopped).Seconds(), 2+7.5, 2+15)
	// A look and the call, and four looks at what became of it, of which the client tries
	// each twice.
	between(t, "calls", float64(e.score.calls-calls), 2+4*2, 2+4*2)
	left := e.until(t, "it leaves", in(gone))
	between(t, "seconds until it leaves", (left - back).Seconds(), 180+2, 190+2)
}
