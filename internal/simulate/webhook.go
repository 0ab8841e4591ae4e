package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// webhook is what stands beside some fleets in place of the look for demand: the job
// hook's machine by its unit, on a host of its own, and GitLab's pipelines, whose events
// it is told. The host is the instance number -1, which no group has.
type webhook struct {
	hookWork
	l     *loop
	set   life.JobHookSettings
	host  *instance
	unit  unit
	kept  *life.Backlog
	inbox []life.Event // of the process that runs
	runs  int          // processes that there have been
	draws uint64

	hookRecord
}

const (
	// hookHost is the number of the webhook's host.
	hookHost = -1
	// atEvents is where faults at GitLab's events are kept among those at actions.
	atEvents = -2
)

const (
	// eventLate is how long an event is on its way where nothing is wrong: two that
	// follow each other closely may change places.
	eventLate = 2 * time.Second
	// listLate is how long GitLab takes to list a project's jobs, at the most.
	listLate = 20 * time.Second
	// listPatience is demand's, for all pages of a list.
	listPatience = time.Minute
	// hookStale is how old GitLab's lists may be, which are read from a replica.
	hookStale = 9 * time.Second
)

// isHook tells the webhook's host from an instance.
func (i *instance) isHook() bool { return i.number == hookHost }

// startWebhook has it run beside a fleet that is to have one.
func (l *loop) startWebhook() {
	if l.hook == nil {
		return
	}
	host := &instance{l: l, number: hookHost, id: "webhook", up: true, armed: l.armed[hookHost]}
	x := &webhook{l: l, host: host, draws: of(l.seed, 12, 0, 0)}
	x.set = life.JobHookSettings{Group: groupName, Slots: l.slots, Reconcile: true, Forecast: l.hook.forecast}
	x.unit = unit{in: host, id: unitHook}
	x.at, x.events, x.safe, x.projects = map[int64]int{}, l.armed[atEvents], map[int64]bool{}, map[int64]projectTold{}
	l.webhook = x
	l.line(l.at, "i-1 is the webhook's host: %d pipelines, ahead of the queue up to %g, instances leave growth to it for %s", len(l.hook.pipelines), x.set.Forecast.Most, l.grace)
	l.after(0, x.unit.start)
	x.nextPipeline(0)
	x.look()
}

func (x *webhook) draw() uint64 {
	x.draws++
	return mix(x.l.seed + x.draws*odd)
}

// begins makes the machine of a new process.
func (x *webhook) begins(seed uint64) *life.JobHook {
	x.inbox = nil
	x.runs++
	set := x.set
	set.Seed = seed
	return life.NewJobHook(set)
}

// running is the process that runs; nil: none does.
func (x *webhook) running() *process {
	if p := x.unit.main; p != nil && !p.exited {
		return p
	}
	return nil
}

// tell brings an event. A process that is busy takes it in later; where none runs it is
// lost, for GitLab does not send it again.
func (x *webhook) tell(e life.Event) {
	p := x.running()
	if p == nil {
		return
	}
	x.hears(e)
	if p.asleep {
		x.l.feed(p, e)
		return
	}
	x.inbox = append(x.inbox, e)
}

// waits is a process at rest: what has come meanwhile is told before it sleeps.
func (x *webhook) waits(p *process) bool {
	if len(x.inbox) == 0 {
		return false
	}
	e := x.inbox[0]
	x.inbox = x.inbox[1:]
	x.l.feed(p, e)
	return true
}

// asksList has GitLab list a project's jobs, and what hits that comes with the list: the
// action itself only begins it.
func (x *webhook) asksList(p *process, a life.ListJobs) {
	l := x.l
	l.callsGitLab++
	p.in.callsGitLab++
	x.keepsQuiet("asks GitLab for the jobs of a project")
	e := life.JobsListed{Project: a.Project}
	takes, old := within(x.draw(), 50*time.Millisecond, listLate), time.Duration(0)
	if h := p.hit; h != nil && h.Kind != KillAfter {
		l.hitBy(h.Fault, p, "")
		switch h.Kind {
		case Slow:
			takes += h.Amount
		case StaleListing:
			old = min(h.Amount, hookStale)
		default:
			e.Failure = failureOf(h.Fault, a, h.Kind)
		}
		if h.Kind == Hang {
			takes = listPatience
		}
		x.host.hurt(l.at, gitlab, h.Kind)
	}
	for _, w := range l.windows {
		switch {
		case !w.reaches(x.host):
		case w.Kind == GitLabAway:
			e.Failure = failureOf(w.Fault, a, w.Kind)
			x.hurtList(w)
		case w.Kind == GitLabSlow:
			takes += w.Amount
			x.hurtList(w)
		}
	}
	read := within(x.draw(), 0, min(takes, listLate))
	run := x.runs
	l.after(read, func() {
		if e.Failure == nil {
			e.List = fleet.JobList{Jobs: x.list(a.Project, l.at-old), Whole: true}
		}
		l.after(takes-read, func() {
			if x.runs == run {
				x.tell(e)
			}
		})
	})
}

// hurtList is a fault that lasts and makes a list another.
func (x *webhook) hurtList(w *window) {
	x.l.counts(w.Fault)
	x.host.hurt(x.l.at, gitlab, w.Kind)
}

// send is GitLab's hook. A fault may be aimed at this very event, or last.
func (x *webhook) send(n int) {
	l := x.l
	e := life.JobEvent{Job: x.jobs[n].as(x.jobs[n].state)}
	times, late := 1, within(x.draw(), 10*time.Millisecond, eventLate)
	hit := func(f *Fault, k Kind, most time.Duration) {
		if x.running() != nil {
			l.counts(f)
		}
		switch k {
		case EventLost, EventsLost:
			times = 0
		case EventTwice, EventsTwice:
			times = 2
		default:
			late += most
		}
	}
	if f := x.aimedAt(e.Job.State); f != nil {
		l.hitBy(f, nil, sprintf("job %d %s", e.Job.ID, stateNames[e.Job.State]))
		hit(f, f.Kind, f.Amount)
	}
	for _, w := range l.windows {
		if w.Kind.ofEvents() && x.draw()%100 < uint64(w.Count) { //nolint:gosec // percent
			hit(w.Fault, w.Kind, within(x.draw(), 0, w.Amount))
		}
	}
	for range times {
		l.after(late, func() { x.tell(e) })
		late += within(x.draw(), 10*time.Millisecond, eventLate)
	}
}

// aimedAt counts an event and finds the fault that hits it.
func (x *webhook) aimedAt(s fleet.JobState) *Fault {
	hit := -1
	for n, f := range x.events {
		if f.Only != "" && f.Only != stateNames[s] {
			continue
		}
		if f.seen++; hit < 0 && f.seen >= f.N {
			hit = n
		}
	}
	if hit < 0 {
		return nil
	}
	f := x.events[hit]
	x.events = slices.Delete(x.events, hit, hit+1)
	return f.Fault
}

// strikeHook is the beginning of a fault at a time on the webhook's host.
func (l *loop) strikeHook(f *Fault) {
	x := l.webhook
	if x == nil {
		return
	}
	switch f.Kind {
	case ClockJump:
		l.hitBy(f, nil, "on the webhook's host")
		x.host.offset += f.Amount
		x.host.unseen = append(x.host.unseen, f)
	case UnitRestart:
		l.hitBy(f, nil, "on the webhook's host")
		if x.unit.state == unitRunning {
			l.counts(f)
			x.unit.stop()
			x.unit.start()
		}
	case UnitBroken:
		x.down(f)
	default:
		l.struck[f] = true
		l.open(f, x.host)
	}
}

// down has its process killed, and not come up for a while.
func (x *webhook) down(f *Fault) {
	l := x.l
	if x.unit.broken != nil {
		return
	}
	l.hitBy(f, nil, "on the webhook's host")
	x.unit.broken = f
	if p := x.running(); p != nil {
		l.counts(f)
		l.kill(p)
	}
	l.after(f.For, func() {
		l.line(l.at, "i-1 %s is mended", unitNames[unitHook])
		x.unit.broken = nil
	})
}

// doHook carries out what the job hook's machine alone asks for.
func (x *webhook) doHook(p *process, a life.Action) any {
	switch a := a.(type) {
	case life.LoadBacklog:
		if x.kept != nil && x.host.offset != 0 {
			x.host.seesTime()
		}
		return x.loaded(p)
	case life.SaveBacklog:
		x.saved(p, a.Backlog)
	case life.ListJobs:
		x.asksList(p, a)
	default:
		panic("simulate: the webhook wants " + nameOf(a))
	}
	return nil
}

// saved is what is written: the moments are the wall clock's.
func (x *webhook) saved(p *process, b life.Backlog) {
	b.Projects, b.Jobs = slices.Clone(b.Projects), slices.Clone(b.Jobs)
	for n := range b.Projects {
		b.Projects[n].At = p.toWall(b.Projects[n].At)
	}
	for n := range b.Jobs {
		b.Jobs[n].Heard = p.toWall(b.Jobs[n].Heard)
	}
	x.kept = &b
}

// loaded is what was written, by this process's clock.
func (x *webhook) loaded(p *process) *life.Backlog {
	if x.kept == nil {
		return nil
	}
	b := life.Backlog{Projects: slices.Clone(x.kept.Projects), Jobs: slices.Clone(x.kept.Jobs)}
	for n := range b.Projects {
		b.Projects[n].At = p.toOwn(b.Projects[n].At)
	}
	for n := range b.Jobs {
		b.Jobs[n].Heard = p.toOwn(b.Jobs[n].Heard)
	}
	return &b
}
