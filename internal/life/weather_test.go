package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// notice has an unregister find a notice of this kind.
func notice(n *fleet.Notice, do answers) answers {
	return func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		if _, ok := a.(life.ReadFlags); ok {
			return fleet.Flags{Notice: n}, nil, 0
		}
		return do(at, a)
	}
}

// byHand is unregister --now.
func byHand() life.Unregister {
	set := drainSettings
	set.Now = true
	return life.NewUnregister(set)
}

// A shared token that is refused stays a shared reason, though the metrics cannot
// be read once meanwhile.
func TestMonitorKeepsASharedReasonOverAHiccup(t *testing.T) {
	scrapes := 0
	all, _ := timed(life.NewMonitor(life.MonitorSettings{
		Mode: fleet.ModeToken, Period: 10 * time.Second, SaturatedPeriod: 3 * time.Second, IdleThreshold: 24 * time.Hour,
		UnprotectAfter: time.Minute, HoldTimeout: time.Minute, UnhealthyAfter: 15 * time.Minute, Seed: 1,
	}), time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		switch a.(type) {
		case life.ReadFlags:
			return fleet.Flags{Registered: true}, nil, 0
		case life.ReadUnit:
			return fleet.UnitState{Active: "active"}, nil, 0
		case life.ReadWhoami:
			return &life.Whoami{Identity: fleet.Identity{InstanceID: self}, Group: "ci"}, nil, 0
		case life.ScrapeMetrics:
			if scrapes++; scrapes == 30 {
				return nil, kind(fleet.Local), 0
			}
			r := fleet.RunnerReading{Name: "a", PollsAnswered: 5}
			if at > time.Minute {
				r.PollsRefused = 3 // then it is silent for an hour
			}
			return fleet.Observation{StartedAt: 1, Concurrent: 2, Runners: []fleet.RunnerReading{r}}, nil, 0
		case life.DescribeGroup:
			return fleet.Group{Name: "ci", Max: 4, Desired: 1, Instances: []fleet.Instance{{ID: self, State: fleet.InService, Healthy: true}}}, nil, 0
		case life.DescribeActivities:
			return []fleet.Activity(nil), nil, 0
		}
		return nil, nil, 0
	})
	if at := first[life.SetUnhealthy](all, nil); at >= 0 {
		t.Errorf("reported Unhealthy after %s for a reason that all share", at)
	}
}

// Nothing waits for a drain by hand: heartbeats that are not permitted end no job.
func TestUnregisterByHandEndsNoJobForARefusedHeartbeat(t *testing.T) {
	all, _ := timed(byHand(), 30*time.Minute, notice(nil, draining(nil, func(a life.Action) (time.Duration, *fleet.Failure) {
		if _, ok := a.(life.Heartbeat); ok {
			return 0, kind(fleet.Denied)
		}
		return 0, nil
	})))
	if at := first(all, isTerm); at >= 0 {
		t.Errorf("SIGTERM after %s", at)
	}
}

// The hook's cap counts from when it may have begun to wait, not from an
// operator's notice long before.
func TestUnregisterCountsTheCapFromTheWait(t *testing.T) {
	const begins = time.Hour
	var now time.Duration
	do := notice(nil, draining(nil, func(a life.Action) (time.Duration, *fleet.Failure) {
		if _, ok := a.(life.Heartbeat); ok && now < begins {
			return 0, kind(fleet.NotWaiting)
		}
		return 0, nil
	}))
	all, _ := timed(byHand(), 3*time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		now = at
		return do(at, a)
	})
	if at := first(all, isTerm); at < begins+45*time.Minute || at > begins+50*time.Minute-drainSettings.Margin {
		t.Errorf("the hook, with a cap of 50m, begins after %s: SIGTERM after %s", begins, at)
	}
}

// A drain with days of time still sees a spot notice.
func TestUnregisterSeesASpotNoticeInADrainWithADeadline(t *testing.T) {
	deadline, spot := epoch.Add(24*time.Hour), epoch.Add(12*time.Minute)
	do := notice(&fleet.Notice{Kind: fleet.NoticeMaintenance, SeenAt: epoch, Deadline: &deadline}, draining(nil, prompt))
	all, _ := timed(life.NewUnregister(drainSettings), time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		if _, ok := a.(life.ReadSpot); ok && at > 10*time.Minute {
			return &fleet.SpotAction{Action: "terminate", Time: spot}, nil, 0
		}
		return do(at, a)
	})
	if at, want := first(all, isTerm), 12*time.Minute-drainSettings.Margin; at < want-time.Second || at > want+2*time.Second {
		t.Errorf("SIGTERM after %s, want %s", at, want)
	}
}

// Metadata that hang near the end of the hook's cap do not delay SIGTERM.
func TestUnregisterEndsTheJobsInTimeWhenMetadataHang(t *testing.T) {
	for shift := time.Duration(0); shift < 20*time.Second; shift += time.Second {
		n := &fleet.Notice{Kind: fleet.NoticeScaleIn, SeenAt: epoch.Add(-shift)}
		do := notice(n, draining(nil, prompt))
		all, _ := timed(life.NewUnregister(drainSettings), 2*time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
			if _, ok := a.(life.ReadSpot); ok {
				return nil, temporary(), 15 * time.Second
			}
			return do(at, a)
		})
		if at, want := first(all, isTerm), 50*time.Minute-shift-drainSettings.Margin; at < 0 || at > want+2*time.Second {
			t.Errorf("noticed %s ago: SIGTERM after %s, want %s", shift, at, want)
		}
	}
}

// A rebalance's hook may begin to wait some seconds after the instance was
// terminated: it is waited for.
func TestUnregisterWaitsForTheHookOfItsOwnTermination(t *testing.T) {
	stopped, completed := false, false
	var terminated time.Duration = -1
	do := notice(&fleet.Notice{Kind: fleet.NoticeRebalance, SeenAt: epoch}, draining(nil, prompt))
	_, exit := timed(life.NewUnregister(drainSettings), time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		switch a := a.(type) {
		case life.ReadUnit:
			if a.Unit == life.UnitRunner && stopped {
				return fleet.UnitState{Active: "inactive"}, nil, 0
			}
			if a.Unit == life.UnitRunner {
				return fleet.UnitState{Active: "active"}, nil, 0
			}
		case life.StopUnit:
			stopped = true
		case life.ScrapeMetrics:
			return fleet.Observation{Concurrent: 1, Runners: []fleet.RunnerReading{{}}}, nil, 0
		case life.TerminateSelf:
			terminated = at
		case life.Heartbeat, life.CompleteHook:
			if terminated < 0 || at < terminated+8*time.Second {
				return nil, kind(fleet.NotWaiting), 0
			}
			if _, ok := a.(life.CompleteHook); ok {
				completed = true
			}
		}
		return do(at, a)
	})
	if !completed || exit == nil || exit.Code != life.Done {
		t.Errorf("completed %v, exit %v", completed, exit)
	}
}

// A raise that fails is tried again with growing pauses: the API that throttles
// is not asked twice a second.
func TestScaleUpBacksOffWhenTheRaiseFails(t *testing.T) {
	for _, k := range []fleet.FailureKind{fleet.Throttled, fleet.Temporary, fleet.OutOfBounds} {
		var raises []int
		do := growing(nil, func(time.Duration) fleet.Observation { return full(9, 60) }, &raises)
		all, _ := timed(life.NewScaleUp(scaleSettings), 10*time.Minute, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
			if _, ok := a.(life.SetDesired); ok {
				return nil, kind(k), 0
			}
			return do(at, a)
		})
		calls := 0
		for _, e := range all {
			switch e.action.(type) {
			case life.SetDesired, life.DescribeGroup:
				calls++
			}
		}
		if calls > 200 {
			t.Errorf("%s: %d calls to Auto Scaling in ten minutes", k, calls)
		}
	}
}

// What waited before an outage of AWS is not raised for after it.
func TestScaleUpForgetsAQueueOverAnOutage(t *testing.T) {
	var raises []int
	do := growing(nil, func(at time.Duration) fleet.Observation {
		o := full(9, 60)
		if at > time.Minute {
			o.Runners[0].Running = 0
		}
		return o
	}, &raises)
	_, exit := timed(life.NewScaleUp(scaleSettings), time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		if _, ok := a.(life.DescribeGroup); ok && at < 20*time.Minute {
			return nil, temporary(), 0
		}
		return do(at, a)
	})
	if len(raises) > 0 || exit == nil || exit.Code != life.Done {
		t.Errorf("raised to %v, exit %v", raises, exit)
	}
}
