package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// failed decides what a failure means where it happened. Nothing here may stop
// the drain: each step is tried again, or passed over with a line that says
// what follows.
func (s *Unregister) failed(f *fleet.Failure) {
	if f.Kind == fleet.NotFound && s.noUnit() {
		return
	}
	switch s.phase {
	case unregShutdown:
		s.failedShutdown(f)
	case unregNotice, unregWrite, unregStop:
		s.failedStep(f)
	case unregUnit, unregDrain:
		s.failedLook(f)
	case unregUnmark, unregStopInit, unregInit, unregKill, unregForget, unregStays, unregRecord, unregAnew:
		s.passOver(f)
	case unregHold, unregReload:
		s.fails(Warn, "cannot take the runner's sections out: stopping it at once", f)
		s.goTo(unregStop)
	case unregSpot, unregTarget: // unknown is no notice
		s.goToAfter(s.drainPhase(), drainMost)
	case unregTerm:
		s.fails(Warn, "cannot signal the runner", f)
		if s.termTried {
			s.termed = s.now // the look that follows tells whether it is gone
		}
		s.termTried = true
		s.goToAfter(unregDrain, holdPeriod)
	case unregHeld:
		s.failedHeld(f)
	case unregFind, unregHooks:
		s.failedFind(f)
	case unregReplace:
		s.failedReplace(f)
	case unregOver: // unknown is not over
		s.goDown(s.standing)
	case unregRead, unregDelete:
		s.failedDelete(f)
	case unregComplete:
		s.failedComplete(f)
	}
}

// mistaken says that the drain goes by defaults.
func (s *Unregister) mistaken() {
	if s.set.Mistakes != nil {
		s.fails(Error, "go on with the defaults: the configuration has mistakes", s.set.Mistakes)
	}
}

// noUnit goes on where there is no such unit: nothing runs in it.
func (s *Unregister) noUnit() bool {
	switch s.phase {
	case unregInit, unregStopInit, unregStop:
		s.goOn()
	case unregUnit:
		s.gotUnit(fleet.UnitState{Active: "inactive"})
	case unregDrain:
		s.gotDraining(fleet.UnitState{Active: "inactive"})
	default:
		return false
	}
	return true
}

// failedStep: the drain does not begin without these. Where the machine goes
// down it has begun without us, and does not wait.
func (s *Unregister) failedStep(f *fleet.Failure) {
	if s.down != fleet.NotGoingDown {
		s.passOver(f)
		return
	}
	s.fails(Warn, "trying again", f)
	s.pause(f)
}

// failedLook: a runner that nobody can look at may still run, and its jobs must
// be ended in time all the same.
func (s *Unregister) failedLook(f *fleet.Failure) {
	s.fails(Warn, "trying again", f)
	if d, over := s.timeIsUp(); over {
		s.endJobs(d)
		return
	}
	s.pause(f)
}

// pause is again, but with a deadline near no pause is long.
func (s *Unregister) pause(f *fleet.Failure) {
	s.again(f)
	if most := s.now.Add(drainMost); s.notBefore.After(most) {
		s.notBefore = most
	}
}

// passOver tries a step a few times and then goes on without.
func (s *Unregister) passOver(f *fleet.Failure) {
	if s.backoff.tries < findTries && s.phase != unregKill {
		s.fails(Warn, "trying again", f)
		s.pause(f)
		return
	}
	s.fails(Warn, "going on without", f)
	s.goOn()
}

// failedHeld: a runner whose metrics cannot be read may have ended.
func (s *Unregister) failedHeld(f *fleet.Failure) {
	if f.Kind == fleet.Local || s.now.After(s.holdEnd) || s.isShort() {
		s.goTo(unregStop)
		return
	}
	s.goToAfter(unregHeld, holdPeriod)
}

// failedFind: the drain does not wait for AWS; group and hook are looked for
// again while it lasts, and when it is over.
func (s *Unregister) failedFind(f *fleet.Failure) {
	s.tries++
	switch {
	case s.late && (f.Final() || s.outOfTime()):
		s.fails(Error, "cannot find the termination hook: it will time out", f)
		s.left = s.left || f.Final()
		s.done(map[bool]ExitCode{true: Refused, false: TryAgain}[f.Final()], f.Error())
	case !s.late && (f.Final() || s.tries >= findTries):
		s.fails(levelOf(f), "cannot find the termination hook, trying again while the runner drains", f)
		s.groupAt = s.now.Add(max(findAgain, min(f.RetryAfter, retryAfterMost)))
		if f.Final() {
			s.groupAt = s.now.Add(refusedPause)
		}
		s.goOnDraining()
	case !s.late: // the runner is looked at between two tries
		s.fails(Warn, "trying again", f)
		s.groupAt = s.now.Add(replaceAgain)
		s.goOnDraining()
	default:
		s.fails(Warn, "trying again", f)
		s.again(f)
	}
}

// failedReplace: the group is asked again between looks at the runner, which
// has less time than the group.
func (s *Unregister) failedReplace(f *fleet.Failure) {
	s.tries++
	switch {
	case f.Final() || s.tries >= replaceTries && s.notice.Kind == fleet.NoticeSpot: // nobody else takes the others: tried for as long as it takes
		s.replaced = true
		s.fails(levelOf(f), "the replacement is not started early: the group starts it when the instance is gone", f)
		s.lookForGroup()
	case s.late:
		s.fails(Warn, "cannot start the replacement yet, trying again", f)
		s.again(f)
	default:
		s.fails(Warn, "cannot start the replacement yet, trying again", f)
		s.groupAt = s.now.Add(min(replaceAgain<<min(s.tries/replaceTries, 4), findAgain))
		s.goOnDraining()
	}
}

// outOfTime tells whether unregistering has taken as long as it may.
func (s *Unregister) outOfTime() bool {
	if d, ok := s.deadline(); ok && s.now.After(d.Add(deadlineGrace)) {
		return true
	}
	return s.now.Sub(s.regStart) > 2*s.set.GitLabTimeout
}

// failedDelete: what GitLab no longer knows is unregistered. What cannot be
// removed in time is left to GitLab (a manager record expires by itself) or to
// the reaper; the instance does not wait for it for ever.
func (s *Unregister) failedDelete(f *fleet.Failure) {
	if s.phase == unregRead && s.regStart.IsZero() {
		s.regStart = s.now
	}
	switch {
	case s.phase == unregDelete && alreadyGone(f):
		s.say(Info, "the runner is gone from GitLab already", fleet.Reason(s.reg.Description))
		s.nextRunner()
	case !f.Final() && s.now.Add(f.RetryAfter).Before(s.unregisterEnd()):
		s.fails(Warn, "cannot unregister, trying again", f)
		s.again(f)
		if end := s.unregisterEnd(); s.notBefore.After(end) { // one last try then
			s.notBefore = end
		}
		s.deleteAt, s.deletes = s.notBefore, s.backoff.tries
		s.looksForGroup() // the hook may time out meanwhile
	default:
		s.left = true
		s.fails(Error, fmt.Sprintf("runner stays behind in GitLab after %s", s.set.GitLabTimeout), f)
		s.unregistered()
	}
}

// unregisterEnd is until when GitLab is asked: for the time that the operator
// gives it, and until EC2 is about to take the instance with its hook waiting.
func (s *Unregister) unregisterEnd() time.Time {
	end := s.regStart.Add(s.set.GitLabTimeout)
	if d, ok := s.deadline(); ok && d.Add(-gitlabMargin).Before(end) {
		end = d.Add(-gitlabMargin)
	}
	return end
}

// notYetWaiting tells whether the group has told the metadata of the
// termination, but may not have begun to wait at its hook.
func (s *Unregister) notYetWaiting() bool {
	since := s.notice.SeenAt
	if s.replaces() {
		since = s.hook.since // the group was told only right before
	}
	return (s.notice.Kind == fleet.NoticeScaleIn || s.replaces()) && !s.hook.began && s.now.Sub(since) < hookPatience
}

func (s *Unregister) failedComplete(f *fleet.Failure) {
	switch {
	case f.Kind == fleet.NotWaiting && s.notYetWaiting():
		s.again(f)
	case f.Kind == fleet.NotWaiting: // never began, was completed before, or timed out
		s.finish()
	case f.Final() || s.outOfTime():
		s.fails(Error, "cannot complete the termination hook: it will time out", f)
		s.done(map[bool]ExitCode{true: Refused, false: TryAgain}[f.Final()], f.Error())
	default:
		s.fails(Warn, "cannot complete the termination hook, trying again", f)
		s.again(f)
	}
}
