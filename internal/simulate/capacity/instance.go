package capacity

import "time"

// instance is one machine of the group.
type instance struct {
	launched time.Duration
	inSvc    time.Duration // when it came into service
	slots    int
	limit    int     // jobs that it runs at once: all slots, or as many as its policy uses
	jobs     []int32 // that it runs
	state    state
	pos      int32 // among the living
	doomed   bool  // EC2 has announced that it will take it
	asking   bool  // it was given a job, and asks for another one

	place int32 // of its polls in the interval, while it polls (-1)

	// What its runner's metrics show.
	total int64         // jobs given
	gauge int           // jobs in the queue when it was last given one, that one among them
	waits time.Duration // that its jobs had waited, in all
	ended int64         // jobs
	ran   time.Duration // those, in all
}

type state uint8

const (
	pending state = iota
	inService
	held // its runner asks for no further job
	gone
)

func (i *instance) free() int { return i.limit - len(i.jobs) }

// drop takes a job out.
func (i *instance) drop(j int32) {
	for n, k := range i.jobs {
		if k == j {
			i.jobs[n] = i.jobs[len(i.jobs)-1]
			i.jobs = i.jobs[:len(i.jobs)-1]
			return
		}
	}
}

// launch makes an instance, in service after delay.
func (e *engine) launch() int32 {
	delay := time.Duration(float64(e.opt.Boot+e.opt.Init) * (1 + spread*(2*e.rand.Float64()-1)))
	return e.launchIn(delay)
}

func (e *engine) launchIn(delay time.Duration) int32 {
	n := int32(len(e.instances)) //nolint:gosec // a run has no more than jobs and launches
	slots := e.opt.Slots[0]
	if len(e.opt.Slots) > 1 {
		slots = e.opt.Slots[e.rand.IntN(len(e.opt.Slots))]
	}
	limit := slots
	if e.atOnce > 0 {
		limit = min(slots, e.atOnce)
	}
	e.instances = append(e.instances, instance{
		launched: e.now, inSvc: e.now + delay, slots: slots, limit: limit, pos: int32(len(e.alive)), //nolint:gosec // at most MaxInstances
		place: -1,
	})
	e.alive = append(e.alive, n)
	e.pending++
	e.policy.launched(e, n)
	e.at(e.now+delay, evUp, n, 0)
	return n
}

// up brings an instance into service: it polls at once.
func (e *engine) up(n int32) {
	i := &e.instances[n]
	if i.state != pending {
		return
	}
	i.state = inService
	e.pending--
	e.inService++
	if e.opt.SpotMTBF > 0 {
		e.at(e.now+time.Duration(e.rand.ExpFloat64()*float64(e.opt.SpotMTBF)), evSpot, n, 0)
	}
	e.policy.up(e, n)
	if e.ask(n) {
		e.policy.filled(e, n)
	}
}

// setDesired changes what the group wants; it launches at once what is missing.
// Fewer than there are take nobody away: instances leave by themselves.
func (e *engine) setDesired(to int) {
	e.desired = min(max(to, e.opt.Min), e.opt.Max)
	for len(e.alive) < e.desired {
		e.launch()
	}
	if e.hook {
		e.planHook()
	}
}

// hold has an instance take no further job.
func (e *engine) hold(n int32) {
	e.instances[n].state = held
	e.setPolling(n, false)
	e.inService--
}

// resume puts a held instance back to work.
func (e *engine) resume(n int32) {
	e.instances[n].state = inService
	e.inService++
	if e.ask(n) {
		e.policy.filled(e, n)
	}
}

// terminate ends an instance, and desired falls by one with it where decrement
// says so. Jobs that it runs are lost.
func (e *engine) terminate(n int32, decrement bool) {
	i := &e.instances[n]
	switch i.state {
	case pending:
		e.pending--
	case inService:
		e.inService--
	case gone:
		return
	}
	e.setPolling(n, false)
	i.state = gone
	for _, j := range i.jobs {
		e.score.cut(e, j)
		e.attempt[j]++ // its end is void
		e.score.lost++
	}
	e.bury(n)
	if decrement {
		e.desired--
	}
	e.policy.gone(e, n)
	e.setDesired(e.desired)
}

// bury takes an instance out of the living.
func (e *engine) bury(n int32) {
	i := &e.instances[n]
	last := e.alive[len(e.alive)-1]
	e.alive[i.pos] = last
	e.instances[last].pos = i.pos
	e.alive = e.alive[:len(e.alive)-1]
	e.score.paid(e, i)
	i.jobs = nil
}
