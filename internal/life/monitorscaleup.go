package life

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// scaleUpAgain is how often a start of scale-up.service is repeated within
	// one saturated spell: starting a running unit is nothing, but costs a process.
	// One that saw a slot free for a moment has ended, and jobs wait for the next.
	scaleUpAgain = 5 * time.Second
	// scaleUpMost bounds the pause after a scale-up that was refused.
	scaleUpMost = 10 * time.Minute
)

// gotScaleUnit starts scale-up once more within a spell where it has ended. One
// that was refused is left alone for longer each time: starting it by hand passes
// by the unit's own rule for that.
func (s *Monitor) gotScaleUnit(u fleet.UnitState) {
	switch {
	case u.Running():
		s.scaledAt, s.scaleWait = s.now, scaleUpAgain
		s.goTo(monAct)
		return
	case u.Active == "failed":
		s.scaleWait = min(2*s.scaleWait, scaleUpMost)
	default:
		s.scaleWait = scaleUpAgain
	}
	s.goTo(monScaleUp)
}

// lookAtScaleUpLater leaves it alone for a while, started or not.
func (s *Monitor) lookAtScaleUpLater() {
	s.scaledAt, s.scaleWait = s.now, max(s.scaleWait, scaleUpAgain)
	s.goTo(monAct)
}

func (s *Monitor) failedScaleUp(f *fleet.Failure) {
	switch s.phase {
	case monBefore: // it may raise by more than what is needed
		s.fails(Debug, "going on without", f)
		s.goTo(monScaleUp)
	case monSpares:
		s.fails(Error, "cannot start "+UnitScaleUp, f)
		s.ready.at = s.now.Add(spareSpread)
		s.goTo(monAct)
	default:
		s.fails(Error, "cannot start "+UnitScaleUp, f)
		s.lookAtScaleUpLater()
	}
}
