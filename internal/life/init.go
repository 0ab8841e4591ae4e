package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// InitSettings are what an operator can set.
type InitSettings struct {
	Mode       fleet.Mode
	URL        string // of GitLab
	Token      string // reference to the secret
	Runner     fleet.NewRunner
	Group      string        // the group's name; empty: found
	LaunchHook string        // the launch hook's name; empty: found
	Timeout    time.Duration // for the runner to serve metrics
	Patience   time.Duration // for a token that GitLab refuses to be mended while a launch hook waits
	Seed       uint64
}

// Init registers the runner of an instance that was just launched (or
// rebooted), starts it, sees it reach GitLab, and completes the launch hook.
//
// It guarantees that it may be killed at any point and run again: an intent is
// on disk before a runner is made, so none is made twice where GitLab lets us
// look, and what was made is undone when the launch is given up. The hook is
// completed with CONTINUE only when the runner has reached GitLab.
type Init struct {
	flow
	set      InitSettings
	find     finder
	started  time.Time
	undoing  time.Time // since when the registration is undone
	warmed   bool
	standby  bool // seen when the runner had not polled
	sections int
	recover  bool // an intent without a result stands: a runner may exist
	auth     fleet.Token
	reg      fleet.Registration
	checked  int       // runners of an earlier registration that GitLab still knows
	proved   time.Time // GitLab has accepted them
	unsaved  bool
	watchEnd time.Time
	silence  silence
	cause    *fleet.Failure // why the launch is given up
	code     ExitCode
	own      bool // for a reason of this instance's own
	flags    fleet.Flags
	refusal  *fleet.Failure // what was refused, and is tried again by a later run
}

const (
	// watchPeriod is how often a starting runner is looked at.
	watchPeriod = time.Second
	// identityPatience bounds the wait for the metadata and the group: without
	// them there is no hook to heartbeat, so a restart of the unit does as well.
	identityPatience = 5 * time.Minute
	// undoPatience bounds the undoing of a registration: the hook's own time is
	// running, and what stays behind is the reaper's.
	undoPatience = time.Minute
	// launchPatience bounds the wait for a group to hold a launch.
	launchPatience = 2 * time.Minute
	// refusedPause is the first time between tries of what was refused for good: the
	// operator mends it in minutes, and each try is a call. refusedMost bounds it
	// where it takes hours.
	refusedPause = 30 * time.Second
	refusedMost  = 5 * time.Minute
	// retryPatience bounds what is tried again where no hook waits: then a restart
	// of the unit does as well.
	retryPatience = 10 * time.Minute
)

// NewInit returns the machine before its first event.
func NewInit(set InitSettings) Init {
	return Init{
		flow: flow{verb: "init", backoff: backoff{seed: set.Seed}},
		set:  set, find: finder{configured: set.Group, stage: fromMetadata},
	}
}

const (
	initFlags       phase = "flags"
	initClearNotice phase = "clear a notice that is over"
	initFind        phase = "find group"
	initTarget      phase = "target state"
	initHooks       phase = "hooks"
	initWhoami      phase = "keep identity"
	initSections    phase = "sections"
	initRead        phase = "read registration"
	initSecret      phase = "secret"
	initIntent      phase = "write intent"
	initLook        phase = "look for a lost runner"
	initAdopt       phase = "adopt"
	initRegister    phase = "register"
	initVerify      phase = "verify"
	initSave        phase = "save registration"
	initConfigure   phase = "configure"
	initMark        phase = "mark registered"
	initStart       phase = "start runner"
	initWatch       phase = "watch runner"
	initUnheard     phase = "see why the runner does not poll"
	initStop        phase = "restart silent runner: stop"
	initStopped     phase = "restart silent runner: wait for its end"
	initClearWarmed phase = "clear warmed"
	initClearUnable phase = "clear unable"
	initClearRefuse phase = "clear refused"
	initRefused     phase = "mark refused"
	initComplete    phase = "complete hook"
	initWarmed      phase = "mark warmed"
	undoMark        phase = "undo: unmark"
	undoStop        phase = "undo: stop runner"
	undoStopped     phase = "undo: wait for the runner's end"
	undoRunner      phase = "undo: unregister"
	undoForget      phase = "undo: forget registration"
	undoUnable      phase = "undo: mark unable"
	initState       phase = "see whether the launch still waits"
	undoState       phase = "undo: see whether the launch still waits"
	undoAbandon     phase = "undo: abandon launch"
)

// Step implements Machine.
func (s Init) Step(e Event, now time.Time) (Init, []Action) {
	actions := s.Take(e, now, nil)
	return s, actions
}

// Take implements Stepper.
func (s *Init) Take(e Event, now time.Time, out []Action) []Action {
	r, ok := s.begin(e, now, out)
	switch {
	case ok:
		s.got(r)
	case e == Event(Started{}):
		s.started = now
		s.goTo(initFlags)
	case e == Event(Interrupted{}) && (s.unsaved || s.undoes()):
		// goes on: the answer that holds a token is not to be had again, and an
		// undoing that is cut short leaves a ghost and a hook that waits
	case e == Event(Interrupted{}):
		s.done(TryAgain, "interrupted; run it again to go on")
	}
	return s.next(s.ask)
}

func (s *Init) ask() Action {
	switch s.phase {
	case initFlags, initUnheard:
		return ReadFlags{}
	case initClearNotice:
		return SetFlag{FlagNotice, false}
	case initFind:
		return s.find.ask()
	case initTarget:
		return ReadTarget{}
	case initHooks:
		return DescribeHooks{s.find.who.Group}
	case initWhoami:
		return WriteWhoami{s.find.who}
	case initSections:
		return CountSections{}
	case initRead:
		return ReadRegistration{}
	case initSecret:
		return ResolveSecret{s.set.Token}
	case initIntent:
		return WriteRegistration{s.intent()}
	case initSave:
		return WriteRegistration{s.reg}
	case initLook:
		return FindRunners{s.auth, s.newRunner()}
	case initAdopt:
		return ResetRunnerToken{s.auth, s.reg.Runners[len(s.reg.Runners)-1].ID}
	case initRegister:
		return s.register()
	case initVerify:
		return VerifyRunner{s.reg.Runners[s.checked].Token, s.reg.SystemID}
	}
	return s.askLate()
}

// askLate are the phases from configuration on, and the undoing.
func (s *Init) askLate() Action {
	switch s.phase {
	case initConfigure:
		return WriteRunnerConfig{s.reg}
	case initMark:
		return SetFlag{FlagRegistered, true}
	case initStart:
		return StartUnit{UnitRunner}
	case initWatch:
		return ScrapeMetrics{}
	case initStop:
		return StopUnit{UnitRunner}
	case initStopped:
		return ReadUnit{UnitRunner}
	case initClearWarmed:
		return SetFlag{FlagWarmed, false}
	case initClearUnable:
		return SetFlag{FlagUnable, false}
	case initClearRefuse:
		return SetFlag{FlagRefused, false}
	case initRefused:
		return SetFlag{FlagRefused, true}
	case initWarmed:
		return SetFlag{FlagWarmed, true}
	case undoMark:
		return SetFlag{FlagRegistered, false}
	case undoStop:
		return StopUnit{UnitRunner}
	case undoStopped:
		return ReadUnit{UnitRunner}
	case undoRunner:
		return unregisterOne(s.reg)
	case undoForget:
		return RemoveRegistration{}
	case undoUnable:
		return SetFlag{FlagUnable, true}
	case initState, undoState:
		return DescribeGroup{s.find.who.Group}
	case undoAbandon:
		return CompleteHook{s.hook.action, fleet.Abandon}
	}
	return CompleteHook{s.hook.action, fleet.Continue}
}

func (s *Init) got(r Result) {
	if r.Failure != nil {
		s.failed(r)
		return
	}
	switch s.phase {
	case initFlags:
		s.gotFlags(value[fleet.Flags](r))
	case initFind:
		_ = s.find.got(r) // it has no failure
		if s.find.stage == found {
			s.goTo(initTarget)
		}
	case initTarget:
		s.gotTarget(value[fleet.LifecycleState](r))
	case initHooks:
		s.gotHooks(value[[]fleet.Hook](r))
	case initWhoami:
		s.goTo(map[bool]phase{true: initWarmed, false: initSections}[s.warmed])
	case initSections:
		s.sections = max(1, value[int](r))
		s.goTo(initRead)
	case initRead:
		s.gotRegistration(value[*fleet.Registration](r))
	case initSecret:
		s.gotSecret(value[fleet.Token](r))
	case initLook:
		s.gotLost(value[[]int64](r))
	case initAdopt, initRegister:
		s.gotRunner(r)
	case initVerify:
		s.gotVerified()
	case initSave:
		s.unsaved = false
		s.goTo(s.afterSave())
	case initWatch:
		s.gotMetrics(value[fleet.Observation](r))
	case initUnheard:
		s.gotUnheard(value[fleet.Flags](r))
	case initState, undoState:
		s.gotState(value[fleet.Group](r))
	case initStopped:
		s.gotStopped(value[fleet.UnitState](r))
	case undoStopped:
		s.gotUndoStopped(value[fleet.UnitState](r))
	default:
		s.goOn()
	}
}

// initFollows is the order of the steps whose answer holds nothing.
var initFollows = map[phase]phase{
	initClearNotice: initFind,
	initConfigure:   initMark, initMark: initStart, initStart: initWatch, initStop: initStopped,
	initClearWarmed: initClearUnable, initClearUnable: initClearRefuse, initClearRefuse: initComplete, initWarmed: initComplete,
	undoMark: undoStop, undoStop: undoStopped, undoStopped: undoRunner, undoForget: undoUnable, undoUnable: undoAbandon,
}

// goOn is what follows where the answer holds nothing.
func (s *Init) goOn() {
	switch s.phase {
	case initComplete:
		s.hook.waiting = true // or there would have been nothing to complete
		s.completed()
	case undoAbandon:
		s.hook.waiting = true
		s.abandoned()
	case initRefused:
		s.refused()
	case initIntent:
		if s.recover && s.set.Mode == fleet.ModeCreate {
			s.goTo(initLook)
			return
		}
		s.goTo(initRegister)
	case undoRunner:
		s.undone()
	default:
		s.goTo(initFollows[s.phase])
		if s.phase == initWatch {
			s.watchEnd = s.now.Add(s.set.Timeout)
		}
		s.skipWhatIsNotThere()
	}
}

// skipWhatIsNotThere passes over steps that have nothing to act on.
func (s *Init) skipWhatIsNotThere() {
	if s.phase == initComplete && (s.hook.action.Hook == "" || s.standby) {
		s.completed()
	}
	if s.phase == initClearRefuse && !s.flags.Refused {
		s.goTo(initComplete)
		s.skipWhatIsNotThere()
	}
	if s.phase == undoRunner && len(s.reg.Runners) == 0 {
		s.goTo(undoForget)
	}
	if s.phase == undoUnable && !s.own {
		s.goTo(undoAbandon)
	}
	if s.phase == undoAbandon && s.hook.action.Hook == "" {
		s.abandoned()
	}
}

func (s *Init) gotFlags(f fleet.Flags) {
	s.flags = f
	if f.Registered { // in this boot, by an earlier run, which kept who this is: an ill metadata service must not keep the hook waiting
		s.find.stage = fromFile
	}
	switch {
	case f.Notice == nil:
		s.goTo(initFind)
	case f.Notice.Kind == fleet.NoticeOperator, // unregistered by hand, now wanted again by hand
		f.Notice.Kind == fleet.NoticeShutdown: // over: systemd starts nothing while the machine goes down
		s.goTo(initClearNotice)
	default:
		s.done(Done, fmt.Sprintf("nothing registered: this instance is to go (%s)", f.Notice.Kind))
	}
}

func (s *Init) gotTarget(target fleet.LifecycleState) {
	switch {
	case target == fleet.Terminated:
		s.say(Info, "register nothing", "the group wants this instance terminated")
		s.done(Done, "nothing registered: the group wants this instance terminated")
		return
	case target.IsWarmed():
		s.warmed = true
		s.say(Info, "register nothing", fleet.Reason("the instance goes to the warm pool: target state "+string(target)))
	}
	s.goTo(initHooks)
}

func (s *Init) gotHooks(hooks []fleet.Hook) {
	h, ok, failure := pickHook(hooks, fleet.AtLaunch, s.set.LaunchHook, "group.launch_hook")
	switch {
	case failure != nil:
		s.fails(Error, "cannot tell which launch hook to complete", failure)
		s.done(BadUsage, failure.Error())
		return
	case ok:
		s.keep(s.find.who.Group, s.find.who.Identity.InstanceID, h, true)
	default:
		s.say(Warn, "complete no launch hook", fleet.Reason(fmt.Sprintf("group %q has none: jobs may be waited for before the runner is up, and a failed launch is not replaced", s.find.who.Group)))
	}
	s.goTo(initWhoami)
}

// gotMetrics waits until the runner has reached GitLab.
func (s *Init) gotMetrics(o fleet.Observation) {
	switch {
	case s.silent(o):
		s.waitForPoll()
	case o.PollsAnswered() > 0:
		s.say(Info, "the runner has reached GitLab", fleet.Reason(fmt.Sprintf("%d polls answered, %d slots", o.PollsAnswered(), o.Slots())))
		s.goTo(initClearWarmed)
	case o.PollsRefused() > 0:
		s.refusedPolls()
	case o.PollsFailed() > 0:
		s.waitForGitLab()
	case s.now.Before(s.watchEnd):
		s.goToAfter(initWatch, watchPeriod)
	default:
		s.goTo(initUnheard)
	}
}

// gotUnheard is a runner that has not polled in its time. In Standby it is not to: monitor
// takes its sections out, and puts them back afterwards. A launch that waits is not
// continued for that: it is about to leave Standby.
func (s *Init) gotUnheard(f fleet.Flags) {
	unheard := &fleet.Failure{Op: "see gitlab-runner poll GitLab", Message: "its metrics show no poll"}
	switch {
	case f.Standby && s.hook.waiting:
		s.waitShared("wait for the end of Standby: the runner asks for no job until then", unheard)
	case f.Standby:
		s.standby = true
		s.say(Info, "wait for no poll", "the instance is in Standby: the runner asks for no job until it is back in service")
		s.goTo(initClearWarmed)
	default:
		s.watchAgain(unheard)
	}
}

// refusedPolls: the token was accepted a moment ago, so one refusal is no
// verdict. A shared token's is waited out like any other reason that the whole
// fleet shares; a runner of this instance's own has until the time-out.
func (s *Init) refusedPolls() {
	refused := &fleet.Failure{
		Kind: fleet.BadToken, Op: "poll for jobs", Message: "GitLab refuses the runner's token",
		Mend: "see whether the runner was deleted in GitLab, or its token rotated",
	}
	switch {
	case s.set.Mode == fleet.ModeToken:
		s.waitShared("wait for the token to be mended: the runner's polls are refused", refused)
	case s.now.Before(s.watchEnd):
		s.fails(Warn, "the runner's polls are refused, looking again", refused)
		s.goToAfter(initWatch, watchPeriod)
	default:
		s.giveUp(refused, Refused, true)
	}
}

// waitForGitLab: every poll fails.
func (s *Init) waitForGitLab() {
	s.waitShared("wait for GitLab: the runner cannot reach it", &fleet.Failure{
		Op: "poll for jobs", Message: "every poll fails", Mend: "see whether GitLab is up and reachable from here: " + s.set.URL,
	})
}

// waitShared waits as long as the hook can be kept: every instance of the fleet
// is in the same place, and a replacement would be too.
func (s *Init) waitShared(action string, cause *fleet.Failure) {
	s.fails(Error, action, cause)
	s.watchEnd = s.now.Add(s.set.Timeout)
	s.goToAfter(initWatch, watchPeriod)
	s.checkHookTime(cause)
}

// watchAgain looks at the runner once more, until its time is up.
func (s *Init) watchAgain(f *fleet.Failure) {
	if s.now.Before(s.watchEnd) {
		s.goToAfter(initWatch, watchPeriod)
		return
	}
	s.giveUp(&fleet.Failure{
		Kind: fleet.Local, Op: fmt.Sprintf("start gitlab-runner within %s", s.set.Timeout), Message: f.Error(),
		Mend: "see `journalctl -u gitlab-runner`, and init.timeout",
	}, Failed, true)
}

// gotState tells "nothing waits any more" from "nothing waits yet", which answer
// a completion alike: an instance may be up before the group holds its launch.
func (s *Init) gotState(g fleet.Group) {
	me, ok := g.Find(s.find.who.Identity.InstanceID)
	early := !ok && !s.flags.Registered || me.State == fleet.Pending || me.State == fleet.PendingWait
	back := map[phase]phase{initState: initComplete, undoState: undoAbandon}[s.phase]
	if early && s.now.Sub(s.hook.since) < launchPatience {
		s.goToAfter(back, watchPeriod)
		return
	}
	if ok && me.State == fleet.PendingWait && !s.outOfTime() { // the group could not be asked for that long
		s.goToAfter(back, heartbeatLeast)
		return
	}
	s.nothingWaits()
}

// nothingWaits ends without a completion.
func (s *Init) nothingWaits() {
	s.hook.waiting = false
	if s.phase == undoState {
		s.abandoned()
		return
	}
	s.completed()
}

func (s *Init) completed() {
	summary := fmt.Sprintf("runner %s is up", s.description())
	if s.warmed {
		summary = "warm pool: nothing registered"
	}
	if s.hook.waiting {
		s.say(Info, "completed launch hook "+fmt.Sprintf("%q", s.hook.action.Hook)+" with CONTINUE", fleet.Reason(summary))
	}
	s.done(Done, summary)
}
