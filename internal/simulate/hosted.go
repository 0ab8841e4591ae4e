package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// Process is one run of a command, at a host.
type Process = process

// hosted is what a process has beside, at a host.
type hosted struct {
	serve    func() // what has a request take effect, while it does
	requests int    // of the action
	hurtOnce bool   // the fault at the action hits its first request alone
	made     int    // runners, of whose tokens no result has told yet
}

// Verb is the machine's name.
func (p *process) Verb() string { return p.verb }

// Instance is the number of the process's instance, and its id.
func (p *process) Instance() (number int, id string) { return p.in.number, p.in.id }

// Asked tells whether the process was told to stop. It may have been before it began.
func (p *process) Asked() bool { return p.asked }

// Ended tells whether the process is over: killed, or by its own will.
func (p *process) Ended() bool { return p.exited }

// Step has the machine take one step, and sees to it that what it says and wants
// is recorded. Times are the host's; to the machine they are those of its own
// clock, which may be off. Nothing is returned where the process is killed here.
func (p *process) Step(e life.Event, now time.Time) []life.Action {
	l := p.in.l
	if r, ok := e.(life.Result); ok {
		if e = p.answer(r); p.exited {
			return nil
		}
	}
	p.gen++
	l.steps++
	l.note(l.at, p.key^uint64(p.gen))
	actions := p.step.Take(e, now.Add(p.offset), nil)
	last := len(actions) - 1
	for _, a := range actions[:last] {
		l.say(p, a.(life.Say))
	}
	l.saidAll(p, actions[last])
	_, told := e.(life.Interrupted)
	p.action = nil
	switch a := actions[last].(type) {
	case life.Exit:
	case life.Sleep:
		actions[last] = life.Sleep{Until: a.Until.Add(-p.offset)}
	default:
		if !p.asked || told { // else it is told of the interruption first
			l.plans(p, a)
		}
		actions[last] = p.outward(a)
	}
	return actions
}

// answer takes the answer to an action in.
func (p *process) answer(r life.Result) life.Event {
	l := p.in.l
	p.action = r.Action
	if h := p.hit; h != nil && h.Kind == KillAfter {
		l.hitBy(h.Fault, p, "")
		l.counts(h.Fault)
		p.in.orphans += p.made
		l.kill(p)
		return nil
	}
	l.seesFaults(p)
	l.rearm(p)
	if r.Failure != nil {
		p.in.orphans += p.made
		r.Value = nil
		p.refused(r)
	} else {
		r.Value = p.inward(r.Value)
		p.sees(r.Value)
		p.hear(r.Value)
	}
	p.has(r.Action, r.Failure)
	p.made = 0
	return r
}

// sees counts the faults that a result shows.
func (p *process) sees(v any) {
	i := p.in
	switch v := v.(type) {
	case *fleet.SpotAction:
		if v != nil {
			i.sees(Spot, SpotLate, SpotAgain)
			i.seesTime()
		}
	case fleet.LifecycleState:
		i.l.seesTarget(i, world.State(v))
	case bool:
		if _, ok := p.action.(life.ReadRebalance); ok && v {
			i.sees(Rebalance, SpotAgain)
		}
	case []fleet.MaintenanceEvent:
		if len(v) > 0 {
			i.sees(Maintenance)
			i.seesTime()
		}
	case []fleet.Activity:
		i.seesTime()
	case fleet.Observation:
		i.seesPage()
	}
}

// refused counts the faults that a failure shows.
func (p *process) refused(r life.Result) {
	switch f := r.Failure; {
	case p.in.isReaper():
		p.in.l.refusesReaper(f)
	case classOf(r.Action) == gitlab && (f.Kind == fleet.BadToken || f.Kind == fleet.Denied || f.Kind == fleet.NotFound):
		p.in.refusedCall(r.Action)
	case f.Kind == fleet.Local && classOf(r.Action) == local: // nothing listens
		p.in.seesPage()
	}
}

// Exit is the end of the process by its own will.
func (p *process) Exit(code life.ExitCode, summary string) {
	if !p.exited {
		p.in.l.exit(p, life.Exit{Code: code, Summary: summary})
		p.in.l.pump()
	}
}

// plans counts an action and finds the fault that hits it.
func (l *loop) plans(p *process, a life.Action) {
	l.rearm(p)
	p.action, p.requests = a, 0
	l.spun(p, a)
	p.hit = l.aimed(p, a, classOf(a))
	p.hurtOnce = p.drawn(drawOnce)%2 == 0
}

// rearm has a fault hit the next action where this one was not carried out, or
// came to nothing before the fault could hit.
func (l *loop) rearm(p *process) {
	if p.hit != nil && !p.hit.struck {
		p.in.armed = append([]*armed{p.hit}, p.in.armed...)
	}
	p.hit = nil
}

// killedBefore kills a process whose action was not to take effect.
func (l *loop) killedBefore(p *process) bool {
	if p.hit == nil || p.hit.Kind != KillBefore {
		return false
	}
	l.hitBy(p.hit.Fault, p, "")
	l.counts(p.hit.Fault)
	l.kill(p)
	return true
}

// Local tells of an action that reaches no service whether it is one, and how long
// it takes.
func (p *process) Local() (wait time.Duration, local bool) {
	c := classOf(p.action)
	if p.action == nil || c > units {
		return 0, false
	}
	return c.latency(p.drawn(drawLatency)), true
}

// Writes tells whether an action writes files.
func (p *process) Writes() bool { return p.action != nil && classOf(p.action) == writes }

// Begins is the moment at which an action on a file takes effect. There may be no
// room for it, or the process is killed.
func (p *process) Begins() (room bool) {
	l := p.in.l
	if c := classOf(p.action); c == units { // see Unit
		return true
	} else if l.killedBefore(p) || c != writes {
		return true
	}
	for _, w := range l.windows {
		if l.strikes(w, p, writes) {
			return false
		}
	}
	if h := p.hit; h != nil && h.Kind == WriteFails {
		l.hitBy(h.Fault, p, "")
		return false
	}
	return true
}

// outward is an action with its moments by the wall clock, as files have them.
func (p *process) outward(a life.Action) life.Action {
	switch a := a.(type) {
	case life.WriteNotice:
		a.Notice.SeenAt = p.toWall(a.Notice.SeenAt)
		if a.Notice.Deadline != nil {
			d := p.toWall(*a.Notice.Deadline)
			a.Notice.Deadline = &d
		}
		return a
	case life.WriteRegistration:
		a.Registration.IntentAt = p.toWall(a.Registration.IntentAt)
		return a
	case life.WriteSeen:
		a.Seen.Look.At = p.toWall(a.Seen.Look.At)
		return a
	}
	return a
}

// inward is a result with its moments by the process's own clock.
func (p *process) inward(v any) any {
	switch v := v.(type) {
	case fleet.Observation:
		v.At = v.At.Add(p.offset)
		return v
	case fleet.RunnerDetails:
		if !v.ContactedAt.IsZero() {
			v.ContactedAt = p.toOwn(v.ContactedAt)
		}
		return v
	case fleet.Flags:
		v.Notice = p.ownNotice(v.Notice)
		return v
	case *fleet.SpotAction:
		if v != nil {
			return &fleet.SpotAction{Action: v.Action, Time: p.toOwn(v.Time)}
		}
	case []fleet.MaintenanceEvent:
		for n := range v {
			v[n].NotBefore = p.toOwn(v[n].NotBefore)
		}
	case []fleet.Activity:
		for n := range v {
			v[n].Start = p.toOwn(v[n].Start)
		}
	case *fleet.Registration:
		if v != nil {
			r := *v
			r.IntentAt = p.toOwn(r.IntentAt)
			return &r
		}
	case *life.Seen:
		if v != nil {
			s := *v
			s.Look.At = p.toOwn(s.Look.At)
			return &s
		}
	}
	return v
}

func (p *process) ownNotice(n *fleet.Notice) *fleet.Notice {
	if n == nil {
		return nil
	}
	if p.offset != p.in.offset {
		p.in.seesTime()
	}
	own := *n
	own.SeenAt = p.toOwn(own.SeenAt)
	if own.Deadline != nil {
		d := p.toOwn(*own.Deadline)
		own.Deadline = &d
	}
	return &own
}
