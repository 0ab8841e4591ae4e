package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// actionTimeout is how long the agent lets one action take.
const actionTimeout = 15 * time.Second

// armed is a fault at an action that has not hit yet.
type armed struct {
	*Fault
	seen   int  // actions that it could have hit
	struck bool // the answer is another
}

// window is a fault that lasts.
type window struct {
	*Fault
	in    *instance // nil: the whole fleet
	until time.Duration
}

// reaches tells whether a fault that lasts can hit what a machine does.
func (w *window) reaches(i *instance) bool { return w.in == nil || w.in == i }

// aimed counts an action and finds the fault that hits it.
func (l *loop) aimed(p *process, a life.Action, c class) *armed {
	list := p.in.armed
	if len(list) == 0 {
		return nil
	}
	name := nameOf(a)
	hit := -1
	for n, f := range list { // all count, whichever hits
		if f.Verb != p.verb || f.Only != "" && f.Only != name {
			continue
		}
		if f.seen++; hit < 0 && f.seen >= f.N && f.Kind.canHit(a, c) {
			hit = n
		}
	}
	if hit < 0 {
		return nil
	}
	f := list[hit]
	p.in.armed = slices.Delete(list, hit, hit+1)
	return f
}

// canHit tells whether a kind of fault makes sense for an action. What hits a list of
// jobs comes with the list.
func (k Kind) canHit(a life.Action, c class) bool {
	_, lists := a.(life.ListJobs)
	switch k {
	case Throttled:
		return c == aws || c == gitlab || c == secret || lists
	case Unavailable, Hang:
		return c >= metadata || lists
	case AnswerLost:
		return (c >= remote || c == units) && changes(a)
	case Slow:
		return c >= units || lists
	case StaleListing:
		_, ok := a.(life.DescribeGroup)
		return ok || lists
	case Unauthorized, Garbage:
		return c == metadata
	case WriteFails:
		return c == writes && writesFile(a)
	case UnitBusy:
		return c == units
	}
	return true
}

// writesFile tells whether an action needs room on a disk: removing does not.
func writesFile(a life.Action) bool {
	switch a := a.(type) {
	case life.SetFlag:
		return a.On
	case life.RemoveRegistration:
		return false
	}
	return true
}

// hitBy tells of a fault that strikes, at an action where there is a process.
func (l *loop) hitBy(f *Fault, p *process, what string) {
	l.struck[f] = true
	if p == nil {
		l.line(l.at, "fault: %s %s", f.Kind, what)
		return
	}
	if p.hit != nil {
		p.hit.struck = true
	}
	l.line(l.at, "fault: i%02d %s %s: %s%s", p.in.number, p.verb, nameOf(p.action), f.Kind, orEmpty(", ", what))
	p.in.hurt(l.at, classOf(p.action), f.Kind)
	if _, ok := p.action.(life.CreateRunner); ok && (f.Kind == KillAfter || f.Kind == AnswerLost) {
		p.in.orphans++
		p.in.orphanAt = l.at
	}
}

// delay is what faults add to the time that an action takes.
func (l *loop) delay(p *process, c class) time.Duration {
	var d time.Duration
	if _, lists := p.action.(life.ListJobs); lists {
		return 0
	}
	if h := p.hit; h != nil {
		switch h.Kind {
		case Slow:
			d = h.Amount
			l.hitBy(h.Fault, p, "")
		case Hang, AnswerLost:
			d = patience(c)
			p.in.hurt(l.at, c, h.Kind) // the instance may be gone before the answer is given up
		}
	}
	return min(d+l.slowness(p, c), actionTimeout)
}

// slowness is what faults that last add.
func (l *loop) slowness(p *process, c class) time.Duration {
	var d time.Duration
	for _, w := range l.windows {
		if w.reaches(p.in) && (w.Kind == AWSSlow && c == aws || w.Kind == GitLabSlow && c == gitlab) {
			d += w.Amount
			p.hitByWindow(w)
			p.in.hurt(l.at, c, w.Kind)
		}
	}
	return d
}

// patience is how long a client waits for an answer.
func patience(c class) time.Duration {
	if c == metadata {
		return 5 * time.Second
	}
	return actionTimeout
}

// carryOut does the action, unless a fault lasts that keeps it from taking place
// or one was aimed at it.
func (l *loop) carryOut(p *process) (any, *fleet.Failure) {
	a := p.action
	if _, lists := a.(life.ListJobs); lists {
		return l.do(p, a)
	}
	c := classOf(a)
	for _, w := range l.windows {
		if f := l.outage(w, p, c); f != nil {
			return nil, f
		}
	}
	if h := p.hit; h != nil {
		switch h.Kind {
		case AnswerLost:
			l.hitBy(h.Fault, p, "")
			_, _ = l.do(p, a)
			return nil, noAnswer(a)
		case Throttled, Unavailable, Hang, Unauthorized, Garbage, WriteFails, UnitBusy:
			l.hitBy(h.Fault, p, "")
			return nil, failureOf(h.Fault, a, h.Kind)
		case StaleListing:
			return l.listing(p, h.Fault)
		}
	}
	return l.do(p, a)
}

// outage is what a fault that lasts makes of an action; nil where it lets it be.
func (l *loop) outage(w *window, p *process, c class) *fleet.Failure {
	if !l.strikes(w, p, c) {
		return nil
	}
	f := failureOf(w.Fault, p.action, w.Kind)
	if c == metadata && p.drawn(drawHang)%8 == 0 { // one of them hangs
		p.resultAt = l.at + patience(c)
	}
	return f
}

// strikes tells whether a fault that lasts hits an action, and counts it.
func (l *loop) strikes(w *window, p *process, c class) bool {
	if !w.reaches(p.in) {
		return false
	}
	kind := w.Kind
	hits := false
	switch kind {
	case AWSThrottles, AWSAway:
		hits = (c == aws || c == secret) && l.oneIn(w, p)
	case HeartbeatsLost:
		_, hits = p.action.(life.Heartbeat)
	case GitLabAway:
		hits = c == gitlab
	case DiskFull:
		hits = c == writes && writesFile(p.action)
	case RunnerMute:
		_, hits = p.action.(life.ScrapeMetrics)
	case MetadataSick:
		hits = c == metadata && l.oneIn(w, p)
	}
	if !hits {
		return false
	}
	p.hitByWindow(w)
	p.in.hurt(l.at, c, kind)
	l.line(l.at, "fault: i%02d %s %s: %s", p.in.number, p.verb, nameOf(p.action), kind)
	return true
}

// oneIn tells whether a request is among the share that a window hits.
func (l *loop) oneIn(w *window, p *process) bool {
	return w.Count == 0 || p.drawn(drawShare)%100 < uint64(w.Count) //nolint:gosec // percent
}

// failureOf is what an edge returns.
func failureOf(f *Fault, a life.Action, k Kind) *fleet.Failure {
	op := nameOf(a)
	switch k {
	case Throttled:
		return &fleet.Failure{Kind: fleet.Throttled, Op: op, Message: "rate exceeded", RetryAfter: f.Amount}
	case AWSThrottles:
		return &fleet.Failure{Kind: fleet.Throttled, Op: op, Message: "Throttling: Rate exceeded"}
	case WriteFails, DiskFull:
		return &fleet.Failure{Kind: fleet.Local, Op: op, Message: "no space left on device"}
	case Unauthorized:
		return &fleet.Failure{Op: op, Message: "HTTP 401 from the metadata service"}
	case Garbage:
		return &fleet.Failure{Op: op, Message: "the body does not parse"}
	case Hang, RunnerMute, HeartbeatsLost:
		return noAnswer(a)
	case UnitBusy:
		return &fleet.Failure{Op: op, Message: "systemctl: Connection timed out"}
	}
	return &fleet.Failure{Op: op, Message: "HTTP 503: unavailable"}
}

func noAnswer(a life.Action) *fleet.Failure {
	return &fleet.Failure{Op: nameOf(a), Message: "no answer in time"}
}

// lasts tells whether a fault of this kind lasts now, for others than the webhook alone.
func (l *loop) lasts(k Kind) bool {
	for _, w := range l.windows {
		if w.Kind == k && !w.ofHook() {
			return true
		}
	}
	return false
}

// ofHook tells whether a fault that lasts hits the webhook alone.
func (w *window) ofHook() bool { return w.Verb == verbHook }
