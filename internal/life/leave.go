package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// leaving is the part of Monitor that leaves the group, in an order that can
// be undone at every step.
type leaving struct {
	again  time.Time // not before: look at the group
	why    []fleet.Reason
	quiet  bool      // the minimum needs this instance: nothing to ask until it has run a job
	waited int       // looks at which others were to go first
	tries  int       // of the terminate call
	until  time.Time // the present wait ends
	clean  int       // readings in a row without a poll or a job
	left   time.Time // the terminate call was accepted
	notice fleet.Notice
}

const (
	// leaveWait is the pause after a leave that was not to be.
	leaveWait = 30 * time.Second
	// leaveWaitMost is the pause after one that failed for a reason that lasts.
	leaveWaitMost = 10 * time.Minute
	// holdPeriod is how often a runner without sections is looked at.
	holdPeriod = 500 * time.Millisecond
	// cleanReadings is how many readings in a row must show neither a poll nor a
	// job: after sections are taken out one more poll may follow the last.
	cleanReadings = 3
	// stopTimeout bounds the stop of a runner that has no job.
	stopTimeout = time.Minute
	// terminateTries bounds the terminate call: a runner that is stopped on an
	// instance that is paid is the worst of both.
	terminateTries = 4
	// noticeTimeout is how long after leaving the notice may take to come before
	// the group is asked what became of it: half a minute is more than any metadata
	// take, and its hook may wait for two.
	noticeTimeout = 30 * time.Second
	// refusedLeave is the pause after a leave that was not permitted.
	refusedLeave = time.Hour
)

const (
	leaveLook      phase = "leave: look"
	leaveYield     phase = "leave: yield"
	leavePast      phase = "leave: look at what became of others"
	leaveInit      phase = "leave: look at init"
	leaveSeen      phase = "leave: look at lifecycle-check"
	leaveHold      phase = "leave: hold"
	leaveReload    phase = "leave: reload"
	leaveWatch     phase = "leave: watch"
	leaveAgain     phase = "leave: look again"
	leaveFlags     phase = "leave: flags"
	leaveLast      phase = "leave: last reading"
	leaveStop      phase = "leave: stop runner"
	leaveStopped   phase = "leave: stopped"
	leaveOwner     phase = "leave: flags again"
	leaveTerminate phase = "leave: terminate"
	leaveCheck     phase = "leave: check"
	leaveNotice    phase = "leave: write notice"
	backFlags      phase = "back: flags"
	backResume     phase = "back: resume"
	backUnit       phase = "back: unit"
	backReload     phase = "back: reload"
	backStart      phase = "back: start"
)

func (s *Monitor) askLeave() Action {
	switch s.phase {
	case leaveLook, leaveAgain, leaveCheck:
		return DescribeGroup{s.find.who.Group}
	case leavePast:
		return DescribeActivities{s.find.who.Group}
	case leaveInit:
		return ReadUnit{UnitInit}
	case leaveSeen:
		return ReadUnit{UnitLifecycleCheck}
	case leaveHold:
		return HoldRunner{}
	case leaveReload, backReload:
		return SignalUnit{UnitRunner, "HUP"}
	case leaveWatch, leaveLast:
		return ScrapeMetrics{}
	case leaveStop:
		return StopUnit{UnitRunner}
	case leaveStopped, backUnit:
		return ReadUnit{UnitRunner}
	case leaveTerminate:
		return TerminateSelf{s.find.who.Identity.InstanceID, true}
	case leaveFlags, leaveOwner, backFlags:
		return ReadFlags{}
	case leaveNotice:
		return WriteNotice{s.leave.notice}
	case backResume:
		return ResumeRunner{}
	}
	return StartUnit{UnitRunner}
}

func (s *Monitor) gotLeave(r Result) {
	switch s.phase {
	case leaveLook:
		s.gotListing(value[fleet.Group](r))
	case leavePast:
		s.gotPast(value[[]fleet.Activity](r))
	case leaveInit:
		s.gotInit(value[fleet.UnitState](r))
	case leaveSeen:
		s.gotSeen(value[fleet.UnitState](r))
	case leaveAgain:
		s.gotSecondListing(value[fleet.Group](r))
	case leaveWatch:
		s.gotHeldReading(value[fleet.Observation](r))
	case leaveLast:
		s.gotLastReading(value[fleet.Observation](r))
	case leaveFlags, leaveOwner:
		s.gotLeaveFlags(value[fleet.Flags](r))
	case leaveStopped:
		s.gotStopped(value[fleet.UnitState](r))
	case leaveTerminate:
		s.gotTerminated()
	case leaveCheck:
		s.gotLeft(value[fleet.Group](r))
	case backFlags:
		s.gotBackFlags(value[fleet.Flags](r))
	case backUnit:
		s.gotBackUnit(value[fleet.UnitState](r))
	default:
		s.stepLeave()
	}
}

// stepLeave is what follows where the answer holds nothing.
func (s *Monitor) stepLeave() {
	switch s.phase {
	case leaveYield:
		s.protected = false
		s.say(Info, "cleared scale-in protection", "the group wants fewer instances and is to choose")
		s.leave.again = s.now.Add(leaveWaitMost)
		s.goTo(monUnmark)
	case leaveHold:
		s.goTo(leaveReload)
	case leaveReload:
		s.leave.until, s.leave.clean = s.now.Add(s.set.HoldTimeout), 0
		s.goToAfter(leaveWatch, holdPeriod)
	case leaveNotice:
		s.say(Info, fmt.Sprintf("notice: this instance is to go (%s)", s.leave.notice.Kind), fleet.Reason(s.leave.notice.Source), UnitLifecycleCheck+" has not seen it")
		s.seer.source = s.leave.notice.Source
		s.goTo(monFlags)
	case leaveStop:
		s.leave.until = s.now.Add(stopTimeout)
		s.goTo(leaveStopped)
	case backResume:
		s.goTo(backUnit)
	case backReload, backStart:
		s.forget()
		s.rest()
	}
}

// gotListing is the first look: a decision, nothing done yet.
func (s *Monitor) gotListing(g fleet.Group) {
	d := s.mayLeave(g)
	me, _ := g.Find(s.find.who.Identity.InstanceID)
	if me.Protected && !s.protected { // set before a reboot: its flag went with the run directory
		s.protected, s.unsure = true, true
	}
	if me.State.IsLeaving() && s.leave.waited > 0 { // nobody has seen it
		s.leaves(me.State)
		return
	}
	idle := fleet.Reason(fmt.Sprintf("idle for %s", s.idle.Round(time.Second)))
	reasons := append([]fleet.Reason{idle}, d.Reasons...)
	switch d.Verdict {
	case scaling.Go:
		s.leave.why = reasons
		s.goTo(leavePast)
		if s.past {
			s.goTo(leaveInit)
		}
	case scaling.Yield:
		if me.Protected {
			s.goTo(leaveYield)
			return
		}
		s.later(Debug, "stay", reasons)
	case scaling.Stay:
		s.leave.quiet = true
		s.missesSpares(g)
		s.say(Info, "stay", reasons...)
		s.goTo(monAct)
	default:
		s.later(Info, "stay for now", reasons)
	}
}

// gotPast looks, once, at what the group remembers: where this instance was launched
// because another one had only just left, it stays for longer than that one.
func (s *Monitor) gotPast(all []fleet.Activity) {
	s.past = true
	longer := s.patience.Came(scaling.Comebacks(all, s.find.who.Identity.InstanceID))
	if longer > 0 && !s.idledEnough() {
		s.say(Info, "stay for now", append(s.leave.why, fleet.Reason(fmt.Sprintf("one that had left was needed again at once, and this one was launched for it: stays idle for %s longer", longer.Round(time.Second))))...)
		s.goTo(monAct)
		return
	}
	s.goTo(leaveInit)
}

// gotInit waits for an init that was started to mend something: with AWS or GitLab away
// it takes long, and it starts the runner at its end, whoever has stopped it.
func (s *Monitor) gotInit(u fleet.UnitState) {
	if u.Running() && !isBroken(u) {
		s.later(Debug, "stay for now", append(s.leave.why, UnitInit+" is at work"))
		return
	}
	s.goTo(leaveSeen)
}

// later looks at the group again after a pause that doubles.
func (s *Monitor) later(l Level, what string, reasons []fleet.Reason) {
	if s.leave.waited > 0 {
		l = Debug
	}
	s.say(l, what, reasons...)
	s.leave.again = s.now.Add(scaling.LookAgain(s.set.IdleThreshold, s.leave.waited))
	s.leave.waited++
	s.goTo(monAct)
}

// gotHeldReading waits until the polls in flight have ended. A poll that GitLab
// holds may still bring a job, and that job is run: then this instance stays.
func (s *Monitor) gotHeldReading(o fleet.Observation) {
	switch {
	case o.Running() > 0 || o.JobsTotal() > s.last.JobsTotal() && o.StartedAt == s.last.StartedAt:
		s.learn()
		s.back(Info, "a job came in meanwhile")
		return
	case o.InFlight() == 0:
		s.leave.clean++
	default:
		s.leave.clean = 0
	}
	switch {
	case s.leave.clean >= cleanReadings:
		s.goTo(leaveAgain)
	case s.now.After(s.leave.until):
		s.leave.again = s.now.Add(leaveWait)
		s.back(Warn, fleet.Reason(fmt.Sprintf("a poll was still in flight after %s: see monitor.hold_timeout", s.set.HoldTimeout)))
	default:
		s.goToAfter(leaveWatch, holdPeriod)
	}
}

// gotSecondListing looks again before anything that cannot be undone: others
// may have left, or work may have come, during the hold.
func (s *Monitor) gotSecondListing(g fleet.Group) {
	if s.stillMay(g) {
		s.goTo(leaveFlags)
	}
}

// stillMay goes back where this instance may not leave any more.
func (s *Monitor) stillMay(g fleet.Group) bool {
	d := s.mayLeave(g)
	if d.Verdict == scaling.Go {
		return true
	}
	s.leave.quiet = d.Verdict == scaling.Stay
	s.leave.again = s.now.Add(leaveWait)
	s.back(Info, append(d.Reasons, "the group has changed meanwhile")...)
	return false
}

// gotLeaveFlags: once a notice stands the drain owns the runner, and going into
// Standby is no time to leave. It is asked before the runner is stopped, and
// once more before the call that lowers desired.
func (s *Monitor) gotLeaveFlags(f fleet.Flags) {
	switch {
	case f.Notice != nil:
		s.gotFlags(f)
	case f.Standby:
		s.leave = leaving{}
		s.rest()
	case s.phase == leaveOwner:
		s.goTo(leaveTerminate)
	default:
		s.goTo(leaveLast)
	}
}

// gotLastReading is right before the stop: no job, no poll.
func (s *Monitor) gotLastReading(o fleet.Observation) {
	if o.Running() > 0 || o.InFlight() > 0 || o.JobsTotal() > s.last.JobsTotal() {
		s.back(Info, "a job came in meanwhile")
		return
	}
	s.goTo(leaveStop)
}

func (s *Monitor) gotStopped(u fleet.UnitState) {
	switch {
	case !u.Running():
		s.goTo(leaveOwner)
	case s.now.After(s.leave.until):
		s.leave.again = s.now.Add(leaveWaitMost)
		s.back(Error, fleet.Reason(fmt.Sprintf("gitlab-runner did not stop within %s though it has no job", stopTimeout)))
	default:
		s.goToAfter(leaveStopped, holdPeriod/5)
	}
}

func (s *Monitor) gotTerminated() {
	s.leave.left, s.leave.tries = s.now, 0
	s.say(Info, "left the group: the instance terminates and desired falls by one", fleet.Reason(fmt.Sprintf("idle for %s, no job, no poll in flight", s.idle.Round(time.Second))))
	s.rest()
}

// waitForNotice keeps still until lifecycle-check has seen the termination.
func (s *Monitor) waitForNotice() {
	if s.now.Sub(s.leave.left) < noticeTimeout {
		s.rest()
		return
	}
	s.goTo(leaveCheck)
}

// gotLeft looks what became of a terminate call: accepted or not heard of.
func (s *Monitor) gotLeft(g fleet.Group) {
	me, ok := g.Find(s.find.who.Identity.InstanceID)
	if ok && me.State.IsLeaving() && !s.leave.left.IsZero() {
		s.leaves(me.State)
		return
	}
	if !ok || me.State.IsLeaving() {
		s.leave.left = s.now
		s.rest()
		return
	}
	if s.leave.left.IsZero() && s.leave.tries < terminateTries { // it has not taken effect: once more, where it still may
		if s.stillMay(g) {
			s.goTo(leaveOwner)
		}
		return
	}
	s.leave.again = s.now.Add(leaveWaitMost)
	s.back(Error, fleet.Reason(fmt.Sprintf("the group still shows this instance as %s", me.State)))
}

// interrupted ends the daemon. A leave that has begun is undone first: whoever
// stops it may not start it again (a package that is removed does not), and a runner
// without its sections takes no job.
func (s *Monitor) interrupted() {
	switch s.phase {
	case leaveReload, leaveWatch, leaveAgain, leaveFlags, leaveLast, leaveStop, leaveStopped, leaveOwner, leaveTerminate, deafStop, deafStopped:
		if !s.quit {
			s.quit = true
			s.back(Info, "monitor is being stopped")
		}
	case backFlags, backResume, backUnit, backReload, backStart:
		s.quit = true
	default:
		if !s.quit {
			s.done(Done, "stopped")
		}
	}
}

// back puts everything back as it was.
func (s *Monitor) back(l Level, reasons ...fleet.Reason) {
	s.say(l, "stay: put the runner's sections back", reasons...)
	s.leave.left, s.leave.tries = time.Time{}, 0
	s.goTo(backFlags)
}

// gotBackFlags: where a notice came meanwhile the runner is left as it is.
func (s *Monitor) gotBackFlags(f fleet.Flags) {
	if f.Notice != nil || !f.Registered || f.Standby {
		s.gotFlags(f)
		return
	}
	s.goTo(backResume)
}

// gotBackUnit has the runner read its sections again, or starts it. One that is
// still stopping has taken a job in the last instant: it finishes that job, and
// is started when its metrics have gone.
func (s *Monitor) gotBackUnit(u fleet.UnitState) {
	switch {
	case u.Active == "deactivating" && s.quit && s.now.Before(s.leave.until): // nobody comes back later
		s.goToAfter(backUnit, holdPeriod/5)
	case u.Active == "deactivating":
		s.forget()
		s.rest()
	case u.Running():
		s.goTo(backReload)
	default:
		s.goTo(backStart)
	}
}

func (s *Monitor) failedLeave(f *fleet.Failure) {
	switch s.phase {
	case leaveLook, leaveYield:
		s.unsure = s.unsure || s.phase == leaveYield // it may have been cleared
		s.fails(levelOf(f), "cannot look whether to leave, staying for now", f)
		s.leave.again = s.now.Add(max(pauseAfter(f), f.RetryAfter))
		s.goTo(monAct)
	case leavePast: // it would stay for a minute or two longer at most
		s.fails(Debug, "going on without", f)
		s.past = true
		s.goTo(leaveInit)
	case leaveTerminate:
		s.failedTerminate(f)
	case leaveNotice:
		s.fails(Warn, "cannot write the notice, trying again", f)
		s.goToAfter(leaveNotice, noticeAgain)
	case leaveCheck: // only an answer tells: look again, the runner stays stopped meanwhile for no longer than the retries
		s.leave.tries++
		s.fails(Warn, "cannot see what became of leaving, looking again", f)
		if s.leave.tries > terminateTries {
			s.back(Error, "the group cannot be asked: rather run jobs than be paid for nothing")
			return
		}
		s.again(f)
	case leaveFlags, leaveOwner:
		s.fails(Warn, "trying again", f)
		s.again(f)
	case backFlags, backResume, backUnit, backReload, backStart: // from the flags on: a notice may stand by then
		s.fails(Warn, "trying again", f)
		if s.quit { // the machine may be going down: nothing can be started then
			s.done(Done, "stopped")
			return
		}
		s.goToAfter(backFlags, s.set.Period)
	case leaveStopped, leaveWatch:
		if s.now.Before(s.leave.until) {
			s.goToAfter(s.phase, holdPeriod)
			return
		}
		s.giveUpLeaving(f)
	default:
		s.giveUpLeaving(f)
	}
}

func (s *Monitor) giveUpLeaving(f *fleet.Failure) {
	s.fails(levelOf(f), "leaving failed", f)
	s.leave.again = s.now.Add(max(pauseAfter(f), f.RetryAfter))
	s.back(Info, "leaving failed on the way")
}

// failedTerminate: a refusal puts the runner back to work at once. Where the
// outcome is unknown the group is asked first: it may have taken effect, and
// nobody says that a second call would not lower desired once more.
func (s *Monitor) failedTerminate(f *fleet.Failure) {
	s.leave.tries++
	switch {
	case f.Kind == fleet.OutOfBounds:
		s.leave.quiet = true
		s.back(Info, fleet.Reason(f.Error()))
	case f.Final():
		s.fails(Error, "may not leave the group", f)
		s.leave.again = s.now.Add(refusedLeave)
		s.back(Info, "the instance may not terminate itself")
	default:
		s.fails(Warn, "leaving, trying again", f)
		s.again(f)
		s.phase = leaveCheck
	}
}

// pauseAfter is how long to leave the group alone after a failure.
func pauseAfter(f *fleet.Failure) time.Duration {
	if f.Final() {
		return refusedLeave
	}
	return 2 * leaveWait
}
