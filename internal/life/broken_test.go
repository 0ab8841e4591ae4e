package life_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// crashes is what systemctl show tells of a unit that dies at each start.
var crashes = fleet.UnitState{Active: "activating", Result: "signal"}

var neighbours = []string{life.UnitLifecycleCheck, life.UnitMonitor}

// hangs has a unit show what one does that its watchdog kills again and again: it is active.
func hangs(s *site, unit string) {
	s.breaks(unit, fleet.UnitState{Active: "active", Result: "success"})
	begin := s.now
	s.fail = func(life.Action) *fleet.Failure {
		if u, broken := s.broken[unit]; broken {
			u.Restarts = int(s.now.Sub(begin) / (65 * time.Second))
			s.broken[unit] = u
		}
		return nil
	}
}

// TestBrokenNeighbourIsReplaced: an instance whose monitor or lifecycle-check dies at
// each start, or hangs, is drained and replaced, once that has lasted for long; jobs
// that run are run to their end, and each step says why.
func TestBrokenNeighbourIsReplaced(t *testing.T) {
	for _, unit := range neighbours {
		for name, how := range map[string]fleet.UnitState{
			"signal": crashes, "core": {Active: "failed", Result: "core-dump"}, "hangs": {},
			"203": {Active: "activating", Result: "exit-code", ExitStatus: 203}, "1": {Active: "activating", Result: "exit-code", ExitStatus: 1},
		} {
			t.Run(unit+" "+name, func(t *testing.T) {
				s := pinned(t, fleet.ModeToken)
				s.run(30 * time.Second)
				if s.breaks(unit, how); name == "hangs" {
					hangs(s, unit)
				}
				s.proc.arrive(2 * time.Hour)
				s.run(15 * time.Minute)
				if s.count("SetUnhealthy") != 0 || s.files.flags.Notice != nil {
					t.Fatal("before its time")
				}
				if s.saidAt(life.Error, unit+" does not ") != 1 || s.saidAt(life.Error, "this instance is replaced if that lasts for 15m0s") != 1 {
					t.Error("not said, or not what follows")
				}
				s.run(16 * time.Minute)
				n := s.files.flags.Notice
				if n == nil || n.Kind != fleet.NoticeScaleIn {
					t.Fatalf("notice %+v", n)
				}
				if s.count("SetUnhealthy") != 1 || s.replaced != 1 || s.dead {
					t.Errorf("reported %d times, replaced %d, dead %v", s.count("SetUnhealthy"), s.replaced, s.dead)
				}
				if s.saidAt(life.Error, "reported this instance Unhealthy") != 1 {
					t.Error("the report does not say why")
				}
				s.run(3 * time.Hour)
				if !s.dead || len(s.proc.finished) != 1 || s.ghosts() != 0 || len(s.completed) != 1 {
					t.Errorf("dead %v, finished %v, ghosts %d, completed %v", s.dead, s.proc.finished, s.ghosts(), s.completed)
				}
			})
		}
	}
}

// TestNoHookLetsJobsEnd: where no hook would wait, the group is told once they have.
func TestNoHookLetsJobsEnd(t *testing.T) {
	for _, unit := range neighbours {
		s := pinned(t, fleet.ModeToken)
		s.hooks = nil
		s.run(30 * time.Second)
		s.breaks(unit, crashes)
		s.proc.arrive(time.Hour)
		s.run(59 * time.Minute)
		if s.count("SetUnhealthy") != 0 {
			t.Fatal("reported while its job runs")
		}
		s.run(30 * time.Minute)
		if !s.dead || len(s.proc.finished) != 1 || s.replaced != 1 {
			t.Errorf("dead %v, finished %v, replaced %d", s.dead, s.proc.finished, s.replaced)
		}
	}
}

// TestNoBrokenNeighbour: what another instance would share, what a person did, and
// what is mended replaces nothing.
func TestNoBrokenNeighbour(t *testing.T) {
	for _, c := range []struct {
		name string
		how  fleet.UnitState
		arm  func(s *site, unit string)
	}{
		{"its configuration is wrong", fleet.UnitState{Active: "failed", Result: "exit-code", ExitStatus: 2}, nil},
		{"it was refused", fleet.UnitState{Active: "failed", Result: "exit-code", ExitStatus: 3}, nil},
		{"it was stopped", fleet.UnitState{Active: "inactive", Result: "success"}, nil},
		{"it is masked", fleet.UnitState{Active: "inactive"}, nil},
		{"it starts for long", fleet.UnitState{Active: "activating", Result: "success"}, nil},
		{"it is mended in the last moment", crashes, func(s *site, unit string) {
			s.fail = func(a life.Action) *fleet.Failure {
				if _, ok := a.(life.DescribeActivities); ok && len(s.broken) > 0 {
					s.mends(unit)
				}
				return nil
			}
		}},
		{"an instance was just replaced, again and again", crashes, func(s *site, _ string) {
			for at := time.Duration(0); at < 3*time.Hour; at += 9 * time.Minute {
				s.after(at, func() {
					s.activities = []fleet.Activity{{InstanceID: "i-other", Start: s.now, Cause: "an instance was taken out of service in response to a user health-check."}}
				})
			}
		}},
		{"another is reported", crashes, func(s *site, _ string) { s.group.Instances[len(s.group.Instances)-1].Healthy = false }},
	} {
		for _, unit := range neighbours {
			t.Run(c.name+" "+unit, func(t *testing.T) {
				s := pinned(t, fleet.ModeToken)
				s.run(30 * time.Second)
				s.forget()
				s.breaks(unit, c.how)
				if c.arm != nil {
					c.arm(s, unit)
				}
				s.run(3 * time.Hour)
				if s.files.flags.Notice != nil || s.count("SetUnhealthy") != 0 {
					t.Errorf("reported %d times, notice %+v", s.count("SetUnhealthy"), s.files.flags.Notice)
				}
				late := 0
				if strings.HasPrefix(c.name, "an") {
					late = 1
				}
				if n := s.saidAt(life.Error, "still not replaced"); n != late || s.calls["aws"] > 3*80 {
					t.Errorf("said %d times that it is late, want %d; %d calls", n, late, s.calls["aws"])
				}
			})
		}
	}
}

// TestBrokenAndNotReplaced: the group was told and does not act. It is told again,
// seldom, somebody is told once, jobs are run meanwhile, and when the group acts the
// drain follows.
func TestBrokenAndNotReplaced(t *testing.T) {
	for _, unit := range neighbours {
		t.Run(unit, func(t *testing.T) {
			s := pinned(t, fleet.ModeToken)
			s.run(30 * time.Second)
			s.suspended = true
			s.breaks(unit, crashes)
			s.run(3 * time.Hour)
			if n := s.saidAt(life.Error, "still not replaced"); n != 1 {
				t.Errorf("said %d times", n)
			}
			if n := s.saidAt(life.Error, "reported this instance Unhealthy"); n != 1 {
				t.Errorf("said %d times that it is reported", n)
			}
			if n := s.count("SetUnhealthy"); n < 20 || n > 40 || s.calls["aws"] > 400 {
				t.Errorf("reported %d times, %d calls", n, s.calls["aws"])
			}
			mustWork(t, s, "while the group does not act")
			s.suspended = false
			s.run(10 * time.Minute)
			if !s.dead || len(s.completed) != 1 {
				t.Errorf("dead %v, completed %v", s.dead, s.completed)
			}
		})
	}
}

// TestBrokenNotPermitted: one that may not report itself says so, and works on.
func TestBrokenNotPermitted(t *testing.T) {
	for _, unit := range neighbours {
		s := pinned(t, fleet.ModeToken)
		s.run(30 * time.Second)
		s.fail = func(a life.Action) *fleet.Failure {
			if _, ok := a.(life.SetUnhealthy); ok {
				return kind(fleet.Denied)
			}
			return nil
		}
		s.breaks(unit, crashes)
		s.run(2 * time.Hour)
		if n := s.saidAt(life.Error, "cannot have this instance replaced"); n != 1 || s.calls["aws"] > 2*80 {
			t.Errorf("said %d times, %d calls", n, s.calls["aws"])
		}
		if s.saidAt(life.Error, "still not replaced") != 1 || s.files.flags.Notice != nil {
			t.Error("not said that it is late, or drained all the same")
		}
		mustWork(t, s, "where it may not report itself")
	}
}

// TestBrokenIllToo: a runner that is dead where nobody would see the group's answer.
func TestBrokenIllToo(t *testing.T) {
	s := pinned(t, fleet.ModeToken)
	s.run(30 * time.Second)
	s.breaks(life.UnitLifecycleCheck, crashes)
	s.breaks(life.UnitInit, crashes)
	s.files.flags.Registered = false
	s.proc.crash()
	s.run(40 * time.Minute)
	if !s.dead || len(s.completed) != 1 || s.ghosts() != 0 {
		t.Errorf("dead %v, completed %v, ghosts %d", s.dead, s.completed, s.ghosts())
	}
}

// TestDetachedUnseen: an instance that was detached while lifecycle-check is broken.
func TestDetachedUnseen(t *testing.T) {
	s := pinned(t, fleet.ModeToken)
	s.run(30 * time.Second)
	s.breaks(life.UnitLifecycleCheck, crashes)
	s.run(7 * time.Minute) // a listing has it
	s.group.Instances = slices.DeleteFunc(s.group.Instances, func(i fleet.Instance) bool { return i.ID == self })
	s.run(50 * time.Minute)
	if n := s.files.flags.Notice; n == nil || n.Kind != fleet.NoticeDetached || s.ghosts() != 0 {
		t.Errorf("notice %+v, ghosts %d", n, s.ghosts())
	}
}

// blinded is an instance under a notice whose lifecycle-check is broken.
func blinded(t *testing.T, kind fleet.NoticeKind) *site {
	s := pinned(t, fleet.ModeToken)
	s.run(30 * time.Second)
	s.breaks(life.UnitLifecycleCheck, crashes)
	s.files.flags.Notice = &fleet.Notice{Kind: kind, SeenAt: s.now, Source: "a test"}
	return s
}

// TestNoticeTakenBack: a drain that monitor has started is not its last.
func TestNoticeTakenBack(t *testing.T) {
	s := blinded(t, fleet.NoticeOperator)
	s.run(2 * time.Minute)
	s.files.flags.Notice = nil
	s.start(life.UnitInit)
	s.run(40 * time.Minute)
	if !s.dead || len(s.completed) != 1 {
		t.Errorf("dead %v, completed %v, notice %v", s.dead, s.completed, s.files.flags.Notice)
	}
}

// TestMonitorStartsTheDrain where lifecycle-check, whose end does, is broken: also
// after it was killed itself, and not where that one was only killed once.
func TestMonitorStartsTheDrain(t *testing.T) {
	s := blinded(t, fleet.NoticeScaleIn)
	s.run(5 * time.Second)
	s.kill(s.units[life.UnitMonitor])
	s.run(40 * time.Second)
	if !s.running(life.UnitUnregister) && s.files.registration != nil {
		t.Error("nothing drains")
	}

	s = blinded(t, fleet.NoticeScaleIn)
	hangs(s, life.UnitLifecycleCheck)
	s.run(90 * time.Second)
	if !s.running(life.UnitUnregister) && s.files.registration != nil {
		t.Error("nothing drains: who ought to have ended hangs")
	}

	s = blinded(t, fleet.NoticeScaleIn)
	s.run(5 * time.Second)
	s.mends(life.UnitLifecycleCheck)
	s.run(time.Minute)
	if s.count("monitor StartUnit {Unit:"+life.UnitUnregister) != 0 {
		t.Error("monitor has started what lifecycle-check starts")
	}
}

// oneTooMany is an idle instance of a group that may do with fewer.
func oneTooMany(t *testing.T) *site {
	s := inService(t)
	s.group.Desired = 3
	s.group.Instances = append(s.group.Instances, member("i-a", true), member("i-b", true))
	s.start(life.UnitMonitor)
	s.start(life.UnitLifecycleCheck)
	s.run(time.Second)
	return s
}

// TestLeaveNeedsEyes: an instance whose end nobody would see does not leave, and one
// that the group takes all the same is drained by monitor.
func TestLeaveNeedsEyes(t *testing.T) {
	s := oneTooMany(t)
	s.breaks(life.UnitLifecycleCheck, crashes)
	s.run(8 * time.Minute)
	if s.count("TerminateSelf") != 0 || s.count("HoldRunner") != 0 {
		t.Fatal("it leaves, and nobody will see the group's answer")
	}
	s.scaleIn()
	s.run(5 * time.Minute)
	if !s.dead || len(s.completed) != 1 || s.saidAt(life.Info, "has not seen it") != 1 {
		t.Errorf("dead %v, completed %v", s.dead, s.completed)
	}
}

// TestLeftAndUnseen: lifecycle-check breaks while the instance leaves.
func TestLeftAndUnseen(t *testing.T) {
	s := oneTooMany(t)
	s.runUntil(10*time.Minute, func() bool { return s.count("monitor HoldRunner") > 0 })
	s.breaks(life.UnitLifecycleCheck, crashes)
	s.run(5 * time.Minute)
	if !s.dead || len(s.completed) != 1 || s.ghosts() != 0 {
		t.Errorf("dead %v, completed %v, ghosts %d", s.dead, s.completed, s.ghosts())
	}
}

// TestBrokenInit: an instance that nothing can register is replaced, and so is one
// whose token is refused and whose init, which would take a new one up, is broken.
func TestBrokenInit(t *testing.T) {
	for _, c := range []struct {
		name string
		arm  func(*site)
	}{
		{"nothing is registered", func(s *site) { s.files.flags.Registered = false; s.proc.crash() }},
		{"the token is refused", func(s *site) { clear(s.gitlab.runners) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pinned(t, fleet.ModeToken)
			s.run(30 * time.Second)
			s.breaks(life.UnitInit, crashes)
			c.arm(s)
			s.run(14 * time.Minute)
			if s.count("SetUnhealthy") != 0 || s.saidAt(life.Warn, life.UnitInit+" ends as soon as it is started; it ends by signal") != 1 {
				t.Fatalf("reported %d times, said %d times", s.count("SetUnhealthy"), s.saidAt(life.Warn, life.UnitInit+" ends"))
			}
			s.run(12 * time.Minute)
			if s.count("SetUnhealthy") != 1 || s.replaced != 1 {
				t.Errorf("reported %d times, replaced %d", s.count("SetUnhealthy"), s.replaced)
			}
		})
	}
	t.Run("it is mended", func(t *testing.T) {
		s := pinned(t, fleet.ModeToken)
		s.run(30 * time.Second)
		s.breaks(life.UnitInit, crashes)
		clear(s.gitlab.runners)
		s.run(10 * time.Minute)
		delete(s.broken, life.UnitInit)
		s.run(time.Hour)
		if s.count("SetUnhealthy") != 0 {
			t.Error("replaced for a reason that all share")
		}
	})
}

// TestBrokenInStandby: that lifecycle-check is broken is said of an instance in
// Standby too, and nothing is done about one that an operator looks at.
func TestBrokenInStandby(t *testing.T) {
	s := pinned(t, fleet.ModeToken)
	s.run(30 * time.Second)
	s.me().State, s.target = fleet.Standby, fleet.Standby
	s.run(30 * time.Second)
	s.breaks(life.UnitLifecycleCheck, crashes)
	s.run(2 * time.Hour)
	if s.saidAt(life.Error, life.UnitLifecycleCheck+" does not run") != 1 || s.files.flags.Notice != nil || s.calls["aws"] > 2*65 {
		t.Errorf("said %d times, notice %v, %d calls", s.saidAt(life.Error, "does not run"), s.files.flags.Notice, s.calls["aws"])
	}
	s.me().State, s.target = fleet.InService, fleet.InService // which nobody tells monitor
	s.run(20 * time.Minute)
	if !s.dead || s.replaced != 1 {
		t.Errorf("back in service: dead %v, replaced %d", s.dead, s.replaced)
	}
}

// TestDiesSoon: one that dies two or three seconds after each start is met alive, or
// starting, at every other look, and is broken all the same; one that was mended is not.
func TestDiesSoon(t *testing.T) {
	for _, unit := range neighbours {
		for _, up := range []fleet.UnitState{{Active: "active", Result: "success"}, {Active: "activating", Result: "success"}} {
			s := pinned(t, fleet.ModeToken)
			s.run(30 * time.Second)
			begin, mended := s.now, false
			s.breaks(unit, crashes)
			s.fail = func(a life.Action) *fleet.Failure {
				if a != life.Action(life.ReadUnit{Unit: unit}) || mended {
					return nil
				}
				n := int(s.now.Sub(begin) / time.Second)
				how := crashes
				if n%8 < 3 {
					how = up
				}
				how.Restarts = n / 8
				s.broken[unit] = how
				return nil
			}
			s.run(14 * time.Minute)
			if s.count("SetUnhealthy") != 0 || s.saidAt(life.Error, unit+" does not run") != 1 {
				t.Errorf("%s, met %s: reported %d times, said %d times", unit, up.Active, s.count("SetUnhealthy"), s.saidAt(life.Error, unit+" does not run"))
			}
			s.run(20 * time.Minute)
			if s.count("SetUnhealthy") != 1 {
				t.Errorf("%s, met %s: reported %d times", unit, up.Active, s.count("SetUnhealthy"))
			}
		}
	}
}

// TestMendedBetweenTwoLooks: what was mended for some minutes begins anew when it breaks
// again, though nobody has looked right then.
func TestMendedBetweenTwoLooks(t *testing.T) {
	for _, unit := range neighbours {
		s := pinned(t, fleet.ModeToken)
		s.run(30 * time.Second)
		s.breaks(unit, fleet.UnitState{Active: "activating", Result: "signal", Restarts: 10})
		s.run(10 * time.Minute)
		s.mends(unit)
		s.broken[unit] = fleet.UnitState{Active: "active", Result: "success", Restarts: 12}
		s.run(330 * time.Second)
		s.broken[unit] = fleet.UnitState{Active: "activating", Result: "signal", Restarts: 20}
		s.run(14 * time.Minute)
		if s.count("SetUnhealthy") != 0 {
			t.Error(unit, "is reported before it has been broken for 15 minutes")
		}
		if s.run(8 * time.Minute); s.count("SetUnhealthy") != 1 {
			t.Error(unit, "is not reported")
		}
	}
}
