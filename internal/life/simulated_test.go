package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// What simulated fleets have found, each as one short life.

// holding is a drain whose runner is up, with a poll in flight for ever.
func holding(calls func(life.Action) (time.Duration, *fleet.Failure)) answers {
	do := draining(nil, calls)
	return func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		switch a := a.(type) {
		case life.ReadFlags:
			return fleet.Flags{Notice: &fleet.Notice{Kind: fleet.NoticeScaleIn, SeenAt: epoch}}, nil, 0
		case life.ReadUnit:
			if a.Unit == life.UnitRunner {
				return fleet.UnitState{Active: "active"}, nil, 0
			}
		}
		return do(at, a)
	}
}

// A hook that was not found at first is looked for while polls in flight end, too:
// the shortest times out before that.
func TestUnregisterLooksForItsHookWhileItHolds(t *testing.T) {
	tries := 0
	all, _ := timed(life.NewUnregister(drainSettings), time.Minute, holding(func(a life.Action) (time.Duration, *fleet.Failure) {
		if _, ok := a.(life.DescribeHooks); ok {
			if tries++; tries == 1 {
				return 0, temporary()
			}
		}
		return 0, nil
	}))
	if at := first[life.Heartbeat](all, nil); at < 0 || at > 10*time.Second {
		t.Errorf("the first heartbeat of a hook of 30 s comes after %s", at)
	}
}

// Whoever asks for more patience than a hook has is not given it.
func TestHeartbeatIsNotPutOffBeyondItsHook(t *testing.T) {
	beats := 0
	all, _ := timed(life.NewUnregister(drainSettings), time.Minute, holding(func(a life.Action) (time.Duration, *fleet.Failure) {
		if _, ok := a.(life.Heartbeat); ok {
			if beats++; beats == 2 {
				return 0, &fleet.Failure{Kind: fleet.Throttled, Op: "ask", RetryAfter: 40 * time.Second}
			}
		}
		return 0, nil
	}))
	var last time.Duration
	for _, e := range all {
		if _, ok := e.action.(life.Heartbeat); ok {
			if e.at-last > 15*time.Second {
				t.Errorf("no heartbeat from %s to %s, for a hook of 30 s", last, e.at)
			}
			last = e.at
		}
	}
}

// A time-out begins afresh when the heartbeat takes place, at the latest when it is
// answered and at the earliest when it is sent: the next is counted from there,
// and the work that the hook waits for goes on all the same.
func TestHeartbeatsAreCountedFromWhenTheyAreSent(t *testing.T) {
	for _, slow := range []time.Duration{8 * time.Second, 14 * time.Second} {
		all, _ := timed(life.NewUnregister(drainSettings), 3*time.Minute, holding(func(a life.Action) (time.Duration, *fleet.Failure) {
			if _, ok := a.(life.Heartbeat); ok {
				return slow, nil
			}
			return 0, nil
		}))
		last, works := time.Duration(-1), 0
		for _, e := range all {
			switch e.action.(type) {
			case life.Heartbeat:
				if last >= 0 && e.at-last > max(10*time.Second, slow+2*time.Second) {
					t.Errorf("answers of %s: no heartbeat is sent from %s to %s, for a hook of 30 s", slow, last, e.at)
				}
				last = e.at
			case life.ScrapeMetrics, life.ReadUnit:
				works++
			}
		}
		if works < 20 {
			t.Errorf("answers of %s: the runner is looked at %d times in three minutes", slow, works)
		}
	}
}

// A runner that is refused three times is silent for an hour: an answer before the
// refusals, seen in the same reading, does not make it well.
func TestMonitorSeesRefusalsBehindAnAnswer(t *testing.T) {
	all, _ := timed(life.NewMonitor(life.MonitorSettings{
		Mode: fleet.ModeCreate, Period: 10 * time.Second, SaturatedPeriod: 3 * time.Second, IdleThreshold: 24 * time.Hour,
		UnprotectAfter: time.Minute, HoldTimeout: time.Minute, UnhealthyAfter: 15 * time.Minute, Seed: 1,
	}), 30*time.Minute, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		switch a.(type) {
		case life.ReadFlags:
			return fleet.Flags{Registered: true}, nil, 0
		case life.ReadWhoami:
			return &life.Whoami{Identity: fleet.Identity{InstanceID: self}, Group: "ci"}, nil, 0
		case life.ScrapeMetrics:
			r := fleet.RunnerReading{Name: "a", PollsAnswered: 5}
			if at > time.Minute {
				r.PollsAnswered, r.PollsRefused = 6, 3
			}
			return fleet.Observation{StartedAt: 1, Concurrent: 2, Runners: []fleet.RunnerReading{r}}, nil, 0
		case life.DescribeGroup:
			return fleet.Group{Name: "ci", Max: 4, Desired: 1, Instances: []fleet.Instance{{ID: self, State: fleet.InService, Healthy: true}}}, nil, 0
		case life.DescribeActivities:
			return []fleet.Activity(nil), nil, 0
		}
		return nil, nil, 0
	})
	if at := first[life.SetUnhealthy](all, nil); at < 15*time.Minute || at > 17*time.Minute {
		t.Errorf("reported Unhealthy after %s", at)
	}
}

// A clock that is hours wrong neither kills the jobs of a spot instance at once
// nor loses them with it.
func TestLifecycleCheckDoesNotBelieveAWrongClock(t *testing.T) {
	for _, wrong := range []time.Duration{-2 * time.Hour, -5 * time.Minute, 5 * time.Minute, 2 * time.Hour} {
		all, _ := timed(life.NewLifecycleCheck(life.LifecycleCheckSettings{Period: 5 * time.Second}), time.Minute, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
			switch a.(type) {
			case life.ReadFlags:
				return fleet.Flags{}, nil, 0
			case life.ReadSpot:
				return &fleet.SpotAction{Action: "terminate", Time: epoch.Add(at + 2*time.Minute + wrong)}, nil, 0
			}
			return nil, nil, 0
		})
		for _, e := range all {
			w, ok := e.action.(life.WriteNotice)
			if !ok {
				continue
			}
			if left := w.Notice.Deadline.Sub(w.Notice.SeenAt); left < time.Minute || left > 2*time.Minute {
				t.Errorf("a clock wrong by %s: %s until the deadline", wrong, left)
			}
		}
	}
}

// A drain that was killed and runs again by a clock that was set back in between has no
// more time than EC2 gave at first.
func TestUnregisterAgainByAnotherClock(t *testing.T) {
	for _, back := range []time.Duration{0, time.Minute, 31 * time.Minute, 30 * time.Hour} {
		seen := epoch.Add(back)
		deadline := seen.Add(2 * time.Minute)
		do := draining(&deadline, func(life.Action) (time.Duration, *fleet.Failure) { return 0, nil })
		all, _ := timed(life.NewUnregister(drainSettings), time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
			if _, ok := a.(life.ReadFlags); ok {
				return fleet.Flags{Notice: &fleet.Notice{Kind: fleet.NoticeSpot, SeenAt: seen, Deadline: &deadline}}, nil, 0
			}
			return do(at, a)
		})
		if term, want := first(all, isTerm), 2*time.Minute-drainSettings.Margin; term < want-time.Second || term > want+2*time.Second {
			t.Errorf("a clock set back by %s: SIGTERM after %s, want %s", back, term, want)
		}
	}
}

// Nobody but this instance ends one that goes for a rebalance: without a runner it
// would stay in service for ever.
func TestUnregisterTerminatesItselfHoweverLongAWSIsAway(t *testing.T) {
	var now time.Duration
	away := func(a life.Action) (time.Duration, *fleet.Failure) {
		if now < 40*time.Minute {
			return 0, temporary()
		}
		return 0, nil
	}
	do := draining(nil, away)
	all, exit := timed(life.NewUnregister(drainSettings), 2*time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		now = at
		switch a.(type) {
		case life.ReadFlags:
			return fleet.Flags{Notice: &fleet.Notice{Kind: fleet.NoticeRebalance, SeenAt: epoch}}, nil, 0
		case life.ReadUnit:
			return fleet.UnitState{Active: "inactive"}, nil, 0
		}
		return do(at, a)
	})
	calls, last := 0, time.Duration(0)
	for _, e := range all {
		if _, ok := e.action.(life.TerminateSelf); ok {
			calls, last = calls+1, e.at
		}
	}
	if last < 40*time.Minute || exit == nil || exit.Code != life.Done || calls > 200 {
		t.Errorf("%d tries, the last at %s, exit %v", calls, last, exit)
	}
}
