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
	BlindAfter time.Duration // without a fresh reading of the queue for this long: one step at a time
	Seed       uint64
}

// ScaleUp raises the group's desired capacity to what the waiting jobs need,
// and decides again at each fresh reading until a slot is free here.
//
// It guarantees that desired is set only right after the group was read, never
// lower than it was, never above the maximum. Nothing new to decide on is no
// call to anyone.
type ScaleUp struct {
	flow
	set     ScaleUpSettings
	find    finder
	last    fleet.Observation // the reading before
	reading fleet.Observation
	queue   scaling.Waiting
	decided time.Time // of the last decision
	raise   scaling.Raise
	atMax   bool          // said in this spell
	blind   bool          // the present decision knows no queue
	wait    time.Duration // until the next decision without a fresh reading
	raised  bool
	first   bool
}

// NewScaleUp returns the machine before its first event.
func NewScaleUp(set ScaleUpSettings) ScaleUp {
	return ScaleUp{flow: flow{verb: "scale-up", backoff: backoff{seed: set.Seed}}, set: set, find: finder{configured: set.Group}, first: true}
}

const (
	scaleFlags   phase = "flags"
	scaleMetrics phase = "metrics"
	scaleFind    phase = "find group"
	scaleLook    phase = "look at the group"
	scaleRaise   phase = "raise"
)

// Step implements Machine.
func (s ScaleUp) Step(e Event, now time.Time) (ScaleUp, []Action) {
	r, ok := s.begin(e, now)
	switch {
	case ok:
		s.got(r)
	case e == Event(Started{}):
		s.goTo(scaleFlags)
	case e == Event(Interrupted{}):
		s.done(Done, "stopped")
	}
	return s, s.next(s.ask)
}

func (s *ScaleUp) ask() Action {
	switch s.phase {
	case scaleFlags:
		return ReadFlags{}
	case scaleMetrics:
		return ScrapeMetrics{}
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
	case scaleMetrics:
		s.gotMetrics(value[fleet.Observation](r))
	case scaleFind:
		if f := s.find.got(r); f != nil {
			s.failed(f)
		} else if s.find.stage == found {
			s.goTo(scaleLook)
		}
	case scaleLook:
		s.gotGroup(value[fleet.Group](r))
	case scaleRaise:
		s.raised, s.said = true, ""
		s.say(Info, fmt.Sprintf("raised desired capacity of group %q to %d", s.find.who.Group, s.raise.Desired), s.raise.Reasons...)
		s.first = false
		s.goTo(scaleFlags) // a slot may be free by now
	}
}

func (s *ScaleUp) gotFlags(f fleet.Flags) {
	if f.Notice != nil {
		s.done(Done, fmt.Sprintf("nothing to do: this instance is to go (%s)", f.Notice.Kind))
		return
	}
	s.goTo(scaleMetrics)
}

// gotMetrics decides whether there is something to decide: a slot is free, or
// the queue's length is news, or it has been unknown for long.
func (s *ScaleUp) gotMetrics(o fleet.Observation) {
	s.last, s.reading = s.reading, o
	queue := scaling.ReadQueue(s.last, o)
	fresh := queue.Fresh
	if fresh {
		s.queue = queue
	}
	if o.Free() > 0 || o.Slots() == 0 {
		s.finished()
		return
	}
	stale := s.decided.IsZero() || s.now.Sub(s.decided) >= s.wait
	switch {
	case fresh:
		s.blind = false
	case stale:
		s.blind = true
	default:
		s.rest(scaleFlags)
		return
	}
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
	s.decided = s.now
	self := s.find.who.Identity.InstanceID
	if s.blind {
		s.raise = scaling.Step(g, self)
	} else {
		s.raise = scaling.RaiseTo(g, self, s.reading.Slots(), s.queue.Jobs)
	}
	if s.raise.AtMax && !s.atMax {
		s.say(Warn, fmt.Sprintf("group %q is at its maximum of %d", g.Name, g.Max), slices.Concat(s.raise.Reasons, []fleet.Reason{"raise the group's maximum if jobs wait too long"})...)
	}
	s.atMax = s.atMax || s.raise.AtMax
	s.pace()
	if s.raise.Needed {
		s.goTo(scaleRaise)
		return
	}
	if !s.raise.AtMax {
		s.say(Debug, fmt.Sprintf("leave desired capacity at %d", g.Desired), s.raise.Reasons...)
	}
	s.rest(scaleFlags)
}

// pace sets the time until the group is looked at again without news of the
// queue: longer each time that it led to nothing, so that a group at its
// maximum with long jobs is not asked every ten seconds.
func (s *ScaleUp) pace() {
	const mostTimes = 12
	if s.raise.Needed || !s.blind || s.wait == 0 {
		s.wait = s.set.BlindAfter
		return
	}
	s.wait = min(2*s.wait, mostTimes*s.set.BlindAfter)
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
	case s.phase == scaleMetrics || s.phase == scaleFlags:
		s.fails(Warn, "cannot see the runner, trying again", f)
		s.rest(scaleFlags)
	case f.Final():
		s.fails(Error, "cannot raise", f)
		s.done(Refused, f.Error())
	default: // look again before setting: the group may have changed while this one waited
		s.fails(Warn, "trying again", f)
		s.again(f)
		if s.phase == scaleRaise {
			s.phase = scaleLook
		}
	}
}

func (s *ScaleUp) rest(p phase) {
	s.first = false
	s.goToAfter(p, s.set.Period)
}
