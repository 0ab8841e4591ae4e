package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

func (s *Monitor) gotFlags(f fleet.Flags) {
	was := s.flags
	s.flags, s.pace, s.awaits = f, 0, s.awaits && !f.Registered
	if f.Notice == nil {
		s.seer = seer{}
	}
	if !s.seen && f.Protected { // an earlier run of this machine set it
		s.protected, s.unsure = true, true
	}
	switch {
	case f.Notice != nil: // the drain owns the runner now
		if was.Notice == nil {
			s.say(Info, "keep still", fleet.Reason(fmt.Sprintf("this instance is to go (%s)", f.Notice.Kind)))
		}
		s.leave = leaving{}
		s.seesToDrain(*f.Notice)
	case !f.Registered && s.check.due(s.now):
		s.goTo(s.check.begins(s.now, &s.find))
	case !f.Registered:
		s.lookedAt()
		if !s.awaits {
			s.say(Debug, "wait until the runner is registered", UnitInit+" does that")
		}
		s.awaits = true
		s.unableToInit()
	case f.Standby && !f.Held:
		s.say(Info, "take the runner's sections out of config.toml", "the instance is in Standby")
		s.goTo(monHold)
	case f.Standby:
		s.forget()
		s.leave.quiet = false   // coming back raises desired: it may be one too many then
		if s.check.due(s.now) { // it may be back, and nobody else would see that
			s.goTo(s.check.begins(s.now, &s.find))
			return
		}
		s.rest()
	case f.Held && s.leave.left.IsZero(): // back from Standby, or a leave that was cut short by a kill
		s.say(Info, "put the runner's sections back", "they were taken out, and this instance stays")
		s.goTo(backResume)
	case !s.leave.left.IsZero():
		s.waitForNotice()
	default:
		s.goTo(monMetrics)
	}
}

// forget drops what was counted: after a spell without sections it says nothing.
// That GitLab refuses the runner it still does: three refusals have the runner
// silent for an hour, whatever is done to its configuration meanwhile. One that asks
// for nothing is not cured by being restarted, but by asking.
func (s *Monitor) forget() {
	s.idle, s.seen, s.saturated, s.pace = 0, false, false, 0
	if !s.ill.refused() && s.ill.why != reasonDeaf {
		s.ill = illness{}
	}
	s.looked = s.now
}

// gotMetrics takes a reading in.
func (s *Monitor) gotMetrics(o fleet.Observation) {
	passed := s.lookedAt()
	took := s.seen && (o.StartedAt != s.last.StartedAt || o.JobsTotal() > s.last.JobsTotal())
	if took && o.JobsTotal() > 0 { // a runner that was restarted has none
		s.learn()
	}
	if o.Running() > 0 || took { // a job that came and went between two readings is activity too
		s.idle = 0
		s.leave.again, s.leave.quiet, s.leave.waited, s.leave.tries = time.Time{}, false, 0, 0
	} else {
		s.idle += s.idled(passed)
	}
	if s.ready.reads(s.set.Spares, s.set.Seed, s.now) || s.released(passed) {
		s.leave.again, s.leave.quiet = time.Time{}, false
	}
	s.judge(o, passed)
	if !s.seen || o.Running() != s.last.Running() || o.Slots() != s.last.Slots() { // what systemctl status shows
		s.say(Debug, fmt.Sprintf("%d of %d slots are busy", o.Running(), o.Slots()))
	}
	full := o.Slots() > 0 && o.Free() == 0
	if full && !s.saturated {
		s.before = Before{StartedAt: o.StartedAt, JobsTotal: o.JobsTotal()}
		if s.seen && s.last.StartedAt == o.StartedAt {
			s.before.Free = s.last.Free()
		}
	}
	s.last, s.seen, s.saturated = o, true, full
	s.pace = scaling.Pace(s.idle, s.set.Period, s.set.SaturatedPeriod)
	if !s.saturated {
		s.scaledAt, s.scaleWait = time.Time{}, 0
	}
	s.goTo(monAct)
}

// lookedAt returns the time since the runner was last looked at, never more
// than three periods: a clock that jumps, or a machine that was suspended, is
// not an idle spell.
func (s *Monitor) lookedAt() time.Duration {
	var passed time.Duration
	if !s.looked.IsZero() {
		passed = max(0, min(s.now.Sub(s.looked), 3*s.set.Period))
	}
	s.looked = s.now
	return passed
}
