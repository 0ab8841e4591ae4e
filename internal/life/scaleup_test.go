package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// saturated is an instance in service with every slot busy for an hour and n
// jobs more in the queue of which it knows.
func saturated(t testing.TB, n int) *site {
	s := inService(t)
	s.me().Protected = true
	s.proc.arrive(time.Hour)
	s.run(time.Second)
	s.proc.polling = false // both in one moment, so that the second tells of the queue
	for range n + 1 {
		s.proc.waiting = append(s.proc.waiting, time.Hour)
	}
	s.proc.polling = true
	s.proc.give()
	s.forget()
	if len(s.proc.jobs) != 2 || s.proc.queueAt != n+1 {
		t.Fatalf("%d jobs, queue %d", len(s.proc.jobs), s.proc.queueAt)
	}
	return s
}

func TestScaleUpRaisesToWhatIsNeeded(t *testing.T) {
	for _, c := range []struct {
		name    string
		waiting int
		arm     func(*site)
		desired int
	}{
		{"seven jobs, two slots each", 7, func(*site) {}, 5},
		{"nothing waits: one to spare once the queue is unknown", 0, func(*site) {}, 2},
		{"pending ones count", 7, func(s *site) { s.group.Desired = 4 }, 5},
		{"an idle one counts", 2, func(s *site) {
			s.group.Desired = 2
			s.group.Instances = append(s.group.Instances, member("i-z", false))
		}, 2},
		{"another busy one", 2, func(s *site) {
			s.group.Desired = 2
			s.group.Instances = append(s.group.Instances, member("i-z", true))
		}, 3},
		{"never above the maximum", 100, func(*site) {}, 10},
		{"never down", 1, func(s *site) { s.group.Desired = 9 }, 9},
		{"no gauge: one step", 7, func(s *site) { s.proc.queueAt = 0 }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := saturated(t, c.waiting)
			c.arm(s)
			s.start(life.UnitScaleUp)
			s.run(5 * time.Minute)
			if s.group.Desired != c.desired {
				t.Errorf("desired %d, want %d", s.group.Desired, c.desired)
			}
		})
	}
}

func TestScaleUpEndsWithAFreeSlot(t *testing.T) {
	s := saturated(t, 3)
	s.start(life.UnitScaleUp)
	s.run(time.Minute)
	if len(s.exits) != 0 {
		t.Fatal("ended while saturated")
	}
	s.proc.waiting = nil
	s.run(time.Hour)
	s.mustExit(life.UnitScaleUp, life.Done)
}

// TestScaleUpAtMax is said once per spell, and a full group is not asked every
// ten seconds.
func TestScaleUpAtMax(t *testing.T) {
	s := saturated(t, 50)
	s.group.Max, s.group.Desired = 1, 1
	s.start(life.UnitScaleUp)
	s.run(50 * time.Minute)
	if n := s.saidAt(life.Warn, "maximum"); n != 1 || s.calls["aws"] > 40 || s.count("SetDesired") != 0 {
		t.Errorf("said %d times, %d calls, %d sets", n, s.calls["aws"], s.count("SetDesired"))
	}
}

func TestScaleUpRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		arm  func(*site)
		code life.ExitCode
		says string
	}{
		{"weighted", func(s *site) { s.group.Weighted = true }, life.Refused, "WeightedCapacity"},
		{"may not look", func(s *site) {
			s.fail = func(a life.Action) *fleet.Failure {
				if _, ok := a.(life.DescribeGroup); ok {
					return &fleet.Failure{Kind: fleet.Denied, Op: "describe", Mend: "autoscaling:DescribeAutoScalingGroups"}
				}
				return nil
			}
		}, life.Refused, "autoscaling:DescribeAutoScalingGroups"},
		{"no such group", func(s *site) {
			s.fail = func(a life.Action) *fleet.Failure {
				if _, ok := a.(life.DescribeGroup); ok {
					return kind(fleet.NotFound)
				}
				return nil
			}
		}, life.Refused, "not found"},
		{"no runner", func(s *site) { s.proc.crash() }, life.TryAgain, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := saturated(t, 5)
			c.arm(s)
			s.start(life.UnitScaleUp)
			s.runUntil(time.Minute, func() bool { return len(s.exits) > 0 })
			s.mustExit(life.UnitScaleUp, c.code)
			if c.says != "" && s.saidAt(life.Error, c.says) != 1 {
				t.Errorf("%q not said: %+v", c.says, s.said)
			}
		})
	}
}

// TestScaleUpFailingAnywhere: each action may fail in each way, once or often;
// desired is what is needed in the end and never more.
func TestScaleUpFailingAnywhere(t *testing.T) {
	for _, f := range []fault{
		{kill: true},
		{kill: true, effect: true},
		{failure: temporary()},
		{failure: temporary(), effect: true},
		{failure: temporary(), times: 6},
		{failure: &fleet.Failure{Kind: fleet.Throttled, RetryAfter: 5 * time.Second}, times: 3},
		{failure: kind(fleet.OutOfBounds)},
	} {
		for n := 1; n < 12; n++ {
			s := saturated(t, 7)
			f.verb, f.n, f.hit = "scale-up", n, false
			s.fault = &f
			s.start(life.UnitScaleUp)
			s.run(10 * time.Minute)
			if s.group.Desired != 5 {
				t.Fatalf("%v: desired %d, want 5", f, s.group.Desired)
			}
		}
	}
}

func TestScaleUpGoesWithANotice(t *testing.T) {
	s := saturated(t, 5)
	s.files.flags.Notice = &fleet.Notice{Kind: fleet.NoticeSpot}
	s.start(life.UnitScaleUp)
	s.run(time.Minute)
	s.mustExit(life.UnitScaleUp, life.Done)
	if s.group.Desired != 1 {
		t.Error("raised by an instance that is to go")
	}
}

// TestScaleUpStops when it is asked to, at any moment.
func TestScaleUpStops(t *testing.T) {
	for n := range 6 {
		s := saturated(t, 5)
		s.start(life.UnitScaleUp)
		s.run(time.Duration(n) * latency)
		s.stop(life.UnitScaleUp)
		s.run(time.Second)
		s.mustExit(life.UnitScaleUp, life.Done)
	}
}
