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

// page is a metrics page.
type page struct {
	running int
	total   int64
	gauge   int
	waits   time.Duration
	ended   int64
	ran     time.Duration
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

var shoalOptions = []option{
	{"idle", "how long an instance is without a job before it leaves (--idle)", spanFrom(time.Second, func(p *shoal) *time.Duration { return &p.patience.Idle })},
	{"learn", "up to how long it may learn to stay (0s: it does not learn)", span(func(p *shoal) *time.Duration { return &p.patience.Most })},
	{"spares", "slots of idle instances to hold ready (0)", whole(func(p *shoal) *int { return &p.spares }, 0, 1_000_000)},
	{"spares_period", "when, in cron's words, as in * 8-18 * * mon-fri (always)", cron(func(p *shoal) *[]scaling.Period { return &p.sparePeriods })},
	{"spares_slots", "all of spares.slots, with a semicolon between its policies, as in 6; 0 * * * * sat,sun (as spares and spares_period say)", policies(func(p *shoal) *[]scaling.Spares { return &p.sparePlan })},
	{"spares_hold", "how long after its last job an idle one is held while none is busy (0s: for ever)", span(func(p *shoal) *time.Duration { return &p.spareHold })},
	{"period", "between two readings of the runner (10s)", spanFrom(shortestRead, func(p *shoal) *time.Duration { return &p.period })},
	{"saturated_period", "the same while jobs run, and a minute longer (3s)", spanFrom(shortestRead, func(p *shoal) *time.Duration { return &p.saturated })},
	{"gauge", "1: the runner tells how many jobs wait, as from 18.1 on; 0: it does not (1)", whole(func(p *shoal) *int { return &p.gauge }, 0, 1)},
	{"poll_hold", "up to how long GitLab holds a poll, which an instance that leaves lets end; 50s is GitLab's default, 0s goes with the polls of this model (0s)", span(func(p *shoal) *time.Duration { return &p.pollHold })},
	{"machines", "on: played by the daemons' own machines, step by step, which takes a hundred times as long; off: by their decisions alone (off)", onOff(func(p *shoal) *bool { return &p.machines })},
	{"blind_after", "how long an instance is full without news of the queue before it finds out (1m)", span(func(p *shoal) *time.Duration { return &p.growth.BlindAfter })},
	{"hook", "on: a webhook that GitLab tells of each job sees to the group's growth (off)", onOff(func(p *shoal) *bool { return &p.hook.on })},
	{"webhook_grace", "with hook=on, how long jobs had waited when an instance raises by itself all the same (2m)", spanFrom(time.Second, func(p *shoal) *time.Duration { return &p.hook.grace })},
	{"anticipate", "with hook=on, on: raise for stages, too, that probably begin within a launch (off)", onOff(func(p *shoal) *bool { return &p.hook.anticipate })},
	{"confidence", "with anticipate=on, how probable that has to be, from 0 to 1 (0.18)", shareTo(1, func(p *shoal) *float64 { return &p.hook.forecasts.Confidence })},
	{"ahead_most", "with anticipate=on, the share of the maximum that may be raised ahead (0.5)", shareTo(1, func(p *shoal) *float64 { return &p.hook.forecasts.Most })},
	{"ahead_waste", "with anticipate=on, how long slots may wait in vain, as a share of the time for which jobs run (0.04)", shareTo(1, func(p *shoal) *float64 { return &p.hook.forecasts.Waste })},
}

func newShoal() *shoal {
	return &shoal{
		period: 10 * time.Second, saturated: 3 * time.Second, unprotect: time.Minute, gauge: 1,
		growth: scaling.GrowthSettings{BlindAfter: time.Minute},
		hook:   newJobHook(),
	}
}

const (
	// shoalHold is how long a runner without sections is watched until it is sure
	// that no poll is left.
	shoalHold = 2 * time.Second
	// shortestRead is the shortest time between two readings.
	shortestRead = 100 * time.Millisecond
)

// What a monitor does where it is throttled (package life). Its pauses do not grow.
const (
	// shoalLookAgain is the pause after a throttled look whether to leave.
	shoalLookAgain = time.Minute
	// shoalLeaveTries is how often a leave is tried with the runner stopped, and
	// shoalLeaveLater the pause after that.
	shoalLeaveTries = 4
	shoalLeaveLater = 10 * time.Minute
	// shoalProtectSoon is the pause after a throttled change of the protection, for
	// shoalProtectTries times, and shoalProtectLater from then on.
	shoalProtectSoon  = 2 * time.Second
	shoalProtectTries = 6
	shoalProtectLater = time.Minute
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

// time is a moment of the run as the daemons' clocks show it.
func (p *shoal) time(at time.Duration) time.Time { return p.start.Add(at) }

var zones = []string{"a", "b", "c"}

// remembers is how far back the group's activities are read, and remembered at most.
const remembers = 500

// happened has the group remember a launch or a leave.
func (p *shoal) happened(a fleet.Activity) {
	if len(p.past) == 2*remembers {
		p.past = append(p.past[:0], p.past[remembers:]...)
	}
	p.past = append(p.past, a)
}

func (p *shoal) launched(e *engine, n int32) {
	id := fmt.Sprintf("i-%016x", mix(uint64(n)))                                                            //nolint:gosec // a number from 0 on
	p.of = append(p.of, shoalInstance{id: id, pos: int32(len(p.who)), growth: scaling.NewGrowth(p.growth)}) //nolint:gosec // at most MaxInstances
	p.trouble = append(p.trouble, shoalTrouble{})
	p.who = append(p.who, n)
	p.listing.Instances = append(p.listing.Instances, fleet.Instance{
		ID: id, AvailabilityZone: zones[int(n)%len(zones)], State: fleet.Pending, Healthy: true, TemplateVersion: "1",
	})
	p.happened(fleet.Activity{InstanceID: id, Description: "Launching a new EC2 instance", Start: p.time(e.now), End: p.time(e.instances[n].inSvc)})
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

func (p *shoal) pace(idle time.Duration) time.Duration {
	return scaling.Pace(idle, p.period, p.saturated)
}

// idles begins an idle spell: from is the last reading that saw activity.
func (p *shoal) idles(e *engine, n int32, from time.Duration) {
	i := &p.of[n]
	i.active, i.idling = from, true
	i.spell++
	p.planIdle(e, n)
}

// planIdle plans the next reading at which being idle for longer matters.
func (p *shoal) planIdle(e *engine, n int32) {
	i := &p.of[n]
	at := i.active + p.stay(n)
	if mark := i.active + p.unprotect; i.read < mark {
		at = min(at, mark)
	}
	e.at(next(max(at, i.read+1), i.read, i.step), shoalIdles, n, i.spell)
}

// stay is how long the instance stays idle.
func (p *shoal) stay(n int32) time.Duration {
	return p.of[n].patience.For(p.patience)
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

func (p *shoal) noticed(_ *engine, n int32) { p.of[n].spell++ }

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

// wantsGuard tells whether an instance that is busy is to be protected.
func (p *shoal) wantsGuard(n int32) bool { return !p.listed(n).Protected || p.trouble[n].unsure }

// protect changes the protection, and tells whether that was not throttled.
func (p *shoal) protect(e *engine, n int32, on bool) bool {
	i, past := &p.of[n], &p.trouble[n]
	if e.now < past.protectAt {
		return false
	}
	if past.unsure = !e.call(); past.unsure {
		pause := shoalProtectSoon
		if past.protectTries >= shoalProtectTries {
			pause = shoalProtectLater
		}
		past.protectTries++
		past.protectAt = next(e.now+pause, i.read, i.step)
		e.at(past.protectAt, shoalGuard, n, 0)
		return false
	}
	past.protectTries = 0
	p.listed(n).Protected = on
	return true
}

// guard is a reading after a change of the protection was throttled.
func (p *shoal) guard(e *engine, n int32) {
	switch busy := len(e.instances[n].jobs) > 0; {
	case busy && p.wantsGuard(n):
		if p.protect(e, n, true) {
			p.holdReady(e, n)
		}
	case !busy && p.trouble[n].unsure && e.now-p.of[n].active >= p.unprotect:
		p.protect(e, n, false)
	}
}

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

// idle is a reading at which the instance has been idle for some time.
func (p *shoal) idle(e *engine, n int32) {
	i := &p.of[n]
	idle := e.now - i.active
	i.read, i.step = e.now, p.pace(idle)
	if idle >= p.unprotect && (p.listed(n).Protected || p.trouble[n].unsure) {
		p.protect(e, n, false)
	}
	if idle < p.stay(n) {
		p.planIdle(e, n)
		return
	}
	g, ok := p.look(e)
	if !ok {
		e.at(next(e.now+shoalLookAgain, i.read, i.step), shoalIdles, n, i.spell)
		return
	}
	switch verdict := p.mayLeave(e, n, g); {
	case verdict == scaling.Go && p.longer(e, n):
		p.planIdle(e, n)
	case verdict == scaling.Go:
		e.at(e.now+e.within(p.pollHold), shoalHeld, n, i.spell)
	case verdict == scaling.Stay: // quiet until it has run a job, or the spares are released
		if at := i.active + p.spareHold; at > e.now {
			e.at(next(at, i.read, i.step), shoalIdles, n, i.spell)
		}
	default:
		e.at(next(e.now+scaling.LookAgain(p.patience.Idle, i.waited), i.read, i.step), shoalIdles, n, i.spell)
		i.waited++
	}
}

// longer looks, once, at what became of those that left before this one. It tells
// whether this one stays for longer. Where that is throttled it goes on without.
func (p *shoal) longer(e *engine, n int32) bool {
	i := &p.of[n]
	if i.past {
		return false
	}
	i.past = true
	if !e.call() {
		return false
	}
	i.patience.Came(scaling.Comebacks(p.past[max(0, len(p.past)-remembers):], i.id))
	return e.now-i.active < p.stay(n)
}

func (p *shoal) mayLeave(e *engine, n int32, g fleet.Group) scaling.Verdict {
	i := &p.of[n]
	slots := e.instances[n].slots
	released := p.spareHold > 0 && e.now-i.active >= p.spareHold
	return scaling.MayLeaveWith(g, i.id, scaling.OnTerms(i.waited, (p.wanted+slots-1)/slots, released)).Verdict
}

// letGo looks once more and ends the instance, or puts it back to work. Where the call
// that ends it was throttled the group is asked what became of it, and it is made again
// a few times: the runner is stopped meanwhile.
func (p *shoal) letGo(e *engine, n int32) {
	i, past := &p.of[n], &p.trouble[n]
	g, ok := p.look(e)
	switch {
	case !ok && (past.leaveTries == 0 || past.leaveTries >= shoalLeaveTries):
		p.giveUpLeaving(e, n, shoalLookAgain)
	case ok && p.mayLeave(e, n, g) != scaling.Go:
		i.spell++
		past.leaveTries = 0
		e.at(next(e.now+scaling.LookAgain(p.patience.Idle, 0), i.read, i.step), shoalIdles, n, i.spell)
		e.resume(n)
	case past.leaveTries >= shoalLeaveTries:
		p.giveUpLeaving(e, n, shoalLeaveLater)
	case ok && e.callOnce():
		p.happened(fleet.Activity{InstanceID: i.id, Description: "Terminating EC2 instance", Cause: "shrinking the capacity", Start: p.time(e.now)})
		e.terminate(n, true)
	default:
		e.at(e.now+backOff(e, past.leaveTries), shoalHeld, n, 0)
		past.leaveTries++
	}
}

// giveUpLeaving puts an instance back to work whose leave was throttled. It counts anew
// for how long it is idle.
func (p *shoal) giveUpLeaving(e *engine, n int32, pause time.Duration) {
	i := &p.of[n]
	i.spell++
	p.trouble[n].leaveTries, i.active = 0, e.now
	e.at(next(e.now+max(pause, p.stay(n)), i.read, i.step), shoalIdles, n, i.spell)
	e.resume(n)
}
