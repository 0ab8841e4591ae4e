package world

import "time"

// What EC2's DescribeInstances says of an instance.
const (
	EC2Pending      = "pending"
	EC2Running      = "running"
	EC2ShuttingDown = "shutting-down"
	EC2Terminated   = "terminated"
	EC2Stopped      = "stopped"
)

// ec2Remembers is how long EC2 tells of an instance that is terminated.
const ec2Remembers = time.Hour

// EC2View is an instance as EC2 itself shows it.
type EC2View struct{ ID, Zone, Type, State string }

// EC2 describes the instances of these ids, or all, in the order of their launch.
// It knows no group: one that was detached is there, one that died is terminated
// and forgotten after an hour. One so young that descriptions are still stale is
// not known yet.
func (w *World) EC2(now time.Time, ids ...string) []EC2View {
	w.advance(now)
	var out []EC2View
	for _, m := range w.machines {
		old := m.Alive() || w.now.Sub(m.DeadAt) < ec2Remembers
		young := w.now.Sub(m.LaunchedAt) < w.stale
		if old && !young && (len(ids) == 0 || contains(ids, m.ID)) {
			out = append(out, EC2View{ID: m.ID, Zone: m.Zone, Type: m.kind, State: m.ec2State()})
		}
	}
	return out
}

func (m *machine) ec2State() string {
	switch {
	case !m.Alive():
		return EC2Terminated
	case m.state == TerminatingProceed:
		return EC2ShuttingDown
	case m.state == WarmedStopped || m.state == WarmedHibernated:
		return EC2Stopped
	case !m.up:
		return EC2Pending
	}
	return EC2Running
}
