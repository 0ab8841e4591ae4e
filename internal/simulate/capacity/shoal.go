package capacity

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// shoal is what runs on an instance: every decision is package scaling's. Here is
// only when a daemon reads what, and what follows in the model. This file has what it
// knows, and which of its events goes where; the others are named after what comes of them:
// shoalreadings, -growth, -spares, -protection, -leaving, the group's listing, and
// what an operator sets (shoaloptions).
type shoal struct {
	deaf
	period       time.Duration // option period
	saturated    time.Duration // option saturated_period
	unprotect    time.Duration // monitor.unprotect_after
	growth       scaling.GrowthSettings
	patience     scaling.PatienceSettings
	spares       int              // option spares: slots
	sparePeriods []scaling.Period // option spares_period; none: always
	sparePlan    []scaling.Spares // option spares_slots, in place of both
	spareHold    time.Duration    // option spares_hold; 0: for ever
	schedule     scaling.Schedule
	gauge        int           // option gauge
	pollHold     time.Duration // option poll_hold
	machines     bool          // option machines
	hook         jobHook

	listing fleet.Group
	who     []int32 // the instances in the listing's order
	of      []shoalInstance
	trouble []shoalTrouble // of each of them
	start   time.Time
	wanted  int              // spares, in the minute that runs
	past    []fleet.Activity // what the group remembers of launches and leaves, oldest first
}

// shoalInstance is one instance's daemons.
type shoalInstance struct {
	id       string
	pos      int32 // in the listing
	growth   scaling.Growth
	patience scaling.Patience
	free     int           // slots at the last reading
	acted    int64         // jobs that it had been given at the last decision
	read     time.Duration // the last reading that was not jumped over
	full     bool          // what it saw
	step     time.Duration // between readings from then on
	planned  time.Duration // the next reading; 0: none
	gen      int32         // of it
	idling   bool          // it had no job at the last reading
	taken    int64         // jobs it had been given by then
	shown    page          // what its metrics show
	changed  time.Duration // since when
	active   time.Duration // the last reading that saw a job, or that one had come and gone
	spell    int32         // of idleness: what an earlier one planned is void
	waited   int           // looks at which others were to go first
	failed   int           // throttled calls in a row
	past     bool          // it knows what became of those that left before it
}

// shoalTrouble is what an instance's daemons know of calls that were throttled.
type shoalTrouble struct {
	protectAt    time.Duration // not before: change the protection
	protectTries int           // throttled changes in a row
	unsure       bool          // whether the group knows of the last change
	leaveTries   int           // throttled calls since its runner was stopped
}

const (
	shoalReads = evPolicy  // a daemon reads the runner's metrics
	shoalIdles = evPolicy2 // a reading at which it has been idle for some time
	shoalHeld  = evPolicy3 // the last poll ends (b: the spell), or none is left: look again, and leave
	shoalLooks = evPolicy4 // a call that was throttled is tried again
	shoalReady = evPolicy5 // a minute begins (a: -1), or an instance looks after the spares (b: 1, as it begins)
	shoalGuard = evPolicy6 // a throttled change of the protection is tried again
	hookActs   = evPolicy7 // the job hook's window closes
	hookLooks  = evPolicy8 // the job hook looks again, generation a
	hookAhead  = evPolicy9 // the job hook thinks of the stages to come
)

func (p *shoal) begin(e *engine) {
	e.hook = !p.hook.on
	p.start = e.plan.trace.Start
	p.listing.Min, p.listing.Max = e.opt.Min, e.opt.Max
	if p.patience.Idle == 0 {
		p.patience.Idle = e.opt.Idle
	}
	p.schedule = p.scheduleIn(p.start.Location())
	p.beginHook(e)
	e.beginAtMin()
	p.minute(e)
}

// time is a moment of the run as the daemons' clocks show it.
func (p *shoal) time(at time.Duration) time.Time { return p.start.Add(at) }

// up: the monitor has run since before the runner was registered.
func (p *shoal) up(e *engine, n int32) {
	i := &p.of[n]
	i.step = p.pace(0)
	i.read = e.now - e.within(i.step)
	i.changed = e.now
	p.hookSaw(e, n)
	p.listed(n).State = fleet.InService
	if p.wanted > 0 { // nobody may have looked after the spares
		e.at(e.now+e.within(time.Minute), shoalReady, n, 1)
	}
	p.idles(e, n, i.read)
}

func (p *shoal) noticed(_ *engine, n int32) { p.of[n].spell++ }

func (p *shoal) due(e *engine, due *event) {
	n := due.a
	switch {
	case due.kind >= hookActs:
		p.hookDue(e, due)
		return
	case n < 0:
		p.minute(e)
		return
	}
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
	case shoalReady:
		if due.b == 0 || !p.listed(n).Protected { // it has looked when it went to work
			p.holdReady(e, n)
		}
	case shoalHeld:
		switch {
		case due.b == 0:
			p.letGo(e, n)
		case due.b == i.spell && e.instances[n].state == inService: // it brought no job
			e.hold(n)
			e.at(e.now+shoalHold, shoalHeld, n, 0)
		}
	case shoalGuard:
		p.guard(e, n)
	case shoalLooks:
		if due.b == i.gen && i.full {
			p.raise(e, n)
		}
	}
}
