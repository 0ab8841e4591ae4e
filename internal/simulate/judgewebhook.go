package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// What the webhook promises: while capacity is below the maximum no job waits longer
// than a launch and one reconciliation, and desired is never raised above what jobs ask
// for. The judge knows what each process was told, and what kept it from acting, and
// nothing of what it makes of that.

const (
	// toldWithin is how soon desired follows a job that the process was told of: the
	// longest pause after an outage, and what fails once more.
	toldWithin = 2 * time.Minute
	// foundWithin is how soon it follows one that only GitLab's lists tell of: a
	// reconciliation, its projects one after the other, and a request that fails.
	foundWithin = 8 * time.Minute
	// endsWithin is for how long a job may be believed in whose end nobody told: until a
	// reconciliation.
	endsWithin = foundWithin
	// keptWithin is how soon a project is known to the next process too.
	keptWithin = 2 * time.Minute
	// followsWithin is how long desired may be too low after somebody lowered it.
	followsWithin = time.Minute
	// besideMost is after how many looks that showed an instance with nothing to do a job
	// is one that they do not take, and may be left out of the count.
	besideMost = 4
	// failsMost is after how many lists in a row that failed GitLab is asked seldom.
	failsMost = 12
	// quietAfter is how long after the last of anything nothing is asked.
	quietAfter = 15 * time.Minute
)

// hookBelief is what one process after the other was told of a job.
type hookBelief struct {
	toldBy, endBy, aheadBy, foundBy int           // the process that was told last that it waits or runs, has ended, will come, or is to find it in a list
	toldAt, endAt, foundAt          time.Duration // when it was first
	aliveAt                         time.Duration // when any was told last that it waits or runs
	beside                          int           // looks at which an instance had nothing to do while it waited
}

// hookRecord is what the judge saw of the webhook.
type hookRecord struct {
	projects  map[int64]projectTold
	safe      map[int64]bool // projects that the next process knows too
	newsAt    time.Duration  // the last event that told something
	lookedAt  time.Duration
	loweredAt time.Duration // desired
	endedAt   time.Duration // the last job
	roundAt   time.Duration // it has asked for something
	fails     int           // lists in a row
	short     int           // looks in a row at which desired was too low
}

// projectTold is a project that a process was told of first.
type projectTold struct {
	run int
	at  time.Duration
}

// hears notes what a process is told.
func (x *webhook) hears(e life.Event) {
	switch e := e.(type) {
	case life.JobEvent:
		x.hearsJob(e.Job)
	case life.JobsListed:
		if e.Failure != nil {
			x.fails++
			return
		}
		x.fails = 0
		for _, j := range e.List.Jobs {
			x.alive(&x.jobs[j.ID-1])
		}
	}
}

func (x *webhook) hearsJob(told fleet.Job) {
	j, at := &x.jobs[told.ID-1], x.l.at
	switch told.State {
	case fleet.JobFinished:
		news := j.toldBy == x.runs && j.endBy != x.runs
		if j.endBy != x.runs {
			j.endBy, j.endAt = x.runs, at
		}
		if !news { // nor need it be another's: nobody asks for it
			return
		}
	case fleet.JobCreated:
		j.aheadBy = x.runs
	default:
		x.alive(j)
	}
	x.newsAt = at
	if x.projects[j.project].run != x.runs {
		x.projects[j.project] = projectTold{x.runs, at}
	}
}

// alive notes that a process is told of a job that waits or runs.
func (x *webhook) alive(j *hookJob) {
	j.aliveAt = x.l.at
	if j.toldBy != x.runs {
		j.toldBy, j.toldAt = x.runs, x.l.at
	}
}

// freeSince is since when nothing keeps the process from Auto Scaling, and since when
// nothing keeps it from GitLab's lists.
func (x *webhook) freeSince() (group, lists time.Duration) {
	begun := x.unit.begunAt()
	group, lists = max(begun, x.hurtAt(aws)), max(begun, x.hurtAt(gitlab))
	for _, w := range x.l.windows {
		switch {
		case !w.reaches(x.host):
		case w.Kind == AWSAway || w.Kind == AWSThrottles || w.Kind == AWSSlow:
			group = x.l.at
		case w.Kind == GitLabAway || w.Kind == GitLabSlow:
			lists = x.l.at
		}
	}
	if x.fails >= failsMost {
		lists = x.l.at
	}
	return group, max(group, lists)
}

// hurtAt is when a fault last hit what it asks of a kind of service.
func (x *webhook) hurtAt(c class) time.Duration {
	for _, h := range slices.Backward(x.host.hurts) {
		if h.class == c {
			return h.at
		}
	}
	return 0
}

// look looks once a minute whether desired follows what waits.
func (x *webhook) look() {
	x.l.after(lookPeriod, func() {
		x.open = slices.DeleteFunc(x.open, func(n int) bool { return x.jobs[n].state == fleet.JobFinished })
		if p := x.running(); p != nil {
			x.keepsProjects()
			x.hasToFind(p)
		}
		x.judgeStuck()
		x.lookedAt = x.l.at
		x.look()
	})
}

// keepsProjects: what a process was told some time ago it has written down, where it
// could.
func (x *webhook) keepsProjects() {
	from := x.l.at - keptWithin
	if x.hurtAt(writes) >= from {
		return
	}
	for id, p := range x.projects {
		if p.run == x.runs && p.at < from {
			x.safe[id] = true
		}
	}
}

// hasToFind: while a process has been told of a job that waits or runs, after each event
// and when it begins, it asks for the lists of the projects that it knows. What has begun
// to wait before that must be found.
func (x *webhook) hasToFind(p *process) {
	told := func(n int) bool { return x.jobs[n].toldBy == x.runs }
	before := x.l.at
	if !slices.ContainsFunc(x.open, told) {
		before = max(x.newsAt, p.begun)
		if before <= x.lookedAt {
			return
		}
	}
	for _, n := range x.open {
		j := &x.jobs[n]
		if j.foundBy != x.runs && j.queued <= before && (x.safe[j.project] || x.projects[j.project].run == x.runs) {
			j.foundBy, j.foundAt = x.runs, x.l.at
		}
	}
}

func (x *webhook) judgeStuck() {
	l := x.l
	g := l.pictures[len(l.pictures)-1].view
	members, idle := 0, false
	for _, i := range g.Instances {
		if i.State == fleet.InService || i.State.IsPending() {
			members++
		}
		idle = idle || i.State == fleet.InService && !i.Protected && i.Healthy
	}
	due, running, oldest := x.due(idle)
	need := due + min(running, members*l.slots)
	if due == 0 || need <= g.Desired*l.slots || g.Desired >= g.Max || x.running() == nil || l.at-x.loweredAt < followsWithin {
		x.short = 0
		return
	}
	if x.short++; x.short == 2 {
		l.breaks("stuck", "desired is %d of at most %d, %d jobs run and %d wait that it should have been raised for, one for %s", g.Desired, g.Max, running, due, oldest)
	}
}

// due counts the jobs that the process must have known of for so long that desired was to
// be raised: those that wait, and those that run.
func (x *webhook) due(idle bool) (due, running int, oldest time.Duration) {
	l := x.l
	group, lists := x.freeSince()
	for _, n := range x.open {
		j := &x.jobs[n]
		waits := j.state == fleet.JobPending
		if waits && idle {
			j.beside++
		}
		told := j.toldBy == x.runs && l.at-max(j.toldAt, group) > toldWithin
		found := j.foundBy == x.runs && l.at-max(j.foundAt, lists) > foundWithin
		switch {
		case !told && !found:
		case !waits:
			running++
		case j.beside < besideMost:
			due++
			oldest = max(oldest, l.at-j.queued)
		}
	}
	return due, running, oldest
}

// judgeRaise: never lower, never above the maximum, never without having looked, and
// never above what the jobs ask for that it may believe in.
func (x *webhook) judgeRaise(p *process, a life.SetDesired) {
	l, g := x.l, p.listed
	if p.listedAt <= p.setAt || l.at-p.listedAt > actionTimeout+5*time.Second {
		l.breaks("overshoot", "the webhook sets desired to %d without having looked at the group", a.Desired)
	}
	p.setAt = l.at
	if a.Desired <= g.Desired || a.Desired > g.Max {
		l.breaks("overshoot", "the webhook sets desired to %d: it had read %d of at most %d", a.Desired, g.Desired, g.Max)
	}
	jobs, ahead := x.asked(p)
	if most := (jobs + ahead + l.slots - 1) / l.slots; a.Desired > most {
		l.breaks("overshoot", "the webhook sets desired to %d for %d jobs and %d that are to come, %d slots on each instance", a.Desired, jobs, ahead, l.slots)
	}
}

// asked counts the jobs that ask for a place by all that a process can know, and those
// that may be on their way.
func (x *webhook) asked(p *process) (jobs, ahead int) {
	for n := range x.jobs {
		j := &x.jobs[n]
		switch {
		case x.mayBelieve(j, p):
			jobs++
		case j.aheadBy == x.runs && j.endBy != x.runs:
			ahead++
		}
	}
	return jobs, min(ahead, int(x.set.Forecast.Most*float64(p.listed.Max*x.l.slots)))
}

// mayBelieve tells whether a process may take it that a job waits or runs: it does, or
// its end was not told, or only while a request was under way.
func (x *webhook) mayBelieve(j *hookJob, p *process) bool {
	switch {
	case j.foreign || j.queued == 0:
		return false
	case j.ended == 0:
		return true
	case j.endBy == x.runs:
		return j.endAt >= p.listedAt-actionTimeout-time.Second
	}
	_, lists := x.freeSince()
	return x.l.at-max(j.ended, j.aliveAt, lists) < endsWithin
}

// keepsQuiet: with nothing going on it asks nothing.
func (x *webhook) keepsQuiet(what string) {
	l := x.l
	round := x.roundAt > 0 && l.at-x.roundAt < listPatience // one project after the other
	x.roundAt = l.at
	alive := slices.ContainsFunc(x.open, func(n int) bool { return x.jobs[n].state != fleet.JobFinished })
	group, lists := x.freeSince()
	if last := max(x.endedAt, x.newsAt, group, lists); !alive && !round && l.at-last > quietAfter {
		l.breaks("budget", "the webhook %s, and nothing was to be told of for %s", what, l.at-last)
	}
}
