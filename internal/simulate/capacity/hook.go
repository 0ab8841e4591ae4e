package capacity

import (
	"strconv"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// jobHook is the webhook that GitLab tells of each job: it raises desired to what the
// jobs need, and lowers nothing.
type jobHook struct {
	on         bool          // option hook
	grace      time.Duration // option webhook_grace
	anticipate bool          // option anticipate
	forecasts  scaling.ForecastSettings

	open     bool  // a window for what comes in the same moment
	gen      int32 // of the next look: an earlier one is void
	failed   int   // throttled calls in a row
	forecast *scaling.Forecast
	thinks   bool          // about the stages to come, again and again
	looked   time.Duration // the last look, and what it showed:
	desired  int
}

const (
	// hookWindow is for how long events are gathered, from the first.
	hookWindow = 500 * time.Millisecond
	// hookLevel is how often it looks while a job is pending: an instance may have left
	// in the moment in which the job came.
	hookLevel = 20 * time.Second
	// hookThinks is how often it thinks of the stages to come: that needs no call.
	hookThinks = 5 * time.Second
)

func newJobHook() jobHook {
	return jobHook{grace: 2 * time.Minute, forecasts: scaling.UsualForecast()}
}

func (p *shoal) beginHook(e *engine) {
	h := &p.hook
	if !h.on {
		return
	}
	p.growth.Grace = h.grace
	if h.anticipate {
		h.forecasts.Stay = p.patience.Idle
		h.forecast = scaling.NewForecast(h.forecasts)
		e.tell = func(j int32, what jobEvent) { p.hear(e, j, what) }
	}
}

// hear takes in what GitLab says of a job.
func (p *shoal) hear(e *engine, j int32, what jobEvent) {
	t := &e.plan.trace.Jobs[j]
	if t.Pipeline == 0 {
		return
	}
	attempt := e.attempt[j]
	if what != jobCreated && what != jobPending { // it has been begun
		attempt--
	}
	job, now := hookJob(t.Pipeline, t.Stage, j, attempt), p.time(e.now)
	switch what {
	case jobCreated:
		p.hook.forecast.Created(job, now)
	case jobPending:
		p.hook.forecast.Pending(job, now)
	case jobStarted:
		p.hook.forecast.Started(job, now)
	case jobEnded:
		p.hook.forecast.Ended(job, now)
	case jobCut:
		p.hook.forecast.Dropped(job, now)
	}
	p.think(e)
}

// hookSaw has the hook see how long an instance took to come into service.
func (p *shoal) hookSaw(e *engine, n int32) {
	if p.hook.forecast != nil {
		p.hook.forecast.Launched(e.now - e.instances[n].launched)
	}
}

// queued is a job's pending event.
func (p *shoal) queued(e *engine) {
	if p.hook.on && !p.hook.open {
		p.hook.open = true
		e.at(e.now+hookWindow, hookActs, 0, 0)
	}
}

func (p *shoal) hookDue(e *engine, due *event) {
	switch {
	case due.kind == hookActs:
		p.hook.open = false
		p.provideForPending(e)
	case due.kind == hookAhead:
		p.hook.thinks = false
		p.foresee(e)
		p.think(e)
	case due.a == p.hook.gen:
		p.provideForPending(e)
	}
}

func (p *shoal) provideForPending(e *engine) {
	if e.queue.len() > 0 {
		p.provide(e)
	}
}

// think plans the next thought of the stages to come.
func (p *shoal) think(e *engine) {
	if h := &p.hook; !h.thinks && h.forecast.Watching() {
		h.thinks = true
		e.at(e.now+hookThinks, hookAhead, 0, 0)
	}
}

// foresee looks at the group where it probably needs more than it had at the last look,
// or may have less by now.
func (p *shoal) foresee(e *engine) {
	h := &p.hook
	d := p.demand(e)
	need := d.Pending + d.Running + d.Ahead
	if d.Ahead > 0 && (e.now >= h.looked+hookLevel || need > h.desired*e.opt.meanSlots()) {
		p.provide(e)
	}
}

// provide looks at the group, raises desired where the jobs need more, and looks again
// while one is pending.
func (p *shoal) provide(e *engine) {
	p.hook.gen++
	again := hookLevel
	if p.raiseFor(e) {
		p.hook.failed = 0
	} else {
		p.hook.failed++
		again = min(again, time.Second<<min(p.hook.failed, 5))
	}
	if e.queue.len() > 0 {
		e.at(e.now+again, hookLooks, p.hook.gen, 0)
	}
}

// raiseFor tells whether no call was throttled.
func (p *shoal) raiseFor(e *engine) bool {
	g, ok := p.look(e)
	if !ok {
		return false
	}
	d := p.demand(e)
	r := d.Raise(g, e.opt.meanSlots())
	p.hook.looked, p.hook.desired = e.now, r.Desired
	if !r.Needed {
		return true
	}
	if !e.callOnce() {
		return false
	}
	e.setDesired(r.Desired)
	p.raisedAhead(e, d, g, r.Desired)
	return true
}

// raisedAhead tells the forecast what was raised for it.
func (p *shoal) raisedAhead(e *engine, d scaling.Demand, g fleet.Group, to int) {
	ahead := d.Ahead > 0
	d.Ahead = 0
	if more := to - d.Raise(g, e.opt.meanSlots()).Desired; ahead && more > 0 {
		p.hook.forecast.Raised(more*e.opt.meanSlots(), p.time(e.now))
	}
}

// demand is what the jobs need as the hook knows it.
func (p *shoal) demand(e *engine) scaling.Demand {
	d := scaling.Demand{Pending: e.queue.len(), Running: e.running}
	if f := p.hook.forecast; f != nil {
		room := scaling.Room{Jobs: d.Pending + d.Running, Slots: e.opt.meanSlots(), InService: e.inService, Max: e.opt.Max}
		d.Ahead, _ = f.Ahead(room, p.time(e.now))
	}
	return d
}

// hookJob is a job as GitLab tells of it: the ids rise from stage to stage, and one
// that is tried again has a new one.
func hookJob(pipeline, stage int, j, attempt int32) scaling.ForecastJob {
	return scaling.ForecastJob{ID: int64(stage)<<44 | int64(j)<<12 | int64(attempt&0xfff), Pipeline: int64(pipeline), Stage: strconv.Itoa(stage)}
}
