package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// deadline is when the instance goes whatever is done: EC2's, or the end of
// the hook's cap, or of a hook that cannot be kept.
func (s *Unregister) deadline() (time.Time, bool) {
	var d time.Time
	earlier := func(t time.Time) {
		if d.IsZero() || t.Before(d) {
			d = t
		}
	}
	if s.notice.Deadline != nil {
		earlier(*s.notice.Deadline)
	}
	if s.hook.began && s.hook.waiting {
		earlier(later(s.notice.SeenAt, s.hook.notAt).Add(s.hook.cap))
	}
	if s.hook.refused && s.notice.Kind != fleet.NoticeOperator { // nobody says that it waits
		earlier(s.notice.SeenAt.Add(s.hook.timeout))
	}
	return d, !d.IsZero()
}

// gotInit has init stopped where it runs, and waits until it can change nothing
// any more. One that starts from here on sees the notice first.
func (s *Unregister) gotInit(u fleet.UnitState) {
	switch {
	case !u.Running():
		s.goOn()
	case s.initEnd.IsZero():
		s.goTo(unregStopInit)
	case s.now.Before(s.initEnd):
		s.goToAfter(unregInit, drainFirst*5)
	default:
		s.goOn()
	}
}

// unmarked goes on to the runner: nothing starts it from here on. With little
// time it is stopped whatever it does.
func (s *Unregister) unmarked() {
	if s.isShort() {
		s.goTo(unregStop)
		return
	}
	s.goTo(unregUnit)
}

// isShort tells whether the deadline is too near to let polls in flight end.
func (s *Unregister) isShort() bool {
	d, bounded := s.deadline()
	return bounded && d.Sub(s.now) <= shortNotice
}

// gotUnit decides how the runner is stopped. With time, its polls in flight end
// first: SIGQUIT cancels them, and a job handed to a cancelled poll would hang.
func (s *Unregister) gotUnit(u fleet.UnitState) {
	switch {
	case !u.Running() || u.Active == "deactivating": // an earlier run, or another, asked for it
		s.stopped = s.now
		s.lookForGroup()
	case s.isShort() || s.down != fleet.NotGoingDown: // systemd is about to stop it, and waits for no poll
		s.goTo(unregStop)
	default:
		s.goTo(unregHold)
	}
}

// lookForGroup finds the group and its hook, once; then the drain goes on.
func (s *Unregister) lookForGroup() {
	switch {
	case s.group || s.apart() || s.urgent():
		s.goOnDraining()
	case s.find.stage != found:
		s.goTo(unregFind)
	default:
		s.gotWho()
	}
}

// apart tells whether no group holds this instance with a hook.
func (s *Unregister) apart() bool {
	return s.notice.Kind == fleet.NoticeDetached || s.notice.Kind == fleet.NoticeShutdown
}

// goOnDraining goes back to what the search for group and hook has interrupted: the
// runner's drain, or the wait for GitLab, with the patience that it had.
func (s *Unregister) goOnDraining() {
	if s.ended && s.reg != nil {
		s.goTo(unregDelete)
		s.notBefore, s.backoff.tries = s.deleteAt, s.deletes
		return
	}
	s.goTo(s.drainPhase())
}

func (s *Unregister) drainPhase() phase {
	if s.holding {
		return unregHeld
	}
	return unregDrain
}

func (s *Unregister) gotWho() {
	if s.urgent() {
		s.goOnDraining()
		return
	}
	if s.find.stage != found {
		return // the finder has another question
	}
	if s.replaces() && !s.replaced {
		s.goTo(unregReplace)
		return
	}
	s.goTo(unregHooks)
}

// replaces tells whether the group does not yet know that the instance goes:
// then terminating it now starts hook and replacement before EC2 takes it.
func (s *Unregister) replaces() bool {
	switch s.notice.Kind {
	case fleet.NoticeSpot, fleet.NoticeRebalance, fleet.NoticeMaintenance:
		return true
	}
	return false
}

func (s *Unregister) gotHooks(hooks []fleet.Hook) {
	s.group = true
	h, ok, failure := pickHook(hooks, fleet.AtTermination, s.set.TerminateHook, "group.terminate_hook")
	switch {
	case failure != nil:
		s.fails(Error, "cannot tell which termination hook to complete: it will time out", failure)
	case ok:
		s.keep(s.find.who.Group, s.find.who.Identity.InstanceID, h, true)
	default:
		s.say(Warn, "complete no termination hook", fleet.Reason(fmt.Sprintf("group %q has none: EC2 takes the instance without waiting for its jobs", s.find.who.Group)))
	}
	if s.late {
		s.goTo(unregComplete)
		s.skipHook()
		return
	}
	s.goOnDraining()
}

// gotHeld waits until no poll is in flight, then has the runner stopped. Jobs
// may run on: SIGQUIT lets them end.
func (s *Unregister) gotHeld(o fleet.Observation) {
	if o.InFlight() == 0 {
		s.clean++
	} else {
		s.clean = 0
	}
	if s.clean >= cleanReadings || s.now.After(s.holdEnd) || s.isShort() {
		if s.clean == 0 {
			why := fleet.Reason(fmt.Sprintf("it did not end within %s: see unregister.hold_timeout", s.set.HoldTimeout))
			if s.isShort() {
				why = s.timeLeft()
			}
			s.say(Warn, "stop the runner though a poll is in flight", why)
		}
		s.goTo(unregStop)
		return
	}
	if !s.looksForSpot() && !s.looksForGroup() {
		s.goToAfter(unregHeld, holdPeriod)
	}
}

// gotDraining waits for the runner's end; shortly before the deadline its jobs
// are ended so that they are reported.
func (s *Unregister) gotDraining(u fleet.UnitState) {
	d, over := s.timeIsUp()
	switch {
	case !u.Running():
		s.say(Info, "the runner has ended")
		if due := s.hook.asked.Add(s.hook.every()); due.Before(s.hook.next) { // none was sent while the jobs were ended
			s.hook.next = due
		}
		s.drained()
	case over:
		s.endJobs(d)
	case u.Active == "active" && s.now.Sub(s.stopped) >= stopAgain:
		s.goTo(unregStop)
	default:
		s.lookAgain()
	}
}

// timeIsUp tells whether the jobs must be ended, and the deadline.
func (s *Unregister) timeIsUp() (time.Time, bool) {
	d, bounded := s.deadline()
	return d, bounded && !s.now.Before(d.Add(-s.set.Margin))
}

// drained goes on when the runner has ended, or does not end.
func (s *Unregister) drained() {
	s.ended = true
	if s.keeps() {
		s.goTo(unregStays)
		return
	}
	s.goTo(unregRead)
}

// endJobs is from the margin before the deadline on, however late that is: the
// jobs are ended and reported first, and only what does not end even then is
// given up.
func (s *Unregister) endJobs(deadline time.Time) {
	switch {
	case s.termed.IsZero():
		s.goTo(unregTerm)
	case !s.killed && s.now.Sub(s.termed) >= s.set.KillAfter:
		s.goTo(unregKill)
	case s.killed && s.now.Sub(deadline) > deadlineGrace && s.now.Sub(s.termed) > deadlineGrace:
		s.overdue = true
		s.say(Error, "the runner has not ended by the deadline: its jobs may hang in GitLab until their time-out")
		s.drained()
	default:
		s.lookAgain()
	}
}

// urgent tells whether a call that hangs could outlast the moment at which the
// jobs must be ended: nothing but the runner is looked at then. Once they have
// ended the hook is kept for the rest, but not before GitLab was asked once in the
// little time that EC2 leaves.
func (s *Unregister) urgent() bool {
	d, bounded := s.deadline()
	ec2 := s.notice.Deadline != nil && d.Equal(*s.notice.Deadline)
	if s.ended && (!ec2 || s.phase == unregDelete && s.backoff.tries > 0) {
		return false
	}
	return bounded && !s.late && !s.killed && !s.stopped.IsZero() && s.now.Add(callMost).After(d.Add(-s.set.Margin))
}

// lookAgain looks at the stopping runner after a pause that grows, and never
// sleeps past the moment at which the jobs must be ended.
func (s *Unregister) lookAgain() {
	if s.looksForSpot() {
		return
	}
	if s.looksForGroup() {
		return
	}
	pause := min(drainFirst<<min(s.looks, 10), drainMost)
	s.looks++
	if s.looks == 8 { // it takes longer than a moment: say so once
		s.say(Info, "wait for the running jobs", s.timeLeft())
	}
	s.goToAfter(unregDrain, pause)
}

// looksForGroup takes the search for group and hook up again where it failed: a
// hook that is not found is not extended, and the shortest times out before a hold
// may end.
func (s *Unregister) looksForGroup() bool {
	if s.group || s.apart() || s.urgent() || s.now.Before(s.groupAt) {
		return false
	}
	if s.replaced || !s.replaces() {
		s.tries = 0
	}
	s.lookForGroup()
	return true
}

// looksForSpot looks for a spot notice where one is due.
func (s *Unregister) looksForSpot() bool {
	if s.spotSeen || s.notice.Kind == fleet.NoticeSpot || s.urgent() || s.now.Before(s.spotAt) {
		return false
	}
	s.spotAt = s.now.Add(spotPeriod)
	s.goTo(unregSpot)
	return true
}

// gotSpot takes EC2's deadline over into a drain that had none.
func (s *Unregister) gotSpot(a *fleet.SpotAction) {
	if a != nil {
		s.spotSeen = true
		if d := s.byOwnClock(spotEnd(a.Time, s.now)); s.notice.Deadline == nil || d.Before(*s.notice.Deadline) {
			s.notice.Deadline = d
		}
		s.say(Warn, "EC2 takes this instance in the middle of its drain", s.timeLeft())
		if s.keeps() {
			s.goesAfterAll(fleet.NoticeSpot)
		}
	}
	if s.keeps() { // lifecycle-check does not look while it is stopped
		s.goTo(unregTarget)
		return
	}
	s.goOnDraining()
	if s.holding {
		s.goToAfter(unregHeld, holdPeriod)
	}
}

// take makes a written notice this process's, and by its own clock: a wall clock
// that is set while jobs end must not look like the end of the hook's cap. One that
// was set back since the notice was written shows it as of a time to come: the
// deadline is then no further off than it was at first.
func (s *Unregister) take(n fleet.Notice) {
	ahead := max(0, n.SeenAt.Sub(s.now))
	n.SeenAt = s.now.Add(n.SeenAt.Add(-ahead).Sub(s.now))
	if n.Deadline != nil {
		n.Deadline = s.byOwnClock(n.Deadline.Add(-ahead))
	}
	s.notice = n
}

// byOwnClock is a moment told by another clock, from here on by this process's
// own: a wall clock that is set while jobs end must not move the deadline.
func (s *Unregister) byOwnClock(t time.Time) *time.Time {
	own := s.now.Add(t.Sub(s.now))
	return &own
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
