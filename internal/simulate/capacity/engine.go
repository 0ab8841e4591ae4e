package capacity

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// engine is one run: a queue, a group of instances, and what is due.
type engine struct {
	opt    Options
	plan   *Plan
	rand   *rand.Rand
	policy policy

	now    time.Duration
	events events
	seq    uint32

	created int // jobs whose creation has come, in the trace's order
	queue   queue
	ready   []time.Duration // when each job could run
	attempt []int32         // how often each job was begun
	here    []bool          // jobs that exist, and wait for lower stages
	left    []int32         // jobs not done, by stage
	open    []bool          // stages whose jobs can run
	on      []int32         // where a job was begun last

	instances []instance
	alive     []int32 // those that are not gone
	inService int
	pending   int
	desired   int
	running   int // jobs

	pollers *phases
	pollGen int32
	polled  int32                        // the place whose turn is next
	central bool                         // a manager hands jobs out: nobody polls
	single  bool                         // an instance runs one job alone
	atOnce  int                          // jobs that a policy has an instance run, where it has more slots; 0: any
	tell    func(j int32, what jobEvent) // a policy hears of each job
	hook    bool                         // a webhook raises desired from 0 to 1
	hookGen int32
	hookAt  time.Duration // its phase

	budget budget
	score  score
	rec    *recorder // nil: nobody wants to know
}

// policy decides about capacity. The engine tells it what happens, and lets it
// plan events of its own.
type policy interface {
	begin(e *engine)
	queued(e *engine)            // a job has joined the queue
	launched(e *engine, i int32) // an instance is on its way
	up(e *engine, i int32)       // an instance came into service, before it polls
	filled(e *engine, i int32)   // an instance was given jobs
	freed(e *engine, i int32)    // a job of an instance ended, and no other took its place
	gone(e *engine, i int32)     // an instance was taken by EC2, or let go
	due(e *engine, due *event)   // an event of its own
	noticed(e *engine, i int32)  // EC2 announced that it will take an instance
	end(e *engine)               // the run is over
}

// hookPeriod is within what time the original's webhook raises desired from 0.
const hookPeriod = 20 * time.Second

// newEngine begins a run.
func newEngine(p *Plan, o Options, seed uint64, with policy) *engine {
	n := p.Jobs()
	e := &engine{
		opt: o, plan: p, policy: with, rand: rand.New(rand.NewPCG(seed, 0x5ca1e)), //nolint:gosec // a model's dice
		now: p.first, ready: make([]time.Duration, n), attempt: make([]int32, n), on: make([]int32, n), here: make([]bool, n),
		left: make([]int32, len(p.stages)), open: make([]bool, len(p.stages)), pollers: newPhases(),
		budget: budget{rate: o.APIRate, burst: float64(o.APIBurst), left: float64(o.APIBurst)},
	}
	for s := range p.stages {
		e.left[s], e.open[s] = int32(len(p.stages[s].jobs)), p.stages[s].open //nolint:gosec // at most trace.MaxJobs
	}
	e.hookAt = e.within(hookPeriod)
	e.score.init(n)
	return e
}

// within draws a time from none to d.
func (e *engine) within(d time.Duration) time.Duration {
	return time.Duration(e.rand.Float64() * float64(d))
}

// over tells whether nothing is left to watch: the fleet is back at its minimum,
// or never will be, or jobs wait that nobody will ever take.
func (e *engine) over() bool {
	if e.created < e.plan.Jobs() {
		return false
	}
	quiet := e.now - max(e.score.lastDone, e.plan.trace.Jobs[e.created-1].Created)
	if e.score.done < e.plan.Jobs() {
		return quiet > maxQuiet
	}
	return len(e.alive) <= e.opt.Min || quiet > maxTail
}

// maxQuiet is longer than any job.
const maxQuiet = trace.MaxDuration + 24*time.Hour

// maxTail is how long after the last job the fleet is watched as it shrinks.
const maxTail = 6 * time.Hour

// run lets everything happen until the last job is done and the fleet is back
// at its minimum.
func (e *engine) run(progress func(done int) bool) {
	e.policy.begin(e)
	if e.rec != nil {
		e.rec.observe(e.now, e.levels())
	}
	for steps := 1; ; steps++ {
		if progress != nil && steps&0xffff == 0 && !progress(e.score.done) || !e.step() {
			break
		}
		if e.rec != nil {
			e.rec.observe(e.now, e.levels())
		}
	}
	if e.rec != nil {
		e.rec.advance(e.now)
	}
	if e.score.done == e.plan.Jobs() { // what is kept for ever is paid for until then
		e.now = e.score.lastDone
	}
	e.policy.end(e)
	e.score.end(e)
}

// step lets the next thing happen; false at the end.
func (e *engine) step() bool {
	if e.over() {
		return false
	}
	next := time.Duration(math.MaxInt64)
	if e.created < e.plan.Jobs() {
		next = e.plan.trace.Jobs[e.created].Created
	}
	if len(e.events) > 0 && e.events[0].at < next {
		due := e.events.pop()
		e.now = due.at
		e.happen(&due)
		return true
	}
	if e.created == e.plan.Jobs() {
		return false // nothing will ever happen again: what is queued is lost
	}
	e.now = max(e.now, next)
	e.create(int32(e.created)) //nolint:gosec // at most trace.MaxJobs
	e.created++
	return true
}

func (e *engine) happen(due *event) {
	switch due.kind {
	case evDone:
		if e.attempt[due.a] == due.b {
			e.done(due.a)
		}
	case evPoll:
		if due.a == e.pollGen {
			e.poll()
		}
	case evAsk:
		e.askOn(due.a)
	case evUp:
		e.up(due.a)
	case evHook:
		if due.a == e.hookGen {
			e.lookFromHook()
		}
	case evSpot:
		e.interrupt(due.a)
	case evTaken:
		e.take(due.a)
	default:
		e.policy.due(e, due)
	}
}

// plan an event.
func (e *engine) at(when time.Duration, k kind, a, b int32) {
	e.seq++
	e.events.push(event{at: max(when, e.now), seq: e.seq, kind: k, a: a, b: b})
}

// create lets a job come into being: it can run unless its pipeline's lower
// stages are not done.
func (e *engine) create(j int32) {
	e.told(j, jobCreated)
	if s := e.plan.stage[j]; s >= 0 && !e.open[s] {
		e.here[j] = true
		return
	}
	e.enqueue(j)
}

// enqueue lets a job wait for an instance.
func (e *engine) enqueue(j int32) {
	e.ready[j] = e.now
	e.told(j, jobPending)
	wasEmpty := e.queue.len() == 0
	e.queue.push(j)
	if wasEmpty && !e.central {
		e.planPoll()
	}
	if e.hook && e.desired == 0 {
		e.planHook()
	}
	e.policy.queued(e)
}

// done ends a job: its pipeline may go on, and its slot asks for the next one at
// once, as gitlab-runner does.
func (e *engine) done(j int32) {
	n := e.on[j]
	i := &e.instances[n]
	i.drop(j)
	i.ended++
	i.ran += e.now - e.score.begin[j]
	e.running--
	e.score.finished(e, j)
	e.told(j, jobEnded)
	if s := e.plan.stage[j]; s >= 0 {
		e.left[s]--
		if next := e.plan.stages[s].next; e.left[s] == 0 && next >= 0 {
			e.open[next] = true
			for _, k := range e.plan.stages[next].jobs {
				if e.here[k] {
					e.here[k] = false
					e.enqueue(k)
				}
			}
		}
	}
	e.free(n)
}

// free takes in that a slot of an instance is free. One that had none asks at once,
// the others ask in their turn.
func (e *engine) free(n int32) {
	if e.instances[n].free() == 1 && e.ask(n) {
		e.policy.filled(e, n)
		return
	}
	e.policy.freed(e, n)
}

// requestTime is how long a runner takes from one job that it is given to the next:
// GitLab's answer, and the way there and back. It asks for one job at a time.
const requestTime = 100 * time.Millisecond

// ask has an instance take a job from the queue. While it is given some, and has a free
// slot, it goes on asking; then it polls. It tells whether there was a job.
func (e *engine) ask(n int32) bool {
	i := &e.instances[n]
	if i.state != inService || i.asking || e.central || e.single && i.total > 0 {
		return false
	}
	if i.free() == 0 || e.queue.len() == 0 {
		e.setPolling(n, i.free() > 0)
		return false
	}
	e.begin(n, e.queue.pop())
	i.gauge = e.queue.len() + 1
	e.setPolling(n, false)
	if i.asking = i.free() > 0; i.asking {
		e.at(e.now+requestTime, evAsk, n, 0)
	}
	return true
}

// askOn is the next request of an instance that was given a job.
func (e *engine) askOn(n int32) {
	e.instances[n].asking = false
	if e.ask(n) {
		e.policy.filled(e, n)
	}
}

// setPolling has an instance among those that poll, or not.
func (e *engine) setPolling(n int32, on bool) {
	i := &e.instances[n]
	switch {
	case on && i.place < 0:
		i.place = e.placeFor()
		e.pollers.add(i.place, n)
	case !on && i.place >= 0:
		e.pollers.remove(i.place)
		i.place = -1
	}
}

// placeFor is a free place in the interval, a whole one after the request just now.
func (e *engine) placeFor() int32 {
	at := e.turn()
	for e.pollers.has(at) {
		at = (at + 1) % places
	}
	return at
}

// turn is this moment's place in the interval.
func (e *engine) turn() int32 {
	interval := e.opt.CheckInterval
	return int32(e.now % interval * places / interval) //nolint:gosec // below places
}

// planPoll plans the next poll of anyone, where somebody polls and a job waits.
func (e *engine) planPoll() {
	e.pollGen++
	if e.queue.len() == 0 || e.pollers.n == 0 {
		return
	}
	interval := e.opt.CheckInterval
	place := e.pollers.next(min(e.turn()+1, places-1))
	at := e.now - e.now%interval + time.Duration(place)*interval/places
	if at < e.now {
		at += interval
	}
	e.at(at, evPoll, e.pollGen, place)
	e.polled = place
}

// poll has the runner whose turn it is ask GitLab.
func (e *engine) poll() {
	if e.queue.len() > 0 && e.pollers.has(e.polled) {
		n := e.pollers.who[e.polled]
		if e.ask(n) {
			e.policy.filled(e, n)
		}
	}
	e.planPoll()
}

// begin starts a job on an instance.
func (e *engine) begin(n, j int32) {
	i := &e.instances[n]
	e.attempt[j]++
	e.running++
	i.jobs = append(i.jobs, j)
	i.total++
	i.waits += e.now - e.ready[j]
	e.on[j] = n
	e.score.begun(e, j)
	e.told(j, jobStarted)
	e.at(e.now+e.plan.trace.Jobs[j].Duration, evDone, j, e.attempt[j])
}

// told has a policy that listens hear what GitLab's job hook tells.
func (e *engine) told(j int32, what jobEvent) {
	if e.tell != nil {
		e.tell(j, what)
	}
}

// planHook plans the webhook's next look.
func (e *engine) planHook() {
	if e.desired > 0 || e.queue.len() == 0 {
		return
	}
	e.hookGen++
	e.at(next(e.now+1, e.hookAt, hookPeriod), evHook, e.hookGen, 0)
}

// lookFromHook raises desired to 1 where a job waits and there is nobody.
func (e *engine) lookFromHook() {
	if e.desired == 0 && e.queue.len() > 0 {
		e.score.calls += 2 // a look, and the change
		e.setDesired(1)
	}
}
