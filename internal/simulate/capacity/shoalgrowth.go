package capacity

import (
	"time"

	"github.com/shoal-ci/shoal/internal/scaling"
)

// startScaleUp: each saturated spell has a process of its own. It knows what the last
// one wrote down, its look at the group and up to which job the queue's length was
// acted on, and what monitor did: how many slots were free before.
func (p *shoal) startScaleUp(e *engine, n int32) {
	i, m := &p.of[n], &e.instances[n]
	look := i.growth.Looked()
	i.growth = scaling.NewGrowth(p.growth)
	i.growth.Resume(look, p.time(e.now))
	i.growth.Before(i.free)
	if i.acted >= m.total {
		i.growth.Believed(p.observation(m.slots, i.shown, e.now))
	}
}

// raise looks at the group and raises desired where the decision says so.
func (p *shoal) raise(e *engine, n int32) {
	g, ok := p.look(e)
	if !ok {
		p.again(e, n)
		return
	}
	p.of[n].acted = e.instances[n].total
	r := p.of[n].growth.Decide(g, p.of[n].id, p.wanted, p.time(e.now))
	if r.Needed {
		if !e.callOnce() {
			p.again(e, n)
			return
		}
		e.setDesired(r.Desired)
	}
	i := &p.of[n] // setDesired may have made more of them
	i.failed = 0
	p.planRead(e, n, i.growth.Due().Sub(p.start))
}

// again tries to raise once more after a throttled call: 1 s, 2 s, 4 s … 30 s, with jitter.
func (p *shoal) again(e *engine, n int32) {
	i := &p.of[n]
	pause := backOff(e, i.failed)
	i.failed++
	i.gen++
	e.at(e.now+pause, shoalLooks, n, i.gen)
}

// backOff is the pause after so many throttled calls in a row before this one.
func backOff(e *engine, failed int) time.Duration {
	d := min(time.Second<<min(failed, 10), 30*time.Second)
	return d/2 + e.within(d/2)
}
