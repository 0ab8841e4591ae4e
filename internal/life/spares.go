package life

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// SpareSettings are what an operator can set about capacity that stands ready.
type SpareSettings struct {
	Slots scaling.Schedule // how many, and when
	// Hold is for how long after its own last job an idle instance is held while none is
	// busy; 0: for ever.
	Hold time.Duration
}

// spareSpread is within what time the instances of a fleet look at the group when more
// spares are wanted from a minute on: each finds out, and any one of them would do.
const spareSpread = time.Minute

// readiness is what a monitor knows of the spares: when they are to be looked after.
// One that takes a job is a spare no more, and a schedule may want more of them.
type readiness struct {
	at     time.Time // not before; zero: never
	wanted int       // by the schedule at the last reading; 0 before the first
}

// reads takes in the time of a reading: where the schedule wants more from now on they
// are to be looked after. It tells whether it wants fewer.
func (r *readiness) reads(set SpareSettings, seed uint64, now time.Time) (fewer bool) {
	wanted := set.Slots.At(now)
	if wanted > r.wanted { // or this monitor begins, and nobody may have looked
		r.at = now.Add(time.Duration(seed % uint64(spareSpread))) //nolint:gosec // below a minute
	}
	fewer = wanted < r.wanted
	r.wanted = wanted
	return fewer
}

// works notes that this instance is none any more.
func (r *readiness) works(now time.Time) {
	if r.wanted > 0 {
		r.at = now
	}
}

// missesSpares has the spares looked after where a listing shows too few, though nothing
// has befallen them here: desired was lowered by hand, and is not any more.
func (s *Monitor) missesSpares(g fleet.Group) {
	if spares := s.set.Spares.Slots.At(s.now); spares > 0 && !g.Weighted && scaling.HoldReady(g, "", s.last.Slots(), spares).Needed {
		s.ready.at = s.now
	}
}

// due tells whether scale-up is to be started for them.
func (r *readiness) due(now time.Time) bool { return !r.at.IsZero() && !now.Before(r.at) }

// released tells whether this reading is the first at which the spares need be held no
// longer; passed is the time since the one before.
func (s *Monitor) released(passed time.Duration) bool {
	hold := s.set.Spares.Hold
	return hold > 0 && s.idle >= hold && s.idle-passed < hold
}

// terms bound when this instance may leave.
func (s *Monitor) terms() scaling.Terms {
	slots, hold := max(1, s.last.Slots()), s.set.Spares.Hold
	spares := s.set.Spares.Slots.At(s.now)
	return scaling.OnTerms(s.leave.waited, (spares+slots-1)/slots, hold > 0 && s.idle >= hold)
}
