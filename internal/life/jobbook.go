package life

import (
	"cmp"
	"container/list"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// jobBook is what is believed of a group's jobs. It is changed in place: it may
// hold thousands. What it holds is bounded whatever it is told.
type jobBook struct {
	byID             map[int64]*heardJob
	live             *list.List // of *heardJob that wait or run, the oldest first
	done             *list.List // finished ones: a late event must not bring them back
	pending, running int
	dropped          int // live ones that had to make room, since somebody asked
}

// heardJob is a job as it was last heard of.
type heardJob struct {
	fleet.Job
	since  time.Time     // in this state
	heard  time.Time     // in any event or listing
	aside  time.Time     // not counted until then
	beside time.Duration // for which it has waited beside an instance with nothing to do
	passes int           // how often it was put aside
	doubt  bool          // it is aside because it was kept for long, and nobody was asked since
	at     *list.Element
}

const (
	// jobsMost bounds the jobs that are kept for one group: 20 MB at the most, and
	// more than wait in any fleet that is seen to.
	jobsMost = 20000
	// jobsDoneMost bounds the finished ones. GitLab's events are seconds late, not
	// thousands of jobs.
	jobsDoneMost = 10000
	// jobsKept is when a job is forgotten of which nothing was heard: GitLab itself
	// gives a pending one up after a day.
	jobsKept = 24 * time.Hour
	// jobsDoneKept is the same for finished ones.
	jobsDoneKept = time.Hour
	// doubtAfter is how long nothing was heard of a job that was kept, where GitLab is
	// asked every few minutes, until it has probably ended since: the process was down.
	// Such a one is not counted for as long as GitLab takes to tell, doubtFor.
	doubtAfter = 10 * time.Minute
	doubtFor   = time.Minute
)

func newJobBook() jobBook {
	return jobBook{byID: map[int64]*heardJob{}, live: list.New(), done: list.New()}
}

// take brings a job forward, never back, and tells whether it has begun to wait. One that
// is only announced is none yet: what follows from it is the forecast's to know.
func (b *jobBook) take(j fleet.Job, now time.Time) (waits bool) {
	old := b.byID[j.ID]
	switch {
	case old == nil && j.State <= fleet.JobCreated:
		return false
	case old == nil:
		old = &heardJob{}
		b.byID[j.ID] = old
	case j.State <= old.State:
		old.heard = now
		return false
	default:
		b.count(old, -1)
		b.listOf(old.State).Remove(old.at)
	}
	old.Job, old.since, old.heard, old.aside, old.doubt = j, now, now, time.Time{}, false
	old.Tags = nil // whose job it is has been decided
	old.at = b.listOf(j.State).PushBack(old)
	b.count(old, +1)
	b.bound()
	return j.State == fleet.JobPending
}

func (b *jobBook) listOf(s fleet.JobState) *list.List {
	if s == fleet.JobFinished {
		return b.done
	}
	return b.live
}

func (b *jobBook) count(j *heardJob, by int) {
	switch j.State {
	case fleet.JobPending:
		b.pending += by
	case fleet.JobRunning:
		b.running += by
	}
}

// bound drops the oldest.
func (b *jobBook) bound() {
	if b.live.Len() > jobsMost {
		b.drop(first(b.live))
		b.dropped++
	}
	if b.done.Len() > jobsDoneMost {
		b.drop(first(b.done))
	}
}

func first(l *list.List) *heardJob { return l.Front().Value.(*heardJob) } //nolint:forcetypeassert,errcheck // nothing else is put in

func (b *jobBook) drop(j *heardJob) {
	b.count(j, -1)
	b.listOf(j.State).Remove(j.at)
	delete(b.byID, j.ID)
}

// forget drops what is too old to be believed, and returns how many of those
// that waited or ran.
func (b *jobBook) forget(now time.Time) (n int) {
	for _, j := range b.all() {
		if now.Sub(j.heard) > jobsKept {
			b.drop(j)
			n++
		}
	}
	for b.done.Len() > 0 && now.Sub(first(b.done).since) > jobsDoneKept {
		b.drop(first(b.done))
	}
	return n
}

// all are the jobs that wait or run.
func (b *jobBook) all() []*heardJob {
	jobs := make([]*heardJob, 0, b.live.Len())
	for e := b.live.Front(); e != nil; e = e.Next() {
		jobs = append(jobs, e.Value.(*heardJob)) //nolint:forcetypeassert,errcheck // nothing else is put in
	}
	return jobs
}

// believed tells whether anything waits or runs.
func (b *jobBook) believed() bool { return b.pending+b.running > 0 }

// listLag is how far GitLab's lists may be behind its events: they are read from a
// replica of its database.
const listLag = 10 * time.Second

// listed brings a project's jobs in line with what GitLab's own list said that was
// asked for at that time, and tells whether one has begun to wait. Those that a
// whole list leaves out have ended, but for those that were heard of too late for
// it. They are dropped, not finished: should the list be wrong, the next event or
// list brings them back.
func (b *jobBook) listed(project int64, l fleet.JobList, asked, now time.Time) (waits bool, ended []fleet.Job) {
	there := make(map[int64]bool, len(l.Jobs))
	for _, j := range l.Jobs {
		there[j.ID] = true
		waits = b.take(j, now) || b.trust(j.ID) || waits
	}
	for _, j := range b.all() {
		if l.Whole && j.Project == project && !there[j.ID] && asked.Sub(j.heard) > listLag {
			b.drop(j)
			ended = append(ended, j.Job)
		}
	}
	return waits, ended
}

// trust counts a job that was in doubt, and tells whether it was.
func (b *jobBook) trust(id int64) bool {
	j := b.byID[id]
	if j == nil || !j.doubt || j.State != fleet.JobPending {
		return false
	}
	j.doubt, j.aside = false, time.Time{}
	return true
}

// KeptJob is a job as it survives a restart.
type KeptJob struct {
	ID       int64          `json:"id"`
	Project  int64          `json:"project"`
	Pipeline int64          `json:"pipeline,omitempty"`
	Stage    string         `json:"stage,omitempty"`
	Name     string         `json:"name,omitempty"`
	State    fleet.JobState `json:"state"`
	Heard    time.Time      `json:"heard"`
}

// keepMost bounds what is written down each time.
const keepMost = 5000

// keep lists the jobs that wait or run, the newest where there are too many.
func (b *jobBook) keep() []KeptJob {
	jobs := []KeptJob{}
	for e := b.live.Back(); e != nil && len(jobs) < keepMost; e = e.Prev() {
		j := e.Value.(*heardJob) //nolint:forcetypeassert,errcheck // nothing else is put in
		jobs = append(jobs, KeptJob{j.ID, j.Project, j.Pipeline, j.Stage, j.Name, j.State, j.heard.UTC()})
	}
	slices.SortFunc(jobs, func(a, b KeptJob) int { return cmp.Compare(a.ID, b.ID) })
	return jobs
}

// kept is a moment that was written down, by this process's clock: setting the wall clock
// from now on does not move it. What seems to be from the future was before it was set back.
func kept(at, now time.Time) time.Time { return now.Add(min(0, at.Sub(now))) }

// resume takes in what was kept, but for what was heard since.
func (b *jobBook) resume(jobs []KeptJob, now time.Time) {
	for _, k := range jobs {
		if b.byID[k.ID] != nil || k.State != fleet.JobPending && k.State != fleet.JobRunning {
			continue
		}
		b.take(fleet.Job{ID: k.ID, Project: k.Project, Pipeline: k.Pipeline, Stage: k.Stage, Name: k.Name, State: k.State}, kept(k.Heard, now))
	}
}

// doubt has the jobs not counted for a while that nothing was heard of for long.
func (b *jobBook) doubt(now time.Time) {
	for _, j := range b.all() {
		if j.State == fleet.JobPending && now.Sub(j.heard) > doubtAfter {
			j.doubt, j.aside = true, now.Add(doubtFor)
		}
	}
}
