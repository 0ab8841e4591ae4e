package life

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// idled is how much of the time since the last reading counts as idle. A job that
// ran then may have ended just now: a look that came late is no idle spell. Nor is what
// was before the first reading, in which a job may have come and gone.
func (s *Monitor) idled(passed time.Duration) time.Duration {
	switch {
	case !s.seen:
		return 0
	case s.last.Running() > 0:
		return min(passed, s.set.Period)
	}
	return passed
}

// wantsToLeave tells whether the instance has been idle for long enough, and
// whether there is a reason to ask the group.
func (s *Monitor) wantsToLeave() bool {
	return s.idledEnough() && !s.leave.quiet && !s.now.Before(s.leave.again)
}

func (s *Monitor) idledEnough() bool {
	return s.idle >= s.patience.For(scaling.PatienceSettings{Idle: s.set.IdleThreshold, Most: s.set.LearnIdle})
}

// learn takes in how long it was without a job between two.
func (s *Monitor) learn() {
	if s.worked && s.idle > 0 {
		s.patience.Took(s.idle)
	}
	s.worked = true
}

// mayLeave is the decision on one listing.
func (s *Monitor) mayLeave(g fleet.Group) scaling.Leave {
	return scaling.MayLeaveWith(g, s.find.who.Identity.InstanceID, s.terms())
}
