package life_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// drains is an instance with a job that is taken out of its group, and that EC2
// switches off some time after its hook was completed.
func drains(t *testing.T, begin func(*site)) *site {
	t.Helper()
	s := stays(t, 5*time.Second)
	s.group.Min, s.lingers = 0, time.Hour
	begin(s)
	return s
}

// gone is such an instance once its drain is over.
func gone(t *testing.T, begin func(*site)) *site {
	t.Helper()
	s := drains(t, begin)
	s.runUntil(10*time.Minute, func() bool { return len(s.completed) > 0 && !s.running(life.UnitUnregister) })
	if s.dead || len(s.completed) != 1 || s.ghosts() != 0 {
		t.Fatalf("dead %v, completed %v, %d ghosts: this proves nothing", s.dead, s.completed, s.ghosts())
	}
	s.forget()
	return s
}

// TestShutdownAfterADrain: EC2 switches an instance off as soon as its hook is
// completed. Nothing is asked of anybody, nothing said, and nothing holds it up.
func TestShutdownAfterADrain(t *testing.T) {
	for name, begin := range map[string]func(*site){
		"scale-in": (*site).scaleIn,
		"spot":     func(s *site) { s.interrupt(2 * time.Minute) },
	} {
		for _, how := range []fleet.Shutdown{fleet.Reboot, fleet.PowerOff} {
			s := gone(t, begin)
			said, start := len(s.said), s.now
			s.down = how
			s.start(shutdownStops)
			s.runUntil(time.Minute, func() bool { return !s.running(shutdownStops) })
			s.mustExit(shutdownStops, life.Done)
			if took := s.now.Sub(start); took > 100*time.Millisecond || s.calls["aws"]+s.calls["gitlab"]+s.calls["metadata"] > 0 || len(s.said) != said {
				t.Errorf("%s, %s: took %s, calls %v, said %v", name, how, took, s.calls, s.said[said:])
			}
		}
	}
}

// TestShutdownAfterADrainThatLeftSomething: the record of the hook alone does not
// stand for a drain that is over.
func TestShutdownAfterADrainThatLeftSomething(t *testing.T) {
	s := gone(t, (*site).scaleIn)
	s.files.registration = &fleet.Registration{
		Mode: fleet.ModeCreate, Description: "ci/i-1", SystemID: life.SystemID(s.me().ID),
		Runners: []fleet.RegisteredRunner{s.gitlab.add("ci/i-1")},
	}
	s.down = fleet.PowerOff
	s.start(shutdownStops)
	s.runUntil(time.Minute, func() bool { return !s.running(shutdownStops) })
	if s.ghosts() != 0 || s.files.registration != nil {
		t.Errorf("%d ghosts, registration %v", s.ghosts(), s.files.registration)
	}
}

// TestRecordIsOfTheLastDrain: what an earlier drain recorded is not believed of a
// later one that was cut short.
func TestRecordIsOfTheLastDrain(t *testing.T) {
	s := drains(t, (*site).scaleIn)
	s.files.flags.Completed = true
	s.fail = func(a life.Action) *fleet.Failure {
		if _, is := a.(life.CompleteHook); is && s.down == fleet.NotGoingDown {
			return temporary()
		}
		return nil
	}
	s.runUntil(10*time.Minute, func() bool { return s.count("RemoveRegistration") > 0 })
	s.run(time.Second)
	s.goDown(fleet.PowerOff)
	s.run(10 * time.Minute)
	if len(s.completed) != 1 || s.ghosts() != 0 {
		t.Errorf("completed %v, %d ghosts", s.completed, s.ghosts())
	}
}

// TestRecordIsWrittenToTheEnd: EC2 may switch the instance off in the moment in which
// its hook is completed.
func TestRecordIsWrittenToTheEnd(t *testing.T) {
	s := drains(t, (*site).scaleIn)
	s.runUntil(10*time.Minute, func() bool { return s.count("RemoveRegistration") > 0 })
	s.stop(life.UnitUnregister) // the completion is under way
	s.run(time.Minute)
	if !s.files.flags.Completed || s.exits[len(s.exits)-1] != "unregister 0" {
		t.Errorf("recorded %v, exits %v", s.files.flags.Completed, s.exits)
	}
}

// TestPowerOffWhereADrainWasKilled at any action, before or after its effect: the
// shutdown does what was left to do, and believes nothing that was not done.
func TestPowerOffWhereADrainWasKilled(t *testing.T) {
	for _, effect := range []bool{false, true} {
		for n := 1; ; n++ {
			s := drains(t, (*site).scaleIn)
			s.fault = &fault{verb: "unregister", n: n, kill: true, effect: effect}
			s.runUntil(10*time.Minute, func() bool { return s.fault.hit || s.dead })
			if !s.fault.hit {
				break
			}
			s.goDown(fleet.PowerOff)
			s.run(10 * time.Minute)
			about := fmt.Sprint(s.fault)
			mustBeOff(t, s, about)
			if len(s.completed) != 1 || s.completed[0] != "stop CONTINUE" {
				t.Fatalf("%s: completed %v", about, s.completed)
			}
		}
	}
}

// TestRecordThatCannotBeWritten keeps no drain from its end.
func TestRecordThatCannotBeWritten(t *testing.T) {
	s := stays(t, time.Second)
	s.group.Min = 0
	s.fail = func(a life.Action) *fleet.Failure {
		if f, is := a.(life.SetFlag); is && f.Flag == life.FlagCompleted {
			return kind(fleet.Local)
		}
		return nil
	}
	s.scaleIn()
	s.run(5 * time.Minute)
	mustBeGone(t, s, "record")
}
