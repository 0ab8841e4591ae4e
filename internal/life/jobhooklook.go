package life

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

const (
	// hookAgain is how often the group is looked at while a job waits.
	hookAgain = 20 * time.Second
	// hookNear is how close two looks lie that tell what was so between them: in an
	// outage they do not.
	hookNear = hookAgain + hookAgain/2
	// hookWell is how long none of the group's requests may have failed until one that does
	// is worth a line again: where every third one is throttled, each would have its own.
	// It is longer than any pause between two.
	hookWell = 2 * retryAfterMost
	// hookRefused is how long something is left alone that was refused for good:
	// somebody must mend it first.
	hookRefused = 2 * time.Minute
	// asideAfter is how long a job waits beside instances that have nothing to do until
	// it is plain that they do not take it: its tags do not match, it is protected, or it
	// is gone and nobody has told. One after the other counts together: each is launched
	// for it, finds nothing, and leaves sooner than this.
	asideAfter = 5 * time.Minute
	// asideFor is how long such a job is not counted, twice as long with each time, up
	// to asideMost: else instances would be launched for it for a day.
	asideFor  = 5 * time.Minute
	asideMost = 16 * time.Hour
	// hookSays is how often it is said that jobs are put aside, or that the maximum forbids
	// what they need: where the runners take none, or jobs come by ones and twos, each would
	// have a line of its own.
	hookSays = 10 * time.Minute
)

// gotGroup decides on a listing.
func (s *JobHook) gotGroup(g fleet.Group) {
	s.window = false
	if g.Weighted {
		s.refused(&fleet.Failure{
			Kind: fleet.Invalid, Op: fmt.Sprintf("scale group %q", g.Name), Message: "its mixed-instances policy gives instance types weights, so that desired does not count instances",
			Mend: "remove WeightedCapacity from the policy's overrides",
		})
		return
	}
	s.expire()
	s.putAside(g)
	s.ahead.sees(g, s.now)
	d := s.demand()
	s.raise = d.Raise(g, s.set.Slots)
	s.ahead.seen.need = d.Pending + d.Running + d.Ahead
	s.ahead.decides(d, g, s.set.Slots, &s.raise)
	if s.raise.Needed {
		s.onTo(hookRaise)
		return
	}
	s.sayMax()
	if !s.atMax {
		s.say(Debug, fmt.Sprintf("leave desired capacity at %d", g.Desired), s.raise.Reasons...)
	}
	s.decided()
}

// demand is what the group's jobs ask for, and those that are about to come.
func (s *JobHook) demand() scaling.Demand {
	d := scaling.Demand{Pending: s.jobs.pending - s.aside(), Running: s.jobs.running}
	d.Ahead = s.slotsAhead(d.Pending + d.Running)
	return d
}

// aside is how many of the pending jobs are not counted.
func (s *JobHook) aside() (n int) {
	for _, j := range s.jobs.all() {
		if j.State == fleet.JobPending && s.now.Before(j.aside) {
			n++
		}
	}
	return n
}

// putAside leaves jobs out of the count for a while that instances with nothing to
// do do not take.
func (s *JobHook) putAside(g fleet.Group) {
	last := s.idleAt
	s.idleAt = time.Time{}
	if !slices.ContainsFunc(g.Instances, func(i fleet.Instance) bool { return i.State == fleet.InService && !i.Protected && i.Healthy }) {
		return
	}
	s.idleAt = s.now
	if last.IsZero() || s.now.Sub(last) > hookNear {
		return
	}
	n := 0
	for _, j := range s.jobs.all() {
		if j.State != fleet.JobPending || s.now.Before(j.aside) {
			continue
		}
		if j.beside += s.now.Sub(later(last, later(j.since, j.aside))); j.beside < asideAfter {
			continue
		}
		j.aside, j.beside = s.now.Add(min(asideFor<<min(j.passes, 10), asideMost)), 0
		j.passes++
		n++
	}
	if s.asideMore += n; s.asideMore > 0 && s.now.Sub(s.asideSaid) >= hookSays {
		n, s.asideMore, s.asideSaid = s.asideMore, 0, s.now
		s.say(Warn, fmt.Sprintf("leave %d jobs out of the count of group %q", n, g.Name),
			fleet.Reason(fmt.Sprintf("they have waited for %s beside an instance without a job", asideAfter)),
			"do the runners have their tags, and may they run protected branches?")
	}
}

// nobodyAside counts all jobs again: one that was put aside runs, so what kept the
// instances from taking them is over.
func (s *JobHook) nobodyAside() {
	for _, j := range s.jobs.all() {
		if !j.doubt {
			j.aside, j.beside, j.passes = time.Time{}, 0, 0
		}
	}
	s.openWindow()
}

// decided says when to look again: soon while something waits.
func (s *JobHook) decided() {
	s.aws.tries, s.calm = 0, time.Time{}
	if s.now.Sub(s.illAt) > hookWell {
		s.unsaid()
	}
	s.goTo(hookRest)
	if s.window { // a job has begun to wait since the look
		return
	}
	s.lookAt = time.Time{}
	if s.jobs.pending == 0 {
		s.nobodyWaits()
		return
	}
	s.lookAt = s.now.Add(hookAgain)
	if s.demand().Pending == 0 {
		s.lookAt = s.counted()
	}
}

// nobodyWaits has the group looked at no more.
func (s *JobHook) nobodyWaits() {
	s.window, s.lookAt = false, time.Time{}
	s.atMax, s.idleAt = false, time.Time{}
}

// counted is when the first job counts again that was put aside.
func (s *JobHook) counted() (at time.Time) {
	for _, j := range s.jobs.all() {
		if j.State == fleet.JobPending && (at.IsZero() || j.aside.Before(at)) {
			at = j.aside
		}
	}
	return at
}

// sayMax says once for as long as jobs wait that the maximum forbids what they need, and
// seldom where they wait again and again.
// What is only expected is nothing to raise it for yet.
func (s *JobHook) sayMax() {
	atMax := s.raise.AtMax && s.jobs.pending > 0
	if atMax && !s.atMax && s.now.Sub(s.maxSaid) >= hookSays {
		s.maxSaid = s.now
		s.say(Warn, fmt.Sprintf("group %q is at its maximum of %d", s.set.Group, s.raise.Desired), slices.Concat(s.raise.Reasons, []fleet.Reason{"raise the group's maximum if jobs wait too long"})...)
	}
	s.atMax = atMax
}

// lookFailed looks again before anything is set: the group may have changed, or
// have been raised by the request whose answer was lost.
func (s *JobHook) lookFailed(f *fleet.Failure) {
	if s.now.Sub(s.illAt) > hookWell { // as where nothing was asked for hours
		s.unsaid()
	}
	s.illAt = s.now
	switch {
	case f.Kind == fleet.OutOfBounds && s.phase == hookRaise:
		s.fails(Warn, "the group's bounds have changed, looking again", f)
		s.calmFor(s.aws.next())
	case f.Final():
		s.refused(f)
	default:
		s.fails(Warn, "trying again", f)
		s.calmFor(max(s.aws.next(), min(f.RetryAfter, retryAfterMost)))
	}
}

// refused waits for somebody to mend it.
func (s *JobHook) refused(f *fleet.Failure) {
	s.fails(Error, "cannot raise", f)
	s.calmFor(hookRefused)
}

func (s *JobHook) calmFor(d time.Duration) {
	s.calm = s.now.Add(d)
	s.lookAt = s.calm
	s.window = false
	s.goTo(hookRest)
}
