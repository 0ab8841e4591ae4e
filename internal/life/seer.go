package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// seer is the part of Monitor that stands in for lifecycle-check where that one is
// broken, or its metadata do not answer: what the group itself shows is as good.
type seer struct {
	source string    // of the notice that this machine wrote
	drains bool      // the drain was started from here
	at     time.Time // under a notice: not before, look at the one whose end starts the drain
	blind  int       // looks in a row that found it broken, or at work though it ought to have ended
}

// gotCheck goes on with what looks after lifecycle-check. Where that one does not run, a
// group that takes this instance is heard of here alone. A runner that cannot be read is
// not acted on.
func (s *Monitor) gotCheck(r Result) {
	s.check.got(&s.flow, &s.find, r)
	switch {
	case s.check.watch.gone != "":
		s.leaves(s.check.watch.gone)
	case s.check.due(s.now):
		s.goTo(s.check.begins(s.now, &s.find))
	case s.flags.Standby || !s.flags.Registered || s.ill.why == reasonUnreadable:
		s.rest()
	default:
		s.goTo(monAct)
	}
}

// seesToDrain has the drain started by a notice that stands, where nobody else would.
func (s *Monitor) seesToDrain(n fleet.Notice) {
	switch {
	case s.seer.drains:
		s.rest()
	case s.seer.source != "" && n.Source == s.seer.source: // and not lifecycle-check's, which came first
		s.goTo(monDrain)
	case !s.now.Before(s.seer.at):
		s.goTo(monSeer)
	default:
		s.rest()
	}
}

// seerPeriod is how often, under a notice, monitor looks whether what starts the drain
// can do so.
const seerPeriod = time.Minute

// gotSeer starts the drain where lifecycle-check, whose end starts it, is broken. One
// look does not tell: a unit that was killed once is started again seconds later, and
// one that runs ends at its next look at the notice, or hangs.
func (s *Monitor) gotSeer(u fleet.UnitState) {
	switch {
	case isBroken(u):
		s.seer.blind++
	case u.Active == "active":
		s.seer.blind++
		s.seer.at = s.now.Add(seerPeriod)
	default:
		s.seer.blind, s.seer.at = 0, s.now.Add(seerPeriod)
	}
	if s.seer.blind < neighbourMissing {
		s.rest()
		return
	}
	s.goTo(monDrain)
}

// gotSeen waits where nobody would see the group's answer: the termination hook would
// wait for its time-out in vain. The broken unit is mended, or the instance replaced.
func (s *Monitor) gotSeen(u fleet.UnitState) {
	if !u.Running() || isBroken(u) || s.check.health.hangs {
		s.later(Debug, "stay for now", append(s.leave.why, UnitLifecycleCheck+" does not run, and would not see it"))
		return
	}
	s.say(Info, "leave the group: hold the runner", s.leave.why...)
	s.goTo(leaveHold)
}

// leaves writes the notice in lifecycle-check's place: that one is broken, or the
// metadata do not answer it, and the group itself says that this instance goes.
func (s *Monitor) leaves(state fleet.LifecycleState) {
	kind := fleet.NoticeScaleIn
	if state == fleet.Detached {
		kind = fleet.NoticeDetached
	}
	s.leave.notice = fleet.Notice{Kind: kind, SeenAt: s.now, Source: fmt.Sprintf("the group shows this instance as %q", state)}
	s.goTo(leaveNotice)
}
