package capacity

import "time"

// original is the system that Shoal replaces, as it was meant: each instance for
// itself adds one to desired while it is full, and leaves when it has been empty
// for long enough.
type original struct {
	deaf
	period   time.Duration // of its monitor
	recheck  time.Duration // of scale-up's wait for a free slot
	tries    int           // of these
	of       []originalInstance
	idleTime time.Duration
}

// originalInstance is one instance's daemons.
type originalInstance struct {
	base     time.Duration // of the monitor's readings
	watching bool          // a reading that may find it full is planned
	raising  bool          // scale-up runs
	waits    time.Duration // from then on scale-up waits for a free slot
	until    time.Duration // and gives up then
	idleGen  int32
}

// What the original's playbook asks of Auto Scaling (FACTS: measured).
const (
	originalRaiseCalls = 6                // 4 Describe, 1 update, 1 EnableMetricsCollection
	originalAskEvery   = 10 * time.Second // a Describe until the instance is in service
)

const (
	originalReads = evPolicy  // the monitor
	originalWaits = evPolicy2 // scale-up, for a free slot
	originalIdle  = evPolicy3
)

func newOriginal() *original {
	return &original{period: 10 * time.Second, recheck: 5 * time.Second, tries: 200}
}

func (p *original) begin(e *engine) {
	e.hook = true
	p.idleTime = e.opt.Idle
	e.beginAtMin()
}

func (p *original) up(e *engine, n int32) {
	for len(p.of) <= int(n) {
		p.of = append(p.of, originalInstance{})
	}
	p.of[n].base = e.now + e.within(p.period)
	p.idleFrom(e, n)
}

// idleFrom plans the reading at which the instance has been empty at every
// reading for long enough.
func (p *original) idleFrom(e *engine, n int32) {
	i := &p.of[n]
	i.idleGen++
	e.at(next(e.now, i.base, p.period)+p.idleTime, originalIdle, n, i.idleGen)
}

func (p *original) filled(e *engine, n int32) {
	i := &p.of[n]
	i.idleGen++
	if e.instances[n].free() == 0 && !i.watching && !i.raising {
		i.watching = true
		e.at(next(e.now, i.base, p.period), originalReads, n, 0)
	}
}

func (p *original) freed(e *engine, n int32) {
	i := &p.of[n]
	if len(e.instances[n].jobs) == 0 {
		p.idleFrom(e, n)
	}
	if i.raising {
		e.at(next(e.now, i.waits, p.recheck), originalWaits, n, 0)
	}
}

func (p *original) due(e *engine, due *event) {
	n := due.a
	i := &p.of[n]
	if e.instances[n].state != inService {
		return
	}
	switch due.kind {
	case originalReads:
		i.watching = false
		if e.instances[n].free() == 0 {
			p.raise(e, n)
		}
	case originalWaits:
		p.waited(e, n)
	case originalIdle:
		if due.b == i.idleGen {
			p.leave(e, n)
		}
	}
}

// raise is scale_up.yml: desired and one, then the wait for the new instance,
// then the wait for a free slot.
func (p *original) raise(e *engine, n int32) {
	i := &p.of[n]
	e.score.calls += originalRaiseCalls
	i.raising, i.waits = true, e.now
	if e.desired < e.opt.Max {
		before := len(e.instances)
		e.setDesired(e.desired + 1)
		if len(e.instances) > before {
			i.waits = e.instances[len(e.instances)-1].inSvc
			e.score.calls += int((i.waits - e.now) / originalAskEvery)
		}
	}
	i.until = i.waits + time.Duration(p.tries)*p.recheck
	e.at(i.waits, originalWaits, n, 0)
	e.at(i.until, originalWaits, n, 0)
}

// waited ends scale-up where a slot is free, or its patience is over.
func (p *original) waited(e *engine, n int32) {
	i := &p.of[n]
	if !i.raising || e.now < i.waits || e.instances[n].free() == 0 && e.now < i.until {
		return
	}
	i.raising = false
	if e.instances[n].free() == 0 && !i.watching {
		i.watching = true
		e.at(next(e.now, i.base, p.period), originalReads, n, 0)
	}
}

// leave is the monitor's last step; the group refuses it at its minimum, and the
// instance stays.
func (p *original) leave(e *engine, n int32) {
	e.score.calls++
	if e.desired <= e.opt.Min {
		p.idleFrom(e, n)
		return
	}
	e.terminate(n, true)
}
