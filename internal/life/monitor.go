package life

import (
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
//
// This file has what it knows, its phases and what follows what. What becomes of an
// answer stands with the idea: monitorreadings, -idle, -protect, -scaleup, -fail here, leave,
// illness, deaf, reinit, seer, lastresort and spares beside them.
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
		s.gotProtected()
	case monUnprotect:
		s.gotUnprotected()
	case monUnmark:
		s.goTo(monAct)
	case monBefore:
		s.goTo(monScaleUp)
	case monScaleUnit:
		s.gotScaleUnit(value[fleet.UnitState](r))
	case monScaleUp:
		s.lookAtScaleUpLater()
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
