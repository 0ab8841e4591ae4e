package life

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// lastResort is how far neighbour is with having the instance replaced: the group is
// listed, in turn; its activities and hooks are read; the unit is looked at once more;
// the instance is reported Unhealthy, and the group followed.
type lastResort struct {
	turns    turns
	told     time.Time            // the instance was first reported Unhealthy
	toldLast time.Time            // and last
	late     bool                 // said that nothing comes of it
	absent   int                  // listings in a row that did not have this instance
	gone     fleet.LifecycleState // by the last listing the instance goes
}

const (
	// neighbourTurn is the distance between two instances of one fleet that act on the
	// same: within that time the one before is listed as Unhealthy.
	neighbourTurn = 20 * time.Second
	// followSoon and followLate are the pauses between looks at a group that was told
	// to replace the instance, where nobody else sees what it does: a hook may time out
	// half a minute after it began to wait. After followFor it is late.
	followSoon = 15 * time.Second
	followLate = time.Minute
	followFor  = 2 * time.Minute
)

func newLastResort() lastResort { return lastResort{turns: turns{span: neighbourTurn}} }

// goOn asks who this instance is for as long as that is not known, then for the group.
func (n *neighbour) goOn(f *flow, find *finder) {
	if find.stage == found {
		n.then(f, resortLook)
		return
	}
	n.then(f, resortFind)
}

// sees takes in what a listing says of the instance itself, and tells whether it is in
// service. Listings are eventually consistent: one that leaves it out may be old.
func (n *neighbour) sees(g fleet.Group, self string) bool {
	me, member := g.Find(self)
	if n.resort.absent++; member {
		n.resort.absent = 0
	}
	switch {
	case me.State.IsLeaving():
		n.resort.gone = me.State
	case n.resort.absent >= neighbourMissing:
		n.resort.gone = fleet.Detached
	}
	return me.State == fleet.InService
}

// gotListing waits for this instance's turn. One that is not in service is not
// replaced: it is on its way in or out, or an operator has a look at it.
func (n *neighbour) gotListing(f *flow, self string, g fleet.Group) {
	if !n.sees(g, self) {
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

func (n *neighbour) gotJobs(f *flow, o fleet.Observation) {
	if o.Running() == 0 {
		n.then(f, resortAgain)
		return
	}
	n.isLate(f, "jobs run, and the group has no termination hook that would wait for them")
	n.next = f.now.Add(time.Minute)
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
	if n.resort.told.IsZero() {
		level, n.resort.told = Error, f.now
	}
	n.resort.toldLast = f.now
	f.say(level, "reported this instance Unhealthy, to be replaced", n.reason(), fleet.Reason(n.without))
	n.isLate(f, unheeded)
	n.follow(f)
}

// follow plans the next look at a group that was told.
func (n *neighbour) follow(f *flow) {
	n.next = f.now.Add(markedPause)
	if !n.follows {
		return
	}
	pause := followSoon
	if f.now.Sub(n.resort.told) >= followFor {
		pause = followLate
	}
	n.step, n.next = resortFollow, f.now.Add(pause)
}

func (n *neighbour) gotFollowed(f *flow, self string, g fleet.Group) {
	switch n.sees(g, self); {
	case n.resort.gone != "":
	case f.now.Sub(n.resort.toldLast) >= markedPause:
		n.then(f, resortUnit)
	default:
		n.follow(f)
	}
}

// reported is a report of the owner's, for another reason: it has the answer followed
// where nobody else would see it.
func (n *neighbour) reported(f *flow) {
	if n.health.broken {
		n.resort.told, n.resort.toldLast = f.now, f.now
		n.follow(f)
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

// cannotReplace has the whole chain begin anew, after a pause.
func (n *neighbour) cannotReplace(f *flow, cause *fleet.Failure) {
	f.fails(levelOf(cause), "cannot have this instance replaced, trying again", cause)
	n.isLate(f, fleet.Reason(cause.Error()))
	pause := max(time.Minute, cause.RetryAfter)
	if cause.Final() || n.resort.late {
		pause = max(illPause, cause.RetryAfter)
	}
	n.resort.turns.fails(f.now, pause)
	n.next = n.resort.turns.next
}
