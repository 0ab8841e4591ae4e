package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// UnregisterSettings are what an operator can set.
type UnregisterSettings struct {
	Group         string        // the group's name; empty: found
	TerminateHook string        // the termination hook's name; empty: found
	Now           bool          // without a notice: write one of kind operator
	Within        time.Duration // with Now: the deadline; 0 is none
	Margin        time.Duration // before the deadline: the runner is told to report its jobs
	HoldTimeout   time.Duration // for polls in flight to end before the runner is stopped
	KillAfter     time.Duration // after SIGTERM: the jobs' processes are killed
	GitLabTimeout time.Duration // to unregister, before the hook is completed anyway
	Seed          uint64
}

// Unregister takes the instance's runner away: it lets the running jobs end (or,
// before EC2's deadline, has them reported), unregisters the runner, and
// completes the termination hook.
//
// It guarantees that it acts only on a written notice, that the runner is
// unregistered only once its process has ended, that the hook is completed only
// after that, and that it may be killed and run again at any point.
type Unregister struct {
	flow
	set      UnregisterSettings
	find     finder
	started  time.Time
	notice   fleet.Notice
	holding  bool // sections are out, polls in flight may end
	holdEnd  time.Time
	clean    int
	stopped  bool // the stop of the runner was asked for
	termed   time.Time
	killed   bool
	looks    int
	spotAt   time.Time // when a spot notice is looked for
	group    bool      // who and hook have been looked for
	reg      *fleet.Registration
	regStart time.Time
	left     bool // a runner stays behind
	tries    int
}

const (
	// shortNotice is how much time before the deadline makes it worth letting
	// polls in flight end first; with less the runner is stopped at once.
	shortNotice = 2 * time.Minute
	// drainFirst and drainMost bound the pause between looks at a runner that is
	// stopping: an idle one is gone within milliseconds, a job may take hours.
	drainFirst = 20 * time.Millisecond
	drainMost  = time.Second
	// spotPeriod is how often a drain without a deadline looks for a spot notice:
	// lifecycle-check has ended with the first notice, and EC2 may still take the
	// instance in the middle of a long drain.
	spotPeriod = 5 * time.Second
	// findTries bounds the search for group and hook before the drain goes on
	// without; it is taken up again afterwards.
	findTries = 2
	// deadlineGrace is how long after the deadline the runner's end is waited
	// for: EC2 is then a little late, and the rest may still be done.
	deadlineGrace = 30 * time.Second
)

// NewUnregister returns the machine before its first event.
func NewUnregister(set UnregisterSettings) Unregister {
	return Unregister{
		flow: flow{verb: "unregister", backoff: backoff{seed: set.Seed}},
		set:  set, find: finder{configured: set.Group},
	}
}

const (
	unregNotice    phase = "notice"
	unregWrite     phase = "write notice"
	unregUnmark    phase = "unmark registered"
	unregStopInit  phase = "stop init"
	unregUnit      phase = "look at runner"
	unregHold      phase = "hold"
	unregReload    phase = "reload"
	unregStop      phase = "stop runner"
	unregFind      phase = "find group"
	unregReplace   phase = "start the replacement"
	unregHooks     phase = "hooks"
	unregHeld      phase = "watch held runner"
	unregDrain     phase = "drain"
	unregSpot      phase = "look for a spot notice"
	unregTerm      phase = "end the jobs"
	unregKill      phase = "kill the jobs"
	unregRead      phase = "read registration"
	unregDelete    phase = "unregister"
	unregForget    phase = "forget registration"
	unregFindLate  phase = "find group late"
	unregHooksLate phase = "hooks late"
	unregComplete  phase = "complete hook"
)

// Step implements Machine.
func (s Unregister) Step(e Event, now time.Time) (Unregister, []Action) {
	r, ok := s.begin(e, now)
	switch {
	case ok:
		s.got(r)
	case e == Event(Started{}):
		s.started = now
		s.goTo(unregNotice)
	case e == Event(Interrupted{}):
		s.done(TryAgain, "interrupted; run it again to go on")
	}
	return s, s.next(s.ask)
}

func (s *Unregister) ask() Action {
	switch s.phase {
	case unregNotice:
		return ReadFlags{}
	case unregWrite:
		return WriteNotice{s.notice}
	case unregUnmark:
		return SetFlag{FlagRegistered, false}
	case unregStopInit:
		return StopUnit{UnitInit}
	case unregUnit, unregDrain:
		return ReadUnit{UnitRunner}
	case unregHold:
		return HoldRunner{}
	case unregReload:
		return SignalUnit{UnitRunner, "HUP"}
	case unregStop:
		return StopUnit{UnitRunner}
	case unregHeld:
		return ScrapeMetrics{}
	case unregSpot:
		return ReadSpot{}
	case unregTerm:
		return SignalUnit{UnitRunner, "TERM"}
	case unregKill:
		return KillJobs{UnitRunner}
	}
	return s.askLate()
}

func (s *Unregister) askLate() Action {
	switch s.phase {
	case unregFind, unregFindLate:
		return s.find.ask()
	case unregReplace:
		return TerminateSelf{s.find.who.Identity.InstanceID, false}
	case unregHooks, unregHooksLate:
		return DescribeHooks{s.find.who.Group}
	case unregRead:
		return ReadRegistration{}
	case unregDelete:
		return unregisterOne(*s.reg)
	case unregForget:
		return RemoveRegistration{}
	}
	return CompleteHook{s.hook.action, fleet.Continue}
}

func (s *Unregister) got(r Result) {
	if r.Failure != nil {
		s.failed(r.Failure)
		return
	}
	switch s.phase {
	case unregNotice:
		s.gotFlags(value[fleet.Flags](r))
	case unregUnit:
		s.gotUnit(value[fleet.UnitState](r))
	case unregDrain:
		s.gotDraining(value[fleet.UnitState](r))
	case unregSpot:
		s.gotSpot(value[*fleet.SpotAction](r))
	case unregHeld:
		s.gotHeld(value[fleet.Observation](r))
	case unregFind, unregFindLate:
		_ = s.find.got(r) // it has no failure
		s.gotWho()
	case unregHooks, unregHooksLate:
		s.gotHooks(value[[]fleet.Hook](r))
	case unregRead:
		s.gotRegistration(value[*fleet.Registration](r))
	case unregDelete:
		s.deleted()
	case unregComplete:
		s.completed()
	default:
		s.goOn()
	}
}

// goOn is what follows where the answer holds nothing.
func (s *Unregister) goOn() {
	switch s.phase {
	case unregWrite:
		s.goTo(unregUnmark)
	case unregUnmark:
		s.goTo(unregStopInit)
	case unregStopInit:
		s.goTo(unregUnit)
	case unregHold:
		s.goTo(unregReload)
	case unregReload:
		s.holding, s.holdEnd = true, s.now.Add(s.set.HoldTimeout)
		s.lookForGroup()
	case unregStop:
		s.stopped, s.holding, s.looks = true, false, 0
		s.lookForGroup()
	case unregReplace:
		s.say(Info, "start the replacement: terminate without decrement", fleet.Reason(s.notice.Source))
		s.goTo(unregHooks)
	case unregTerm:
		s.termed = s.now
		s.say(Warn, "end the running jobs: SIGTERM, so that the runner reports them", s.timeLeft())
		s.goTo(unregDrain)
	case unregKill:
		s.killed = true
		s.say(Warn, "killed the jobs' processes, so that the runner can report them", s.timeLeft())
		s.goTo(unregDrain)
	case unregForget:
		s.unregistered()
	}
}

func (s *Unregister) timeLeft() fleet.Reason {
	d, ok := s.deadline()
	if !ok {
		return "no deadline"
	}
	return fleet.Reason(fmt.Sprintf("%s until %s", d.Sub(s.now).Round(time.Second), d.UTC().Format(time.RFC3339)))
}

func (s *Unregister) gotFlags(f fleet.Flags) {
	switch {
	case f.Notice != nil:
		s.notice = *f.Notice
		s.say(Info, fmt.Sprintf("drain and unregister (%s)", s.notice.Kind), fleet.Reason(s.notice.Source), s.timeLeft())
		s.goTo(unregUnmark)
	case s.set.Now:
		s.notice = fleet.Notice{Kind: fleet.NoticeOperator, SeenAt: s.now, Source: "shoal unregister --now"}
		if s.set.Within > 0 {
			d := s.now.Add(s.set.Within)
			s.notice.Deadline = &d
		}
		s.goTo(unregWrite)
	default:
		s.done(Done, "no notice: nothing to do (--now unregisters without one)")
	}
}

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
	if s.hook.waiting && s.hook.cap > 0 {
		earlier(s.notice.SeenAt.Add(s.hook.cap))
	}
	if s.hook.refused {
		earlier(s.notice.SeenAt.Add(s.hook.timeout))
	}
	return d, !d.IsZero()
}

// gotUnit decides how the runner is stopped. With time, its polls in flight end
// first: SIGQUIT cancels them, and a job handed to a cancelled poll would hang.
func (s *Unregister) gotUnit(u fleet.UnitState) {
	d, bounded := s.deadline()
	switch {
	case !u.Running():
		s.stopped = true
		s.lookForGroup()
	case u.Active == "deactivating": // an earlier run asked for it
		s.stopped = true
		s.lookForGroup()
	case bounded && d.Sub(s.now) <= shortNotice:
		s.goTo(unregStop)
	default:
		s.goTo(unregHold)
	}
}

// lookForGroup finds the group and its hook, once; then the drain goes on.
func (s *Unregister) lookForGroup() {
	switch {
	case s.group || s.notice.Kind == fleet.NoticeDetached || s.notice.Kind == fleet.NoticeShutdown:
		s.goTo(s.drainPhase())
	case s.find.stage != found:
		s.goTo(unregFind)
	default:
		s.gotWho()
	}
}

func (s *Unregister) drainPhase() phase {
	if s.holding {
		return unregHeld
	}
	return unregDrain
}

func (s *Unregister) gotWho() {
	if s.find.stage != found {
		return // the finder has another question
	}
	switch {
	case s.phase == unregFindLate:
		s.goTo(unregHooksLate)
	case s.replaces():
		s.goTo(unregReplace)
	default:
		s.goTo(unregHooks)
	}
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
	if s.phase == unregHooksLate {
		s.goTo(unregComplete)
		s.skipHook()
		return
	}
	s.goTo(s.drainPhase())
}

// gotHeld waits until no poll is in flight, then has the runner stopped. Jobs
// may run on: SIGQUIT lets them end.
func (s *Unregister) gotHeld(o fleet.Observation) {
	if o.InFlight() == 0 {
		s.clean++
	} else {
		s.clean = 0
	}
	if s.clean >= cleanReadings || s.now.After(s.holdEnd) {
		if s.clean == 0 {
			s.say(Warn, "stop the runner though a poll is in flight", fleet.Reason(fmt.Sprintf("it did not end within %s: see unregister.hold_timeout", s.set.HoldTimeout)))
		}
		s.goTo(unregStop)
		return
	}
	s.goToAfter(unregHeld, holdPeriod)
}

// gotDraining waits for the runner's end; shortly before the deadline its jobs
// are ended so that they are reported.
func (s *Unregister) gotDraining(u fleet.UnitState) {
	d, bounded := s.deadline()
	switch {
	case !u.Running():
		s.say(Info, "the runner has ended")
		s.goTo(unregRead)
	case !bounded || s.now.Before(d.Add(-s.set.Margin)):
		s.lookAgain()
	case s.termed.IsZero():
		s.goTo(unregTerm)
	case !s.killed && s.now.Sub(s.termed) >= s.set.KillAfter:
		s.goTo(unregKill)
	case s.now.Sub(d) > deadlineGrace:
		s.say(Error, "the runner has not ended by the deadline: its jobs may hang in GitLab until their time-out")
		s.goTo(unregRead)
	default:
		s.lookAgain()
	}
}

// lookAgain looks at the stopping runner after a pause that grows, and never
// sleeps past the moment at which the jobs must be ended.
func (s *Unregister) lookAgain() {
	if s.notice.Deadline == nil && !s.now.Before(s.spotAt) {
		s.spotAt = s.now.Add(spotPeriod)
		s.goTo(unregSpot)
		return
	}
	pause := min(drainFirst<<min(s.looks, 10), drainMost)
	s.looks++
	if s.looks == 8 { // it takes longer than a moment: say so once
		s.say(Info, "wait for the running jobs", s.timeLeft())
	}
	s.goToAfter(unregDrain, pause)
}

// gotSpot takes EC2's deadline over into a drain that had none.
func (s *Unregister) gotSpot(a *fleet.SpotAction) {
	if a != nil {
		deadline := a.Time
		s.notice.Deadline = &deadline
		s.say(Warn, "EC2 takes this instance in the middle of its drain", s.timeLeft())
	}
	s.goTo(unregDrain)
}

func (s *Unregister) gotRegistration(r *fleet.Registration) {
	s.reg, s.regStart = r, s.now
	switch {
	case r == nil:
		s.unregistered()
	case len(r.Runners) == 0:
		s.goTo(unregForget)
	default:
		s.goTo(unregDelete)
	}
}

func (s *Unregister) deleted() {
	last := s.reg.Runners[len(s.reg.Runners)-1]
	what := fmt.Sprintf("deleted runner %d", last.ID)
	if s.reg.Mode == fleet.ModeToken {
		what = fmt.Sprintf("removed this manager of runner %d", last.ID)
	}
	s.say(Info, what, fleet.Reason(s.reg.Description+", system id "+s.reg.SystemID))
	s.nextRunner()
}

func (s *Unregister) nextRunner() {
	reg := *s.reg
	reg.Runners = reg.Runners[:len(reg.Runners)-1]
	s.reg = &reg
	if len(reg.Runners) > 0 {
		s.goTo(unregDelete)
		return
	}
	s.goTo(unregForget)
}

// unregistered goes on to the hook.
func (s *Unregister) unregistered() {
	switch {
	case s.notice.Kind == fleet.NoticeDetached || s.notice.Kind == fleet.NoticeShutdown:
		s.finish()
	case !s.group:
		s.tries = 0
		s.goTo(unregFindLate)
		if s.find.stage == found {
			s.goTo(unregHooksLate)
		}
	default:
		s.goTo(unregComplete)
		s.skipHook()
	}
}

// skipHook ends where there is no hook that could be completed.
func (s *Unregister) skipHook() {
	if s.phase == unregComplete && s.hook.action.Hook == "" {
		s.finish()
	}
}

func (s *Unregister) completed() {
	s.say(Info, fmt.Sprintf("completed termination hook %q with CONTINUE", s.hook.action.Hook), "the runner has ended and is unregistered")
	s.finish()
}

func (s *Unregister) finish() {
	if s.left {
		s.done(Failed, "a runner stays behind in GitLab; everything else is done")
		return
	}
	s.done(Done, fmt.Sprintf("drained and unregistered (%s)", s.notice.Kind))
}
