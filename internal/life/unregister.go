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
	Shutdown      bool          // act where the machine goes down, and only there
	// From the start of the command to the end of the drain, where the machine
	// reboots, and where it is switched off.
	RebootTimeout   time.Duration
	PowerOffTimeout time.Duration
	// Mistakes in the configuration, for which these are defaults; nil where there
	// are none. They are said where there is something to do, and only there.
	Mistakes *fleet.Failure
	Seed     uint64
}

// Unregister takes the instance's runner away: it lets the running jobs end (or,
// before EC2's deadline, has them reported), unregisters the runner, and
// completes the termination hook.
//
// It guarantees that it acts only on a written notice or, with Shutdown, while
// the machine goes down, that the runner is
// unregistered only once its process has ended, that the hook is completed only
// after that, and that it may be killed and run again at any point.
type Unregister struct {
	flow
	set       UnregisterSettings
	find      finder
	started   time.Time
	down      fleet.Shutdown // how the machine goes down, with set.Shutdown
	standing  *fleet.Notice  // its drain may be over, with set.Shutdown
	notice    fleet.Notice
	holding   bool // sections are out, polls in flight may end
	holdEnd   time.Time
	clean     int
	stopped   time.Time // the stop of the runner was last asked for
	initEnd   time.Time // init's end is waited for no longer
	termed    time.Time
	killed    bool
	looks     int
	spotSeen  bool      // a spot notice came in the middle of the drain
	spotAt    time.Time // when a spot notice is looked for
	group     bool      // who and hook have been found out
	ended     bool      // the runner has
	late      bool      // the drain is over
	replaced  bool      // the replacement was started, or cannot be
	groupAt   time.Time // not before: look for them again
	reg       *fleet.Registration
	regStart  time.Time
	deleteAt  time.Time // not before: try to unregister again
	deletes   int       // tries
	left      bool      // a runner stays behind
	overdue   bool      // the runner had not ended by the deadline
	tries     int
	termTried bool // once, and it failed
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
	// without.
	findTries = 2
	// findAgain is the pause until the drain takes that search up again: a hook
	// that is not found is not extended, and would cut the drain.
	findAgain = 10 * time.Second
	// replaceTries bounds the tries to start the replacement, replaceAgain is the
	// pause between them.
	replaceTries = 5
	replaceAgain = 3 * time.Second
	// initPatience bounds the wait for init's end: longer than any of its actions
	// takes. One that still runs could keep a runner that it has just made, or
	// start one, behind the drain's back. And short enough for a hook of half a minute,
	// which is looked for after it and was seen up to five seconds late.
	initPatience = 20 * time.Second
	// stopAgain is when a runner that runs on as if nobody had asked is asked once
	// more: someone started it in that moment.
	stopAgain = 5 * time.Second
	// gitlabMargin is left of EC2's deadline for completing the hook.
	gitlabMargin = 5 * time.Second
	// callMost is how long one call may take, by the interpreter's own bound.
	callMost = 15 * time.Second
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
	unregShutdown phase = "see whether the machine goes down"
	unregNotice   phase = "notice"
	unregWrite    phase = "write notice"
	unregUnmark   phase = "unmark registered"
	unregStopInit phase = "stop init"
	unregInit     phase = "wait for init's end"
	unregUnit     phase = "look at runner"
	unregHold     phase = "hold"
	unregReload   phase = "reload"
	unregStop     phase = "stop runner"
	unregFind     phase = "find group"
	unregReplace  phase = "start the replacement"
	unregHooks    phase = "hooks"
	unregHeld     phase = "watch held runner"
	unregDrain    phase = "drain"
	unregSpot     phase = "look for a spot notice"
	unregTarget   phase = "look for the group's notice"
	unregTerm     phase = "end the jobs"
	unregKill     phase = "kill the jobs"
	unregRead     phase = "read registration"
	unregDelete   phase = "unregister"
	unregForget   phase = "forget registration"
	unregComplete phase = "complete hook"
	unregRecord   phase = "record that the hook was completed"
	unregAnew     phase = "clear the record of an earlier drain"
	unregOver     phase = "see whether the drain is over"
	unregStays    phase = "take the notice back"
)

// Step implements Machine.
func (s Unregister) Step(e Event, now time.Time) (Unregister, []Action) {
	actions := s.Take(e, now, nil)
	return s, actions
}

// Take implements Stepper.
func (s *Unregister) Take(e Event, now time.Time, out []Action) []Action {
	r, ok := s.begin(e, now, out)
	switch {
	case ok:
		s.got(r)
	case e == Event(Started{}):
		s.started = now
		s.goTo(map[bool]phase{true: unregShutdown, false: unregNotice}[s.set.Shutdown])
	case e == Event(Interrupted{}) && s.phase == unregRecord:
		// goes on: EC2 has begun to switch the instance off, and one file is left to write
	case e == Event(Interrupted{}):
		// Not 0: the drain stands still in the middle, its hook is no longer
		// extended. After `systemctl stop` systemd shows the unit as failed, and does
		// not start it again: `systemctl start` goes on. Where the machine goes down,
		// runner-shutdown.service does.
		s.done(TryAgain, "interrupted; run it again to go on")
	}
	if s.urgent() && s.hook.due(now) { // a heartbeat that hangs must not delay the end of the jobs
		s.hook.next = now.Add(drainMost)
	}
	return s.next(s.ask)
}

func (s *Unregister) ask() Action {
	switch s.phase {
	case unregShutdown:
		return ReadShutdown{}
	case unregNotice:
		return ReadFlags{}
	case unregWrite:
		return WriteNotice{s.notice}
	case unregUnmark:
		return SetFlag{FlagRegistered, false}
	case unregStopInit:
		return StopUnit{UnitInit}
	case unregInit:
		return ReadUnit{UnitInit}
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
	case unregTarget:
		return ReadTarget{}
	case unregTerm:
		return SignalUnit{UnitRunner, "TERM"}
	case unregKill:
		return KillJobs{UnitRunner}
	}
	return s.askLate()
}

func (s *Unregister) askLate() Action {
	switch s.phase {
	case unregFind:
		return s.find.ask()
	case unregReplace:
		return TerminateSelf{s.find.who.Identity.InstanceID, false}
	case unregHooks:
		return DescribeHooks{s.find.who.Group}
	case unregRead, unregOver:
		return ReadRegistration{}
	case unregDelete:
		return unregisterOne(*s.reg)
	case unregForget:
		return RemoveRegistration{}
	case unregStays:
		return SetFlag{FlagNotice, false}
	case unregRecord:
		return SetFlag{FlagCompleted, true}
	case unregAnew:
		return SetFlag{FlagCompleted, false}
	}
	return CompleteHook{s.hook.action, fleet.Continue}
}

func (s *Unregister) got(r Result) {
	if r.Failure != nil && s.phase != unregFind {
		s.failed(r.Failure)
		return
	}
	switch s.phase {
	case unregShutdown:
		s.gotShutdown(value[fleet.Shutdown](r))
	case unregNotice:
		s.gotFlags(value[fleet.Flags](r))
	case unregInit:
		s.gotInit(value[fleet.UnitState](r))
	case unregUnit:
		s.gotUnit(value[fleet.UnitState](r))
	case unregDrain:
		s.gotDraining(value[fleet.UnitState](r))
	case unregSpot:
		s.gotSpot(value[*fleet.SpotAction](r))
	case unregTarget:
		s.gotTarget(value[fleet.LifecycleState](r))
	case unregHeld:
		s.gotHeld(value[fleet.Observation](r))
	case unregFind:
		if f := s.find.got(r); f != nil {
			s.failed(f)
			return
		}
		s.gotWho()
	case unregHooks:
		s.gotHooks(value[[]fleet.Hook](r))
	case unregRead:
		s.gotRegistration(value[*fleet.Registration](r))
	case unregOver:
		s.gotOver(value[*fleet.Registration](r))
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
	case unregNotice: // nobody can tell what stands
		s.goDown(nil)
	case unregWrite, unregAnew:
		s.goTo(unregInit)
	case unregStopInit:
		s.initEnd = s.now.Add(initPatience)
		s.goTo(unregInit)
	case unregInit:
		s.goTo(unregUnmark)
	case unregUnmark:
		s.unmarked()
	case unregHold:
		s.goTo(unregReload)
	case unregReload:
		s.holding, s.holdEnd = true, s.now.Add(s.set.HoldTimeout)
		s.lookForGroup()
	case unregStop:
		s.stopped, s.holding, s.looks = s.now, false, 0
		s.lookForGroup()
	case unregReplace:
		s.replaced = true
		s.say(Info, "start the replacement: terminate without decrement", fleet.Reason(s.notice.Source))
		s.lookForGroup()
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
	case unregStays, unregRecord:
		s.finish()
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
	case s.down != fleet.NotGoingDown && f.Notice != nil && f.Completed:
		s.standing = f.Notice
		s.goTo(unregOver)
	case s.down != fleet.NotGoingDown:
		s.goDown(f.Notice)
	case f.Notice != nil:
		s.mistaken()
		s.take(*f.Notice)
		s.say(Info, fmt.Sprintf("drain and unregister (%s)", s.notice.Kind), fleet.Reason(s.notice.Source), s.timeLeft())
		s.goTo(map[bool]phase{true: unregAnew, false: unregInit}[f.Completed])
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

func (s *Unregister) gotRegistration(r *fleet.Registration) {
	s.reg, s.regStart = r, s.now
	switch {
	case r == nil:
		s.unregistered()
	case s.find.stage == found && r.SystemID != SystemID(s.find.who.Identity.InstanceID):
		// baked into the image of a live instance, and that one's to use and delete
		s.say(Warn, "leave a registration alone that is not this instance's", fleet.Reason(fmt.Sprintf("it is of %q at %s", r.Description, r.URL)))
		s.goTo(unregForget)
	case len(r.Runners) == 0: // the intent alone; a shared token would stand in it
		s.say(Warn, "a runner may stay behind in GitLab: shoal reap deletes it", fleet.Reason("init was cut off before it heard whether "+r.Description+" was made"))
		s.goTo(unregForget)
	default:
		s.goTo(unregDelete)
	}
}

func (s *Unregister) deleted() {
	last := s.reg.Runners[len(s.reg.Runners)-1]
	what := fmt.Sprintf("deleted runner %d", last.ID)
	switch {
	case s.reg.Mode == fleet.ModeToken && last.ID == 0: // init was killed before it heard the number
		what = "removed this manager of the shared runner"
	case s.reg.Mode == fleet.ModeToken:
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
	case s.apart():
		s.finish()
	case !s.group:
		s.late, s.tries = true, 0
		s.lookForGroup()
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
	why := fleet.Reason("the runner has ended and is unregistered")
	if s.overdue || s.left {
		why = "there is no more time"
	}
	s.say(Info, fmt.Sprintf("completed termination hook %q with CONTINUE", s.hook.action.Hook), why)
	if s.overdue { // the runner still runs: a shutdown has it to see end
		s.finish()
		return
	}
	s.goTo(unregRecord)
}

func (s *Unregister) finish() {
	switch {
	case s.overdue:
		s.done(Failed, "the runner had not ended by the deadline: its jobs may hang in GitLab until their time-out")
		return
	case s.left:
		s.done(Failed, "a runner stays behind in GitLab; everything else is done")
		return
	case s.keeps():
		s.done(Done, "drained; the registration stays for when the machine is back")
		return
	}
	s.done(Done, fmt.Sprintf("drained and unregistered (%s)", s.notice.Kind))
}
