package life

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// JobHookSettings are what an operator can set.
type JobHookSettings struct {
	Group     string
	Slots     int                      // jobs that an instance runs at once
	Reconcile bool                     // GitLab's API can be asked which jobs there are
	Forecast  scaling.ForecastSettings // Most is 0: nothing is raised ahead of the queue
	Seed      uint64
}

// JobHook raises one group's desired capacity to what its jobs need, as GitLab's
// job hook tells of them.
//
// It guarantees that desired is set only right after the group was read, never
// lower than it was and never above the maximum; that events which come twice, late
// or out of order lead to what they lead to once and in order; and that while a job
// is believed to wait the group is looked at again and again, so that an instance
// which leaves in the same moment strands none. It never lowers: instances leave by
// themselves. One machine has one group: trouble with it holds up no other.
//
// What it believes is bounded, survives a restart, and is brought in line with
// GitLab's own lists, at a slow pace and only while it believes in any job or has
// just heard of one.
//
// Unlike the other machines it is changed in place: of thousands of jobs a copy
// with each event would be most of the work.
type JobHook struct {
	flow
	set    JobHookSettings
	jobs   jobBook
	places projects

	ahead  ahead
	raise  scaling.Raise
	window bool      // opened by a job that has begun to wait
	lookAt time.Time // zero: nothing waits
	calm   time.Time // after a failure: no look before
	aws    backoff
	illAt  time.Time // the last failure of a look or a raise
	idleAt time.Time // the last look, if it showed an instance without a job
	atMax  bool      // said

	expireAt time.Time
	saveAt   time.Time // zero: nothing to be kept has changed
	savedAt  time.Time // last
	round    round
	ending   bool
	looked   bool // once more, while ending
}

const (
	// hookWindow gathers what comes in a moment into one decision. It is not pushed
	// back by what follows: under a stream of events it would never end.
	hookWindow = 500 * time.Millisecond
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
	// hookSaves is the least pause between two times that it is kept.
	hookSaves = 5 * time.Second
	// hookSavesAgain is the pause after it could not be written.
	hookSavesAgain = time.Minute
	// expireEvery is how often what is kept is looked through.
	expireEvery = time.Minute
	// hookSleeps is how long it sleeps where nothing is due.
	hookSleeps = time.Hour
	// asideAfter is how long a job waits beside instances that have nothing to do until
	// it is plain that they do not take it: its tags do not match, it is protected, or it
	// is gone and nobody has told. One after the other counts together: each is launched
	// for it, finds nothing, and leaves sooner than this.
	asideAfter = 5 * time.Minute
	// asideFor is how long such a job is not counted, twice as long with each time, up
	// to asideMost: else instances would be launched for it for a day.
	asideFor  = 5 * time.Minute
	asideMost = 16 * time.Hour
)

// NewJobHook returns the machine before its first event.
func NewJobHook(set JobHookSettings) *JobHook {
	return &JobHook{
		flow: flow{verb: "webhook", backoff: backoff{seed: set.Seed}}, set: set, jobs: newJobBook(), places: newProjects(),
		aws: backoff{seed: set.Seed + 1}, ahead: newAhead(set.Forecast),
	}
}

const (
	hookLoad  phase = "what was kept"
	hookRest  phase = "rest"
	hookLook  phase = "look at the group"
	hookRaise phase = "raise"
	hookList  phase = "list jobs"
	hookSave  phase = "keep"
)

// Step implements Machine.
func (s *JobHook) Step(e Event, now time.Time) (*JobHook, []Action) {
	return s, s.Take(e, now, nil)
}

// Take implements Stepper.
func (s *JobHook) Take(e Event, now time.Time, out []Action) []Action {
	r, ok := s.begin(e, now, out)
	switch {
	case ok && r.Failure != nil:
		s.failed(r.Failure)
	case ok:
		s.got(r)
	default:
		s.hear(e)
	}
	return s.next(s.ask)
}

// hear takes in what is no result.
func (s *JobHook) hear(e Event) {
	switch e := e.(type) {
	case Started:
		s.goTo(hookLoad)
	case JobEvent:
		s.heard(e.Job)
	case JobsListed:
		s.listed(e)
	case EventsLost:
		s.lost(e)
	case Interrupted:
		s.ending = true
	}
}

// heard takes a job's event in. Created ones tell the forecast what they announce, and
// are asked nothing for: acting on them alone would launch instances for jobs that
// never come.
func (s *JobHook) heard(j fleet.Job) {
	// The end of a job is told to all groups, for nobody need know whose it was: what
	// this one never counted is no reason to ask GitLab for its project.
	old := s.jobs.byID[j.ID]
	foreign := j.State == fleet.JobFinished && (old == nil || old.State == fleet.JobFinished)
	wasAside := old != nil && s.now.Before(old.aside) && !old.doubt
	if s.jobs.take(j, s.now) {
		s.openWindow()
	}
	if wasAside && j.State == fleet.JobRunning {
		s.nobodyAside()
	}
	s.ahead.hear(j, false, s.now)
	if foreign {
		return
	}
	s.note(j.Project)
	s.round.news = true
	s.schedule()
	s.keepSoon()
}

// openWindow has the group looked at in a moment.
func (s *JobHook) openWindow() {
	if s.window {
		return
	}
	s.window = true
	if end := s.now.Add(hookWindow); s.lookAt.IsZero() || end.Before(s.lookAt) {
		s.lookAt = end
	}
}

// keepSoon has what is known written down: at once after a pause, for a process that is
// killed right after its first event has told nobody of the project.
func (s *JobHook) keepSoon() {
	if s.saveAt.IsZero() {
		s.saveAt = later(s.now, s.savedAt.Add(hookSaves))
	}
}

func (s *JobHook) ask() Action {
	if s.phase == hookRest {
		s.choose()
	}
	switch s.phase {
	case hookLoad:
		return LoadBacklog{s.set.Group}
	case hookLook:
		return DescribeGroup{s.set.Group}
	case hookRaise:
		return SetDesired{s.set.Group, s.raise.Desired}
	case hookList:
		return ListJobs{s.set.Group, s.round.project()}
	case hookSave:
		return SaveBacklog{s.set.Group, s.backlog()}
	}
	return Sleep{s.wakeAt()}
}

// choose picks what is due, the group before all.
func (s *JobHook) choose() {
	s.expire()
	switch {
	case s.ending:
		s.end()
	case s.looks():
		s.onTo(hookLook)
	case s.due(s.saveAt):
		s.onTo(hookSave)
	case s.startRound():
		s.onTo(hookList)
	}
}

// looks tells whether the group is to be looked at: for jobs that wait, or are to come.
// Where instances have slots free most jobs are taken within the window.
func (s *JobHook) looks() bool {
	if s.jobs.pending == 0 {
		s.nobodyWaits()
	}
	if s.due(s.ahead.at) {
		s.foresee()
	}
	return s.due(s.nextLook())
}

func (s *JobHook) due(t time.Time) bool { return !t.IsZero() && !s.now.Before(t) }

func (s *JobHook) nextLook() time.Time {
	if s.lookAt.IsZero() {
		return time.Time{}
	}
	return later(s.lookAt, s.calm)
}

// wakeAt is when something is due next.
func (s *JobHook) wakeAt() time.Time {
	at := s.now.Add(hookSleeps)
	for _, t := range []time.Time{s.nextLook(), s.ahead.at, s.saveAt, s.round.next()} {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return at
}

// end does what must not be left undone: it decides on what was taken in, once,
// and writes down what is believed.
func (s *JobHook) end() {
	switch {
	case s.window && !s.looked && !s.now.Before(s.calm):
		s.looked = true
		s.onTo(hookLook)
	case !s.saveAt.IsZero():
		s.onTo(hookSave)
	default:
		s.done(Done, fmt.Sprintf("stopped: group %q with %d pending and %d running jobs", s.set.Group, s.jobs.pending, s.jobs.running))
	}
}

func (s *JobHook) got(r Result) {
	switch s.phase {
	case hookLoad:
		s.resume(value[*Backlog](r))
	case hookLook:
		s.gotGroup(value[fleet.Group](r))
	case hookRaise:
		s.say(Info, fmt.Sprintf("raised desired capacity of group %q to %d", s.set.Group, s.raise.Desired), s.raise.Reasons...)
		s.ahead.raised(s.raise.Desired, s.now)
		s.sayMax()
		s.decided()
	case hookList:
		s.round.asked = s.now // the list itself comes as an event
		s.places.asked[s.round.project()] = s.now
		s.goTo(hookRest)
	case hookSave:
		s.saveAt, s.savedAt = time.Time{}, s.now
		s.goTo(hookRest)
	}
}

// resume takes up what an earlier process knew, and has GitLab asked what came of it.
func (s *JobHook) resume(b *Backlog) {
	s.goTo(hookRest)
	if b == nil {
		return
	}
	s.places.resume(b.Projects, s.now)
	s.jobs.resume(b.Jobs, s.now)
	if s.set.Reconcile {
		s.jobs.doubt(s.now)
	}
	switch n := s.jobs.pending; {
	case n > s.aside():
		s.openWindow()
	case n > 0 && !s.window:
		s.lookAt = s.counted()
	}
	if s.set.Reconcile && len(s.places.seen) > 0 {
		s.round.at = s.now.Add(s.backoff.draw(roundStart))
	}
	s.say(Info, fmt.Sprintf("take up group %q", s.set.Group),
		fleet.Reason(fmt.Sprintf("%d pending and %d running jobs of %d projects were kept", s.jobs.pending, s.jobs.running, len(s.places.seen))))
}

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
	if n > 0 {
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

// sayMax says once for as long as jobs wait that the maximum forbids what they need.
// What is only expected is nothing to raise it for yet.
func (s *JobHook) sayMax() {
	atMax := s.raise.AtMax && s.jobs.pending > 0
	if atMax && !s.atMax {
		s.say(Warn, fmt.Sprintf("group %q is at its maximum of %d", s.set.Group, s.raise.Desired), slices.Concat(s.raise.Reasons, []fleet.Reason{"raise the group's maximum if jobs wait too long"})...)
	}
	s.atMax = atMax
}

// expire forgets what is too old, and says what had to make room. Looking through
// all of it with each event would be most of the work.
func (s *JobHook) expire() {
	if s.now.Before(s.expireAt) {
		return
	}
	s.expireAt = s.now.Add(expireEvery)
	if n := s.jobs.forget(s.now); n > 0 {
		s.say(Warn, fmt.Sprintf("forget %d jobs of group %q", n, s.set.Group), fleet.Reason(fmt.Sprintf("nothing was heard of them for %s", jobsKept)))
	}
	if n := s.jobs.dropped; n > 0 {
		s.jobs.dropped = 0
		s.say(Warn, fmt.Sprintf("forget the %d oldest jobs of group %q", n, s.set.Group), fleet.Reason(fmt.Sprintf("more than %d are not kept", jobsMost)))
	}
}

func (s *JobHook) failed(f *fleet.Failure) {
	switch s.phase {
	case hookLoad: // what cannot be read is as good as nothing
		s.fails(Warn, "going on without what was kept", f)
		s.goTo(hookRest)
	case hookSave:
		s.fails(Warn, "cannot keep what is known of the jobs; a restart will begin without it", f)
		s.saveAt = s.now.Add(hookSavesAgain)
		if s.ending {
			s.saveAt = time.Time{}
		}
		s.goTo(hookRest)
	case hookList:
		s.roundFailed(f)
		s.goTo(hookRest)
	default:
		s.lookFailed(f)
	}
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

// Pending is how many jobs are believed to wait.
func (s *JobHook) Pending() int { return s.jobs.pending }

// Running is how many jobs are believed to run.
func (s *JobHook) Running() int { return s.jobs.running }
