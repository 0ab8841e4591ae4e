package life_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// Tests of an instance whose lifecycle-check does not run: monitor sees in its place
// what the group does, whatever else is wrong.

// unseen is such an instance, with a job of two hours and a short hook.
func unseen(t *testing.T, how fleet.UnitState, hook time.Duration) *site {
	s := pinned(t, fleet.ModeToken)
	s.hooks[len(s.hooks)-1].HeartbeatTimeout = hook
	s.run(30 * time.Second)
	s.breaks(life.UnitLifecycleCheck, how)
	if how.Active == "active" {
		hangs(s, life.UnitLifecycleCheck)
	}
	s.proc.arrive(2 * time.Hour)
	return s
}

var hanging = fleet.UnitState{Active: "active", Result: "success"}

// mustDrain: the drain runs, and the hook is kept until the job has ended by itself.
func mustDrain(t *testing.T, s *site, what any) {
	t.Helper()
	s.run(3 * time.Hour)
	if len(s.proc.finished) != 1 || len(s.completed) != 1 || s.ghosts() != 0 {
		t.Errorf("%v: dead %v, finished %v, completed %v, ghosts %d, notice %+v", what, s.dead, s.proc.finished, s.completed, s.ghosts(), s.files.flags.Notice)
	}
}

func unreadable(s *site) {
	s.fail = func(a life.Action) *fleet.Failure {
		if _, ok := a.(life.ScrapeMetrics); ok {
			return temporary()
		}
		return nil
	}
}

// TestUnseenScaleIn: the group takes it, and nobody has reported anything.
func TestUnseenScaleIn(t *testing.T) {
	for name, how := range map[string]fleet.UnitState{
		"broken": crashes, "stopped by hand": {Active: "inactive", Result: "success"}, "configured wrongly": {Active: "failed", Result: "exit-code", ExitStatus: 2},
	} {
		s := unseen(t, how, 2*time.Minute)
		s.run(11 * time.Minute)
		s.scaleIn()
		mustDrain(t, s, name)
	}
}

// TestUnseenByAnUnreadableRunner: with the metrics away too.
func TestUnseenByAnUnreadableRunner(t *testing.T) {
	for _, when := range []time.Duration{0, 7 * time.Minute, 14 * time.Minute} {
		s := unseen(t, crashes, 5*time.Minute)
		s.run(when)
		unreadable(s)
		mustDrain(t, s, when)
	}
	s := unseen(t, crashes, 5*time.Minute)
	s.runUntil(30*time.Minute, func() bool { return s.count("SetUnhealthy") > 0 })
	unreadable(s)
	mustDrain(t, s, "after the report")
}

// TestUnseenKilled: monitor is killed after its report, and after its notice.
func TestUnseenKilled(t *testing.T) {
	for _, how := range []fleet.UnitState{crashes, hanging} {
		s := unseen(t, how, 5*time.Minute)
		s.runUntil(time.Hour, func() bool { return s.files.flags.Notice != nil })
		s.kill(s.units[life.UnitMonitor])
		mustDrain(t, s, "after its notice")
	}
	for _, hook := range []time.Duration{2 * time.Minute, 5 * time.Minute} {
		s := unseen(t, crashes, hook)
		s.runUntil(time.Hour, func() bool { return s.count("SetUnhealthy") > 0 })
		s.run(time.Second)
		s.kill(s.units[life.UnitMonitor])
		mustDrain(t, s, hook)
	}
}

// TestUnseenReportUnanswered: it took effect, and the group acts before it is repeated.
func TestUnseenReportUnanswered(t *testing.T) {
	for _, others := range []int{1, 20} {
		s := unseen(t, crashes, 2*time.Minute)
		for n := range others {
			s.group.Instances = append(s.group.Instances, member(fmt.Sprintf("i-%03d", n), false))
		}
		s.group.Desired, s.group.Max = s.group.Desired+others, 50
		lost := false
		s.fail = func(a life.Action) *fleet.Failure {
			if _, ok := a.(life.SetUnhealthy); ok && !lost {
				lost = true
				return temporary()
			}
			return nil
		}
		s.runUntil(time.Hour, func() bool { return lost })
		s.run(50 * time.Second)
		s.leave(true)
		mustDrain(t, s, others)
	}
}

// TestUnseenNoticeNotWritten: a disk that is full for a moment.
func TestUnseenNoticeNotWritten(t *testing.T) {
	s := unseen(t, crashes, 2*time.Minute)
	tries := 0
	s.fail = func(a life.Action) *fleet.Failure {
		if _, ok := a.(life.WriteNotice); ok {
			if tries++; tries < 10 {
				return kind(fleet.Local)
			}
		}
		return nil
	}
	mustDrain(t, s, tries)
}

// TestNoHookAndAnUnreadableRunner: no hook would wait for its jobs, and whether there
// are any cannot be seen.
func TestNoHookAndAnUnreadableRunner(t *testing.T) {
	s := pinned(t, fleet.ModeToken)
	s.hooks = nil
	s.run(30 * time.Second)
	s.breaks(life.UnitMonitor, crashes)
	s.proc.arrive(5 * time.Hour)
	unreadable(s)
	s.run(3 * time.Hour)
	if s.count("SetUnhealthy") != 0 || s.saidAt(life.Error, "jobs run, or may") != 1 || s.calls["aws"] > 20 {
		t.Errorf("reported %d times with a job; said %d times; %d calls", s.count("SetUnhealthy"), s.saidAt(life.Error, "jobs run, or may"), s.calls["aws"])
	}
}

// TestNobodyLeavesUnseen: one that is idle stays while lifecycle-check is down, for
// whatever reason; an init that nobody needs keeps it from nothing.
func TestNobodyLeavesUnseen(t *testing.T) {
	for _, how := range []fleet.UnitState{crashes, {Active: "failed", Result: "exit-code", ExitStatus: 2}, {Active: "inactive", Result: "success"}} {
		s := oneTooMany(t)
		s.breaks(life.UnitLifecycleCheck, how)
		if s.run(14 * time.Minute); s.count("TerminateSelf") != 0 {
			t.Errorf("%+v: it leaves", how)
		}
	}
	s := oneTooMany(t)
	s.breaks(life.UnitInit, crashes)
	if s.run(20 * time.Minute); s.count("TerminateSelf") != 1 || !s.dead || s.ghosts() != 0 {
		t.Errorf("with a broken init: %d calls to leave, dead %v", s.count("TerminateSelf"), s.dead)
	}
}

// TestAnothersGroup: an instance that the listings never had was not detached.
func TestAnothersGroup(t *testing.T) {
	s := unseen(t, crashes, 5*time.Minute)
	s.group.Instances = s.group.Instances[:0]
	s.group.Instances = append(s.group.Instances, member("i-z", true))
	s.run(time.Hour)
	if s.files.flags.Notice != nil {
		t.Errorf("drained: %+v", s.files.flags.Notice)
	}
}

// TestMendedAndStillReported: who mends it is told that the group goes on.
func TestMendedAndStillReported(t *testing.T) {
	for _, unit := range neighbours {
		s := pinned(t, fleet.ModeToken)
		s.run(30 * time.Second)
		s.suspended = true
		s.breaks(unit, crashes)
		s.runUntil(time.Hour, func() bool { return s.count("SetUnhealthy") > 0 })
		s.mends(unit)
		s.run(10 * time.Minute)
		if s.saidAt(life.Warn, "--health-status Healthy") != 1 {
			t.Error(unit, "runs again, and nobody says that the instance is replaced all the same")
		}
	}
}

// TestIllAndUnseen: the calls to AWS stay below 120 an hour where the group does not act.
func TestIllAndUnseen(t *testing.T) {
	s := pinned(t, fleet.ModeToken)
	s.run(30 * time.Second)
	s.suspended = true
	s.breaks(life.UnitLifecycleCheck, crashes)
	s.breaks(life.UnitInit, crashes)
	s.files.flags.Registered = false
	s.proc.crash()
	s.run(time.Hour)
	for range 2 {
		before := s.calls["aws"]
		if s.run(time.Hour); s.calls["aws"]-before > 120 {
			t.Errorf("%d calls to AWS in an hour", s.calls["aws"]-before)
		}
	}
}
