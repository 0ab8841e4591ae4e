package world

import (
	"slices"
	"time"
)

// launch makes a machine for a group, in the given first state.
func (w *World) launch(g *group, first State, cause string) *machine {
	m := &machine{
		group: g, state: first, kind: g.InstanceType, template: g.TemplateVersion, weight: g.Weight,
		healthy: true, protected: g.NewProtected, target: InService,
	}
	m.ID, m.Group, m.Zone, m.LaunchedAt = "i-0"+w.id(16), g.Name, g.nextZone(), w.now
	if first.InWarmPool() {
		m.target = g.Warm.State
	}
	g.members = append(g.members, m)
	w.machines = append(w.machines, m)
	w.byID[m.ID] = m
	m.act = w.began(g, m.ID, "Launching a new EC2 instance: "+m.ID, cause)
	w.emit(InstanceLaunched{At: w.now, ID: m.ID, Group: g.Name, Zone: m.Zone, Type: m.kind})
	m.step = w.after(w.bootTime(), func() { w.booted(m, false) })
	return m
}

func (w *World) bootTime() time.Duration {
	if w.opt.Rand == nil || w.opt.BootSpread <= 0 {
		return w.opt.Boot
	}
	return time.Duration(float64(w.opt.Boot) * (1 + w.opt.BootSpread*(2*w.opt.Rand.Float64()-1)))
}

// nextZone is the first of the zones with the fewest instances that count.
func (g *group) nextZone() string {
	best, fewest := "", -1
	for _, z := range g.Zones {
		if n := g.inZone(z); fewest < 0 || n < fewest {
			best, fewest = z, n
		}
	}
	return best
}

func (g *group) inZone(zone string) int {
	n := 0
	for _, m := range g.members {
		if m.Zone == zone && m.state.counts() {
			n++
		}
	}
	return n
}

// booted: the machine is up; the launch hooks begin to wait then or a little later.
func (w *World) booted(m *machine, again bool) {
	m.up = true
	if !again {
		m.BootedAt = w.now
	}
	w.emit(InstanceBooted{At: w.now, ID: m.ID, Group: m.Group, Again: again})
	if w.opt.HoldLag == 0 {
		w.holdLaunch(m)
		return
	}
	w.after(w.opt.HoldLag, func() {
		if m.Alive() && (m.state == Pending || m.state == WarmedPending) {
			w.holdLaunch(m)
		}
	})
}

// holdLaunch has the launch hooks begin to wait, where there are any.
func (w *World) holdLaunch(m *machine) {
	if !w.hold(m, AtLaunch) {
		w.enterService(m)
		return
	}
	if m.state == WarmedPending {
		w.to(m, WarmedPendingWait)
	} else {
		w.to(m, PendingWait)
	}
}

// enterService: nothing holds the launch any longer.
func (w *World) enterService(m *machine) {
	m.act.finish(w.now, "Successful", "")
	if m.state == WarmedPending || m.state == WarmedPendingWait {
		w.rest(m)
		return
	}
	if m.state == PendingWait {
		w.to(m, PendingProceed)
	}
	w.to(m, InService)
	m.extra = false
	if m.InServiceAt.IsZero() {
		m.InServiceAt = w.now
	}
	if !m.DeadAt.IsZero() {
		w.noticeSoon(m) // it died while the hook waited
	}
	w.reconcileSoon(m.group)
}

// abandonLaunch: a launch hook said ABANDON, or its time-out did. The instance
// goes without asking the termination hooks, and is replaced.
func (w *World) abandonLaunch(m *machine, timedOut bool) {
	reason, why := ReasonLaunchAbandon, "Lifecycle Action Completed with ABANDON Result"
	if timedOut {
		reason, why = ReasonLaunchTimeout, "Heartbeat Timeout"
	}
	m.act.finish(w.now, "Cancelled", "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token "+w.uuid()+" was abandoned: "+why)
	m.leaving(reason, w.now)
	w.to(m, Terminating)
	m.target = Terminated
	w.beganTermination(m, "At "+second(w.now)+" an instance was taken out of service in response to a launch failure.")
	w.reconcileSoon(m.group)
	w.proceed(m)
}

// terminate begins the end of an instance: Terminating, and the hooks' wait.
func (w *World) terminate(m *machine, reason Reason, cause string) *Activity {
	m.step.stop()
	m.release()
	m.act.finish(w.now, "Cancelled", "")
	m.leaving(reason, w.now)
	if m.state.InWarmPool() {
		w.to(m, WarmedTerminating)
		m.target = WarmedTerminated
	} else {
		w.to(m, Terminating)
		m.target = Terminated
	}
	act := w.beganTermination(m, cause)
	w.reconcileSoon(m.group)
	switch {
	case m.state == WarmedTerminating || !w.hold(m, AtTermination):
		w.proceed(m)
	default:
		w.to(m, TerminatingWait)
	}
	return act
}

func (w *World) beganTermination(m *machine, cause string) *Activity {
	m.act = w.began(m.group, m.ID, "Terminating EC2 instance: "+m.ID, cause)
	return m.act
}

// proceed: nothing holds the termination any longer; EC2 shuts the machine down.
func (w *World) proceed(m *machine) {
	m.release()
	m.step.stop()
	if !m.state.InWarmPool() {
		w.to(m, TerminatingProceed)
	}
	if w.opt.Shutdown <= 0 || !m.DeadAt.IsZero() {
		w.terminated(m)
		return
	}
	m.step = w.after(w.opt.Shutdown, func() { w.terminated(m) })
}

// terminated: the machine is gone, and the group is done with it.
func (w *World) terminated(m *machine) {
	w.die(m, m.Reason)
	m.act.finish(w.now, "Successful", "")
	m.TerminatedAt = w.now
	w.to(m, Terminated)
	w.emit(InstanceTerminated{At: w.now, ID: m.ID, Group: m.Group, Reason: m.Reason})
	w.leave(m)
}

func (w *World) leave(m *machine) {
	g := m.group
	g.members = slices.DeleteFunc(g.members, func(o *machine) bool { return o == m })
	m.group = nil
	w.reconcileSoon(g)
}

// die: the machine ceases to run, once.
func (w *World) die(m *machine, why Reason) {
	if !m.DeadAt.IsZero() {
		return
	}
	m.up = false
	m.DeadAt, m.DeathReason = w.now, why
	w.emit(InstanceDead{At: w.now, ID: m.ID, Group: m.Group, Reason: why})
}
