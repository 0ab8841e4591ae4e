package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// LifecycleCheckSettings are what an operator can set.
type LifecycleCheckSettings struct {
	Group              string        // the group's name; empty: found
	Period             time.Duration // between looks at the metadata
	LeaveOnRebalance   bool          // a rebalance recommendation is a notice
	LeaveOnMaintenance bool          // a scheduled stop or retirement is a notice
	UnhealthyAfter     time.Duration // monitor is broken for this long: have the group replace the instance
	Seed               uint64
}

// LifecycleCheck watches the instance metadata, writes a notice when the
// instance is to go, and ends with 0: systemd then starts unreg-runner.service.
//
// It guarantees that only a well-formed answer of the metadata service becomes
// a notice, and that it never ends with 0 before the notice is on disk, unless
// it is asked to stop.
type LifecycleCheck struct {
	flow
	set     LifecycleCheckSettings
	flags   fleet.Flags
	looked  bool // at the flags, and nothing was left over there
	notice  fleet.Notice
	heard   bool           // the metadata service has answered
	unknown int            // looks in a row that the metadata service did not answer
	spot    *fleet.Failure // of the spot path in this look
	part    missing
	rare    time.Time // when the slow signs are due
	initAt  time.Time // runner-init.service was last started
	find    finder
	monitor neighbour
}

const (
	// rarePeriod is for rebalance recommendations and maintenance: they come
	// minutes to days ahead.
	rarePeriod = 30 * time.Second
	// noticeAgain is the pause before a notice is written again: of a spot
	// instance's two minutes none is to spare.
	noticeAgain = time.Second
	// unknownWarn is how many unanswered looks in a row are worth a line.
	unknownWarn = 3
	// partlyAgain is how often a line tells of a part that is not answered.
	partlyAgain = 10 * time.Minute
	// initAgain is how often runner-init.service is started while an instance
	// that left the warm pool is not registered: one that was refused would be
	// refused every five seconds.
	initAgain = time.Minute
)

// NewLifecycleCheck returns the machine before its first event.
func NewLifecycleCheck(set LifecycleCheckSettings) LifecycleCheck {
	return LifecycleCheck{
		flow: flow{verb: "lifecycle-check", backoff: backoff{seed: set.Seed}}, set: set,
		find:    finder{configured: set.Group},
		monitor: watching(UnitMonitor, "this instance neither grows the group nor leaves it, and nobody replaces it when it is ill", set.UnhealthyAfter, false),
	}
}

const (
	checkFlags       phase = "flags"
	checkOver        phase = "clear the notice of a shutdown that is over"
	checkTarget      phase = "target"
	checkSpot        phase = "spot"
	checkRebalance   phase = "rebalance"
	checkMaintenance phase = "maintenance"
	checkStandby     phase = "standby"
	checkInit        phase = "start init"
	checkWrite       phase = "write notice"
)

// Step implements Machine.
func (s LifecycleCheck) Step(e Event, now time.Time) (LifecycleCheck, []Action) {
	actions := s.Take(e, now, nil)
	return s, actions
}

// Take implements Stepper.
func (s *LifecycleCheck) Take(e Event, now time.Time, out []Action) []Action {
	r, ok := s.begin(e, now, out)
	switch {
	case ok:
		s.got(r)
	case e == Event(Started{}):
		s.goTo(checkFlags)
	case e == Event(Interrupted{}) && s.phase != checkWrite: // a notice that was seen is written first
		s.done(Done, "stopped; no notice was written")
	}
	return s.next(s.ask)
}

func (s *LifecycleCheck) ask() Action {
	switch s.phase {
	case checkFlags:
		return ReadFlags{}
	case checkOver:
		return SetFlag{FlagNotice, false}
	case checkTarget:
		return ReadTarget{}
	case checkSpot:
		return ReadSpot{}
	case checkRebalance:
		return ReadRebalance{}
	case checkMaintenance:
		return ReadMaintenance{}
	case checkStandby:
		return SetFlag{FlagStandby, !s.flags.Standby}
	case checkInit:
		return StartUnit{UnitInit}
	case resortStart:
		return StartUnit{UnitMonitor}
	case resortUnit, resortFind, resortLook, resortActivities, resortHooks, resortJobs, resortRunner, resortAgain, resortReport:
		return s.monitor.ask(&s.flow, &s.find)
	}
	return WriteNotice{s.notice}
}

func (s *LifecycleCheck) got(r Result) {
	if s.monitor.has(s.phase) { // a call that fails ends the chain: it hides the metadata for no longer
		s.monitor.got(&s.flow, &s.find, r)
		if s.rest(); s.monitor.due(s.now) {
			s.goTo(s.monitor.begins(s.now, &s.find))
		}
		return
	}
	if r.Failure != nil {
		s.failed(r.Failure)
		return
	}
	switch s.phase {
	case checkFlags:
		s.gotFlags(value[fleet.Flags](r))
	case checkOver:
		s.say(Info, "took the notice of a shutdown back: it is over, and this instance stays")
		s.goTo(checkFlags)
	case checkSpot:
		s.spot = nil
		s.answered()
		s.gotSpot(value[*fleet.SpotAction](r))
	case checkTarget:
		if s.spot == nil {
			s.answered()
		} else {
			s.partly(s.spot)
		}
		s.gotTarget(value[fleet.LifecycleState](r))
	case checkRebalance:
		s.gotRebalance(value[bool](r))
	case checkMaintenance:
		s.gotMaintenance(value[[]fleet.MaintenanceEvent](r))
	case checkStandby: // said once it is on disk: a full one is tried every few seconds
		s.say(Info, "standby "+map[bool]string{true: "ends", false: "begins"}[s.flags.Standby], "metadata autoscaling/target-lifecycle-state")
		s.rest()
	case checkWrite:
		s.done(Done, fmt.Sprintf("notice %s written", s.notice.Kind))
	default:
		s.rest()
	}
}

// failed counts what is unknown. Nothing unknown is a notice: a metadata
// service that answers 401, 5xx, garbage or not at all drains no instance.
func (s *LifecycleCheck) failed(f *fleet.Failure) {
	switch s.phase {
	case checkWrite: // the one thing that must not be skipped
		s.fails(Error, "cannot write the notice, trying again", f)
		s.goToAfter(checkWrite, min(s.set.Period, noticeAgain))
		return
	case checkFlags: // a file that nobody can read must not hide what the metadata says
		s.fails(Warn, "cannot read the run directory, looking at the metadata all the same", f)
		s.goTo(checkSpot)
		return
	case checkSpot:
		s.spot = f
		s.goTo(checkTarget) // a spot path that hangs must not hide the target state
		return
	case checkTarget:
		s.noTarget(f)
	case checkRebalance, checkMaintenance:
		s.partly(f)
	default:
		s.fails(Warn, "trying again", f)
	}
	s.rest()
}

// missing is a part of the metadata that is not answered.
type missing struct {
	op     string
	saidAt time.Time
	last   time.Time // it was not answered
}

// partly says that part of the metadata is not answered: once for as long as it is
// one part, and not at each look where one request in five fails and the parts do
// so in turns.
func (s *LifecycleCheck) partly(f *fleet.Failure) {
	level := Debug
	anew := s.part.last.IsZero() || s.now.Sub(s.part.last) >= partlyAgain
	if anew || f.Op != s.part.op && s.now.Sub(s.part.saidAt) >= partlyAgain {
		level = Warn
		s.unsaid()
		s.part.op, s.part.saidAt = f.Op, s.now
	}
	s.part.last = s.now
	s.fails(level, "part of the metadata is not answered: unknown is no notice, looking again", f)
}

// noTarget is a look without the target state; without the spot path as well it
// is the service that does not answer, and a few such looks are no news.
func (s *LifecycleCheck) noTarget(f *fleet.Failure) {
	if s.spot == nil {
		s.partly(f)
		return
	}
	s.unknown++
	if s.unknown >= unknownWarn {
		s.fails(Warn, "the metadata service does not answer: unknown is no notice, looking again", f)
	}
}

func (s *LifecycleCheck) answered() {
	if !s.heard { // what systemctl status shows
		s.heard = true
		s.say(Debug, "watch the metadata", fleet.Reason(fmt.Sprintf("every %s", s.set.Period)))
	}
	if s.unknown >= unknownWarn {
		s.say(Info, "the metadata service answers again", fleet.Reason(fmt.Sprintf("after %d unanswered looks", s.unknown)))
	}
	if s.unknown > 0 { // else said stands: one path may be ill while the others answer
		s.unknown = 0
		s.unsaid()
	}
}

func (s *LifecycleCheck) gotFlags(f fleet.Flags) {
	s.flags = f
	switch {
	case f.Notice == nil:
		s.looked = true
		s.goTo(checkSpot)
	case f.Notice.Kind == fleet.NoticeShutdown && !s.looked:
		// systemd starts nothing while the machine goes down: that shutdown is over, and
		// what was to take its notice back was killed. A soft-reboot keeps /run.
		s.goTo(checkOver)
	default: // written before a kill: what is left to do is to end with 0
		s.done(Done, fmt.Sprintf("notice %s stands already", f.Notice.Kind))
	}
}

func (s *LifecycleCheck) gotSpot(a *fleet.SpotAction) {
	if a == nil {
		s.goTo(checkTarget)
		return
	}
	deadline := spotEnd(a.Time, s.now)
	s.write(fleet.NoticeSpot, &deadline, fmt.Sprintf("metadata spot/instance-action: %s at %s", a.Action, a.Time.UTC().Format(time.RFC3339)))
}

const (
	// spotLead is how long ahead EC2 tells of an interruption.
	spotLead = 2 * time.Minute
	// clockSlack is how wrong a clock may be and yet be believed.
	clockSlack = 30 * time.Second
)

// spotEnd is when EC2 takes the instance. Where that would be past, or too far from
// two minutes ahead, this machine's clock is wrong: believed, it would have the jobs
// killed at once, or lost with the instance.
func spotEnd(told, now time.Time) time.Time {
	left := told.Sub(now)
	if left > spotLead+clockSlack || left < 0 {
		return now.Add(spotLead - clockSlack)
	}
	return told
}

func (s *LifecycleCheck) gotTarget(target fleet.LifecycleState) {
	const source = "metadata autoscaling/target-lifecycle-state: "
	switch {
	case target == fleet.Terminated || target == "Warmed:Terminated":
		s.write(fleet.NoticeScaleIn, nil, source+string(target))
	case target.IsWarmed() && s.flags.Registered: // the group takes it back into its warm pool: its jobs end first
		s.write(fleet.NoticeScaleIn, nil, source+string(target))
	case target == fleet.Detached:
		s.write(fleet.NoticeDetached, nil, source+string(target))
	case (target == fleet.Standby) != s.flags.Standby && (target == fleet.Standby || target == fleet.InService):
		s.goTo(checkStandby)
	case target == fleet.InService && s.flags.Warmed && !s.flags.Registered && s.now.Sub(s.initAt) >= initAgain:
		s.initAt = s.now
		s.say(Info, "start "+UnitInit, fleet.Reason("the instance leaves the warm pool"), fleet.Reason(source+string(target)))
		s.goTo(checkInit)
	case s.monitor.due(s.now):
		s.goTo(s.monitor.begins(s.now, &s.find))
	case !s.now.Before(s.rare):
		s.rare = s.now.Add(rarePeriod)
		s.goTo(checkRebalance)
	default:
		s.rest()
	}
}

func (s *LifecycleCheck) gotRebalance(recommended bool) {
	if recommended && s.set.LeaveOnRebalance {
		s.write(fleet.NoticeRebalance, nil, "metadata events/recommendations/rebalance")
		return
	}
	s.goTo(checkMaintenance)
}

func (s *LifecycleCheck) gotMaintenance(events []fleet.MaintenanceEvent) {
	for _, e := range events {
		ends := e.Code == "instance-stop" || e.Code == "instance-retirement"
		if s.set.LeaveOnMaintenance && ends && e.State == "active" {
			var deadline *time.Time
			if at := e.NotBefore; !at.IsZero() { // a date that is not told is not the year 1
				deadline = &at
			}
			s.write(fleet.NoticeMaintenance, deadline, fmt.Sprintf("metadata events/maintenance/scheduled: %s %s", e.ID, e.Code))
			return
		}
	}
	s.rest()
}

// write puts the notice on disk before anything acts on it.
func (s *LifecycleCheck) write(kind fleet.NoticeKind, deadline *time.Time, source string) {
	s.notice = fleet.Notice{Kind: kind, SeenAt: s.now, Deadline: deadline, Source: source}
	s.say(Info, fmt.Sprintf("notice: this instance is to go (%s)", kind), fleet.Reason(source))
	s.goTo(checkWrite)
}

func (s *LifecycleCheck) rest() { s.goToAfter(checkFlags, s.set.Period) }
