package life

import (
	"fmt"
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
//
// This file has what it hears, its phases and what follows what; jobhooklook what becomes
// of a look at the group. What it believes of jobs is in jobbook, what GitLab's lists say of
// it in jobround, and what is to come in jobahead.
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
	atMax  bool
	// maxSaid is when that was said.
	maxSaid time.Time
	// asideMore is how many jobs were put aside since that was said.
	asideMore int
	asideSaid time.Time

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
	// hookSaves is the least pause between two times that it is kept.
	hookSaves = 5 * time.Second
	// hookSavesAgain is the pause after it could not be written.
	hookSavesAgain = time.Minute
	// expireEvery is how often what is kept is looked through.
	expireEvery = time.Minute
	// hookSleeps is how long it sleeps where nothing is due.
	hookSleeps = time.Hour
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

// Pending is how many jobs are believed to wait.
func (s *JobHook) Pending() int { return s.jobs.pending }

// Running is how many jobs are believed to run.
func (s *JobHook) Running() int { return s.jobs.running }
