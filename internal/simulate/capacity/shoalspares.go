package capacity

import (
	"time"

	"github.com/shoal-ci/shoal/internal/scaling"
)

// scheduleIn is the spares' schedule, by the clock of a time zone.
func (p *shoal) scheduleIn(zone *time.Location) scaling.Schedule {
	if len(p.sparePlan) == 0 {
		return scaling.Schedule{{Periods: p.sparePeriods, Zone: zone, Slots: p.spares}}
	}
	all := make(scaling.Schedule, len(p.sparePlan))
	for n, s := range p.sparePlan {
		s.Zone = zone
		all[n] = s
	}
	return all
}

// minute takes in what the schedule wants from now on, and plans the next one. Where it
// wants more all instances look after it within a minute, where fewer the idle ones
// think again.
func (p *shoal) minute(e *engine) {
	had := p.wanted
	p.wanted = p.schedule.At(p.time(e.now))
	for _, n := range e.alive {
		switch {
		case e.instances[n].state != inService:
		case p.wanted > had:
			e.at(e.now+e.within(time.Minute), shoalReady, n, 0)
		case p.wanted < had && len(e.instances[n].jobs) == 0:
			p.of[n].spell++
			p.planIdle(e, n)
		}
	}
	if len(p.sparePeriods) > 0 || len(p.sparePlan) > 0 {
		now := p.time(e.now)
		e.at(e.now+now.Truncate(time.Minute).Add(time.Minute).Sub(now), shoalReady, -1, 0)
	}
}

// holdReady looks after the spares: one that is at work is none any more, and the
// schedule may want more of them. A scale-up does so with a look of its own.
func (p *shoal) holdReady(e *engine, n int32) {
	if p.wanted == 0 {
		return
	}
	if g, ok := p.look(e); ok {
		self, m := p.of[n].id, &e.instances[n]
		if len(m.jobs) == 0 {
			self = ""
		}
		if r := scaling.HoldReady(g, self, m.slots, p.wanted); r.Needed && e.callOnce() {
			e.setDesired(r.Desired)
		}
	}
}
