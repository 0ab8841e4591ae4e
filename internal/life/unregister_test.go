package life_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// busy is a working instance with one job that takes d.
func busy(t testing.TB, d time.Duration) *site {
	s := working(t)
	s.proc.arrive(d)
	s.run(20 * time.Second)
	return s
}

func TestUnregisterDrains(t *testing.T) {
	for _, d := range []time.Duration{time.Second, 3 * time.Minute, 7 * time.Hour} {
		s := busy(t, d)
		s.scaleIn()
		s.run(d + 2*time.Minute)
		mustBeGone(t, s, d)
		if s.group.Desired != 1 || s.proc.cancelled != 0 || len(s.proc.reported) != 0 {
			t.Errorf("%s: desired %d, %d polls cut, reported %v", d, s.group.Desired, s.proc.cancelled, s.proc.reported)
		}
	}
}

func TestUnregisterWithoutANotice(t *testing.T) {
	s := busy(t, time.Hour)
	s.start(life.UnitUnregister)
	s.run(time.Minute)
	s.mustExit(life.UnitUnregister, life.Done)
	mustWork(t, s, "no notice")
}

// TestUnregisterSpot: the replacement starts at once, the job is reported a
// margin before the deadline.
func TestUnregisterSpot(t *testing.T) {
	for _, c := range []struct {
		name     string
		job      time.Duration
		notice   time.Duration
		stubborn bool
		reported int
	}{
		{"a short job ends by itself", time.Minute, 2 * time.Minute, false, 0},
		{"a long one is reported", time.Hour, 2 * time.Minute, false, 1},
		{"one that ignores SIGTERM is killed and reported", time.Hour, 2 * time.Minute, true, 1},
		{"a notice of twenty seconds", time.Hour, 20 * time.Second, false, 1},
		{"a notice of more than two minutes holds first", time.Hour, 140 * time.Second, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := busy(t, c.job)
			s.proc.stubborn = c.stubborn
			s.interrupt(c.notice)
			end := s.now.Add(c.notice)
			s.runUntil(c.notice-16*time.Second, func() bool { return false })
			if len(s.proc.reported) != 0 {
				t.Error("ended before the margin")
			}
			if c.notice > 20*time.Second && s.replaced != 1 {
				t.Error("no replacement yet")
			}
			s.runUntil(time.Minute, func() bool { return s.dead })
			mustBeGone(t, s, c.name)
			if len(s.proc.reported) != c.reported || s.replaced != 1 || !s.now.Before(end) {
				t.Errorf("reported %v, %d replacements, gone %s before EC2 takes it", s.proc.reported, s.replaced, end.Sub(s.now))
			}
		})
	}
}

// TestUnregisterSpotInTheMiddle of a drain that had no deadline.
func TestUnregisterSpotInTheMiddle(t *testing.T) {
	s := busy(t, time.Hour)
	s.scaleIn()
	s.run(10 * time.Minute)
	s.interrupt(2 * time.Minute)
	s.run(3 * time.Minute)
	mustBeGone(t, s, "spot in a drain")
	if len(s.proc.reported) != 1 {
		t.Errorf("reported %v", s.proc.reported)
	}
}

// TestUnregisterKilledOrFailingAnywhere: no job is killed, the runner is
// unregistered after its end and the hook completed after that, whatever happens
// once at any action.
func TestUnregisterKilledOrFailingAnywhere(t *testing.T) {
	faults := []fault{{kill: true}, {kill: true, effect: true}, {failure: temporary(), effect: true}, {failure: temporary(), times: 3}}
	for _, k := range []fleet.FailureKind{fleet.Temporary, fleet.Throttled} {
		faults = append(faults, fault{failure: kind(k)})
	}
	for name, begin := range map[string]func(*site){
		"scale-in": func(s *site) { s.scaleIn() },
		"spot":     func(s *site) { s.interrupt(2 * time.Minute) },
	} {
		for _, job := range []time.Duration{0, 70 * time.Second, 6 * time.Minute} {
			for _, f := range faults {
				for n := 1; n < 45; n += stride {
					s := working(t)
					if job > 0 {
						s.proc.arrive(job)
					}
					s.run(20 * time.Second)
					f.verb, f.n, f.hit = "unregister", n, false
					s.fault = &f
					begin(s)
					s.run(40 * time.Minute)
					about := fmt.Sprintf("%s, job of %s, %v", name, job, f)
					mustBeGone(t, s, about)
					if name == "scale-in" && len(s.proc.reported) > 0 {
						t.Fatalf("%s: the job was killed", about)
					}
					if !f.hit {
						break
					}
				}
			}
		}
	}
}

// TestUnregisterThrottledAtFirst: a drain that could not find its hook at once
// finds it in time, and is not cut.
func TestUnregisterThrottledAtFirst(t *testing.T) {
	for _, k := range []fleet.FailureKind{fleet.Throttled, fleet.Temporary, fleet.Denied} {
		s := busy(t, 2*time.Hour)
		until := s.now.Add(3 * time.Minute)
		s.fail = func(a life.Action) *fleet.Failure {
			if _, is := a.(life.DescribeHooks); is && s.now.Before(until) {
				return kind(k)
			}
			return nil
		}
		s.scaleIn()
		s.run(3 * time.Hour)
		mustBeGone(t, s, k)
	}
}

// TestUnregisterWhoamiUnreadable: then the metadata tell.
func TestUnregisterWhoamiUnreadable(t *testing.T) {
	s := busy(t, time.Minute)
	s.fail = func(a life.Action) *fleet.Failure {
		if _, is := a.(life.ReadWhoami); is {
			return kind(fleet.Local)
		}
		return nil
	}
	s.scaleIn()
	s.run(5 * time.Minute)
	mustBeGone(t, s, "whoami")
}

// TestUnregisterWithoutGitLab completes the hook all the same, after a while,
// and says what stays behind.
func TestUnregisterWithoutGitLab(t *testing.T) {
	s := busy(t, time.Minute)
	s.gitlab.down = temporary()
	s.scaleIn()
	s.run(5 * time.Minute)
	if s.dead {
		t.Fatal("gave GitLab no time")
	}
	s.run(3 * time.Minute)
	if !s.dead || s.saidAt(life.Error, "stays behind") != 1 {
		t.Errorf("dead %v, said %d times", s.dead, s.saidAt(life.Error, "stays behind"))
	}
}

// TestUnregisterSpotWithoutGitLab completes the hook before EC2 takes the
// instance: else the group would wait out the heartbeat.
func TestUnregisterSpotWithoutGitLab(t *testing.T) {
	s := busy(t, time.Hour)
	s.interrupt(2 * time.Minute)
	s.gitlab.down = temporary()
	s.run(3 * time.Minute)
	if len(s.completed) != 1 {
		t.Error("the hook was left to its time-out")
	}
}

func TestUnregisterHooks(t *testing.T) {
	two := fleet.Hook{Name: "other", Transition: fleet.AtTermination, HeartbeatTimeout: time.Hour, GlobalTimeout: 48 * time.Hour}
	for _, c := range []struct {
		name string
		arm  func(*site, *settings)
		says string
		done int
	}{
		{"none", func(s *site, _ *settings) { s.hooks = s.hooks[:1] }, "has none", 0},
		{"two", func(s *site, _ *settings) { s.hooks = append(s.hooks, two) }, `the group has 2: "stop", "other"`, 0},
		{"two, one named", func(s *site, c *settings) {
			s.hooks = append(s.hooks, two)
			c.unregister.TerminateHook = "stop"
		}, "", 1},
		{"begins to wait late", func(s *site, _ *settings) { s.endDelay = 7 * time.Second }, "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, set := working(t), defaults
			c.arm(s, &set)
			s.units[life.UnitUnregister] = &program{unit: life.UnitUnregister, set: &set}
			s.run(20 * time.Second)
			s.scaleIn()
			s.run(2 * time.Minute)
			if len(s.completed) != c.done || s.ghosts() != 0 || s.proc.state != "inactive" {
				t.Errorf("completed %v, %d ghosts, runner %s", s.completed, s.ghosts(), s.proc.state)
			}
			if c.says != "" && s.saidAt(life.Error, c.says)+s.saidAt(life.Warn, c.says) != 1 {
				t.Errorf("%q not said: %+v", c.says, s.said)
			}
		})
	}
}

// TestUnregisterByHand: --now writes a notice, and the instance can be taken
// back into service by init.
func TestUnregisterByHand(t *testing.T) {
	s, set := busy(t, time.Minute), defaults
	set.unregister.Now = true
	s.startWith(life.UnitUnregister, set)
	s.run(5 * time.Minute)
	s.mustExit(life.UnitUnregister, life.Done)
	if n := s.files.flags.Notice; n == nil || n.Kind != fleet.NoticeOperator || s.ghosts() != 0 || len(s.proc.finished) != 1 || s.me().State != fleet.InService {
		t.Fatalf("notice %+v, %d ghosts, finished %v", n, s.ghosts(), s.proc.finished)
	}
	s.start(life.UnitInit)
	s.run(time.Minute)
	s.mustExit(life.UnitInit, life.Done)
	mustWork(t, s, "registered again")
}

func TestUnregisterByHandWithin(t *testing.T) {
	s, set := busy(t, time.Hour), defaults
	set.unregister.Now, set.unregister.Within = true, 5*time.Minute
	s.startWith(life.UnitUnregister, set)
	s.run(6 * time.Minute)
	s.mustExit(life.UnitUnregister, life.Done)
	if len(s.proc.reported) != 1 || s.ghosts() != 0 {
		t.Errorf("reported %v, %d ghosts", s.proc.reported, s.ghosts())
	}
}

// TestUnregisterApart: detached or shut down there is no hook to look for.
func TestUnregisterApart(t *testing.T) {
	for _, k := range []fleet.NoticeKind{fleet.NoticeDetached, fleet.NoticeShutdown} {
		s := busy(t, time.Minute)
		s.stop(life.UnitMonitor)
		s.files.flags.Notice = &fleet.Notice{Kind: k, SeenAt: s.now}
		s.forget()
		s.run(5 * time.Minute)
		if s.ghosts() != 0 || s.calls["aws"] != 0 || s.proc.state != "inactive" || len(s.proc.finished) != 1 {
			t.Errorf("%s: %d ghosts, %d calls, runner %s", k, s.ghosts(), s.calls["aws"], s.proc.state)
		}
	}
}

// TestUnregisterHookCap: what not even heartbeats extend is a deadline: the jobs
// are reported before it.
func TestUnregisterHookCap(t *testing.T) {
	for _, refused := range []bool{false, true} {
		s := busy(t, 10*time.Hour)
		s.hooks[1].GlobalTimeout = 50 * time.Minute
		if refused {
			s.fail = func(a life.Action) *fleet.Failure {
				if _, is := a.(life.Heartbeat); is {
					return kind(fleet.Denied)
				}
				return nil
			}
		}
		s.scaleIn()
		s.run(time.Hour)
		mustBeGone(t, s, "hook cap")
		if len(s.proc.reported) != 1 {
			t.Errorf("reported %v", s.proc.reported)
		}
	}
}

// TestUnregisterWaitsForInit: init is in the middle of making a runner when the
// notice comes; nothing stays behind.
func TestUnregisterWaitsForInit(t *testing.T) {
	for n := 1; n < 30; n++ {
		s := newSite(t)
		s.start(life.UnitInit)
		s.start(life.UnitLifecycleCheck)
		reached := false
		s.runUntil(time.Minute, func() bool { reached = s.n["init"] == n; return reached || len(s.exits) > 0 })
		if !reached {
			break
		}
		s.leave(true)
		s.run(5 * time.Minute)
		if s.ghosts() != 0 || !s.dead || s.proc.state != "inactive" || s.files.registration != nil {
			t.Fatalf("action %d of init: %d ghosts, dead %v, runner %s", n, s.ghosts(), s.dead, s.proc.state)
		}
	}
}

// TestUnregisterAfterInitWasKilled: init is killed anywhere, and the notice comes
// before it is started again. With a shared token nothing stays behind: GitLab may
// have taken the machine in though nobody heard of it.
func TestUnregisterAfterInitWasKilled(t *testing.T) {
	for n := 1; ; n++ {
		hit := false
		for _, effect := range []bool{false, true} {
			s, set := inMode(t, fleet.ModeToken, 1)
			s.fault = &fault{verb: "init", n: n, kill: true, effect: effect}
			s.startWith(life.UnitInit, set)
			s.start(life.UnitLifecycleCheck)
			s.runUntil(time.Minute, func() bool { return s.fault.hit || len(s.exits) > 0 })
			if !s.fault.hit {
				continue
			}
			hit = true
			s.leave(true)
			s.run(5 * time.Minute)
			if registered(s, fleet.ModeToken) != 0 || !s.dead || s.files.registration != nil {
				t.Errorf("%v: %d managers, dead %v, registration %v", s.fault, registered(s, fleet.ModeToken), s.dead, s.files.registration)
			}
		}
		if !hit {
			return
		}
	}
}

// TestUnregisterOfALostRunner: GitLab made a runner, init was killed before it heard
// of it, and the machine is switched off before it is started again. Nobody here has
// the runner's token: that it may stay behind is said, and only where it may.
func TestUnregisterOfALostRunner(t *testing.T) {
	proved := false
	for n := 1; ; n++ {
		s, set := inMode(t, fleet.ModeCreate, 1)
		s.fault = &fault{verb: "init", n: n, kill: true, effect: true}
		s.startWith(life.UnitInit, set)
		s.runUntil(time.Minute, func() bool { return s.fault.hit || len(s.exits) > 0 })
		if !s.fault.hit {
			break
		}
		reg := s.files.registration
		lost := reg != nil && len(reg.Runners) == 0
		s.goDown(fleet.PowerOff)
		s.run(5 * time.Minute)
		if said := s.saidAt(life.Warn, "may stay behind in GitLab"); (said == 1) != lost || said > 1 {
			t.Errorf("%v, registration %+v: said %d times", s.fault, reg, said)
		}
		if s.ghosts() > 0 && !lost {
			t.Errorf("%v, registration %+v: %d ghosts", s.fault, reg, s.ghosts())
		}
		proved = proved || lost && s.ghosts() > 0
	}
	if !proved {
		t.Error("no runner was lost: this proves nothing")
	}
}

// TestUnregisterOfAnotherInstance: a registration that was baked into the image
// is not this one's to delete.
func TestUnregisterOfAnotherInstance(t *testing.T) {
	s := newSite(t)
	other := s.gitlab.add("ci/i-other")
	s.files.registration = &fleet.Registration{Mode: fleet.ModeCreate, Description: "ci/i-other", SystemID: life.SystemID("i-other"), Runners: []fleet.RegisteredRunner{other}}
	s.start(life.UnitLifecycleCheck)
	s.leave(true)
	s.run(5 * time.Minute)
	if s.gitlab.runners[other.ID] == nil {
		t.Error("deleted the other instance's runner")
	}
}

// TestUnregisterStopsWhatIsStartedAgain: a runner that somebody starts behind
// the drain's back is stopped, too.
func TestUnregisterStopsWhatIsStartedAgain(t *testing.T) {
	s := working(t)
	s.run(20 * time.Second)
	s.scaleIn()
	s.runUntil(time.Minute, func() bool { return s.count("StopUnit {Unit:gitlab-runner") > 0 })
	s.proc.state, s.proc.gen = "active", s.proc.gen+1
	s.run(5 * time.Minute)
	mustBeGone(t, s, "started again")
}

// TestUnregisterTermLost: a signal that does not arrive is sent again.
func TestUnregisterTermLost(t *testing.T) {
	s := busy(t, time.Hour)
	lost := 1
	s.fail = func(a life.Action) *fleet.Failure {
		if x, is := a.(life.SignalUnit); is && x.Signal == "TERM" && lost > 0 {
			lost--
			return kind(fleet.Local)
		}
		return nil
	}
	s.interrupt(2 * time.Minute)
	s.run(3 * time.Minute)
	mustBeGone(t, s, "SIGTERM lost")
}

// TestUnregisterInterrupted goes on where it was when it is run again.
func TestUnregisterInterrupted(t *testing.T) {
	for n := range 30 {
		s := busy(t, 10*time.Minute)
		s.scaleIn()
		s.run(5*time.Second + time.Duration(n)*300*time.Millisecond)
		s.stop(life.UnitUnregister)
		s.run(5 * time.Second)
		s.start(life.UnitUnregister)
		s.run(20 * time.Minute)
		mustBeGone(t, s, n)
	}
}

// TestUnregisterWithAnInitThatGoesOn: one that undoes its registration cannot be
// interrupted; the shortest hook there is outlives the wait for it, and so does the job.
func TestUnregisterWithAnInitThatGoesOn(t *testing.T) {
	for late := range 6 { // when lifecycle-check looks
		s := pinned(t, fleet.ModeToken)
		s.hooks[len(s.hooks)-1].HeartbeatTimeout = 30 * time.Second
		s.run(30 * time.Second)
		s.breaks(life.UnitInit, fleet.UnitState{Active: "activating", Result: "success"})
		s.proc.arrive(20 * time.Minute)
		s.run(time.Duration(10+late) * time.Second)
		s.scaleIn()
		s.run(time.Hour)
		if len(s.proc.finished) != 1 || len(s.completed) != 1 || s.ghosts() != 0 {
			t.Errorf("%ds: dead %v, finished %v, completed %v, ghosts %d", late, s.dead, s.proc.finished, s.completed, s.ghosts())
		}
	}
}
