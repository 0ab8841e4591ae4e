package life

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// lastResort is how far neighbour is with having the instance replaced: the group is
// listed, in turn; its activities and hooks are read; the unit is looked at once more;
// the instance is reported Unhealthy.
type lastResort struct {
	turns turns
	waits bool      // for jobs to end, which no hook would wait for
	told  time.Time // the instance was first reported Unhealthy
	held  time.Time // not before: the owner has reported it for another reason, and does so again
	late  bool      // said that nothing comes of it
}

// goOn begins with the group. One that its owner has reported already waits for what
// the group does.
func (n *neighbour) goOn(f *flow, find *finder) {
	switch {
	case n.resort.waits:
		n.then(f, resortJobs)
	case !f.now.Before(n.resort.held):
		n.then(f, n.known(find, resortLook))
	}
}

// known asks first who this instance is where that is not known yet.
func (n *neighbour) known(find *finder, p phase) phase {
	if find.stage == found {
		return p
	}
	n.wants = p
	return resortFind
}

// gotListing waits for this instance's turn. One that is not in service is not
// replaced: it is on its way in or out, or an operator has a look at it.
func (n *neighbour) gotListing(f *flow, self string, g fleet.Group) {
	if !n.watch.sees(g, self, f.now) {
		n.next = f.now.Add(illPause)
		return
	}
	first, mine := n.resort.turns.listed(g, self, f.now)
	switch {
	case first != "":
		n.isLate(f, notReplaced(first))
	case mine:
		n.then(f, resortActivities)
		return
	}
	n.next = n.resort.turns.next
	if first == "" && n.resort.turns.missed() {
		n.step = resortLook
	}
}

// gotActivities gives way where the fleet has just replaced an instance.
func (n *neighbour) gotActivities(f *flow, self string, all []fleet.Activity) {
	if a, yes := n.resort.turns.justReplaced(all, self, f.now); yes {
		f.say(Info, "not replaced yet", n.reason(), insteadReplaced(a, f.now))
		n.isLate(f, othersWere)
		n.next = n.resort.turns.next
		return
	}
	n.then(f, resortHooks)
}

// gotHooks has jobs end first where the group would not wait for them.
func (n *neighbour) gotHooks(f *flow, hooks []fleet.Hook) {
	if slices.ContainsFunc(hooks, func(h fleet.Hook) bool { return h.Transition == fleet.AtTermination }) {
		n.then(f, resortAgain)
		return
	}
	n.then(f, resortJobs)
}

// gotJobs looks at the group anew where it has waited: it was this one's turn then.
func (n *neighbour) gotJobs(f *flow, o fleet.Observation) {
	if o.Running() > 0 {
		n.waitForJobs(f)
		return
	}
	n.noJobs(f)
}

// gotRunner tells a runner that is dead from one that cannot be looked at, and may
// have jobs.
func (n *neighbour) gotRunner(f *flow, u fleet.UnitState) {
	if u.Running() {
		n.waitForJobs(f)
		return
	}
	n.noJobs(f)
}

func (n *neighbour) noJobs(f *flow) {
	next := resortAgain
	if n.resort.waits {
		n.resort.turns.onTime(f.now)
		next = resortLook
	}
	n.resort.waits = false
	n.then(f, next)
}

func (n *neighbour) waitForJobs(f *flow) {
	n.isLate(f, "jobs run, or may, and the group has no termination hook that would wait for them")
	n.resort.waits, n.next = true, f.now.Add(time.Minute)
}

// gotAgain is the last look before what cannot be undone: it may be mended meanwhile.
func (n *neighbour) gotAgain(f *flow, find *finder, u fleet.UnitState) {
	if n.health.stillBroken(u, f.now) {
		n.then(f, resortReport)
		return
	}
	n.gotUnit(f, find, u)
}

// gotReported says it once; the group may be kept from replacing anything, and is told
// again meanwhile.
func (n *neighbour) gotReported(f *flow) {
	level := Info
	n.watch.expect(f.now, n.resort.told.IsZero())
	if n.resort.told.IsZero() {
		level, n.resort.told = Error, f.now
	}
	n.next = f.now.Add(markedPause)
	f.say(level, "reported this instance Unhealthy, to be replaced", n.reason(), fleet.Reason(n.without))
	n.isLate(f, unheeded)
}

// reported is a report of the owner's, for another reason.
func (n *neighbour) reported(now time.Time) {
	n.resort.held = now.Add(markedPause + time.Minute)
	n.watch.expect(now, n.resort.told.IsZero())
	if n.resort.told.IsZero() {
		n.resort.told = now
	}
}

func (n *neighbour) reason() fleet.Reason {
	return fleet.Reason(fmt.Sprintf("%s is broken, for %s: %s", n.unit, n.health.lasted.Round(time.Second), n.health.why))
}

// isLate ends the line of last resorts: it says once that nothing comes of them.
func (n *neighbour) isLate(f *flow, why fleet.Reason) {
	if n.resort.late || n.health.lasted < n.after+illLate {
		return
	}
	n.resort.late = true
	f.say(Error, "this instance is broken, and is still not replaced", n.reason(), why, "mend the unit, or terminate this instance by hand")
}

// cannotReplace has the whole chain begin anew, after a pause. A report that was not
// answered may have taken effect.
func (n *neighbour) cannotReplace(f *flow, cause *fleet.Failure) {
	if f.phase == resortReport && !cause.Final() {
		n.watch.expect(f.now, n.resort.told.IsZero())
	}
	f.fails(levelOf(cause), "cannot have this instance replaced, trying again", cause)
	n.isLate(f, fleet.Reason(cause.Error()))
	pause := max(time.Minute, cause.RetryAfter)
	if cause.Final() || n.resort.late {
		pause = max(illPause, cause.RetryAfter)
	}
	n.resort.turns.fails(f.now, pause)
	n.next = n.resort.turns.next
}
