package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// asked is one effect that a machine asked for.
type asked struct {
	at     time.Duration // since the start
	action life.Action
}

// answers says what an action answers, and how long it takes to.
type answers func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration)

// timed drives one machine for at most d, where actions take their time, and
// returns what it asked for and its exit, nil when it has none.
func timed[S life.Machine[S]](m S, d time.Duration, do answers) ([]asked, *life.Exit) {
	var all []asked
	now := epoch
	m, actions := m.Step(life.Started{}, now)
	for now.Sub(epoch) < d {
		last := actions[len(actions)-1]
		var e life.Event
		switch a := last.(type) {
		case life.Exit:
			return all, &a
		case life.Sleep:
			now, e = later(now.Add(time.Millisecond), a.Until), life.Woke{}
		default:
			at := now.Sub(epoch)
			all = append(all, asked{at, a})
			v, f, took := do(at, a)
			now, e = now.Add(took), life.Result{Action: a, Value: v, Failure: f}
		}
		m, actions = m.Step(e, now)
	}
	return all, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// first is when an action of type A that pleases was first asked for, below zero
// when never.
func first[A life.Action](all []asked, pleases func(A) bool) time.Duration {
	for _, e := range all {
		if a, ok := e.action.(A); ok && (pleases == nil || pleases(a)) {
			return e.at
		}
	}
	return -1
}

var launchSettings = life.InitSettings{
	Mode: fleet.ModeToken, URL: "https://gitlab.test", Token: "file:/t", Timeout: 5 * time.Minute, Patience: 10 * time.Minute, Seed: 1,
}

// launch answers an init whose runner comes up at once, in a group that holds
// the launch from begins on (never, below zero).
func launch(begins time.Duration, polls fleet.RunnerReading) answers {
	return func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		waits := begins >= 0 && at >= begins
		switch a := a.(type) {
		case life.ReadFlags:
			return fleet.Flags{}, nil, 0
		case life.ReadIdentity:
			return fleet.Identity{InstanceID: self, GroupTag: "ci"}, nil, 0
		case life.ReadTarget:
			return fleet.InService, nil, 0
		case life.DescribeHooks:
			return []fleet.Hook{{Name: "start", Transition: fleet.AtLaunch, HeartbeatTimeout: 5 * time.Minute, GlobalTimeout: 500 * time.Minute, DefaultResult: fleet.Abandon}}, nil, 0
		case life.DescribeGroup:
			state := fleet.InService
			if begins >= 0 {
				state = fleet.Pending
			}
			return fleet.Group{Name: "ci", Instances: []fleet.Instance{{ID: self, State: state}}}, nil, 0
		case life.Heartbeat, life.CompleteHook:
			if !waits {
				return nil, kind(fleet.NotWaiting), 0
			}
		case life.CountSections:
			return 1, nil, 0
		case life.ReadRegistration:
			return (*fleet.Registration)(nil), nil, 0
		case life.ResolveSecret:
			return fleet.NewToken("glrt-secret"), nil, 0
		case life.VerifyRunner:
			return int64(7), nil, 0
		case life.ReadUnit:
			return fleet.UnitState{Active: "inactive"}, nil, 0
		case life.ScrapeMetrics:
			return fleet.Observation{Concurrent: 2, Runners: []fleet.RunnerReading{polls}}, nil, 0
		default:
			_ = a
		}
		return nil, nil, 0
	}
}

// An instance may be up before the group holds its launch. "Nothing waits" is
// then no answer: the hook would time out and take the instance with its jobs.
func TestInitCompletesAHookThatBeginsLate(t *testing.T) {
	for _, begins := range []time.Duration{0, time.Second, 6 * time.Second, 40 * time.Second} {
		completed := false
		do := launch(begins, fleet.RunnerReading{PollsAnswered: 1})
		_, exit := timed(life.NewInit(launchSettings), 10*time.Minute, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
			v, f, d := do(at, a)
			if c, ok := a.(life.CompleteHook); ok && f == nil {
				completed = c.Result == fleet.Continue
			}
			return v, f, d
		})
		if !completed || exit == nil || exit.Code != life.Done {
			t.Errorf("the hook begins after %s: completed %v, exit %v", begins, completed, exit)
		}
	}
}

// Where nothing waits (a reboot, a run by hand) init does not wait for it.
func TestInitWaitsForNoHookInService(t *testing.T) {
	all, exit := timed(life.NewInit(launchSettings), 10*time.Minute, launch(-1, fleet.RunnerReading{PollsAnswered: 1}))
	if exit == nil || exit.Code != life.Done || all[len(all)-1].at > 5*time.Second {
		t.Errorf("exit %v after %s, want 0 within seconds", exit, all[len(all)-1].at)
	}
}

// In Standby monitor takes the runner's sections out: it asks for no job before the
// instance is back in service, and that is no fault of its own. A launch that waits is
// neither continued nor given up for it.
func TestInitWaitsForNoPollInStandby(t *testing.T) {
	for _, c := range []struct {
		name              string
		standby           bool
		begins            time.Duration
		code              life.ExitCode
		continued, undone bool
	}{
		{"in Standby", true, -1, life.Done, false, false},
		{"in service", false, -1, life.Failed, false, true},
		{"a launch", false, 0, life.Failed, false, true},
		{"a launch in Standby", true, 0, -1, false, false},
	} {
		do := launch(c.begins, fleet.RunnerReading{})
		all, exit := timed(life.NewInit(launchSettings), time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
			if _, ok := a.(life.ReadFlags); ok {
				return fleet.Flags{Standby: c.standby}, nil, 0
			}
			return do(at, a)
		})
		code := life.ExitCode(-1)
		if exit != nil {
			code = exit.Code
		}
		continued := first(all, func(a life.CompleteHook) bool { return a.Result == fleet.Continue }) >= 0
		if undone := first[life.StopUnit](all, nil) >= 0; code != c.code || undone != c.undone || continued != c.continued {
			t.Errorf("%s: exit %d, undone %v, continued %v", c.name, code, undone, continued)
		}
	}
}

// A shared token that is refused replaces no instance: one refusal is no verdict,
// and a replacement would fare no better.
func TestInitWaitsOutARefusedSharedToken(t *testing.T) {
	all, exit := timed(life.NewInit(launchSettings), time.Hour, launch(0, fleet.RunnerReading{PollsRefused: 1}))
	if at := first[life.CompleteHook](all, nil); at >= 0 || exit != nil {
		t.Errorf("hook completed after %s, exit %v; want init to wait", at, exit)
	}
	own := launchSettings
	own.Mode = fleet.ModeCreate
	do := launch(0, fleet.RunnerReading{PollsRefused: 1})
	all, exit = timed(life.NewInit(own), time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		if _, ok := a.(life.CreateRunner); ok {
			return fleet.RegisteredRunner{ID: 9, Token: fleet.NewToken("glrt-own")}, nil, 0
		}
		return do(at, a)
	})
	abandoned := first(all, func(c life.CompleteHook) bool { return c.Result == fleet.Abandon })
	if abandoned < own.Timeout || exit == nil || exit.Code != life.Refused {
		t.Errorf("a runner of its own: abandoned after %s, exit %v; want after %s with 3", abandoned, exit, own.Timeout)
	}
}

var drainSettings = life.UnregisterSettings{
	Margin: 15 * time.Second, HoldTimeout: time.Minute, KillAfter: 3 * time.Second, GitLabTimeout: 5 * time.Minute, Seed: 1,
}

// draining answers an unregister whose runner runs a job until its processes are
// killed after SIGTERM, with a poll in flight for ever; spot is when metadata
// begin to tell of an interruption, and for when.
func draining(deadline *time.Time, calls func(life.Action) (time.Duration, *fleet.Failure)) answers {
	running := true
	return func(_ time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		switch a := a.(type) {
		case life.ReadFlags:
			return fleet.Flags{Notice: &fleet.Notice{Kind: fleet.NoticeSpot, SeenAt: epoch, Deadline: deadline}}, nil, 0
		case life.ReadUnit:
			active := "inactive"
			if a.Unit == life.UnitRunner && running {
				active = "deactivating"
			}
			return fleet.UnitState{Active: active}, nil, 0
		case life.KillJobs:
			running = false
		case life.ScrapeMetrics:
			return fleet.Observation{Concurrent: 1, Runners: []fleet.RunnerReading{{Running: 1, InFlight: 1}}}, nil, 0
		case life.ReadSpot:
			return (*fleet.SpotAction)(nil), nil, 0
		case life.ReadWhoami:
			return &life.Whoami{Identity: fleet.Identity{InstanceID: self}, Group: "ci"}, nil, 0
		case life.ReadRegistration:
			return (*fleet.Registration)(nil), nil, 0
		case life.TerminateSelf, life.DescribeHooks, life.Heartbeat, life.CompleteHook:
			took, failure := calls(a)
			if _, ok := a.(life.DescribeHooks); ok && failure == nil {
				return []fleet.Hook{{Name: "stop", Transition: fleet.AtTermination, HeartbeatTimeout: 30 * time.Second, GlobalTimeout: 50 * time.Minute}}, nil, took
			}
			return nil, failure, took
		}
		return nil, nil, 0
	}
}

func prompt(life.Action) (time.Duration, *fleet.Failure) { return 0, nil }

func isTerm(s life.SignalUnit) bool { return s.Signal == "TERM" }

// However late it is by the clock, the jobs are ended and reported before anything
// is unregistered: the clock may be wrong.
func TestUnregisterEndsTheJobsEvenPastTheDeadline(t *testing.T) {
	for _, past := range []time.Duration{0, time.Minute, 3 * time.Minute, time.Hour} {
		deadline := epoch.Add(-past)
		all, exit := timed(life.NewUnregister(drainSettings), 30*time.Minute, draining(&deadline, prompt))
		term, kill := first(all, isTerm), first[life.KillJobs](all, nil)
		complete := first[life.CompleteHook](all, nil)
		if term < 0 || term > 2*time.Second || kill < term || complete < kill || exit == nil || exit.Code != life.Done {
			t.Errorf("%s past: TERM at %s, jobs killed at %s, hook completed at %s, exit %v", past, term, kill, complete, exit)
		}
	}
}

// A runner that does not end even so is said, and is no success.
func TestUnregisterSaysThatTheRunnerHasNotEnded(t *testing.T) {
	deadline := epoch.Add(time.Minute)
	do := draining(&deadline, prompt)
	_, exit := timed(life.NewUnregister(drainSettings), 30*time.Minute, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		if u, ok := a.(life.ReadUnit); ok && u.Unit == life.UnitRunner {
			return fleet.UnitState{Active: "deactivating"}, nil, 0
		}
		return do(at, a)
	})
	if exit == nil || exit.Code != life.Failed {
		t.Errorf("exit %v, want 1", exit)
	}
}

// A hold does not outlast the time that the drain has.
func TestUnregisterHoldsNoLongerThanTheDeadlineAllows(t *testing.T) {
	set := drainSettings
	set.HoldTimeout = 10 * time.Minute
	deadline := epoch.Add(2*time.Minute + 5*time.Second)
	all, _ := timed(life.NewUnregister(set), 30*time.Minute, func() answers {
		do := draining(&deadline, prompt)
		stopped := false
		return func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
			v, f, d := do(at, a)
			switch a := a.(type) {
			case life.StopUnit:
				stopped = stopped || a.Unit == life.UnitRunner
			case life.ReadUnit:
				if a.Unit == life.UnitRunner && !stopped {
					return fleet.UnitState{Active: "active"}, nil, 0
				}
			}
			return v, f, d
		}
	}())
	quit := first(all, func(s life.StopUnit) bool { return s.Unit == life.UnitRunner })
	if quit < 0 || quit > 10*time.Second {
		t.Errorf("SIGQUIT after %s, want within seconds: two minutes are left by then", quit)
	}
	if term := first(all, isTerm); term > 111*time.Second || term < 0 {
		t.Errorf("SIGTERM after %s, want 15 s before the deadline", term)
	}
}

// Whatever hangs, SIGTERM is sent in time for the runner to report.
func TestUnregisterEndsTheJobsInTimeWhateverHangs(t *testing.T) {
	hang := func(which func(life.Action) bool) func(life.Action) (time.Duration, *fleet.Failure) {
		return func(a life.Action) (time.Duration, *fleet.Failure) {
			if which(a) {
				return 15 * time.Second, temporary()
			}
			return 0, nil
		}
	}
	for name, which := range map[string]func(life.Action) bool{
		"everything":  func(life.Action) bool { return true },
		"terminate":   func(a life.Action) bool { _, ok := a.(life.TerminateSelf); return ok },
		"hooks":       func(a life.Action) bool { _, ok := a.(life.DescribeHooks); return ok },
		"heartbeats":  func(a life.Action) bool { _, ok := a.(life.Heartbeat); return ok },
		"completions": func(a life.Action) bool { _, ok := a.(life.CompleteHook); return ok },
	} {
		for lead := 40 * time.Second; lead <= 2*time.Minute; lead += 3 * time.Second {
			deadline := epoch.Add(lead)
			all, _ := timed(life.NewUnregister(drainSettings), time.Hour, draining(&deadline, hang(which)))
			if term, want := first(all, isTerm), lead-drainSettings.Margin; term < 0 || term > want+2*time.Second {
				t.Errorf("%s hang, %s until the deadline: SIGTERM after %s, want %s", name, lead, term, want)
			}
			if late := first[life.KillJobs](all, nil) - first(all, isTerm) - drainSettings.KillAfter; late < 0 || late > 2*time.Second {
				t.Errorf("%s hang, %s until the deadline: the jobs' processes are killed %s too late", name, lead, late)
			}
		}
	}
}

// A registered instance that its group takes back into the warm pool is drained
// first: it would be stopped with its jobs.
func TestLifecycleCheckDrainsForTheWarmPool(t *testing.T) {
	for _, target := range []fleet.LifecycleState{"Warmed:Stopped", "Warmed:Running", "Warmed:Hibernated"} {
		for _, registered := range []bool{true, false} {
			all, _ := timed(life.NewLifecycleCheck(life.LifecycleCheckSettings{Period: 5 * time.Second}), time.Minute,
				func(_ time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
					switch a.(type) {
					case life.ReadFlags:
						return fleet.Flags{Registered: registered, Warmed: !registered}, nil, 0
					case life.ReadTarget:
						return target, nil, 0
					case life.ReadSpot:
						return (*fleet.SpotAction)(nil), nil, 0
					}
					return nil, nil, 0
				})
			if noticed := first[life.WriteNotice](all, nil) >= 0; noticed != registered {
				t.Errorf("%s, registered %v: notice written %v", target, registered, noticed)
			}
		}
	}
}
