package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// readings has monitor read pages of our own making, and act tells of each action
// but sleeps until it returns false. page may let time pass.
func readings(t *testing.T, mode fleet.Mode, flags fleet.Flags, page func(now *time.Time) fleet.Observation, act func(a life.Action, now time.Time) bool) {
	t.Helper()
	set := life.MonitorSettings{
		Group: "ci", Mode: mode, Period: 10 * time.Second, SaturatedPeriod: 10 * time.Second, IdleThreshold: 4 * time.Hour,
		UnprotectAfter: time.Minute, HoldTimeout: 2 * time.Minute, UnhealthyAfter: 15 * time.Minute,
	}
	alone{flags: flags, page: page}.run(t, set, func(a life.Action, now time.Time) (any, *fleet.Failure, bool) {
		return nil, nil, act(a, now)
	})
}

// monitorAlone has monitor live on an idle instance, the only one of its group, until
// act returns false; what act returns is the action's result, where it is not nil.
func monitorAlone(t *testing.T, set life.MonitorSettings, act func(a life.Action, now time.Time) (any, *fleet.Failure, bool)) {
	t.Helper()
	alone{
		flags: fleet.Flags{Registered: true},
		page: func(now *time.Time) fleet.Observation {
			return fleet.Observation{At: *now, Concurrent: 4, StartedAt: 1, Runners: []fleet.RunnerReading{{Name: "ci"}}}
		},
	}.run(t, set, act)
}

// alone is the only instance of its group.
type alone struct {
	flags fleet.Flags
	page  func(now *time.Time) fleet.Observation
}

func (x alone) run(t *testing.T, set life.MonitorSettings, act func(a life.Action, now time.Time) (any, *fleet.Failure, bool)) {
	t.Helper()
	m := life.NewMonitor(set)
	now := epoch
	var e life.Event = life.Started{}
	for range 10_000 {
		var actions []life.Action
		m, actions = m.Step(e, now)
		a := actions[len(actions)-1]
		if s, sleeps := a.(life.Sleep); sleeps {
			now, e = s.Until, life.Woke{}
			continue
		}
		r := life.Result{Action: a, Value: x.answer(a, &now)}
		value, failure, on := act(a, now)
		if !on {
			return
		}
		if value != nil {
			r.Value = value
		}
		if r.Failure = failure; failure != nil {
			r.Value = nil
		}
		e = r
	}
	t.Fatal("it went on for ever")
}

func (x alone) answer(a life.Action, now *time.Time) any {
	switch a.(type) {
	case life.ReadFlags:
		return x.flags
	case life.ReadWhoami:
		return &life.Whoami{Identity: fleet.Identity{InstanceID: "i-self"}, Group: "ci"}
	case life.ScrapeMetrics:
		return x.page(now)
	case life.DescribeGroup:
		return fleet.Group{Name: "ci", Max: 9, Desired: 1, Instances: []fleet.Instance{{ID: "i-self", State: fleet.InService, Healthy: true}}}
	case life.DescribeActivities:
		return []fleet.Activity{}
	case life.ReadUnit:
		return fleet.UnitState{Active: "active"}
	}
	return nil
}

// TestMonitorLateLookIsNoIdleSpell: a reading that hangs for as long as three
// periods and finds the job ended says nothing of when it ended, so not much of
// the time counts towards clearing the protection.
func TestMonitorLateLookIsNoIdleSpell(t *testing.T) {
	ends := epoch.Add(48 * time.Second) // the look that begins at :30 lasts until :50
	page := func(now *time.Time) fleet.Observation {
		if now.Sub(epoch) == 30*time.Second {
			*now = now.Add(20 * time.Second)
		}
		busy := 0
		if now.Before(ends) {
			busy = 1
		}
		return fleet.Observation{At: *now, Concurrent: 2, StartedAt: 1, Runners: []fleet.RunnerReading{{Name: "a", Running: busy, JobsTotal: 1}}}
	}
	readings(t, fleet.ModeToken, fleet.Flags{Registered: true, Protected: true}, page, func(a life.Action, now time.Time) bool {
		p, is := a.(life.SetProtection)
		if !is || p.Protected {
			return true
		}
		if idle := now.Sub(ends); idle < 50*time.Second || idle > 70*time.Second {
			t.Errorf("cleared %s after the job, want a minute, a period more or less", idle)
		}
		return false
	})
}

// TestMonitorFullIsNotIll: one of two sections was refused, and the other fills the
// slot: the instance runs jobs, and a section that was mended has no way to show it.
// The time counts once a slot is free.
func TestMonitorFullIsNotIll(t *testing.T) {
	full := epoch.Add(time.Hour)
	page := func(now *time.Time) fleet.Observation {
		refused := fleet.RunnerReading{Name: "a", PollsAnswered: 5, PollsRefused: min(3, int64(now.Sub(epoch)/(10*time.Second)))}
		other := fleet.RunnerReading{Name: "b", Running: 1, JobsTotal: 7, PollsAnswered: 7}
		if !now.Before(full) {
			other.Running = 0
		}
		return fleet.Observation{At: *now, Concurrent: 1, StartedAt: 1, Runners: []fleet.RunnerReading{refused, other}}
	}
	mended := 0
	readings(t, fleet.ModeCreate, fleet.Flags{Registered: true}, page, func(a life.Action, now time.Time) bool {
		if u, is := a.(life.StartUnit); is && u.Unit == life.UnitInit {
			mended++
		}
		if _, is := a.(life.SetUnhealthy); !is {
			return true
		}
		if since := now.Sub(full); since < 13*time.Minute || since > 17*time.Minute {
			t.Errorf("reported Unhealthy %s after the last job", since)
		}
		return false
	})
	if mended < 6 {
		t.Errorf("init was run %d times in an hour", mended)
	}
}
