package capacity

import (
	"math"
	"time"
)

// taskscaler is GitLab's autoscaler of the docker-autoscaler and instance
// executors: one manager that takes every job and knows every instance.
// Reconstructed from its documentation, logs and issues (FACTS §7).
type taskscaler struct {
	deaf
	bench
	idleCount        int           // option idle_count: jobs, not machines
	idleTime         time.Duration // option idle_time; below zero: the comparison's
	scaleFactor      float64       // option scale_factor
	scaleFactorLimit int           // option scale_factor_limit; 0: none
	maxUseCount      int           // option max_use_count; 0: any number
	capacity         int           // option capacity_per_instance; 0: the comparison's slots
	spread           bool          // option spread: jobs go to any free slot

	seen      int // of the queue: what the manager has been given by GitLab
	pollBase  time.Duration
	loopBase  time.Duration
	looping   bool
	polling   bool
	idleSince []time.Duration
	idleGen   []int32
}

const (
	taskscalerPolls = evPolicy  // GitLab, for jobs
	taskscalerLoops = evPolicy2 // over what is required
	taskscalerIdle  = evPolicy3 // an instance has been idle for idle_time
)

// taskscalerLoop is its period while it expects change; it asks the group once
// each time, and once a minute otherwise.
const (
	taskscalerLoop  = time.Second
	taskscalerQuiet = time.Minute
)

func (p *taskscaler) begin(e *engine) {
	e.central = true
	if p.idleTime < 0 {
		p.idleTime = e.opt.Idle
	}
	e.atOnce = p.capacity
	if p.capacity == 0 {
		p.capacity = e.opt.meanSlots()
	}
	p.pollBase, p.loopBase = e.now+e.within(e.opt.CheckInterval), e.now+e.within(taskscalerLoop)
	e.beginAtMin()
	p.loop(e)
}

// required is how many instances are to be created with so many jobs on
// instances, so many that wait for one, and so many instances; below zero how
// many may go.
func (p *taskscaler) required(running, waiting, instances int) int {
	idle := p.idleCount
	if p.scaleFactor > 0 {
		s := int(math.Ceil(p.scaleFactor * float64(running)))
		if p.scaleFactorLimit > 0 {
			s = min(s, p.scaleFactorLimit)
		}
		idle = max(idle, s)
	}
	return (running+waiting+idle+p.capacity-1)/p.capacity - instances
}

func (p *taskscaler) queued(e *engine) {
	if !p.polling {
		p.polling = true
		e.at(next(e.now, p.pollBase, e.opt.CheckInterval), taskscalerPolls, 0, 0)
	}
}

func (p *taskscaler) up(e *engine, n int32) {
	for len(p.idleSince) <= int(n) {
		p.idleSince, p.idleGen = append(p.idleSince, 0), append(p.idleGen, 0)
	}
	p.idleFrom(e, n)
	p.file(e, n)
	p.assign(e)
}

func (p *taskscaler) idleFrom(e *engine, n int32) {
	p.idleSince[n] = e.now
	p.idleGen[n]++
	e.at(e.now+p.idleTime, taskscalerIdle, n, p.idleGen[n])
}

// assign gives the jobs that the manager has to free slots.
func (p *taskscaler) assign(e *engine) {
	for p.seen > 0 {
		n := p.pick(e)
		if n < 0 {
			return
		}
		e.begin(n, e.queue.pop())
		p.seen--
		p.idleGen[n]++
		p.file(e, n)
		if p.used(e, n) {
			p.put(n, 0)
		}
		if p.scaleFactor > 0 { // what is to be free goes by what is in use
			p.wake(e)
		}
	}
}

// pick is the instance that the next job is given to; -1 where no slot is free.
func (p *taskscaler) pick(e *engine) int32 {
	if p.spread {
		return p.any(e)
	}
	return p.fullest()
}

// used tells whether an instance has run as many jobs as it may.
func (p *taskscaler) used(e *engine, n int32) bool {
	return p.maxUseCount > 0 && e.instances[n].total >= int64(p.maxUseCount)
}

func (p *taskscaler) freed(e *engine, n int32) {
	empty := len(e.instances[n].jobs) == 0
	switch {
	case p.used(e, n) && empty:
		p.remove(e, n)
	case p.used(e, n):
	default:
		p.file(e, n)
		if empty {
			p.idleFrom(e, n)
		}
	}
	p.assign(e)
	p.wake(e)
}

func (p *taskscaler) gone(e *engine, n int32) {
	p.put(n, 0)
	p.wake(e)
}

func (p *taskscaler) noticed(e *engine, n int32) { p.file(e, n) }

// wake plans the next turn of the loop.
func (p *taskscaler) wake(e *engine) {
	if !p.looping {
		p.looping = true
		e.at(next(e.now, p.loopBase, taskscalerLoop), taskscalerLoops, 0, 0)
	}
}

func (p *taskscaler) due(e *engine, due *event) {
	switch due.kind {
	case taskscalerPolls:
		p.polling = false
		p.seen = e.queue.len() // it asks again at once after each job
		p.assign(e)
		p.wake(e)
	case taskscalerLoops:
		p.looping = false
		p.loop(e)
	case taskscalerIdle:
		if due.b == p.idleGen[due.a] && e.instances[due.a].state == inService {
			p.wake(e)
		}
	}
}

// loop creates what is required, or removes what may go.
func (p *taskscaler) loop(e *engine) {
	r := p.required(e.running, p.seen, len(e.alive))
	switch {
	case r > 0 && len(e.alive) < e.opt.Max:
		first := len(e.instances)
		e.score.calls++
		e.setDesired(len(e.alive) + r)
		e.score.calls += int((e.instances[first].inSvc - e.now) / taskscalerLoop) // it asks until they run
	case r < 0:
		p.shrink(e, -r)
	}
}

// shrink removes up to n instances that have been idle for long enough.
func (p *taskscaler) shrink(e *engine, n int) {
	var idle []int32
	for _, i := range e.alive {
		if len(idle) < n && e.instances[i].state == inService && len(e.instances[i].jobs) == 0 && e.now-p.idleSince[i] >= p.idleTime && len(e.alive)-len(idle) > e.opt.Min {
			idle = append(idle, i)
		}
	}
	for _, i := range idle {
		p.remove(e, i)
	}
}

func (p *taskscaler) remove(e *engine, n int32) {
	e.score.calls++
	e.desired = len(e.alive) // the manager's own count is what is desired
	e.terminate(n, true)
}

// end adds what it asked with nothing happening.
func (p *taskscaler) end(e *engine) { e.score.calls += int((e.now - e.plan.first) / taskscalerQuiet) }
