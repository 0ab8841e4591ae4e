package capacity

import (
	"math"
	"time"
)

// buildkite is buildkite-agent-scaler: a function that counts jobs and sets
// desired; agents leave by themselves. Reconstructed from its documentation
// (FACTS §7).
type buildkite struct {
	deaf
	agents   int           // option agents_per_instance; 0: the comparison's slots
	factor   float64       // option scale_out_factor
	cooldown time.Duration // option scale_out_cooldown_period
	idle     time.Duration // option scale_in_idle_period
	period   time.Duration // between its looks

	base    time.Duration
	looking bool
	scaled  time.Duration // when it last scaled out
	ever    bool
	idleGen []int32
}

const (
	buildkiteLooks = evPolicy
	buildkiteIdle  = evPolicy2
)

func (p *buildkite) begin(e *engine) {
	e.atOnce = p.agents
	if p.agents == 0 {
		p.agents = e.opt.meanSlots()
	}
	p.base = e.now + e.within(p.period)
	e.beginAtMin()
}

func (p *buildkite) queued(e *engine) { p.wake(e) }

// wake plans the next look; one that finds nothing waiting decides nothing.
func (p *buildkite) wake(e *engine) {
	if !p.looking {
		p.looking = true
		e.at(next(e.now, p.base, p.period), buildkiteLooks, 0, 0)
	}
}

func (p *buildkite) up(e *engine, n int32) {
	for len(p.idleGen) <= int(n) {
		p.idleGen = append(p.idleGen, 0)
	}
	p.idleFrom(e, n)
}

func (p *buildkite) idleFrom(e *engine, n int32) {
	p.idleGen[n]++
	e.at(e.now+p.idle, buildkiteIdle, n, p.idleGen[n])
}

func (p *buildkite) filled(_ *engine, n int32) { p.idleGen[n]++ }

func (p *buildkite) freed(e *engine, n int32) {
	if len(e.instances[n].jobs) == 0 {
		p.idleFrom(e, n)
	}
}

func (p *buildkite) due(e *engine, due *event) {
	if due.kind == buildkiteIdle {
		if due.b == p.idleGen[due.a] && e.instances[due.a].state == inService {
			p.leave(e, due.a)
		}
		return
	}
	p.looking = false
	p.look(e)
	if e.queue.len() > 0 {
		e.at(e.now+p.period, buildkiteLooks, 0, 0)
		p.looking = true
	}
}

// look is one run of the function.
func (p *buildkite) look(e *engine) {
	to := min(p.target(e.queue.len()+e.running, e.desired), e.opt.Max)
	if to <= e.desired || p.ever && e.now-p.scaled < p.cooldown {
		return
	}
	p.ever, p.scaled = true, e.now
	e.score.calls++
	e.setDesired(to)
}

// target is what desired is to be for so many jobs, scheduled and running.
func (p *buildkite) target(jobs, desired int) int {
	missing := (jobs+p.agents-1)/p.agents - desired
	if missing <= 0 {
		return desired
	}
	return desired + int(math.Ceil(float64(missing)*p.factor))
}

func (p *buildkite) leave(e *engine, n int32) {
	e.score.calls++
	if e.desired <= e.opt.Min {
		p.idleFrom(e, n)
		return
	}
	e.terminate(n, true)
}

// end adds a Describe for each look.
func (p *buildkite) end(e *engine) { e.score.calls += int((e.now - e.plan.first) / p.period) }
