package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// MonitorSettings are what an operator can set.
type MonitorSettings struct {
	Group           string        // the group's name; empty: found
	Mode            fleet.Mode    // tells whether a refused token is this instance's own or shared
	Period          time.Duration // between readings
	SaturatedPeriod time.Duration // between readings while every slot is busy
	IdleThreshold   time.Duration // idle for this long: leave the group
	LearnIdle       time.Duration // up to how long it may learn to stay idle; no more than IdleThreshold: it does not
	UnprotectAfter  time.Duration // without a job for this long: clear the scale-in protection
	HoldTimeout     time.Duration // for the polls in flight to end when leaving
	UnhealthyAfter  time.Duration // unable to run jobs for this long: have the group replace the instance
	Spares          SpareSettings
	Seed            uint64
}

// Monitor watches the runner's metrics: it keeps the scale-in protection equal
// to "busy", starts scale-up while every slot is busy, leaves the group when
// idle, and has the instance replaced when it cannot run jobs for a reason of
// its own.
//
// It guarantees that it leaves only by an order that can be undone: decide,
// take the sections out, see that no poll and no job is left, look at the group
// again, stop the runner, leave; a job or a refusal on the way puts everything
// back. With nothing happening it asks nobody but the runner.
type Monitor struct {
	flow
	set  MonitorSettings
	find finder

	flags  fleet.Flags
	last   fleet.Observation // the reading before
	seen   bool              // there was a reading
	awaits bool              // the runner is not registered, which was said
	looked time.Time         // when the runner was last looked at, or tried to be

	idle         time.Duration // without a job so far
	protected    bool
	unsure       bool          // whether the group knows of it: an earlier run's word, or an answer that was lost
	protectAt    time.Time     // not before: after a failed call
	protectTries int           // failed calls in a row
	revived      time.Time     // the runner was last found dead and started
	scaledAt     time.Time     // scale-up was last started in this spell
	scaleWait    time.Duration // until it is looked at again
	saturated    bool
	before       Before // what was so before the present saturated spell
	patience     scaling.Patience
	worked       bool // jobs have been taken
	past         bool // what became of those that left before this one is known
	ready        readiness
	pace         time.Duration // until the next reading; 0: the period

	leave leaving
	ill   illness
	deaf  deafness
	init  reinit
	check neighbour
	seer  seer
	quit  bool // asked to stop: it ends at the next rest
}

const (
	// scaleUpAgain is how often a start of scale-up.service is repeated within
	// one saturated spell: starting a running unit is nothing, but costs a process.
	// One that saw a slot free for a moment has ended, and jobs wait for the next.
	scaleUpAgain = 5 * time.Second
	// scaleUpMost bounds the pause after a scale-up that was refused.
	scaleUpMost = 10 * time.Minute
	// protectAgain is the pause after a failed change of the protection: it is a
	// hint, and promise 1 does not rest on it.
	protectAgain = time.Minute
	// protectSoon and protectTries are for the seconds in which a new instance runs
	// its first job but is not in service yet.
	protectSoon  = 2 * time.Second
	protectTries = 6
	// reviveAgain is how often a runner that does not run is started. systemd
	// restarts one that crashed, but not one that was stopped: by a leave that was
	// cut short, or by hand.
	reviveAgain = time.Minute
)

// NewMonitor returns the machine before its first event.
func NewMonitor(set MonitorSettings) Monitor {
	return Monitor{
		flow: flow{verb: "monitor", backoff: backoff{seed: set.Seed}}, set: set, find: finder{configured: set.Group},
		check: watching(UnitLifecycleCheck, "nobody sees that this instance is to go, and running jobs go with it", set.UnhealthyAfter, true),
	}
}

const (
	monFlags     phase = "flags"
	monMetrics   phase = "metrics"
	monAct       phase = "act"
	monFind      phase = "find group"
	monProtect   phase = "protect"
	monMark      phase = "mark protected"
	monUnmark    phase = "unmark protected"
	monUnprotect phase = "unprotect"
	monBefore    phase = "keep what was so before"
	monScaleUnit phase = "look at scale-up"
	monScaleUp   phase = "start scale-up"
	monSpares    phase = "start scale-up for the spares"
	monUnit      phase = "look at runner"
	monRevive    phase = "start runner"
	monHold      phase = "standby: hold"
	monHoldHUP   phase = "standby: reload"
	monInit      phase = "start init"
	monUnrefuse  phase = "unmark refused"
	monInitUnit  phase = "look at init"
	monSeer      phase = "look at what starts the drain"
	monDrain     phase = "start the drain"
)

// Step implements Machine.
func (s Monitor) Step(e Event, now time.Time) (Monitor, []Action) {
	actions := s.Take(e, now, nil)
	return s, actions
}

// Take implements Stepper.
func (s *Monitor) Take(e Event, now time.Time, out []Action) []Action {
	r, ok := s.begin(e, now, out)
	switch {
	case ok:
		s.got(r)
	case e == Event(Started{}):
		s.goTo(monFlags)
	case e == Event(Interrupted{}):
		s.interrupted()
	}
	return s.next(s.ask)
}

func (s *Monitor) ask() Action {
	if s.phase == monAct {
		s.phase = s.choose()
		if s.phase == monFlags {
			s.rest()
			return Sleep{s.notBefore}
		}
	}
	switch s.phase {
	case monFlags:
		return ReadFlags{}
	case monMetrics:
		return ScrapeMetrics{}
	case monFind:
		return s.find.ask()
	case monMark:
		return SetFlag{FlagProtected, true}
	case monProtect:
		return s.setProtection(true)
	case monUnprotect, leaveYield:
		return s.setProtection(false)
	case monUnmark:
		return SetFlag{FlagProtected, false}
	case monBefore:
		return WriteBefore{s.before}
	case monScaleUnit:
		return ReadUnit{UnitScaleUp}
	case monScaleUp, monSpares:
		return StartUnit{UnitScaleUp}
	case monUnit:
		return ReadUnit{UnitRunner}
	case monRevive:
		return StartUnit{UnitRunner}
	case monInit:
		return StartUnit{UnitInit}
	case monUnrefuse:
		return SetFlag{FlagRefused, false}
	case monHold:
		return HoldRunner{}
	case monHoldHUP:
		return SignalUnit{UnitRunner, "HUP"}
	case monInitUnit:
		return ReadUnit{UnitInit}
	case monSeer:
		return ReadUnit{UnitLifecycleCheck}
	case monDrain:
		return StartUnit{UnitUnregister}
	case resortStart:
		return StartUnit{UnitLifecycleCheck}
	case resortUnit, resortFind, resortLook, resortActivities, resortHooks, resortJobs, resortRunner, resortAgain, resortReport, watchGroup:
		return s.check.ask(&s.flow, &s.find)
	case deafReload, deafStop, deafStopped:
		return s.askDeaf()
	case illLook, illActivities, illAgain, illMark:
		return s.askIll()
	}
	return s.askLeave()
}

func (s *Monitor) setProtection(on bool) Action {
	return SetProtection{s.find.who.Group, s.find.who.Identity.InstanceID, on}
}

// choose picks the one thing to do after a reading; monFlags is nothing.
func (s *Monitor) choose() phase {
	busy := s.last.Running() > 0
	switch {
	case s.saturated && s.scaledAt.IsZero():
		return monBefore
	case s.saturated && s.now.Sub(s.scaledAt) >= s.scaleWait:
		return monScaleUnit
	case busy && (!s.protected || s.unsure) && !s.now.Before(s.protectAt):
		return s.known(monMark)
	case !busy && s.protected && s.idle >= s.set.UnprotectAfter && !s.now.Before(s.protectAt):
		return s.known(monUnprotect)
	case s.ready.due(s.now):
		return monSpares
	case s.ill.due(s.now) && !busy && !s.asksAnew(): // jobs that run are run to their end
		return s.known(illLook)
	case s.resort() != "":
		return s.resort()
	case s.ill.refused() && s.ill.lasted >= sharedAfter && !s.now.Before(s.init.at):
		return monInitUnit
	case s.flags.Refused && s.init.needless:
		return monUnrefuse
	case s.check.due(s.now):
		return s.check.begins(s.now, &s.find)
	case s.wantsToLeave():
		return s.known(leaveLook)
	}
	return monFlags
}

// known asks first who this instance is where that is not known yet.
func (s *Monitor) known(p phase) phase {
	if s.find.stage != found {
		return monFind
	}
	return p
}

func (s *Monitor) got(r Result) {
	if s.check.has(s.phase) {
		s.gotCheck(r)
		return
	}
	if r.Failure != nil && s.phase != monFind {
		s.failed(r.Failure)
		return
	}
	switch s.phase {
	case monFlags:
		s.gotFlags(value[fleet.Flags](r))
	case monMetrics:
		s.gotMetrics(value[fleet.Observation](r))
	case monFind:
		if f := s.find.got(r); f != nil {
			s.failed(f)
		} else if s.find.stage == found {
			s.goTo(monAct)
		}
	case monMark:
		s.goTo(monProtect)
	case monProtect:
		s.protected, s.unsure, s.protectTries = true, false, 0
		s.ready.works(s.now)
		s.say(Info, "set scale-in protection", fleet.Reason(fmt.Sprintf("%d of %d slots are busy", s.last.Running(), s.last.Slots())))
		s.goTo(monAct)
	case monUnprotect:
		s.protected, s.unsure = false, false
		s.say(Info, "cleared scale-in protection", fleet.Reason(fmt.Sprintf("no job for %s", s.idle.Round(time.Second))))
		s.goTo(monUnmark)
	case monUnmark:
		s.goTo(monAct)
	case monBefore:
		s.goTo(monScaleUp)
	case monScaleUnit:
		s.gotScaleUnit(value[fleet.UnitState](r))
	case monScaleUp:
		s.scaledAt, s.scaleWait = s.now, max(s.scaleWait, scaleUpAgain)
		s.goTo(monAct)
	case monSpares:
		s.ready.at = time.Time{}
		s.goTo(monAct)
	case monUnit:
		s.gotUnit(value[fleet.UnitState](r))
	case monRevive:
		s.revived = s.now
		s.say(Warn, "started gitlab-runner", "it did not run, though this instance is registered and stays")
		s.rest()
	case monInit:
		s.startedInit()
	case monUnrefuse:
		s.flags.Refused = false
		s.goTo(monAct)
	case monHold:
		s.goTo(monHoldHUP)
	case monHoldHUP:
		s.rest()
	case monInitUnit:
		s.gotInitUnit(value[fleet.UnitState](r))
	case monSeer:
		s.gotSeer(value[fleet.UnitState](r))
	case monDrain:
		s.seer.drains = true
		s.say(Info, "start "+UnitUnregister, "a notice stands, and "+UnitLifecycleCheck+" does not start it")
		s.rest()
	case deafReload, deafStop, deafStopped:
		s.gotDeaf(r)
	case illLook, illActivities, illAgain, illMark:
		s.gotIll(r)
	default:
		s.gotLeave(r)
	}
}

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

// idled is how much of the time since the last reading counts as idle. A job that
// ran then may have ended just now: a look that came late is no idle spell.
func (s *Monitor) idled(passed time.Duration) time.Duration {
	if s.last.Running() > 0 {
		return min(passed, s.set.Period)
	}
	return passed
}

// gotScaleUnit starts scale-up once more within a spell where it has ended. One
// that was refused is left alone for longer each time: starting it by hand passes
// by the unit's own rule for that.
func (s *Monitor) gotScaleUnit(u fleet.UnitState) {
	switch {
	case u.Running():
		s.scaledAt, s.scaleWait = s.now, scaleUpAgain
		s.goTo(monAct)
		return
	case u.Active == "failed":
		s.scaleWait = min(2*s.scaleWait, scaleUpMost)
	default:
		s.scaleWait = scaleUpAgain
	}
	s.goTo(monScaleUp)
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

func (s *Monitor) failed(f *fleet.Failure) {
	switch s.phase {
	case monMetrics:
		s.unreadable(f)
	case monProtect, monUnprotect, monMark, monUnmark:
		if (s.phase == monProtect || s.phase == monUnprotect) && !f.Final() { // it may have taken effect: the other must be asked for, too
			s.protected, s.unsure = true, true
		}
		s.failedProtect(f)
	case monBefore: // it may raise by more than what is needed
		s.fails(Debug, "going on without", f)
		s.goTo(monScaleUp)
	case monSpares:
		s.fails(Error, "cannot start "+UnitScaleUp, f)
		s.ready.at = s.now.Add(spareSpread)
		s.goTo(monAct)
	case monScaleUp, monScaleUnit:
		s.fails(Error, "cannot start "+UnitScaleUp, f)
		s.scaledAt, s.scaleWait = s.now, max(s.scaleWait, scaleUpAgain)
		s.goTo(monAct)
	case monFind:
		s.fails(levelOf(f), "cannot find out what this instance is part of, trying again", f)
		s.protectAt, s.leave.again = s.now.Add(protectAgain), s.now.Add(protectAgain)
		s.ill.turns.next = s.now.Add(protectAgain)
		s.rest()
	case monUnrefuse:
		s.fails(Warn, "trying again", f)
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
	case monFlags, monHold, monHoldHUP, monSeer, monDrain:
		s.fails(Warn, "trying again", f)
		s.rest()
	case illLook, illActivities, illAgain, illMark:
		s.failedIll(f)
	default:
		s.failedLeave(f)
	}
}

// failedProtect: an instance that is not in service yet cannot be protected, and
// will be soon: that is worth a line only when it lasts.
func (s *Monitor) failedProtect(f *fleet.Failure) {
	level, pause := levelOf(f), protectAgain
	if !f.Final() && s.protectTries < protectTries {
		level, pause = Debug, protectSoon
	}
	s.protectTries++
	s.fails(level, "cannot change the scale-in protection, trying again", f)
	s.protectAt = s.now.Add(max(pause, f.RetryAfter))
	s.goTo(monAct)
}

// levelOf is Error where someone must act, else Warn.
func levelOf(f *fleet.Failure) Level {
	if f.Final() {
		return Error
	}
	return Warn
}

// rest waits for the next reading.
func (s *Monitor) rest() {
	if s.quit {
		s.done(Done, "stopped")
		return
	}
	d := s.set.Period
	if s.pace > 0 {
		d = s.pace
	}
	s.goToAfter(monFlags, d)
}

// wantsToLeave tells whether the instance has been idle for long enough, and
// whether there is a reason to ask the group.
func (s *Monitor) wantsToLeave() bool {
	return s.idledEnough() && !s.leave.quiet && !s.now.Before(s.leave.again)
}

func (s *Monitor) idledEnough() bool {
	return s.idle >= s.patience.For(scaling.PatienceSettings{Idle: s.set.IdleThreshold, Most: s.set.LearnIdle})
}

// learn takes in how long it was without a job between two.
func (s *Monitor) learn() {
	if s.worked && s.idle > 0 {
		s.patience.Took(s.idle)
	}
	s.worked = true
}

// mayLeave is the decision on one listing.
func (s *Monitor) mayLeave(g fleet.Group) scaling.Leave {
	return scaling.MayLeaveWith(g, s.find.who.Identity.InstanceID, s.terms())
}
