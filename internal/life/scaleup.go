package life

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// ScaleUpSettings are what an operator can set.
type ScaleUpSettings struct {
	Group      string        // the group's name; empty: found
	Period     time.Duration // between readings of the runner
	Spares     SpareSettings
	BlindAfter time.Duration // without a fresh reading of the queue for this long: one step at a time
	Grace      time.Duration // jobs had waited this long before it grows by itself: the webhook does so sooner; 0: there is none
	Seed       uint64
}

// ScaleUp raises the group's desired capacity to what the waiting jobs need,
// and decides again at each fresh reading until a slot is free here.
//
// It guarantees that desired is set only right after the group was read, never
// lower than it was, never above the maximum. When to look and how far to raise is
// scaling.Growth's; looks that lead to nothing get rarer over all saturated spells.
type ScaleUp struct {
	flow
	set     ScaleUpSettings
	find    finder
	growth  scaling.Growth
	reading fleet.Observation
	raise   scaling.Raise
	atMax   bool  // said in this spell
	seen    *Seen // what an earlier process believed, until the first reading
	before  *Before
	raised  bool
	spares  int  // slots that are looked after in this look
	spared  int  // slots that have been
	sparing bool // the look is for them
	first   bool
}

// NewScaleUp returns the machine before its first event.
func NewScaleUp(set ScaleUpSettings) ScaleUp {
	return ScaleUp{flow: flow{verb: "scale-up", backoff: backoff{seed: set.Seed}}, set: set, find: finder{configured: set.Group}, growth: scaling.NewGrowth(scaling.GrowthSettings{BlindAfter: set.BlindAfter, Grace: set.Grace}), first: true}
}

// rereadAfter is after how many failures in a row the queue is read anew.
const rereadAfter = 5

const (
	scaleFlags   phase = "flags"
	scaleSeen    phase = "last reading believed"
	scaleBefore  phase = "slots that were free before"
	scaleMetrics phase = "metrics"
	scaleKeep    phase = "keep the reading"
	scaleFind    phase = "find group"
	scaleLook    phase = "look at the group"
	scaleRaise   phase = "raise"
)

// Step implements Machine.
func (s ScaleUp) Step(e Event, now time.Time) (ScaleUp, []Action) {
	actions := s.Take(e, now, nil)
	return s, actions
}

// Take implements Stepper.
func (s *ScaleUp) Take(e Event, now time.Time, out []Action) []Action {
	r, ok := s.begin(e, now, out)
	switch {
	case ok:
		s.got(r)
	case e == Event(Started{}):
		s.goTo(scaleFlags)
	case e == Event(Interrupted{}):
		s.done(Done, "stopped")
	}
	return s.next(s.ask)
}

func (s *ScaleUp) ask() Action {
	switch s.phase {
	case scaleFlags:
		return ReadFlags{}
	case scaleSeen:
		return ReadSeen{}
	case scaleBefore:
		return ReadBefore{}
	case scaleMetrics:
		return ScrapeMetrics{}
	case scaleKeep:
		return WriteSeen{Seen{StartedAt: s.reading.StartedAt, JobsTotal: s.reading.JobsTotal(), Look: s.growth.Looked()}}
	case scaleFind:
		return s.find.ask()
	case scaleLook:
		return DescribeGroup{s.find.who.Group}
	}
	return SetDesired{s.find.who.Group, s.raise.Desired}
}

func (s *ScaleUp) got(r Result) {
	if r.Failure != nil && s.phase != scaleFind {
		s.failed(r.Failure)
		return
	}
	switch s.phase {
	case scaleFlags:
		s.gotFlags(value[fleet.Flags](r))
	case scaleSeen:
		s.gotSeen(value[*Seen](r))
	case scaleBefore:
		s.before = value[*Before](r)
		s.goTo(scaleMetrics)
	case scaleMetrics:
		s.gotMetrics(value[fleet.Observation](r))
	case scaleKeep:
		s.decidedOn()
	case scaleFind:
		if f := s.find.got(r); f != nil {
			s.failed(f)
		} else if s.find.stage == found {
			s.goTo(scaleLook)
		}
	case scaleLook:
		s.gotGroup(value[fleet.Group](r))
	case scaleRaise:
		s.raised = true
		s.unsaid()
		s.say(Info, fmt.Sprintf("raised desired capacity of group %q to %d", s.find.who.Group, s.raise.Desired), s.raise.Reasons...)
		s.sayMax()
		s.remember()
	}
}

func (s *ScaleUp) gotFlags(f fleet.Flags) {
	if f.Notice != nil {
		s.done(Done, fmt.Sprintf("nothing to do: this instance is to go (%s)", f.Notice.Kind))
		return
	}
	s.goTo(scaleMetrics)
	if s.first {
		s.goTo(scaleSeen)
	}
}

// gotSeen takes up what an earlier process knew.
func (s *ScaleUp) gotSeen(seen *Seen) {
	s.seen = seen
	if seen != nil {
		s.growth.Resume(seen.Look, s.now)
	}
	s.goTo(scaleBefore)
}

// gotMetrics decides whether there is something to decide: a slot is free, or
// there is news of the queue, or there has been none for long.
func (s *ScaleUp) gotMetrics(o fleet.Observation) {
	if s.knows(o) {
		s.growth.Believed(o)
	}
	if b := s.before; b != nil && b.StartedAt == o.StartedAt && o.JobsTotal()-b.JobsTotal <= int64(o.Slots()) { // else it is of an earlier spell
		s.growth.Before(b.Free)
	}
	s.seen, s.before = nil, nil
	s.reading = o
	urge := s.growth.Read(o, s.now)
	s.spares = s.set.Spares.Slots.At(s.now)
	s.spared = min(s.spared, s.spares)
	s.sparing = s.spares > s.spared && urge != scaling.LookNow
	switch {
	case s.sparing:
		s.lookAtGroup()
	case urge == scaling.Free:
		s.finished()
	case urge == scaling.LookNow:
		s.lookAtGroup()
	default:
		s.rest()
	}
}

// knows tells whether an earlier process has believed this very reading.
func (s *ScaleUp) knows(o fleet.Observation) bool {
	return s.seen != nil && s.seen.StartedAt == o.StartedAt && s.seen.JobsTotal >= o.JobsTotal()
}

// lookAtGroup goes on to the group.
func (s *ScaleUp) lookAtGroup() {
	s.goTo(scaleFind)
	if s.find.stage == found {
		s.goTo(scaleLook)
	}
}

func (s *ScaleUp) finished() {
	if s.raised {
		s.done(Done, fmt.Sprintf("raised to %d; a slot is free again", s.raise.Desired))
		return
	}
	s.done(Done, "nothing to raise: a slot is free here")
}

func (s *ScaleUp) gotGroup(g fleet.Group) {
	if g.Weighted {
		f := &fleet.Failure{
			Kind: fleet.Invalid, Op: fmt.Sprintf("scale group %q", g.Name), Message: "its mixed-instances policy gives instance types weights, so that desired does not count instances",
			Mend: "remove WeightedCapacity from the policy's overrides",
		}
		s.fails(Error, "cannot raise", f)
		s.done(Refused, f.Error())
		return
	}
	s.raise = s.decide(g)
	if s.raise.Needed {
		s.onTo(scaleRaise)
		return
	}
	s.sayMax()
	if !s.raise.AtMax {
		s.say(Debug, fmt.Sprintf("leave desired capacity at %d", g.Desired), s.raise.Reasons...)
	}
	s.remember()
}

// decide is the decision on one listing: what the queue asks for, or where it tells
// nothing what the spares do. They are looked after once: the next one that goes to work
// has another process do so.
func (s *ScaleUp) decide(g fleet.Group) scaling.Raise {
	self := s.find.who.Identity.InstanceID
	s.spares = s.set.Spares.Slots.At(s.now) // the look may have been tried again for long
	if !s.sparing {
		return s.growth.Decide(g, self, s.spares, s.now)
	}
	if s.reading.Running() == 0 {
		self = ""
	}
	return scaling.HoldReady(g, self, s.reading.Slots(), s.spares)
}

// remember writes down which reading was acted on, after it was: acting on it once
// more changes nothing, not acting on it would.
func (s *ScaleUp) remember() {
	if s.sparing {
		s.spared = s.spares
	}
	s.goTo(scaleKeep)
}

// decidedOn goes on after a decision: at once after a raise, for a slot may be
// free by now.
func (s *ScaleUp) decidedOn() {
	s.rest()
	if s.raise.Needed {
		s.goTo(scaleFlags)
	}
}

// sayMax says once in a spell that the maximum forbids what the queue asks for.
func (s *ScaleUp) sayMax() {
	if s.raise.AtMax && !s.atMax && !s.sparing { // that there is no place for spares keeps no job waiting
		s.say(Warn, fmt.Sprintf("group %q is at its maximum of %d", s.find.who.Group, s.raise.Desired), slices.Concat(s.raise.Reasons, []fleet.Reason{"raise the group's maximum if jobs wait too long"})...)
	}
	s.atMax = s.atMax || s.raise.AtMax && !s.sparing
}

func (s *ScaleUp) failed(f *fleet.Failure) {
	switch {
	case f.Kind == fleet.OutOfBounds: // the bounds were changed since the look: look again
		s.fails(Warn, "the group's bounds have changed, looking again", f)
		s.again(f)
		s.phase = scaleLook
	case f.Kind == fleet.Local && s.phase == scaleMetrics && s.first:
		s.fails(Warn, "cannot see the runner", f)
		s.done(TryAgain, f.Error())
	case s.phase == scaleSeen: // a file that cannot be read is as good as none
		s.goTo(scaleBefore)
	case s.phase == scaleBefore:
		s.goTo(scaleMetrics)
	case s.phase == scaleKeep:
		s.fails(Warn, "going on without", f)
		s.decidedOn()
	case s.phase == scaleMetrics || s.phase == scaleFlags:
		s.fails(Warn, "cannot see the runner, trying again", f)
		s.rest()
	case f.Final():
		s.fails(Error, "cannot raise", f)
		s.done(Refused, f.Error())
	default: // look again before setting: the group may have changed while this one waited
		s.fails(Warn, "trying again", f)
		s.again(f)
		if s.phase == scaleRaise {
			s.phase = scaleLook
			s.growth.Forget() // nobody knows what desired is
		}
		if s.backoff.tries > rereadAfter {
			s.growth.Owes()
			s.goToAfter(scaleFlags, backoffMost)
		}
	}
}

func (s *ScaleUp) rest() {
	s.first = false
	s.goToAfter(scaleFlags, s.set.Period)
}
