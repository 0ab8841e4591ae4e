package life

import "github.com/shoal-ci/shoal/internal/fleet"

// failed goes on after an action that failed. Where a part of Monitor asked for it,
// that part's file says how.
func (s *Monitor) failed(f *fleet.Failure) {
	switch s.phase {
	case monMetrics:
		s.unreadable(f)
	case monProtect, monUnprotect, monMark, monUnmark:
		s.failedProtect(f)
	case monBefore, monScaleUnit, monScaleUp, monSpares:
		s.failedScaleUp(f)
	case monFind:
		s.fails(levelOf(f), "cannot find out what this instance is part of, trying again", f)
		s.protectAt, s.leave.again = s.now.Add(protectAgain), s.now.Add(protectAgain)
		s.ill.turns.next = s.now.Add(protectAgain)
		s.rest()
	case monInit:
		s.failedToStartInit(f)
	case monUnit, monRevive:
		s.revived = s.now
		s.fails(Warn, "cannot start gitlab-runner, trying again", f)
		s.rest()
	case monInitUnit:
		s.init.look = s.now.Add(initPeriod)
		if s.flags.Registered { // it is started all the same
			s.goTo(monInit)
			return
		}
		s.rest()
	case deafReload, deafStop, deafStopped:
		s.failedDeaf(f)
	case monFlags, monUnrefuse, monHold, monHoldHUP, monSeer, monDrain:
		s.fails(Warn, "trying again", f)
		s.rest()
	case illLook, illActivities, illAgain, illMark:
		s.failedIll(f)
	default:
		s.failedLeave(f)
	}
}

// levelOf is Error where someone must act, else Warn.
func levelOf(f *fleet.Failure) Level {
	if f.Final() {
		return Error
	}
	return Warn
}
