package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/scaling"
	"github.com/shoal-ci/shoal/internal/world"
)

// webhook is the job hook's machine beside a fleet, in place of the look for demand. It
// is hurt by draws of its own: its requests fail before or after their effect, are slow
// or see what is old, it is killed, and GitLab's events are lost, late or come twice.
type webhook struct {
	l     *loop
	set   life.JobHookSettings
	plan  webhookPlan
	m     *life.JobHook // nil: it does not run
	gen   uint64        // of its turns: those of an earlier one are void
	draws uint64
	out   []life.Action
	sleep bool
	inbox []life.Event
	kept  *life.Backlog

	listed fleet.Group // as it was read last
	jobs   []hookJob   // that it could hear of
	at     map[int64]int
	short  time.Duration // since when desired is too low for what waits; 0: it is not
	awayAt time.Duration // GitLab's list failed last
	raised int
	kills  int
	lost   int // events
}

// hookJob is a job as GitLab has it.
type hookJob struct {
	queued, ended time.Duration // ended is 0 while it waits or runs
	running       bool
}

// webhookPlan is what is drawn for it: probabilities.
type webhookPlan struct{ loss, twice, kill, fail, deaf float64 }

const (
	hookLate = 8 * time.Second // an event, at the most
	// hookBelieves is for how long a job may be believed in that has ended: until the
	// event, or where events are lost until the second list.
	hookBelieves      = time.Minute
	hookBelievesLosts = 15 * time.Minute
	// hookWithin is the promise: a reconciliation, and what failed before it once more.
	hookWithin = 8 * time.Minute
	hookStarts = 5 * time.Second // it is started again after a kill
)

// startWebhook has it run beside a fleet that is to have one.
func (l *loop) startWebhook() {
	if !l.schedule.Webhook {
		return
	}
	d := &dice{state: mix(l.seed ^ 0xb00c)}
	p := webhookPlan{
		loss: pick(d, 0, 0, 0.1, 0.3), twice: pick(d, 0, 0.3), kill: pick(d, 0, 0, 0.001, 0.01), fail: pick(d, 0, 0.05, 0.2), deaf: pick(d, 0, 0.2),
	}
	set := life.JobHookSettings{Group: groupName, Slots: l.slots, Reconcile: true, Seed: d.next()}
	if d.chance(0.5) {
		set.Forecast = scaling.UsualForecast()
	}
	if d.chance(0.5) {
		l.grace = 20 * time.Minute
	}
	l.webhook = &webhook{l: l, set: set, plan: p, draws: d.next(), at: map[int64]int{}}
	l.line(l.at, "webhook: loses %g, doubles %g of the events; is killed at %g, fails at %g of the actions, at %g of the lists; instances leave growth to it for %s", p.loss, p.twice, p.kill, p.fail, p.deaf, l.grace)
	l.webhook.start()
	l.webhook.look()
}

func (x *webhook) draw() uint64 {
	x.draws++
	return mix(x.l.seed + x.draws*odd)
}

// hurts draws a fault; there is none in the quiet at the end.
func (x *webhook) hurts(p float64) bool { return share(x.draw()) < p && x.l.at < x.l.quietAt }

// later does f unless it was killed meanwhile.
func (x *webhook) later(d time.Duration, f func()) {
	gen := x.gen
	x.l.after(d, func() {
		if x.gen == gen {
			f()
		}
	})
}

func (x *webhook) start() {
	x.m, x.sleep, x.inbox = life.NewJobHook(x.set), false, nil
	x.feed(started)
}

func (x *webhook) killed() {
	x.gen++
	x.kills++
	x.m = nil
	x.l.line(x.l.at, "webhook: is killed")
	x.later(hookStarts, x.start)
}

// feed has the machine take a step, and plans what it wants.
func (x *webhook) feed(e life.Event) {
	x.gen++
	x.sleep = false
	x.l.steps++
	x.out = x.m.Take(e, x.l.now, x.out[:0])
	last := len(x.out) - 1
	for _, a := range x.out[:last] {
		if say, ok := a.(life.Say); ok {
			x.l.line(x.l.at, "webhook: %s: %s", say.Level, say.Decision)
		}
	}
	if s, ok := x.out[last].(life.Sleep); ok {
		x.rest(s)
		return
	}
	x.ask(x.out[last])
}

// rest takes in what has come meanwhile, or waits.
func (x *webhook) rest(s life.Sleep) {
	if len(x.inbox) > 0 {
		e := x.inbox[0]
		x.inbox = x.inbox[1:]
		x.feed(e)
		return
	}
	x.sleep = true
	x.later(max(time.Millisecond, s.Until.Sub(x.l.now)), func() { x.feed(woke) })
}

// tell brings an event, which a process that does not run cannot take in.
func (x *webhook) tell(e life.Event) {
	switch {
	case x.m == nil:
	case x.sleep:
		x.feed(e)
	default:
		x.inbox = append(x.inbox, e)
	}
}

// ask carries an action out, in time and under faults.
func (x *webhook) ask(a life.Action) {
	takes := within(x.draw(), 20*time.Millisecond, 400*time.Millisecond)
	if x.hurts(x.plan.fail / 4) {
		takes = within(x.draw(), time.Second, actionTimeout-time.Second)
	}
	x.later(takes, func() {
		if x.hurts(x.plan.kill) {
			x.killed()
			return
		}
		r := life.Result{Action: a}
		fails := x.fails(a)
		if !fails || x.hurts(0.5) { // else it takes place, and the answer is lost
			r.Value, r.Failure = x.do(a)
		}
		if fails {
			r.Value, r.Failure = nil, &fleet.Failure{Op: nameOf(a), Message: "no answer in time"}
		}
		if x.hurts(x.plan.kill) {
			x.killed()
			return
		}
		x.feed(r)
	})
}

// fails tells whether a request comes to nothing, or its answer does.
func (x *webhook) fails(a life.Action) bool {
	switch a.(type) {
	case life.DescribeGroup, life.SetDesired:
		return x.hurts(x.plan.fail) || x.l.lasts(AWSAway) || x.l.lasts(AWSThrottles)
	case life.SaveBacklog:
		return x.hurts(x.plan.fail)
	}
	return false
}

func (x *webhook) do(a life.Action) (any, *fleet.Failure) {
	l := x.l
	switch a := a.(type) {
	case life.LoadBacklog:
		return x.kept, nil
	case life.SaveBacklog:
		x.kept = &a.Backlog
	case life.DescribeGroup:
		l.world.CountCall("autoscaling", "DescribeGroup")
		x.listed = l.pictures[len(l.pictures)-1].view
		return x.listed, nil
	case life.SetDesired:
		l.world.CountCall("autoscaling", "SetDesired")
		x.judgeRaise(a.Desired)
		err := l.world.SetDesired(l.now, a.Group, a.Desired)
		l.line(l.at, "webhook: sets desired to %d: %v", a.Desired, err)
		x.raised++
		l.moved = true
		l.pump()
		return nil, awsFailure(nameOf(a), err)
	case life.ListJobs:
		x.lists(a.Project)
	default:
		panic("simulate: the webhook wants " + nameOf(a))
	}
	return nil, nil
}

// lists has GitLab's list come some time after it was read.
func (x *webhook) lists(project int64) {
	e := life.JobsListed{Project: project}
	if x.hurts(x.plan.deaf) || x.l.lasts(GitLabAway) {
		x.awayAt = x.l.at
		e.Failure = &fleet.Failure{Op: "list jobs", Message: "502"}
	} else {
		e.List.Whole = true
		for id, n := range x.at {
			if j := x.jobs[n]; j.ended == 0 {
				e.List.Jobs = append(e.List.Jobs, j.as(id))
			}
		}
		slices.SortFunc(e.List.Jobs, func(a, b fleet.Job) int { return int(b.ID - a.ID) })
	}
	gen := x.kills
	x.l.after(within(x.draw(), 50*time.Millisecond, 20*time.Second), func() {
		if x.kills == gen {
			x.tell(e)
		}
	})
}

func (j hookJob) as(id int64) fleet.Job {
	state := fleet.JobPending
	switch {
	case j.ended > 0:
		state = fleet.JobFinished
	case j.running:
		state = fleet.JobRunning
	}
	return fleet.Job{ID: id, Project: 1, Pipeline: 1, Stage: "test", Name: "job", State: state}
}

// gitlab tells of what became of a job. It may be that nothing runs on a fleet's side.
func (x *webhook) gitlab(e world.Event) {
	if x == nil {
		return
	}
	switch e := e.(type) {
	case world.JobQueued:
		n, known := x.at[e.Job]
		if !known {
			n = len(x.jobs)
			x.jobs = append(x.jobs, hookJob{})
			x.at[e.Job] = n
		}
		x.jobs[n] = hookJob{queued: x.l.at}
		x.send(e.Job)
	case world.JobStarted:
		x.jobs[x.at[e.Job]].running = true
		x.send(e.Job)
	case world.JobFinished:
		x.jobs[x.at[e.Job]].ended = max(x.l.at, 1)
		x.send(e.Job)
	}
}

// send is GitLab's hook.
func (x *webhook) send(id int64) {
	e := life.JobEvent{Job: x.jobs[x.at[id]].as(id)}
	for range 2 {
		if x.hurts(x.plan.loss) {
			x.lost++
		} else {
			x.l.after(within(x.draw(), 10*time.Millisecond, hookLate), func() { x.tell(e) })
		}
		if !x.hurts(x.plan.twice) {
			return
		}
	}
}

// judgeRaise: never lower, never above the maximum, and never above what the jobs need
// that it may believe in.
func (x *webhook) judgeRaise(to int) {
	l, g := x.l, x.listed
	if to <= g.Desired || to > g.Max {
		l.breaks("overshoot", "the webhook sets desired to %d: it had read %d of at most %d", to, g.Desired, g.Max)
	}
	believes := hookBelieves
	if x.lost+x.kills > 0 {
		believes = hookBelievesLosts
	}
	if x.awayAt > 0 && l.at-x.awayAt < time.Hour {
		return // what has ended may be believed in for as long as GitLab is away, and a round more
	}
	alive := 0
	for _, j := range x.jobs {
		if j.ended == 0 || l.at-j.ended < believes {
			alive++
		}
	}
	if most := (alive+l.slots-1)/l.slots + int(x.set.Forecast.Most*float64(g.Max)); to > most {
		l.breaks("overshoot", "the webhook sets desired to %d for %d jobs, %d slots on each instance", to, alive, l.slots)
	}
}

// look looks once a minute whether desired follows what waits.
func (x *webhook) look() {
	x.l.after(lookPeriod, func() {
		x.judgeStuck()
		x.look()
	})
}

func (x *webhook) judgeStuck() {
	l := x.l
	g := l.pictures[len(l.pictures)-1].view
	pending, running, members, idle := 0, 0, 0, false
	for _, j := range x.jobs {
		switch {
		case j.ended > 0:
		case j.running:
			running++
		default:
			pending++
		}
	}
	for _, i := range g.Instances {
		if i.State == fleet.InService || i.State.IsPending() {
			members++
		}
		idle = idle || i.State == fleet.InService && !i.Protected // jobs may be put aside for it
	}
	free := g.Desired*l.slots - min(running, members*l.slots)
	if pending <= max(free, 0) || g.Desired >= g.Max || idle || l.troubled() || l.at-x.awayAt < 2*hookWithin && x.awayAt > 0 {
		x.short = 0
		return
	}
	if x.short == 0 {
		x.short = l.at
	}
	if l.at-x.short > hookWithin {
		l.breaks("stuck", "desired is %d of at most %d for %s, and %d jobs wait and %d run", g.Desired, g.Max, l.at-x.short, pending, running)
		x.short = 0
	}
}
