package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestRefusalsOfSectionsThatAreGone: the counters of a section that was taken out stay
// on the page for as long as the runner lives. A monitor that begins does not take them
// for refusals of today.
func TestRefusalsOfSectionsThatAreGone(t *testing.T) {
	s := shore{running: constant(0), others: []fleet.Instance{busyOther}, desired: 2}
	set := spareMonitor
	set.Mode, set.IdleThreshold = fleet.ModeCreate, 10*time.Hour
	all, _ := timed(life.NewMonitor(set), 2*time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		v, f, took := s.answer(at, a)
		if o, ok := v.(fleet.Observation); ok {
			o.Runners = append(o.Runners, fleet.RunnerReading{Name: "gone", Removed: true, PollsAnswered: 24, PollsRefused: 3})
			v = o
		}
		return v, f, took
	})
	if at := first[life.SetUnhealthy](all, nil); at >= 0 {
		t.Errorf("reported Unhealthy after %s", at)
	}
	if n := count(all, 0, func(u life.StartUnit) bool { return u.Unit == life.UnitInit }); n > 0 {
		t.Errorf("init was started %d times", n)
	}
}
