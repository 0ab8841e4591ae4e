package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/life"
)

// oldest is the oldest listing that any fault makes.
const oldest = 30 * time.Second

// Fate is what becomes of a request that a process at a host sends.
type Fate struct {
	Lag        time.Duration // until the answer is there
	Instead    Kind          // what comes instead of the answer; "" is nothing, the answer itself comes
	RetryAfter time.Duration // of an answer that asks to wait
	Draw       uint64        // for the forms that a fault can have on the wire
}

// Leads is how long a request takes until it is at its service.
func (p *process) Leads() time.Duration {
	draw := p.draw()
	usual := classOf(p.action).latency(draw)
	return time.Duration(float64(usual) * share(mix(draw)))
}

// draw is a number for one request.
func (p *process) draw() uint64 { return mix(p.drawn(drawLatency) + uint64(p.requests)*odd) } //nolint:gosec // small

// Arrives is a request at its service: it has its effect, by serve, or it has not.
// The process may be killed here.
func (p *process) Arrives(serve func()) Fate {
	l := p.in.l
	c := classOf(p.action)
	draw := p.draw()
	usual := c.latency(draw)
	f := Fate{Lag: usual - time.Duration(float64(usual)*share(mix(draw))), Draw: of(draw, 9, 0, 0)}
	if l.killedBefore(p) {
		return f
	}
	p.requests++
	f.Lag += l.slowness(p, c)
	for _, w := range l.windows {
		if l.strikes(w, p, c) {
			f.Instead = w.Kind
			return f
		}
	}
	stale, effect := l.meets(p, &f)
	if effect {
		l.world.SetStaleness(l.age(p, stale))
		l.passes(p, serve)
		l.world.SetStaleness(0)
	}
	return f
}

// meets is what the fault at an action does to a request: the listing may be old,
// and there may be no effect.
func (l *loop) meets(p *process, f *Fate) (stale *Fault, effect bool) {
	h := p.hit
	if h == nil || h.Kind == KillAfter || p.requests > 1 && (p.hurtOnce || h.Kind == Slow) {
		return nil, true
	}
	if h.Kind == StaleListing {
		return h.Fault, true
	}
	l.strikesAction(p)
	switch h.Kind {
	case Slow:
		f.Lag += h.Amount
		return nil, true
	case AnswerLost:
		f.Instead = AnswerLost
		return nil, true
	}
	f.Instead, f.RetryAfter = h.Kind, h.Amount
	return nil, false
}

// strikesAction tells of a fault at an action, once.
func (l *loop) strikesAction(p *process) {
	if !p.hit.struck {
		l.hitBy(p.hit.Fault, p, "")
	}
}

// age is how old faults make the listing that a process asks for.
func (l *loop) age(p *process, aimed *Fault) time.Duration {
	if _, ok := p.action.(life.DescribeGroup); !ok {
		return 0
	}
	_, _ = l.listing(p, aimed) // counts, and tells of it
	var age time.Duration
	if aimed != nil {
		age = aimed.Amount
	}
	for _, w := range l.windows {
		if w.Kind == AWSStale {
			age = max(age, w.Amount)
		}
	}
	return age
}

// passes has a request take effect, under the judge's eyes.
func (l *loop) passes(p *process, serve func()) {
	a := p.action
	switch classOf(a) {
	case aws:
		l.callsAWS++
		p.in.callsAWS++
		l.passesAWS(p, serve)
	case gitlab:
		l.callsGitLab++
		p.in.callsGitLab++
		l.passesGitLab(p, serve)
	default:
		serve()
		return
	}
	l.did(p, a, nil)
	l.pump()
}

// passesAWS: what changes something goes by way of who judges it.
func (l *loop) passesAWS(p *process, serve func()) {
	p.serve = serve
	defer func() { p.serve = nil }()
	switch a := p.action.(type) {
	case life.CompleteHook:
		if p.in.isReaper() {
			_ = l.frees(p, a)
			return
		}
		_ = l.completes(p, a)
	case life.SetDesired:
		_ = l.raises(p, a)
	case life.SetProtection:
		_ = l.protects(p, a)
	case life.TerminateSelf:
		_ = l.terminates(p, a)
	case life.SetUnhealthy:
		_ = l.condemns(p, a)
	case life.Heartbeat:
		p.in.heartbeats++
		serve()
	default:
		serve()
	}
}

func (l *loop) passesGitLab(p *process, serve func()) {
	p.serve = serve
	defer func() { p.serve = nil }()
	switch a := p.action.(type) {
	case life.DeleteRunnerByID:
		_ = l.reaps(p, a)
		return
	case life.DeleteRunner, life.DeleteManager:
		l.unregisters(p)
	case life.ListRunners:
		_, _ = l.listed(a)
	case life.ReadRunner:
		l.looksAt(p, a)
	}
	serve()
}

// through has a request take effect on the world: by its typed method, or, at a
// host, by what serves it there, whose answer nobody here reads.
func (p *process) through(typed func() error) error {
	if p.serve == nil {
		return typed()
	}
	p.serve()
	return nil
}

// Made tells of runners that a request has made: until a result tells of them,
// nobody knows their tokens.
func (p *process) Made(n int) { p.made += n }
