package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// process is one run of a command: a machine, and the action that it waits for.
type process struct {
	unit   *unit
	in     *instance
	verb   string
	step   life.Stepper
	key    uint64 // draws for this process
	gen    uint32 // of its steps: turns of an earlier one are void
	offset time.Duration
	begun  time.Duration

	action   life.Action
	value    any
	failure  *fleet.Failure
	hit      *armed    // the fault that hits the action
	by       []*window // those that hit it because they last
	resultAt time.Duration
	result   life.Result   // the last one, and
	out      []life.Action // what the machine wanted: kept, for there are millions
	asleep   bool
	asked    bool // to stop
	exited   bool

	second  time.Duration // spinning: actions within this second
	actions int

	unsaved int // runners made and not yet on disk

	heard
	hosted
}

// inPlace is a machine that is changed where it is.
func inPlace[M any](m M) *M { return &m }

var (
	started     life.Event = life.Started{}
	woke        life.Event = life.Woke{}
	interrupted life.Event = life.Interrupted{}
)

// begin starts a command.
func (l *loop) begin(u *unit, verb string) *process {
	i := u.in
	l.serial++
	p := &process{unit: u, in: i, verb: verb, key: of(l.seed, uint64(i.number), uint64(u.id)<<8|uint64(len(verb)), i.runs(verb)), offset: i.offset, begun: l.at} //nolint:gosec // small
	seed := p.key
	switch {
	case verb == verbShutdown:
		p.step = inPlace(life.NewUnregister(l.unregisterSettings(seed, true)))
	case u.id == unitInit:
		i.inits++
		p.step = inPlace(life.NewInit(l.initSettings(seed)))
	case u.id == unitCheck:
		p.step = inPlace(life.NewLifecycleCheck(life.LifecycleCheckSettings{Period: 5 * time.Second, LeaveOnRebalance: l.leavesOnRebalance(), LeaveOnMaintenance: true, UnhealthyAfter: unhealthyAfter, Seed: seed}))
	case u.id == unitMonitor:
		i.workedAt = max(i.workedAt, l.at) // it counts anew
		p.step = inPlace(life.NewMonitor(l.monitorSettings(seed)))
	case u.id == unitScaleUp:
		p.step = inPlace(life.NewScaleUp(p.in.l.scaleUpSettings(seed)))
	case u.id == unitReap:
		p.step = inPlace(life.NewReap(l.reapSettings(seed)))
	case u.id == unitHook:
		p.step = l.webhook.begins(seed)
	default:
		p.step = inPlace(life.NewUnregister(l.unregisterSettings(seed, false)))
	}
	if verb != "lifecycle-check" && verb != "monitor" {
		l.line(l.at, "i%02d %s starts", i.number, verb)
	}
	gen := p.gen
	l.after(within(of(p.key, 2, 0, 0), 5*time.Millisecond, 60*time.Millisecond), func() {
		switch {
		case p.gen != gen || p.exited:
		case l.host != nil:
			l.host.Begin(p)
		default:
			l.feed(p, started)
		}
	})
	return p
}

// What a process draws for at each of its steps, beside the order of its turns.
const (
	drawLatency = 4 + iota
	drawShare
	drawHang
	drawOnce
)

// drawn is this step's number for a purpose, of 8 at most.
func (p *process) drawn(purpose uint64) uint64 { return mix(p.key + (uint64(p.gen)<<3|purpose)*odd) }

// number is the fleet's draw for what all its instances have alike.
func (l *loop) number() uint64 { return of(l.seed, 3, 0, 0) }

// gone voids everything that the process still wanted.
func (p *process) gone() {
	p.gen++
	p.exited = true
	if _, creates := p.action.(life.CreateRunner); creates && p.value != nil && (p.hit == nil || p.hit.Kind != KillAfter) { // that one is counted where it strikes
		p.unsaved++
	}
	if p.unsaved > 0 {
		p.in.orphanAt = p.in.l.at
	}
	p.in.orphans += p.unsaved
	p.unsaved = 0
	if h := p.in.l.host; h != nil {
		h.Gone(p)
	}
}

// clock is what time it is for this process. A wall clock that is set moves
// nothing within a process: its own readings are monotonic.
func (p *process) clock() time.Time {
	if p.offset == 0 {
		return p.in.l.now
	}
	return p.in.l.now.Add(p.offset)
}

// feed tells a machine an event and plans what it wants.
func (l *loop) feed(p *process, e life.Event) {
	p.gen++
	effect := l.stepOf(p, e)
	if _, exit := effect.(life.Exit); p.asked && !exit {
		effect = l.stepOf(p, interrupted)
	}
	p.asleep = false
	switch a := effect.(type) {
	case life.Sleep:
		if !a.Until.After(p.clock()) { // no pause at all: without this the run would never end
			l.spun(p, a)
		}
		if p.in.isHook() && l.webhook.waits(p) {
			return
		}
		p.asleep = true
		l.turnOf(p, a.Until.Sub(epoch)-p.offset, turnWake)
	case life.Exit:
		l.exit(p, a)
	default:
		l.ask(p, effect)
	}
}

// stepOf has a machine take one step, and says what it says.
func (l *loop) stepOf(p *process, e life.Event) life.Action {
	l.steps++
	p.out = p.step.Take(e, p.clock(), p.out[:0])
	actions := p.out
	last := len(actions) - 1
	for _, a := range actions[:last] {
		l.say(p, a.(life.Say))
	}
	l.saidAll(p, actions[last])
	return actions[last]
}

// interrupt is SIGTERM to a process: what is under way is finished first.
func (l *loop) interrupt(p *process) {
	if p.asked || p.exited {
		return
	}
	p.asked = true
	switch {
	case l.host != nil:
		l.host.Interrupt(p)
	case p.asleep:
		l.feed(p, woke)
	}
}

// exit ends a process by its own will.
func (l *loop) exit(p *process, x life.Exit) {
	p.gone()
	l.line(l.at, "i%02d %s exits %d: %s", p.in.number, p.verb, int(x.Code), x.Summary)
	if shows(x.Summary) {
		l.breaks("secret", "i%02d %s shows a token: %s", p.in.number, p.verb, x.Summary)
	}
	p.in.exits(p, x)
	l.ends(p, x)
	if p.verb == verbShutdown {
		p.unit.stopEnded()
		return
	}
	p.unit.mainEnded(x.Code, false)
}

// kill is SIGKILL.
func (l *loop) kill(p *process) {
	p.gone()
	l.line(l.at, "i%02d %s is killed", p.in.number, p.verb)
	if p.verb == verbShutdown {
		p.unit.stopKilled()
		return
	}
	p.unit.mainEnded(0, true)
}

// spins is how many actions within one second are too many: the busiest machine
// takes a look every 20 ms and a few steps between two looks.
const spins = 400

// ask plans the effect of an action.
func (l *loop) ask(p *process, a life.Action) {
	p.action = a
	l.spun(p, a)
	class := classOf(a)
	draw := p.drawn(drawLatency)
	usual := class.latency(draw)
	p.hit = l.aimed(p, a, class)
	latency := usual + l.delay(p, class)
	l.note(l.at, p.key^uint64(p.gen))
	switch {
	case class >= remote: // the effect takes place while the answer is under way
		p.resultAt = l.at + latency
		l.turnOf(p, l.at+time.Duration(float64(latency)*share(mix(draw))), turnEffect)
		return
	case latency > usual: // it is the answer that is late
		p.resultAt = l.at + latency
		l.turnOf(p, l.at+usual, turnEffect)
		return
	}
	p.resultAt = 0
	l.turnOf(p, l.at+latency, turnEffect)
}

// spun counts the actions of a second.
func (l *loop) spun(p *process, a life.Action) {
	switch a := a.(type) {
	case life.Heartbeat:
		l.beats(p)
		p.in.beatAt = l.at
	case life.FindRunners:
		p.in.searchedAt = l.at
	case life.CreateRunner:
		l.asksForRunner(p.in, a.Runner)
	}
	l.keepsStill(p, a)
	if second := l.at / time.Second; second != p.second {
		p.second, p.actions = second, 0
	}
	if p.actions++; p.actions == spins {
		l.breaks("spin", "i%02d %s takes %d actions within a second, the last %T", p.in.number, p.verb, spins, a)
		l.ended = true
	}
}

// effect carries the action out, or what a fault makes of it.
func (l *loop) effect(p *process) {
	h := p.hit
	if h != nil && h.Kind == KillBefore {
		l.hitBy(h.Fault, p, "")
		l.counts(h.Fault)
		l.kill(p)
		return
	}
	p.value, p.failure = l.carryOut(p)
	if p.exited { // what it did ended the machine, or this process
		return
	}
	if p.resultAt > l.at {
		l.turnOf(p, p.resultAt, turnResult)
		return
	}
	l.tell(p)
}

// tell gives a machine the answer to its action.
func (l *loop) tell(p *process) {
	if h := p.hit; h != nil && h.Kind == KillAfter {
		l.hitBy(h.Fault, p, "")
		l.counts(h.Fault)
		l.kill(p)
		return
	}
	l.seesFaults(p)
	value := p.value
	if p.failure != nil {
		value = nil
	} else {
		p.hear(value)
	}
	p.has(p.action, p.failure)
	p.result = life.Result{Action: p.action, Value: value, Failure: p.failure}
	p.action, p.value, p.failure, p.hit = nil, nil, nil, nil
	l.feed(p, &p.result)
}

// say takes a decision of a machine in.
func (l *loop) say(p *process, s life.Say) {
	text := s.Decision.String()
	if s.Err != nil {
		text += ": " + s.Err.Error()
	}
	if shows(text) {
		l.breaks("secret", "i%02d %s shows a token: %s", p.in.number, p.verb, text)
	}
	p.in.hears(p, s)
	l.line(l.at, "i%02d %s %s: %s", p.in.number, p.verb, s.Level, text)
}
