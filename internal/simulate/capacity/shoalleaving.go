package capacity

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

const (
	// shoalHold is how long a runner without sections is watched until it is sure
	// that no poll is left.
	shoalHold = 2 * time.Second

	// What a monitor does where it is throttled (package life). Its pauses do not grow:

	// shoalLookAgain is the pause after a throttled look whether to leave.
	shoalLookAgain = time.Minute
	// shoalLeaveTries is how often a leave is tried with the runner stopped, and
	// shoalLeaveLater the pause after that.
	shoalLeaveTries = 4
	shoalLeaveLater = 10 * time.Minute
)

// idles begins an idle spell: from is the last reading that saw activity.
func (p *shoal) idles(e *engine, n int32, from time.Duration) {
	i := &p.of[n]
	i.active, i.idling = from, true
	i.spell++
	p.planIdle(e, n)
}

// planIdle plans the next reading at which being idle for longer matters.
func (p *shoal) planIdle(e *engine, n int32) {
	i := &p.of[n]
	at := i.active + p.stay(n)
	if mark := i.active + p.unprotect; i.read < mark {
		at = min(at, mark)
	}
	e.at(next(max(at, i.read+1), i.read, i.step), shoalIdles, n, i.spell)
}

// stay is how long the instance stays idle.
func (p *shoal) stay(n int32) time.Duration {
	return p.of[n].patience.For(p.patience)
}

// idle is a reading at which the instance has been idle for some time.
func (p *shoal) idle(e *engine, n int32) {
	i := &p.of[n]
	idle := e.now - i.active
	i.read, i.step = e.now, p.pace(idle)
	if idle >= p.unprotect && (p.listed(n).Protected || p.trouble[n].unsure) {
		p.protect(e, n, false)
	}
	if idle < p.stay(n) {
		p.planIdle(e, n)
		return
	}
	g, ok := p.look(e)
	if !ok {
		e.at(next(e.now+shoalLookAgain, i.read, i.step), shoalIdles, n, i.spell)
		return
	}
	switch verdict := p.mayLeave(e, n, g); {
	case verdict == scaling.Go && p.longer(e, n):
		p.planIdle(e, n)
	case verdict == scaling.Go:
		e.at(e.now+e.within(p.pollHold), shoalHeld, n, i.spell)
	case verdict == scaling.Stay: // quiet until it has run a job, or the spares are released
		if at := i.active + p.spareHold; at > e.now {
			e.at(next(at, i.read, i.step), shoalIdles, n, i.spell)
		}
	default:
		e.at(next(e.now+scaling.LookAgain(p.patience.Idle, i.waited), i.read, i.step), shoalIdles, n, i.spell)
		i.waited++
	}
}

// longer looks, once, at what became of those that left before this one. It tells
// whether this one stays for longer. Where that is throttled it goes on without.
func (p *shoal) longer(e *engine, n int32) bool {
	i := &p.of[n]
	if i.past {
		return false
	}
	i.past = true
	if !e.call() {
		return false
	}
	i.patience.Came(scaling.Comebacks(p.past[max(0, len(p.past)-remembers):], i.id))
	return e.now-i.active < p.stay(n)
}

func (p *shoal) mayLeave(e *engine, n int32, g fleet.Group) scaling.Verdict {
	i := &p.of[n]
	slots := e.instances[n].slots
	released := p.spareHold > 0 && e.now-i.active >= p.spareHold
	return scaling.MayLeaveWith(g, i.id, scaling.OnTerms(i.waited, (p.wanted+slots-1)/slots, released)).Verdict
}

// letGo looks once more and ends the instance, or puts it back to work. Where the call
// that ends it was throttled the group is asked what became of it, and it is made again
// a few times: the runner is stopped meanwhile.
func (p *shoal) letGo(e *engine, n int32) {
	i, past := &p.of[n], &p.trouble[n]
	g, ok := p.look(e)
	switch {
	case !ok && (past.leaveTries == 0 || past.leaveTries >= shoalLeaveTries):
		p.giveUpLeaving(e, n, shoalLookAgain)
	case ok && p.mayLeave(e, n, g) != scaling.Go:
		i.spell++
		past.leaveTries = 0
		e.at(next(e.now+scaling.LookAgain(p.patience.Idle, 0), i.read, i.step), shoalIdles, n, i.spell)
		e.resume(n)
	case past.leaveTries >= shoalLeaveTries:
		p.giveUpLeaving(e, n, shoalLeaveLater)
	case ok && e.callOnce():
		p.happened(fleet.Activity{InstanceID: i.id, Description: "Terminating EC2 instance", Cause: "shrinking the capacity", Start: p.time(e.now)})
		e.terminate(n, true)
	default:
		e.at(e.now+backOff(e, past.leaveTries), shoalHeld, n, 0)
		past.leaveTries++
	}
}

// giveUpLeaving puts an instance back to work whose leave was throttled. It counts anew
// for how long it is idle.
func (p *shoal) giveUpLeaving(e *engine, n int32, pause time.Duration) {
	i := &p.of[n]
	i.spell++
	p.trouble[n].leaveTries, i.active = 0, e.now
	e.at(next(e.now+max(pause, p.stay(n)), i.read, i.step), shoalIdles, n, i.spell)
	e.resume(n)
}
