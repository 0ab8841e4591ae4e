package capacity

import (
	"time"

	"github.com/shoal-ci/shoal/internal/scaling"
)

// jobHook is the webhook that GitLab tells of each job: it raises desired to what the
// jobs need, and lowers nothing.
type jobHook struct {
	on    bool          // option hook
	grace time.Duration // option webhook_grace

	open   bool  // a window for what comes in the same moment
	gen    int32 // of the next look: an earlier one is void
	failed int   // throttled calls in a row
}

const (
	// hookWindow is for how long events are gathered, from the first.
	hookWindow = 500 * time.Millisecond
	// hookLevel is how often it looks while a job is pending: an instance may have left
	// in the moment in which the job came.
	hookLevel = 20 * time.Second
)

// queued is a job's pending event.
func (p *shoal) queued(e *engine) {
	if p.hook.on && !p.hook.open {
		p.hook.open = true
		e.at(e.now+hookWindow, hookActs, 0, 0)
	}
}

func (p *shoal) hookDue(e *engine, due *event) {
	switch {
	case due.kind == hookActs:
		p.hook.open = false
		p.provide(e)
	case due.a == p.hook.gen:
		p.provide(e)
	}
}

// provide looks at the group, raises desired where the jobs need more, and looks again
// while one is pending.
func (p *shoal) provide(e *engine) {
	p.hook.gen++
	d := scaling.Demand{Pending: e.queue.len(), Running: e.running}
	if d.Pending == 0 {
		return
	}
	again := hookLevel
	if p.raiseFor(e, d) {
		p.hook.failed = 0
	} else {
		p.hook.failed++
		again = min(again, time.Second<<min(p.hook.failed, 5))
	}
	e.at(e.now+again, hookLooks, p.hook.gen, 0)
}

// raiseFor tells whether no call was throttled.
func (p *shoal) raiseFor(e *engine, d scaling.Demand) bool {
	g, ok := p.look(e)
	if !ok {
		return false
	}
	r := d.Raise(g, e.opt.meanSlots())
	if !r.Needed {
		return true
	}
	if !e.call() {
		return false
	}
	e.setDesired(r.Desired)
	return true
}
