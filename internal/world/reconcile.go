package world

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// reconcileSoon has the group look at itself after its reaction time; looks
// that are due already are not doubled.
func (w *World) reconcileSoon(g *group) {
	if g.deleted || (g.reaction != nil && !g.reaction.idle) {
		return
	}
	g.reaction = w.after(w.opt.React, func() { w.reconcile(g) })
}

// reconcile brings a group towards what is desired: the unhealthy go, what is
// missing is launched, what is too many is chosen and terminated.
func (w *World) reconcile(g *group) {
	w.replaceUnhealthy(g)
	count := g.count()
	for ; count < g.Desired && w.may(g, "Launch"); count++ {
		w.scaleOut(g, count)
	}
	for ; count > g.Desired && w.may(g, "Terminate"); count-- {
		m := g.victim()
		if m == nil {
			w.allProtected(g)
			return
		}
		w.terminate(m, ReasonScaleIn, fmt.Sprintf(
			"At %s an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from %d to %d.  At %s instance %s was selected for termination.",
			second(w.now), count, count-1, second(w.now), m.ID))
	}
	g.stuck = false
	w.fillWarmPool(g)
}

// may tells whether a group may act now, and says where it would have.
func (w *World) may(g *group, process string) bool {
	if g.isSuspended(process) {
		w.emit(Withheld{At: w.now, Group: g.Name, Process: process})
		return false
	}
	return true
}

func (g *group) count() int {
	n := 0
	for _, m := range g.members {
		if m.state.counts() && !m.extra {
			n++
		}
	}
	return n
}

func (w *World) replaceUnhealthy(g *group) {
	for _, m := range slices.Clone(g.members) {
		if m.state == InService && !m.healthy && w.may(g, "ReplaceUnhealthy") {
			w.terminate(m, ReasonUnhealthy, "At "+second(w.now)+" an instance was taken out of service in response to a user health-check.")
		}
	}
}

func (w *World) scaleOut(g *group, count int) {
	cause := fmt.Sprintf("At %s an instance was started in response to a difference between desired and actual capacity, increasing the capacity from %d to %d.", second(w.now), count, count+1)
	if m := g.warmed(); m != nil {
		w.fromWarmPool(m, cause)
		return
	}
	w.launch(g, Pending, cause)
}

// allProtected says, once a spell, that the group cannot shrink.
func (w *World) allProtected(g *group) {
	pending := slices.ContainsFunc(g.members, func(m *machine) bool { return m.state.counts() && m.state != InService })
	if g.stuck || pending {
		return
	}
	g.stuck = true
	const text = "Could not scale to desired capacity because all remaining instances are protected from scale-in."
	w.began(g, "", text, "At "+second(w.now)+" the group was found to have more instances than desired.").finish(w.now, "Failed", text)
}

// victim is the instance that the default termination policy would choose among
// those in service and not protected: the fullest zone, the oldest template
// version, the longest life. Nil when none may be chosen.
func (g *group) victim() *machine {
	var open []*machine
	for _, m := range g.members {
		if m.state == InService && !m.protected {
			open = append(open, m)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return slices.MinFunc(open, func(a, b *machine) int {
		return cmp.Or(
			cmp.Compare(g.inZone(b.Zone), g.inZone(a.Zone)),
			compareVersions(a.template, b.template),
			a.LaunchedAt.Compare(b.LaunchedAt),
			cmp.Compare(a.ID, b.ID),
		)
	})
}

// compareVersions orders template versions: numbers by value, before names.
func compareVersions(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a, b)
}
