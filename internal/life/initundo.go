package life

import (
	"fmt"
	"slices"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// failed decides what a failure means where it happened: try again, wait for
// the operator, go on without, or give the launch up.
func (s *Init) failed(r Result) {
	f := r.Failure
	switch s.phase {
	case initTarget:
		s.failedTarget(f)
	case initFind, initHooks, initFlags, initClearNotice, initWhoami:
		s.failedEarly(f)
	case initLook, initAdopt:
		s.failedRecovery(f)
	case initVerify:
		s.failedVerify(f)
	case initSecret, initRegister:
		s.failedRegister(f)
	case initWatch:
		s.watchAgain(f)
	case initComplete:
		s.failedComplete(f)
	case initState:
		s.failedState(f)
	case initStop, initStopped: // going on without would continue the launch of a runner that GitLab has not answered
		s.retry(f)
	case initRefused:
		s.unmarkable(f)
	case initClearWarmed, initClearUnable, initClearRefuse: // a left-over flag says nothing beside "registered"
		s.fails(Warn, "going on without", f)
		s.goOn()
	default:
		if s.undoes() {
			s.failedUndo(f)
			return
		}
		s.failedLocal(f)
	}
}

// undoes tells whether the launch has been given up.
func (s *Init) undoes() bool { return s.cause != nil }

// failedTarget: where an earlier run has registered, unknown is no notice.
func (s *Init) failedTarget(f *fleet.Failure) {
	if !s.flags.Registered {
		s.failedEarly(f)
		return
	}
	s.fails(Warn, "going on without: this instance is registered", f)
	s.goTo(initHooks)
}

// failedEarly is before a hook is known: nothing can be kept from timing out.
func (s *Init) failedEarly(f *fleet.Failure) {
	switch {
	case f.Kind == fleet.NotFound && s.phase == initFind && s.backoff.tries < 4: // a new member is listed a few seconds late
		s.fails(Warn, "this instance is in no Auto Scaling group, looking again", f)
		s.again(f)
	case f.Final():
		s.refuse("cannot find out what this instance is part of", f)
	case s.now.Sub(s.started) > identityPatience:
		s.fails(Error, "give up for now", f)
		s.done(TryAgain, f.Error())
	default:
		s.fails(Warn, "trying again", f)
		s.again(f)
	}
}

// failedRecovery: where GitLab does not let us look for a runner whose answer
// was lost, another is made, and the reaper finds the first by its description.
func (s *Init) failedRecovery(f *fleet.Failure) {
	if !f.Final() {
		s.retry(f)
		return
	}
	s.fails(Warn, fmt.Sprintf("cannot look for a runner that an earlier run may have made as %q: if there is one, the reaper deletes it", s.description()), f)
	if s.phase == initAdopt {
		s.reg.Runners = s.reg.Runners[:len(s.reg.Runners)-1]
	}
	s.recover = false
	s.onTo(initRegister)
}

// failedVerify: a runner of this instance's own that GitLab no longer knows was
// deleted; a new one takes its place.
func (s *Init) failedVerify(f *fleet.Failure) {
	if f.Kind != fleet.BadToken && f.Kind != fleet.NotFound {
		s.retry(f)
		return
	}
	s.say(Warn, "register anew", fleet.Reason(fmt.Sprintf("GitLab does not know the token of runner %d (any longer)", s.reg.Runners[s.checked].ID)))
	s.recover = true // the runner itself may still be there: its token expired, or was rotated
	runners := make([]fleet.RegisteredRunner, 0, len(s.reg.Runners))
	runners = append(runners, s.reg.Runners[:s.checked]...)
	s.reg.Runners = append(runners, s.reg.Runners[s.checked+1:]...)
	if s.checked < len(s.reg.Runners) {
		s.goTo(initVerify)
		return
	}
	s.goTo(initSecret)
}

// failedRegister: a refusal is shared by the whole fleet, and a replacement
// would fare no better. While a launch hook waits, so does init, for the
// operator to mend it; by hand it says so at once.
func (s *Init) failedRegister(f *fleet.Failure) {
	if !f.Final() {
		if s.phase == initRegister && s.set.Mode == fleet.ModeCreate && f.Kind == fleet.Temporary {
			s.recover, s.phase = true, initLook // the runner may have been made though the answer was lost
		}
		s.retry(f)
		return
	}
	// A heartbeat that is not answered tells nothing of a hook that may wait by now.
	early := s.hook.on && !s.hook.began && !s.flags.Registered && s.hook.notAt.Sub(s.hook.since) < hookPatience
	patience := min(s.set.Patience, s.hook.cap-s.hook.timeout)
	waited := s.now.Sub(s.started)
	switch {
	case !s.hook.waiting && !early:
		s.refuse("cannot register", f)
	case waited >= patience:
		s.giveUp(f, Refused, false)
	default:
		level := s.refusalLevel()
		if !s.hook.waiting { // it may not begin to: then it is said otherwise
			level = Debug
		}
		s.fails(level, fmt.Sprintf("cannot register; trying again until %s after launch", patience), f)
		pause := min(max(waited/10, refusedPause), refusedMost)
		s.phase, s.notBefore = initSecret, s.now.Add(min(pause, patience-waited)) // read the secret anew: it may have been mended there
	}
}

// refuse ends a run that has nothing to abandon. What stands is left as it is: the
// whole fleet is refused alike, and a later run, which monitor starts now and then,
// finds it mended.
func (s *Init) refuse(what string, f *fleet.Failure) {
	s.refusal = f
	s.fails(s.refusalLevel(), what+"; tried again now and then until it is mended", f)
	if s.flags.Refused {
		s.refused()
		return
	}
	s.goTo(initRefused)
}

// unmarkable: without the mark nobody runs init again when the reason is mended. A
// process that systemd starts again does, but asks GitLab each time.
func (s *Init) unmarkable(f *fleet.Failure) {
	s.fails(Warn, "cannot mark that init was refused, trying again", f)
	if s.again(f); s.now.Sub(s.started) > retryPatience {
		s.done(TryAgain, s.refusal.Error())
		s.exit.Said = true
	}
}

func (s *Init) refused() {
	s.done(Refused, s.refusal.Error())
	s.exit.Said = true
}

// refusalLevel is Error once: not where an earlier run has said it, nor where the
// runner is at work already and monitor has.
func (s *Init) refusalLevel() Level {
	if s.flags.Refused || s.flags.Registered && s.set.Mode == fleet.ModeToken {
		return Debug
	}
	return Error
}

// failedLocal is a disk that is full, a template that cannot be read, a unit
// that is missing.
func (s *Init) failedLocal(f *fleet.Failure) {
	if f.Kind == fleet.Invalid {
		s.giveUp(f, BadUsage, false)
		return
	}
	if s.unsaved { // the token in memory is all there is of the runner: keep trying
		s.fails(Error, "cannot keep the registration, trying again", f)
		s.again(f)
		s.checkHookTime(f)
		return
	}
	if s.backoff.tries >= 4 {
		s.giveUp(f, Failed, true)
		return
	}
	s.fails(Warn, "trying again", f)
	s.again(f)
}

// failedComplete: the runner is up; a hook that cannot be completed times out.
func (s *Init) failedComplete(f *fleet.Failure) {
	switch {
	case f.Kind == fleet.NotWaiting:
		s.goTo(initState)
	case f.Final() && s.hook.abandons: // the time-out would take the instance with its jobs
		s.giveUp(f, Refused, false)
	case f.Final():
		s.fails(Error, "cannot complete the launch hook: its time-out will continue the launch", f)
		s.done(Refused, f.Error())
	default:
		s.fails(Warn, "cannot complete the launch hook, trying again", f)
		s.again(f)
		if s.outOfTime() {
			s.done(TryAgain, f.Error())
		}
	}
}

// failedState: where the group cannot be asked, the completion's own answer
// stands.
func (s *Init) failedState(f *fleet.Failure) {
	if f.Final() {
		s.nothingWaits()
		return
	}
	s.fails(Warn, "trying again", f)
	s.again(f)
	switch {
	case s.hook.waiting: // a heartbeat has told meanwhile
		s.goTo(initComplete)
	case s.outOfTime(): // it may wait all the same: not to know is no end
		s.done(TryAgain, f.Error())
	}
}

// retry tries again for as long as the hook can be kept waiting, or, where none
// waits, for init's patience.
func (s *Init) retry(f *fleet.Failure) {
	s.fails(Warn, "trying again", f)
	s.again(f)
	s.checkHookTime(f)
}

// checkHookTime gives the launch up when the hook is about to reach its cap.
// Where none waits the instance is in service: it keeps what it has, and the
// unit is started again.
func (s *Init) checkHookTime(f *fleet.Failure) {
	switch {
	case !s.outOfTime():
	case s.hook.waiting:
		s.giveUp(f, TryAgain, false)
	default:
		s.done(TryAgain, f.Error())
	}
}

// outOfTime tells whether waiting for the next try would let the hook's cap
// strike first.
func (s *Init) outOfTime() bool {
	limit := retryPatience
	if s.hook.waiting {
		limit = s.hook.cap - s.hook.timeout
	}
	next := s.now
	if s.notBefore.After(next) {
		next = s.notBefore
	}
	return next.Sub(s.started) > limit
}

// giveUp undoes what was done and abandons the launch.
func (s *Init) giveUp(f *fleet.Failure, code ExitCode, own bool) {
	s.cause, s.code, s.own = f, code, own
	s.fails(Error, "give up and undo the registration", f)
	s.undoing = s.now // the undoing has a time of its own
	s.unsaved = false
	s.reg.Runners = slices.DeleteFunc(slices.Clone(s.reg.Runners), func(r fleet.RegisteredRunner) bool {
		return r.Token.IsZero() // found, but not adopted: only the reaper can delete it
	})
	s.goTo(undoMark)
}

// gotUndoStopped waits for the end of a runner that polls though it cannot be
// watched: jobs that it was given are run to their end before it is
// unregistered and the launch abandoned.
func (s *Init) gotUndoStopped(u fleet.UnitState) {
	struck := s.hook.waiting && s.outOfTime() && s.now.Sub(s.undoing) > undoPatience
	if u.Active == "active" && !struck { // the stop failed, or someone started it
		s.goToAfter(undoStop, stopAgain)
		return
	}
	if u.Running() && !struck {
		s.goToAfter(undoStopped, watchPeriod)
		return
	}
	s.undoing = s.now
	s.goOn()
}

// unregisterOne is the request that removes the last runner of a registration.
func unregisterOne(reg fleet.Registration) Action {
	last := reg.Runners[len(reg.Runners)-1]
	if reg.Mode == fleet.ModeToken {
		return DeleteManager{last.Token, reg.SystemID}
	}
	return DeleteRunner{last.Token}
}

// alreadyGone tells whether a failure to unregister means that there is nothing
// left to unregister.
func alreadyGone(f *fleet.Failure) bool {
	return f.Kind == fleet.BadToken || f.Kind == fleet.NotFound
}

// undone goes on to the next runner.
func (s *Init) undone() {
	s.reg.Runners = s.reg.Runners[:len(s.reg.Runners)-1]
	s.goTo(undoRunner)
	s.skipWhatIsNotThere()
}

// failedUndo: each step is tried for a while, then passed over; abandoning the
// launch is what must not be missed.
func (s *Init) failedUndo(f *fleet.Failure) {
	switch {
	case s.phase == undoRunner && alreadyGone(f):
		s.undone()
	case s.phase == undoAbandon && f.Kind == fleet.NotWaiting:
		s.goTo(undoState)
	case s.phase == undoState && (f.Final() || s.now.Sub(s.undoing) >= undoPatience):
		s.nothingWaits()
	case s.now.Sub(s.undoing) < undoPatience && !f.Final():
		s.fails(Warn, "trying again", f)
		s.again(f)
	case s.phase == undoAbandon:
		s.fails(Error, "cannot abandon the launch: its hook will time out", f)
		s.hook.waiting = false
		s.abandoned()
	case s.phase == undoRunner:
		s.fails(Error, fmt.Sprintf("runner %q stays behind in GitLab", s.description()), f)
		s.goTo(undoUnable) // the registration is kept: the next run finishes it
		s.skipWhatIsNotThere()
	default:
		s.fails(Error, "passing over", f)
		s.goOn()
	}
}

func (s *Init) abandoned() {
	if s.hook.waiting {
		s.say(Info, fmt.Sprintf("completed launch hook %q with ABANDON", s.hook.action.Hook), fleet.Reason(s.cause.Error()))
	}
	s.done(s.code, s.cause.Error())
}
