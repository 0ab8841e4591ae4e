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
// call to anyone, and looks at the group that lead to nothing get rarer: one a
// minute at last, over all saturated spells, but for a queue that has grown beyond
// what the last look had provided for.
type ScaleUp struct {
	flow
	set     ScaleUpSettings
	find    finder
	last    fleet.Observation // the reading before
	reading fleet.Observation
	queue   scaling.Waiting
	decided time.Time // of the last decision
	look    Look      // the last one, of an earlier process too
	raise   scaling.Raise
	atMax   bool  // said in this spell
	blind   bool  // the present decision knows no queue
	seen    *Seen // what an earlier process believed, until the first reading
	gauge   bool  // the runner tells the queue's length
	stepped bool  // without knowing the queue, since the last news of it
	raised  bool
	first   bool
}

// NewScaleUp returns the machine before its first event.
func NewScaleUp(set ScaleUpSettings) ScaleUp {
	return ScaleUp{flow: flow{verb: "scale-up", backoff: backoff{seed: set.Seed}}, set: set, find: finder{configured: set.Group}, first: true}
}

const (
	// rereadAfter is after how many failures in a row the queue is read anew.
	rereadAfter = 5
	// freshMost bounds the wait for the next look where readings are fresh: those
	// that were pending may be busy by then, and the same queue needs more.
	freshMost = time.Minute
	// lookFirst and blindMost bound it where nothing is known of the queue.
	lookFirst = 10 * time.Second
	blindMost = 2 * time.Minute
	// lookForgotten is when a look says nothing more of how often to look.
	lookForgotten = 5 * time.Minute
)

const (
	scaleFlags   phase = "flags"
	scaleSeen    phase = "last reading believed"
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
	case scaleMetrics:
		return ScrapeMetrics{}
	case scaleKeep:
		return WriteSeen{Seen{StartedAt: s.reading.StartedAt, JobsTotal: s.reading.JobsTotal(), Look: s.look}}
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
		s.stepped = s.stepped || s.blind
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

// gotSeen takes up what an earlier process knew. A look of the future is of a
// clock that was set meanwhile.
func (s *ScaleUp) gotSeen(seen *Seen) {
	s.seen = seen
	if seen != nil {
		if since := s.now.Sub(seen.Look.At); since >= 0 && since < lookForgotten {
			s.look, s.decided = seen.Look, seen.Look.At
		}
	}
	s.goTo(scaleMetrics)
}

// gotMetrics decides whether there is something to decide: a slot is free, or
// the queue's length is news, or it has been unknown for long.
func (s *ScaleUp) gotMetrics(o fleet.Observation) {
	s.last, s.reading = s.reading, o
	queue := scaling.ReadQueue(s.last, o)
	s.gauge = s.gauge || queue.Fresh
	fresh := queue.Fresh && !s.knows(o)
	s.seen = nil
	switch {
	case o.Free() > 0 || o.Slots() == 0:
		s.finished()
	case fresh && s.asksForMore(queue):
		s.queue, s.blind, s.stepped = queue, false, false
		s.lookAtGroup()
	case fresh:
		s.decided, s.stepped = s.now, false
		s.rest()
	case scaling.NoneWaited(s.last, o) && !s.gauge: // jobs come, and find a slot
		s.decided = s.now
		s.rest()
	case s.stale():
		s.blind = true
		s.lookAtGroup()
	default:
		s.rest()
	}
}

// asksForMore tells whether news of the queue is worth a look at the group: more
// jobs wait than the last look had provided for, or that was some time ago. Where
// none waits there is nothing to raise for.
func (s *ScaleUp) asksForMore(q scaling.Waiting) bool {
	return q.Jobs > 0 && (q.Jobs > s.look.Bears || s.now.Sub(s.look.At) >= min(s.look.Wait, freshMost))
}

// knows tells whether an earlier process has believed this very reading.
func (s *ScaleUp) knows(o fleet.Observation) bool {
	return s.seen != nil && s.seen.StartedAt == o.StartedAt && s.seen.JobsTotal >= o.JobsTotal()
}

// stale tells whether the queue has been unknown for long enough to step without
// knowing it: again and again where the runner has no gauge, once in a spell where
// it has one, which will tell when jobs wait.
func (s *ScaleUp) stale() bool {
	if s.gauge && s.stepped {
		return false
	}
	return s.decided.IsZero() || s.now.Sub(s.decided) >= max(s.look.Wait, s.set.BlindAfter)
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
	s.decided = s.now
	self := s.find.who.Identity.InstanceID
	if s.blind {
		s.raise = scaling.Step(g, self, s.gauge)
	} else {
		s.raise = scaling.RaiseTo(g, self, s.reading.Slots(), s.queue.Jobs)
	}
	s.looked(scaling.Bears(g, self, s.reading.Slots(), s.raise.Desired))
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

// remember writes down which reading was acted on, after it was: acting on it once
// more changes nothing, not acting on it would.
func (s *ScaleUp) remember() { s.goTo(scaleKeep) }

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
	if s.raise.AtMax && !s.atMax {
		s.say(Warn, fmt.Sprintf("group %q is at its maximum of %d", s.find.who.Group, s.raise.Desired), slices.Concat(s.raise.Reasons, []fleet.Reason{"raise the group's maximum if jobs wait too long"})...)
	}
	s.atMax = s.atMax || s.raise.AtMax
}

// looked sets the time until the group is looked at again without more need:
// longer each time that it led to nothing, so that a group at its maximum, or one
// that has asked for enough, is not asked with each job that its instances take.
func (s *ScaleUp) looked(bears int) {
	wait := min(max(2*s.look.Wait, lookFirst), blindMost)
	if s.raise.Needed {
		wait = s.set.BlindAfter
	}
	s.look = Look{At: s.now, Wait: wait, Bears: bears}
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
			s.phase, s.look = scaleLook, Look{} // nobody knows what desired is
		}
		if s.backoff.tries > rereadAfter {
			s.reading = s.last
			s.goToAfter(scaleFlags, backoffMost)
		}
	}
}

func (s *ScaleUp) rest() {
	s.first = false
	s.goToAfter(scaleFlags, s.set.Period)
}
