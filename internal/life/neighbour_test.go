package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestNeighbours: monitor and lifecycle-check miss each other, say so once, start
// one that has failed once, and leave alone one that was stopped by hand.
func TestNeighbours(t *testing.T) {
	for _, c := range []struct {
		state  string
		starts int
	}{{"failed", 1}, {"inactive", 0}, {"activating", 0}} {
		for _, unit := range []string{life.UnitLifecycleCheck, life.UnitMonitor} {
			t.Run(unit+" "+c.state, func(t *testing.T) {
				s := pinned(t, fleet.ModeToken)
				s.run(30 * time.Second)
				s.forget()
				if s.stop(unit); c.state == "activating" {
					s.unitStates[unit] = c.state
				}
				s.fail = func(a life.Action) *fleet.Failure {
					if a == life.Action(life.StartUnit{Unit: unit}) {
						return kind(fleet.Local) // and it fails again
					}
					return nil
				}
				if c.state == "failed" {
					s.unitStates[unit] = c.state
				}
				s.run(4 * time.Minute)
				if s.saidAt(life.Error, "") > 0 {
					t.Error("said at once: an upgrade restarts both")
				}
				s.run(time.Hour)
				if n, starts := s.saidAt(life.Error, unit+" does not run"), s.count("StartUnit {Unit:"+unit); n != 1 || starts > c.starts {
					t.Errorf("said %d times, started %d times", n, starts)
				}
				s.fail = nil
				delete(s.unitStates, unit)
				s.start(unit)
				s.run(6 * time.Minute)
				if s.saidAt(life.Info, unit+" runs again") != 1 {
					t.Error("its return is not said")
				}
			})
		}
	}
}

// TestNeighbourIsStarted: one that had failed works again, and nothing else is done.
func TestNeighbourIsStarted(t *testing.T) {
	s := pinned(t, fleet.ModeToken)
	s.run(30 * time.Second)
	s.stop(life.UnitLifecycleCheck)
	s.unitStates[life.UnitLifecycleCheck] = "failed"
	s.run(16 * time.Minute)
	if !s.running(life.UnitLifecycleCheck) || s.count("SetUnhealthy") > 0 {
		t.Errorf("runs: %v", s.running(life.UnitLifecycleCheck))
	}
}
