package world

// warmed is the instance of a group's warm pool that would enter service next;
// nil when none is ready.
func (g *group) warmed() *machine {
	for _, m := range g.members {
		if m.state == WarmedStopped || m.state == WarmedRunning || m.state == WarmedHibernated {
			return m
		}
	}
	return nil
}

// fillWarmPool launches what a group's warm pool lacks.
func (w *World) fillWarmPool(g *group) {
	if g.Warm == nil || g.isSuspended("Launch") {
		return
	}
	if g.Warm.State == "" {
		g.Warm.State = WarmedStopped
	}
	n := 0
	for _, m := range g.members {
		if m.state.InWarmPool() && m.state != WarmedTerminating {
			n++
		}
	}
	for ; n < g.Warm.Size; n++ {
		w.launch(g, WarmedPending, "At "+second(w.now)+" an instance was started to increase the warm pool's size.")
	}
}

// rest puts an instance that was made ready into its warm pool.
func (w *World) rest(m *machine) {
	w.to(m, m.target)
	if m.target == WarmedRunning {
		return
	}
	m.up = false
	w.emit(InstanceStopped{At: w.now, ID: m.ID, Group: m.Group})
}

// fromWarmPool takes an instance into the group: a stopped one boots again, and
// the launch hooks wait anew.
func (w *World) fromWarmPool(m *machine, cause string) {
	m.target = InService
	m.act = w.began(m.group, m.ID, "Launching a new EC2 instance from warm pool: "+m.ID, cause)
	running := m.state == WarmedRunning
	w.to(m, Pending)
	switch {
	case !running:
		m.step = w.after(w.bootTime(), func() { w.booted(m, true) })
	case w.hold(m, AtLaunch):
		w.to(m, PendingWait)
	default:
		w.enterService(m)
	}
}
