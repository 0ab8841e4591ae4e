package demand

import (
	"container/list"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// lookups find out the tags of jobs whose events do not tell them: once per job
// definition, whatever the branch and the pipeline.
type lookups struct {
	service *Service
	// urgent are those of which a job waits, or runs; the others are only announced.
	urgent, queue chan definition

	mu      sync.Mutex
	known   map[definition]*list.Element
	recent  *list.List               // of *finding, the last used at the back
	waiting map[definition]*question // until the answer comes
	held    int                      // of them all
	calm    time.Time                // GitLab wants to be left alone until then
}

// definition is a job as .gitlab-ci.yml has it.
type definition struct {
	project int64
	name    string
	job     int64 // this one alone, where those of the name have several tags; else 0
}

// numbered is what GitLab puts behind the name of each job of a `parallel: 60`, such as
// "rspec 7/60": they are one definition. What `parallel: matrix` puts there may be what
// the tags are made of.
var numbered = regexp.MustCompile(` [0-9]+(/[0-9]+)$`)

// definitionOf cuts the name as an event's is cut: GitLab's list tells it whole.
func definitionOf(j fleet.Job) definition {
	return definition{project: j.Project, name: numbered.ReplaceAllString(name(j.Name), " $1")}
}

// question is a definition that is looked up, or is to be.
type question struct {
	jobs   []fleet.Job // events, in order
	urgent bool        // it is in that queue, too
	begun  bool
}

// finding is what came of a look-up.
type finding struct {
	of    definition
	by    int64 // the job that told
	tags  []string
	lost  bool // it failed: not asked again until then
	vary  bool // others of the definition have other tags, as on another branch
	until time.Time
}

const (
	lookupWorkers = 4 // at once: a fraction of what GitLab.com allows one token
	// lookupsMost bounds the definitions that are known, and those that wait.
	lookupsMost = 10000
	// heldMost bounds the events that wait for an answer.
	heldMost = 10000
	// lookupKept is how long tags are believed: somebody may change them.
	lookupKept = time.Hour
	// lookupLost is how long a definition is not asked for again whose look-up failed.
	lookupLost    = 30 * time.Second
	lookupTries   = 3
	lookupPause   = time.Second
	lookupTimeout = 10 * time.Second
	// lookupCalm bounds for how long GitLab is left alone where it wants that.
	lookupCalm = 5 * time.Minute
)

func newLookups(s *Service) *lookups {
	return &lookups{
		service: s, urgent: make(chan definition, lookupsMost), queue: make(chan definition, lookupsMost),
		known: map[definition]*list.Element{}, recent: list.New(), waiting: map[definition]*question{},
	}
}

// ask routes an event once its tags are known.
func (l *lookups) ask(j fleet.Job) {
	d := definitionOf(j)
	l.mu.Lock()
	f, known := l.recall(d)
	if f.vary {
		d.job = j.ID
		f, known = l.recall(d)
	}
	if !known {
		known = !l.hold(d, j)
		f = finding{of: d, lost: true} // no room
	}
	l.mu.Unlock()
	if known {
		l.found(f, j)
	}
}

// recall is what is known of a definition. The caller holds mu.
func (l *lookups) recall(d definition) (finding, bool) {
	e := l.known[d]
	if e == nil {
		return finding{}, false
	}
	f := e.Value.(*finding) //nolint:forcetypeassert,errcheck // nothing else is put in
	if time.Now().After(f.until) {
		l.recent.Remove(e)
		delete(l.known, d)
		return finding{}, false
	}
	l.recent.MoveToBack(e)
	return *f, true
}

// hold keeps an event until the answer comes; false where there is no room. The
// caller holds mu.
func (l *lookups) hold(d definition, j fleet.Job) bool {
	if l.held >= heldMost {
		return false
	}
	q := l.waiting[d]
	if q == nil {
		q = &question{}
	}
	if !l.enqueue(d, q, j.State > fleet.JobCreated) {
		return false
	}
	q.jobs = append(q.jobs, j)
	l.waiting[d] = q
	l.held++
	return true
}

// enqueue has a definition looked up in its turn, or before all that are only announced:
// GitLab tells of a pipeline's last jobs before it tells that the first ones wait.
func (l *lookups) enqueue(d definition, q *question, urgent bool) bool {
	asked, to := len(q.jobs) > 0, l.queue
	if urgent {
		asked, to = q.urgent, l.urgent
	}
	if asked {
		return true
	}
	select {
	case to <- d:
		q.urgent = urgent
		return true
	default:
		return len(q.jobs) > 0
	}
}

// found routes an event by a finding.
func (l *lookups) found(f finding, j fleet.Job) {
	if !f.lost {
		l.service.deliver(l.service.whose(f.tags), j)
		return
	}
	l.service.metrics.dropped.WithLabelValues(dropLookup).Inc()
	for _, g := range l.service.groups { // nobody knows whose
		g.put(life.EventsLost{Project: j.Project})
	}
}

// work looks definitions up until ctx ends.
func (l *lookups) work(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case d := <-l.urgent:
			l.answer(ctx, d)
			continue
		default:
		}
		select {
		case d := <-l.urgent:
			l.answer(ctx, d)
		case d := <-l.queue:
			l.answer(ctx, d)
		case <-ctx.Done():
		}
	}
}

// begin returns a job to ask for; 0 where that is done, or another worker is at it.
func (l *lookups) begin(d definition) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.waiting[d]
	if q == nil || q.begun {
		return 0
	}
	q.begun = true
	return q.jobs[0].ID
}

// answer looks one definition up, and routes what has waited for it.
func (l *lookups) answer(ctx context.Context, d definition) {
	id := l.begin(d)
	if id == 0 {
		return
	}
	f := l.lookUp(ctx, d, id)
	l.mu.Lock()
	jobs := l.waiting[d].jobs
	delete(l.waiting, d)
	l.remember(f)
	l.mu.Unlock()
	for _, j := range jobs {
		l.found(f, j)
	}
	l.mu.Lock()
	l.held -= len(jobs) // a stop waits until the machines have them
	l.mu.Unlock()
}

// remember keeps a finding; the one that was not used for the longest makes room.
// The caller holds mu.
func (l *lookups) remember(f finding) {
	l.known[f.of] = l.recent.PushBack(&f)
	if l.recent.Len() > lookupsMost {
		oldest := l.recent.Remove(l.recent.Front()).(*finding) //nolint:forcetypeassert,errcheck // nothing else is put in
		delete(l.known, oldest.of)
	}
}

// correct takes a job's tags from GitLab's list, where its definition's are believed
// to be those of an older one: another branch may have others, or they were changed.
// From then on each is looked up by itself, for as long as the first was to be believed.
func (l *lookups) correct(j fleet.Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.known[definitionOf(j)]
	if e == nil {
		return
	}
	f := e.Value.(*finding) //nolint:forcetypeassert,errcheck // nothing else is put in
	f.vary = f.vary || !f.lost && !sameTags(f.tags, j.Tags)
	if j.ID > f.by {
		f.by, f.tags, f.lost = j.ID, j.Tags, false
	}
}

func sameTags(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func (l *lookups) lookUp(ctx context.Context, d definition, id int64) finding {
	for try := 1; ; try++ {
		l.keepCalm(ctx)
		tags, err := l.read(ctx, d.project, id)
		l.service.metrics.lookedUp(err)
		if err == nil {
			return finding{of: d, by: id, tags: tags, until: time.Now().Add(lookupKept)}
		}
		failure := fleet.AsFailure(fmt.Sprintf("look at job %d of project %d", id, d.project), err)
		if failure.RetryAfter > 0 {
			l.calmFor(failure)
		}
		if failure.Final() || try == lookupTries || !pause(ctx, time.Duration(try)*lookupPause) {
			l.trouble("cannot tell whose jobs these are, asking again with the next", failure)
			return finding{of: d, lost: true, until: time.Now().Add(lookupLost)}
		}
	}
}

// keepCalm waits for as long as GitLab wants to be left alone.
func (l *lookups) keepCalm(ctx context.Context) {
	l.mu.Lock()
	d := time.Until(l.calm)
	l.mu.Unlock()
	if d > 0 {
		pause(ctx, d)
	}
}

// calmFor has all of them wait: the next would be told the same.
func (l *lookups) calmFor(f *fleet.Failure) {
	d := min(f.RetryAfter, lookupCalm)
	l.trouble(fmt.Sprintf("cannot tell whose jobs these are, asking again in %s", d.Round(time.Second)), f)
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.calm) {
		l.calm = until
	}
}

func (l *lookups) trouble(what string, f *fleet.Failure) {
	if l.service.lost.now() {
		l.service.Log.Warn(what, "verb", "webhook", "error", f.Error())
	}
}

func (l *lookups) read(ctx context.Context, project, id int64) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	token, err := l.service.token(ctx)
	if err != nil {
		return nil, err
	}
	j, err := l.service.GitLab.Job(ctx, token, project, id)
	return j.Tags, err
}

// giveUp has the groups ask for the projects of events that still wait for an answer,
// now or after the next start.
func (l *lookups) giveUp() {
	for _, project := range l.projects() {
		for _, g := range l.service.groups {
			g.put(life.EventsLost{Project: project})
		}
	}
}

// projects are those of the events that wait for an answer.
func (l *lookups) projects() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	some := map[int64]struct{}{}
	for d := range l.waiting {
		some[d.project] = struct{}{}
	}
	return slices.Collect(maps.Keys(some))
}

// idle tells whether no event waits for an answer.
func (l *lookups) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held == 0
}

// pause waits for d; false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
