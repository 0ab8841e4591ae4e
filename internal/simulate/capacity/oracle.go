package capacity

import (
	"cmp"
	"slices"
	"time"
)

// oracle knows the future: nobody waits less. It launches as long
// before an instance is needed as the launch will take, gives each job a slot at
// once, the fullest instance's, and lets an instance go when it is empty and not
// needed again before another could take its place.
type oracle struct {
	deaf
	bench
	steps []need // what is needed from when on
}

// need is how many jobs run from a moment on, if none waits.
type need struct {
	at   time.Duration
	jobs int
}

const oracleStep = evPolicy

func (p *oracle) begin(e *engine) {
	e.central = true
	lead := time.Duration(float64(e.opt.Boot+e.opt.Init) * (1 + spread))
	demand := foresee(e)
	p.steps = ahead(demand, lead)
	e.desired = p.wanted(e)
	for range e.desired { // it knew before the run began
		e.launchIn(0)
	}
	for k := range p.steps {
		e.at(p.steps[k].at, oracleStep, int32(k), 0) //nolint:gosec // at most twice the jobs
	}
}

// foresee plays the trace with as many slots as the group can have, and notes
// how many jobs run when.
func foresee(e *engine) []need {
	f := &future{}
	o := e.opt
	o.Boot, o.Init, o.SpotMTBF, o.Min, o.Slots = 0, 0, 0, 0, []int{slices.Max(o.Slots) * o.Max}
	o.Max = 1
	inner := newEngine(e.plan, o, 0, f)
	inner.run(nil)
	return f.needs()
}

// future is the policy of the run that foresees: one instance with every slot.
type future struct {
	deaf
	demand []instant
}

// instant is what one brings: how many jobs run when it is over, and whether some of no
// duration came and went in it.
type instant struct {
	need
	brief bool
}

func (p *future) begin(e *engine) {
	e.central = true
	e.opt.Min = 1
	e.beginAtMin()
}

func (p *future) queued(e *engine)         { p.handOut(e) }
func (p *future) up(e *engine, _ int32)    { p.handOut(e) }
func (p *future) freed(e *engine, _ int32) { p.handOut(e) }

func (p *future) handOut(e *engine) {
	for i := &e.instances[0]; i.state == inService && i.free() > 0 && e.queue.len() > 0; {
		j := e.queue.pop()
		e.begin(0, j)
		p.note(e, e.plan.trace.Jobs[j].Duration == 0)
	}
	p.note(e, false)
}

func (p *future) note(e *engine, brief bool) {
	k := len(p.demand) - 1
	if k < 0 || p.demand[k].at != e.now {
		p.demand = append(p.demand, instant{need: need{at: e.now}})
		k++
	}
	p.demand[k].jobs = e.running // what is so when the instant is over
	p.demand[k].brief = p.demand[k].brief || brief
}

// needs is how many slots are needed from when on. The jobs of no duration need one
// beside what runs, which they take one after another, for their instant alone.
func (p *future) needs() []need {
	all := make([]need, 0, len(p.demand))
	for _, d := range p.demand {
		if d.brief {
			all = append(all, need{d.at, d.jobs + 1})
			d.at++
		}
		all = append(all, d.need)
	}
	return all
}

// ahead is the most that is needed within lead from each moment on: a window's
// maximum, which slides over the demand.
func ahead(demand []need, lead time.Duration) []need {
	moments := make([]time.Duration, 0, 2*len(demand))
	for _, d := range demand {
		moments = append(moments, d.at-lead, d.at)
	}
	slices.Sort(moments)
	moments = slices.Compact(moments)
	var out []need
	var window []int // of demand, falling
	to := 0
	for _, at := range moments {
		for to < len(demand) && demand[to].at <= at+lead {
			for len(window) > 0 && demand[window[len(window)-1]].jobs <= demand[to].jobs {
				window = window[:len(window)-1]
			}
			window = append(window, to)
			to++
		}
		// One counts until the next one begins.
		for len(window) > 1 && demand[window[0]+1].at <= at {
			window = window[1:]
		}
		jobs := 0
		if len(window) > 0 {
			jobs = demand[window[0]].jobs
		}
		if len(out) == 0 || out[len(out)-1].jobs != jobs {
			out = append(out, need{at, jobs})
		}
	}
	return out
}

func (p *oracle) queued(e *engine)           { p.handOut(e) }
func (p *oracle) up(e *engine, n int32)      { p.file(e, n); p.handOut(e); p.leave(e, n) }
func (p *oracle) gone(_ *engine, n int32)    { p.put(n, 0) }
func (p *oracle) noticed(e *engine, n int32) { p.file(e, n) }

func (p *oracle) freed(e *engine, n int32) {
	p.file(e, n)
	p.handOut(e)
	p.leave(e, n)
}

// wanted is how many instances are needed now and until another could be there.
func (p *oracle) wanted(e *engine) int {
	k, found := slices.BinarySearchFunc(p.steps, e.now, func(n need, at time.Duration) int { return cmp.Compare(n.at, at) })
	if !found {
		k--
	}
	if k < 0 {
		return e.opt.Min
	}
	slots := slices.Min(e.opt.Slots)
	jobs := max(p.steps[k].jobs, e.running+e.queue.len())
	return max(e.opt.Min, min((jobs+slots-1)/slots, e.opt.Max))
}

func (p *oracle) due(e *engine, _ *event) {
	if w := p.wanted(e); w > len(e.alive) {
		e.score.calls++
		e.setDesired(w)
	}
	for _, slots := range e.opt.Slots { // an empty instance has as many free
		for k := p.listed(slots) - 1; k >= 0 && len(e.alive) > p.wanted(e); k-- {
			p.leave(e, p.byFree[slots][k])
		}
	}
}

// leave lets an empty instance go that is not needed.
func (p *oracle) leave(e *engine, n int32) {
	i := &e.instances[n]
	if i.state == inService && len(i.jobs) == 0 && len(e.alive) > p.wanted(e) {
		e.score.calls++
		e.desired = len(e.alive)
		e.terminate(n, true)
	}
}
