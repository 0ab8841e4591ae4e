package capacity

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// shoal is what runs on an instance: every decision is package scaling's. Here is
// only when a daemon reads what, and what follows in the model.
type shoal struct {
	deaf
	period    time.Duration // option period
	saturated time.Duration // option saturated_period
	unprotect time.Duration // option unprotect_after
	growth    scaling.GrowthSettings

	listing fleet.Group
	who     []int32 // the instances in the listing's order
	of      []shoalInstance
	start   time.Time
}

// shoalInstance is one instance's daemons.
type shoalInstance struct {
	id      string
	pos     int32 // in the listing
	growth  scaling.Growth
	read    time.Duration // the last reading, or one of the moments of the grid
	full    bool          // what that reading saw
	planned time.Duration // the next reading; 0: none
	gen     int32         // of it
	taken   int64         // jobs it had been given by then
	active  time.Duration // the last reading that saw a job, or that one had come and gone
	spell   int32         // of idleness: what an earlier one planned is void
	waited  int           // looks at which others were to go first
	failed  int           // throttled calls in a row
}

const (
	shoalReads = evPolicy  // a daemon reads the runner's metrics
	shoalIdles = evPolicy2 // a reading at which it has been idle for some time
	shoalHeld  = evPolicy3 // no poll is left: look again, and leave
	shoalLooks = evPolicy4 // a call that was throttled is tried again
)

var shoalOptions = []option{
	{"period", "between two readings of the runner (10s)", span(func(p *shoal) *time.Duration { return &p.period })},
	{"saturated_period", "the same while every slot is taken (3s)", span(func(p *shoal) *time.Duration { return &p.saturated })},
	{"blind_after", "full without news of the queue for this long: looks whether to step (1m)", span(func(p *shoal) *time.Duration { return &p.growth.BlindAfter })},
	{"blind_most", "the longest that this grows to (10m)", span(func(p *shoal) *time.Duration { return &p.growth.BlindMost })},
}

func newShoal() *shoal {
	return &shoal{
		period: 10 * time.Second, saturated: 3 * time.Second, unprotect: time.Minute,
		growth: scaling.GrowthSettings{BlindAfter: time.Minute, BlindMost: 10 * time.Minute},
	}
}

// shoalHold is how long a runner without sections is watched until it is sure
// that no poll is left.
const shoalHold = 2 * time.Second

func (p *shoal) begin(e *engine) {
	e.hook = true
	p.start = e.plan.trace.Start
	p.listing.Min, p.listing.Max = e.opt.Min, e.opt.Max
	e.beginAtMin()
}

// time is a moment of the run as the daemons' clocks show it.
func (p *shoal) time(at time.Duration) time.Time { return p.start.Add(at) }

var zones = []string{"a", "b", "c"}

func (p *shoal) launched(_ *engine, n int32) {
	id := fmt.Sprintf("i-%016x", mix(uint64(n)))                                                            //nolint:gosec // a number from 0 on
	p.of = append(p.of, shoalInstance{id: id, pos: int32(len(p.who)), growth: scaling.NewGrowth(p.growth)}) //nolint:gosec // at most MaxInstances
	p.who = append(p.who, n)
	p.listing.Instances = append(p.listing.Instances, fleet.Instance{
		ID: id, AvailabilityZone: zones[int(n)%len(zones)], State: fleet.Pending, Healthy: true, TemplateVersion: "1",
	})
}

// mix spreads a number over 64 bits (splitmix64): ids do not sort by age.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (p *shoal) gone(_ *engine, n int32) {
	pos, last := p.of[n].pos, len(p.who)-1
	p.who[pos], p.listing.Instances[pos] = p.who[last], p.listing.Instances[last]
	p.of[p.who[pos]].pos = pos
	p.who, p.listing.Instances = p.who[:last], p.listing.Instances[:last]
	p.of[n].growth = scaling.Growth{}
}

func (p *shoal) listed(n int32) *fleet.Instance { return &p.listing.Instances[p.of[n].pos] }

// look is a DescribeAutoScalingGroups.
func (p *shoal) look(e *engine) (fleet.Group, bool) {
	if !e.call() {
		return fleet.Group{}, false
	}
	p.listing.Desired = e.desired
	return p.listing, true
}

func (p *shoal) up(e *engine, n int32) {
	i := &p.of[n]
	i.read = e.now - e.within(p.period)
	p.listed(n).State = fleet.InService
	p.idles(e, n, next(e.now, i.read, p.period)-p.period)
}

// idles begins an idle spell: from is the last reading that saw activity.
func (p *shoal) idles(e *engine, n int32, from time.Duration) {
	i := &p.of[n]
	i.active = from
	i.spell++
	if p.listed(n).Protected {
		e.at(next(from+p.unprotect, i.read, p.period), shoalIdles, n, i.spell)
	}
	e.at(next(from+p.idleFor(e, n), i.read, p.period), shoalIdles, n, i.spell)
}

func (p *shoal) idleFor(e *engine, _ int32) time.Duration { return e.opt.Idle }

// filled: what the next reading will show may matter.
func (p *shoal) filled(e *engine, n int32) {
	i := &p.of[n]
	i.spell++
	i.waited = 0
	if !p.listed(n).Protected || i.full || e.instances[n].free() == 0 {
		p.planRead(e, n, e.now)
	}
}

func (p *shoal) freed(e *engine, n int32) {
	if p.of[n].full || len(e.instances[n].jobs) == 0 {
		p.planRead(e, n, e.now)
	}
}

func (p *shoal) noticed(e *engine, n int32) { p.of[n].spell++ }

// planRead plans a reading at the first moment of the grid that is not before at.
func (p *shoal) planRead(e *engine, n int32, at time.Duration) {
	i := &p.of[n]
	period := p.period
	if i.full {
		period = min(p.saturated, p.period)
	}
	at = next(at, i.read, period)
	if i.planned > 0 && i.planned <= at {
		return
	}
	i.planned = at
	i.gen++
	e.at(at, shoalReads, n, i.gen)
}

func (p *shoal) due(e *engine, due *event) {
	n := due.a
	i := &p.of[n]
	if e.instances[n].state == gone || e.instances[n].doomed {
		return
	}
	switch due.kind {
	case shoalReads:
		if due.b == i.gen {
			p.reading(e, n)
		}
	case shoalIdles:
		if due.b == i.spell && e.instances[n].state == inService {
			p.idle(e, n)
		}
	case shoalHeld:
		p.letGo(e, n)
	case shoalLooks:
		if i.full && due.b == i.gen {
			p.raise(e, n)
		}
	}
}

// observe is the runner's metrics page.
func (p *shoal) observe(e *engine, n int32) fleet.Observation {
	i := &e.instances[n]
	return fleet.Observation{
		At: p.time(e.now), Concurrent: i.slots, StartedAt: 1,
		Runners: []fleet.RunnerReading{{
			Name: "ci", Running: len(i.jobs), JobsTotal: i.total, QueueSize: i.gauge,
			QueueWaits: uint64(i.total), QueueWaitSeconds: i.waits.Seconds(), //nolint:gosec // a count
		}},
	}
}

// reading is a daemon's reading: the busy flag, the beginning of an idle spell,
// and whether to grow.
func (p *shoal) reading(e *engine, n int32) {
	i, m := &p.of[n], &e.instances[n]
	busy, took := len(m.jobs) > 0, m.total > i.taken
	last := e.now - p.period
	i.read, i.planned, i.taken = e.now, 0, m.total
	if busy && !p.listed(n).Protected {
		e.score.calls++
		p.listed(n).Protected = true
	}
	urge := i.growth.Read(p.observe(e, n), p.time(e.now))
	i.full = m.free() == 0
	switch {
	case urge == scaling.Look:
		p.raise(e, n)
	case i.full:
		p.planRead(e, n, i.growth.Due().Sub(p.start))
	case !busy && took:
		p.idles(e, n, e.now)
	case !busy:
		p.idles(e, n, last)
	}
}

// raise looks at the group and raises desired where the decision says so.
func (p *shoal) raise(e *engine, n int32) {
	i := &p.of[n]
	g, ok := p.look(e)
	if !ok {
		p.again(e, n)
		return
	}
	r := i.growth.Decide(g, i.id, p.time(e.now))
	if r.Needed {
		if !e.call() {
			p.again(e, n)
			return
		}
		e.setDesired(r.Desired)
	}
	p.of[n].failed = 0
	p.planRead(e, n, p.of[n].growth.Due().Sub(p.start))
}

// again tries a throttled call once more: 1 s, 2 s, 4 s … 30 s, with jitter.
func (p *shoal) again(e *engine, n int32) {
	i := &p.of[n]
	d := min(time.Second<<min(i.failed, 10), 30*time.Second)
	i.failed++
	i.gen++
	e.at(e.now+d/2+e.within(d/2), shoalLooks, n, i.gen)
}

// idle is a reading at which the instance has been idle for some time.
func (p *shoal) idle(e *engine, n int32) {
	i := &p.of[n]
	idle := e.now - i.active
	if idle >= p.unprotect && p.listed(n).Protected {
		e.score.calls++
		p.listed(n).Protected = false
	}
	if idle < p.idleFor(e, n) {
		return
	}
	g, ok := p.look(e)
	if !ok {
		e.at(e.now+p.period, shoalIdles, n, i.spell)
		return
	}
	switch d := scaling.MayLeave(g, i.id, i.waited < 6); d.Verdict {
	case scaling.Go:
		e.hold(n)
		e.at(e.now+shoalHold, shoalHeld, n, 0)
	case scaling.Stay:
	default:
		e.at(next(e.now+min(30*time.Second<<min(i.waited, 5), 10*time.Minute), i.read, p.period), shoalIdles, n, i.spell)
		i.waited++
	}
}

// letGo looks once more and ends the instance, or puts it back to work.
func (p *shoal) letGo(e *engine, n int32) {
	i := &p.of[n]
	g, ok := p.look(e)
	if ok && scaling.MayLeave(g, i.id, i.waited < 6).Verdict == scaling.Go && e.call() {
		e.terminate(n, true)
		return
	}
	i.spell++
	e.at(next(e.now+30*time.Second, i.read, p.period), shoalIdles, n, i.spell)
	e.resume(n)
}
