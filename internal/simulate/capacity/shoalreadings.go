package capacity

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// page is a metrics page.
type page struct {
	running int
	total   int64
	gauge   int
	waits   time.Duration
	ended   int64
	ran     time.Duration
}

func (p *shoal) pace(idle time.Duration) time.Duration {
	return scaling.Pace(idle, p.period, p.saturated)
}

// filled: what the next reading will show may matter.
func (p *shoal) filled(e *engine, n int32) {
	i := &p.of[n]
	p.change(e, n)
	i.spell++
	i.waited = 0
	if !p.listed(n).Protected || i.full || e.instances[n].free() == 0 || i.idling && p.patience.Most > p.patience.Idle {
		p.planRead(e, n, e.now)
	}
}

func (p *shoal) freed(e *engine, n int32) {
	p.change(e, n)
	if p.of[n].full || len(e.instances[n].jobs) == 0 {
		p.planRead(e, n, e.now)
	}
}

// change notes that the metrics show something new. A reading that was jumped
// over, because it could decide nothing, is told now: the next one is compared
// with it.
func (p *shoal) change(e *engine, n int32) {
	i, m := &p.of[n], &e.instances[n]
	if at := next(i.changed, i.read, i.step); i.shown.running < m.slots && at > i.read && at < e.now {
		i.growth.Read(p.observation(m.slots, i.shown, at), p.time(at))
		i.free = m.slots - i.shown.running
	}
	i.shown, i.changed = page{len(m.jobs), m.total, m.gauge, m.waits, m.ended, m.ran}, e.now
}

// observation is a page as a daemon reads it.
func (p *shoal) observation(slots int, m page, at time.Duration) fleet.Observation {
	if p.gauge == 0 {
		m.gauge = 0
	}
	return fleet.Observation{
		At: p.time(at), Concurrent: slots, StartedAt: 1,
		Runners: []fleet.RunnerReading{{
			Name: "ci", Running: m.running, JobsTotal: m.total, QueueSize: m.gauge,
			QueueWaits: uint64(m.total), QueueWaitSeconds: m.waits.Seconds(), //nolint:gosec // a count
			JobsEnded: uint64(m.ended), JobSeconds: m.ran.Seconds(), //nolint:gosec // a count
		}},
	}
}

// planRead plans a reading at the first one that is not before at.
func (p *shoal) planRead(e *engine, n int32, at time.Duration) {
	i := &p.of[n]
	if at-e.now > maxQuiet { // nothing but what happens has it read
		return
	}
	at = next(at, i.read, i.step)
	if i.planned > 0 && i.planned <= at {
		return
	}
	i.planned = at
	i.gen++
	e.at(at, shoalReads, n, i.gen)
}

// reading is a daemon's reading: the busy flag, the beginning of an idle spell,
// and whether to grow.
func (p *shoal) reading(e *engine, n int32) {
	i, m := &p.of[n], &e.instances[n]
	busy, took := len(m.jobs) > 0, m.total > i.taken
	last := e.now - i.step
	if took {
		if i.taken > 0 && i.idling {
			i.patience.Took(e.now - i.active)
		}
		i.idling = false
	}
	i.read, i.step, i.planned, i.taken = e.now, p.pace(0), 0, m.total
	works, fills := busy && p.wantsGuard(n) && p.protect(e, n, true), m.free() == 0 && !i.full
	if works || fills { // a scale-up is started, which looks after the spares first
		p.holdReady(e, n)
		i, m = &p.of[n], &e.instances[n] // it may have made more of them
	}
	if fills {
		p.startScaleUp(e, n)
	}
	urge := i.growth.Read(p.observation(m.slots, i.shown, e.now), p.time(e.now))
	i.free = m.free()
	i.full = i.free == 0
	switch {
	case urge == scaling.LookNow:
		p.raise(e, n)
	case i.full:
		p.planRead(e, n, i.growth.Due().Sub(p.start))
	case !busy && took:
		p.idles(e, n, e.now)
	case !busy:
		p.idles(e, n, last)
	}
}
