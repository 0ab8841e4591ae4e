package scaling

import (
	"cmp"
	"slices"
	"time"
)

// course is one pipeline on its way through its stages.
type course struct {
	key     courseKey
	legs    []*leg // by the least id of their jobs
	jobs    map[int64]*expected
	active  int // jobs that are pending or run
	created int // jobs that wait for others
	heard   time.Time
	next    *leg    // the stage that the last forecast counts on; nil: none
	sure    float64 // how probable it was
}

type courseKey struct{ project, pipeline int64 }

// leg is one stage of a pipeline.
type leg struct {
	any     ForecastJob // one of its jobs, without a name
	first   int64       // the least id of its jobs
	created int         // jobs that wait for others
	active  []*expected // jobs that are pending or run
	bet     *bet        // a forecast for it is not judged yet
}

// kind is what stages of a project's pipelines have in common.
func (l *leg) kind() kind { return kind{l.any.Project, l.any.Stage, ""} }

// expected is one job that has not ended.
type expected struct {
	job   ForecastJob
	state jobState
	since time.Time
	found bool // it ran already when it was first seen to
	leg   *leg
	takes *durations // nil: not known yet
}

// jobState is how far a job is: it only ever rises.
type jobState int

const (
	jobCreated jobState = iota
	jobPending
	jobRunning
	jobGone
)

func (s jobState) active() bool { return s == jobPending || s == jobRunning }

const (
	// jobsKept and coursesKept bound the memory: a job takes some 200 bytes.
	jobsKept    = 50_000
	coursesKept = 5_000
	// legsKept bounds the stages of a pipeline: they are looked through with each event.
	legsKept = 500
	// courseForgotten is after how long without an event a pipeline is given up: its end
	// was lost, or it waits for a person.
	courseForgotten = 24 * time.Hour
	// goneKept is of how many jobs it is remembered that they are gone.
	goneKept = 4096
)

// recent are the jobs that are gone since lately: an event about them that comes late
// is none.
type recent struct {
	ids  map[int64]struct{}
	ring [goneKept]int64
	n    int
}

func (r *recent) add(id int64) {
	if r.n >= goneKept {
		delete(r.ids, r.ring[r.n%goneKept])
	}
	r.ring[r.n%goneKept] = id
	r.ids[id] = struct{}{}
	r.n++
}

func (r *recent) has(id int64) bool {
	_, ok := r.ids[id]
	return ok
}

func (f *Forecast) job(j ForecastJob) *expected {
	if c := f.of[courseKey{j.Project, j.Pipeline}]; c != nil {
		return c.jobs[j.ID]
	}
	return nil
}

// move takes a job forward. What comes late is no news: nor is the end of one that
// nobody has heard of.
func (f *Forecast) move(j ForecastJob, to jobState, now time.Time) {
	e := f.job(j)
	switch {
	case f.set.Most <= 0, f.gone.has(j.ID), e != nil && e.state >= to:
		return
	case to == jobGone:
		f.gone.add(j.ID)
	}
	if e == nil && to == jobGone {
		return
	}
	if e == nil {
		e = f.add(j, now)
	}
	f.put(e, to, now)
}

// put has a job counted by its new state.
func (f *Forecast) put(e *expected, to jobState, now time.Time) {
	c := f.of[courseKey{e.job.Project, e.job.Pipeline}]
	was := c.created > 0
	c.leave(e)
	e.state, e.since, c.heard = to, now, now
	c.enter(e)
	f.count(was, c.created > 0)
	switch {
	case to.active() && e.leg.bet != nil:
		f.judge(e.leg.bet, true, now)
	case to == jobGone:
		f.jobs--
		delete(c.jobs, e.job.ID)
		if len(c.jobs) == 0 {
			f.forget(c, now)
		}
	}
}

func (f *Forecast) count(was, is bool) {
	switch {
	case is && !was:
		f.upcoming++
	case was && !is:
		f.upcoming--
	}
}

// add makes room for a job that is heard of for the first time; it is nowhere yet.
func (f *Forecast) add(j ForecastJob, now time.Time) *expected {
	key := courseKey{j.Project, j.Pipeline}
	if f.jobs >= jobsKept || f.of[key] == nil && len(f.courses) >= coursesKept {
		f.forget(f.courses[0], now)
	}
	if c := f.of[key]; c != nil && len(c.legs) >= legsKept {
		f.forget(c, now)
	}
	c := f.of[key]
	if c == nil {
		c = &course{key: key, jobs: map[int64]*expected{}}
		f.of[key] = c
		f.courses = append(f.courses, c)
	}
	e := &expected{job: j, state: jobGone, leg: c.legOf(j)}
	c.jobs[j.ID] = e
	f.jobs++
	return e
}

// forget drops a pipeline: what has not begun does not begin any more.
func (f *Forecast) forget(c *course, now time.Time) {
	for _, l := range c.legs {
		if l.bet != nil {
			f.judge(l.bet, false, now)
		}
	}
	f.count(c.created > 0, false)
	f.jobs -= len(c.jobs)
	delete(f.of, c.key)
	at := slices.Index(f.courses, c)
	f.courses = slices.Delete(f.courses, at, at+1)
}

// legOf is the stage of a job.
func (c *course) legOf(j ForecastJob) *leg {
	at := slices.IndexFunc(c.legs, func(l *leg) bool { return l.any.Stage == j.Stage })
	if at < 0 {
		any := j
		any.Name = ""
		c.legs = append(c.legs, &leg{any: any, first: j.ID})
		at = len(c.legs) - 1
	}
	l := c.legs[at]
	if j.ID <= l.first {
		l.first = j.ID
		slices.SortStableFunc(c.legs, func(a, b *leg) int { return cmp.Compare(a.first, b.first) })
	}
	return l
}

// front is the last stage that has a job which is pending or runs.
func (c *course) front() int {
	for at := len(c.legs) - 1; at > 0; at-- {
		if len(c.legs[at].active) > 0 {
			return at
		}
	}
	return 0
}

// leave takes a job out of what is counted by its state, enter puts it in.
func (c *course) leave(e *expected) {
	switch {
	case e.state == jobCreated:
		c.created--
		e.leg.created--
	case e.state.active():
		c.active--
		at := slices.Index(e.leg.active, e)
		e.leg.active = slices.Delete(e.leg.active, at, at+1)
	}
}

func (c *course) enter(e *expected) {
	switch {
	case e.state == jobCreated:
		c.created++
		e.leg.created++
	case e.state.active():
		c.active++
		e.leg.active = append(e.leg.active, e)
	}
}
