package world

import "time"

// SpotNotice is a spot interruption that was announced.
type SpotNotice struct {
	Action string    // terminate
	Time   time.Time // when EC2 takes the machine
}

// Interrupt announces a spot interruption of an instance: its metadata tells of
// it for lead (0 means Options.SpotLead), then EC2 takes the machine whatever
// any hook says. The group notices a dead instance only by its health check.
func (w *World) Interrupt(now time.Time, id string, lead time.Duration) error {
	w.advance(now)
	m := w.byID[id]
	if m == nil || !m.DeadAt.IsZero() {
		return noInstance(id)
	}
	if m.spot != nil {
		return nil // EC2 does not change its mind, nor its deadline
	}
	orDuration(&lead, w.opt.SpotLead)
	m.spot = &SpotNotice{Action: "terminate", Time: w.now.Add(lead)}
	m.SpotNoticeAt = w.now
	w.emit(InterruptionNoticed{At: w.now, ID: id, Group: m.Group, Deadline: m.spot.Time})
	w.after(lead, func() { w.take(m, ReasonSpot) })
	return nil
}

// Crash kills a machine without a notice.
func (w *World) Crash(now time.Time, id string) error {
	w.advance(now)
	m := w.byID[id]
	if m == nil || !m.DeadAt.IsZero() {
		return noInstance(id)
	}
	w.take(m, ReasonCrash)
	w.remember()
	return nil
}

// take ends a machine against its group's will.
func (w *World) take(m *machine, why Reason) {
	if !m.DeadAt.IsZero() {
		return
	}
	w.die(m, why)
	if m.group == nil {
		return // detached long ago
	}
	switch m.state {
	case TerminatingProceed, WarmedTerminating:
		m.step.stop()
		w.terminated(m)
	case Pending, InService, Standby, WarmedPending, WarmedStopped, WarmedRunning:
		m.step.stop()
		w.noticeSoon(m)
	}
	// Pending:Wait and Terminating:Wait wait out their hook: nobody looks.
}

// noticeSoon has the group find out that an instance is dead.
func (w *World) noticeSoon(m *machine) {
	w.after(w.opt.HealthCheck, func() {
		if m.group == nil || m.state.leaving() {
			return
		}
		m.healthy = false
		w.terminate(m, m.DeathReason, "At "+second(w.now)+" an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped.")
	})
}
