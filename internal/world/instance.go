package world

import "time"

// State is a lifecycle state in the words of the Auto Scaling API.
type State string

// The lifecycle states.
const (
	Pending            State = "Pending"
	PendingWait        State = "Pending:Wait"
	PendingProceed     State = "Pending:Proceed"
	InService          State = "InService"
	Terminating        State = "Terminating"
	TerminatingWait    State = "Terminating:Wait"
	TerminatingProceed State = "Terminating:Proceed"
	Terminated         State = "Terminated"
	EnteringStandby    State = "EnteringStandby"
	Standby            State = "Standby"
	Detaching          State = "Detaching"
	Detached           State = "Detached"
	WarmedPending      State = "Warmed:Pending"
	WarmedPendingWait  State = "Warmed:Pending:Wait"
	WarmedStopped      State = "Warmed:Stopped"
	WarmedRunning      State = "Warmed:Running"
	WarmedHibernated   State = "Warmed:Hibernated"
	WarmedTerminating  State = "Warmed:Terminating"
	WarmedTerminated   State = "Warmed:Terminated"
	warmedPrefix             = "Warmed:"
)

// InWarmPool tells whether the state is one of a warm pool.
func (s State) InWarmPool() bool {
	return len(s) > len(warmedPrefix) && s[:len(warmedPrefix)] == warmedPrefix
}

// counts tells whether an instance in this state is part of what is desired.
func (s State) counts() bool {
	switch s {
	case Pending, PendingWait, PendingProceed, InService:
		return true
	}
	return false
}

// leaving tells whether the group has begun to terminate the instance.
func (s State) leaving() bool {
	switch s {
	case Terminating, TerminatingWait, TerminatingProceed, Terminated, WarmedTerminating, WarmedTerminated:
		return true
	}
	return false
}

// Reason is why an instance went.
type Reason string

// The reasons.
const (
	ReasonScaleIn       Reason = "scale-in"         // the group chose it
	ReasonUser          Reason = "user request"     // TerminateInstanceInAutoScalingGroup
	ReasonUnhealthy     Reason = "unhealthy"        // SetInstanceHealth
	ReasonSpot          Reason = "spot"             // EC2 took it after a notice
	ReasonCrash         Reason = "crash"            // it died without a notice
	ReasonLaunchAbandon Reason = "launch abandoned" // the launch hook was completed with ABANDON
	ReasonLaunchTimeout Reason = "launch hook timed out"
	ReasonDetached      Reason = "detached"
	ReasonDeleted       Reason = "group deleted"
)

// InstanceView is what the API shows of an instance.
type InstanceView struct {
	ID, Group, Zone, Type string
	State                 State
	Healthy               bool
	Protected             bool
	Template              string
	TemplateVersion       string
	Weight                int
}

// InstanceRecord is an instance's life, for a judge. Times that did not come
// are zero.
type InstanceRecord struct {
	ID, Group, Zone string
	State           State
	LaunchedAt      time.Time
	BootedAt        time.Time
	InServiceAt     time.Time // the first time
	LeavingAt       time.Time // Terminating began, or it was detached
	Reason          Reason    // why it left the group
	SpotNoticeAt    time.Time // when the metadata began to announce an interruption
	DeadAt          time.Time // the machine is gone
	DeathReason     Reason    // why the machine died: the reason of leaving, or spot, or crash
	TerminatedAt    time.Time // the group is done with it
}

// Alive tells whether the machine has not died.
func (r InstanceRecord) Alive() bool { return r.DeadAt.IsZero() }

// machine is one instance, from its launch on for ever.
type machine struct {
	InstanceRecord
	group     *group
	state     State
	kind      string
	template  string
	weight    int
	healthy   bool
	protected bool
	up        bool // booted and not stopped
	extra     bool // launched beyond desired, to balance the zones, and not in service yet
	target    State
	waits     []*wait
	step      *timer // boot, shutdown
	act       *Activity

	spot        *SpotNotice
	rebalance   time.Time
	maintenance []Maintenance
}

func (m *machine) view() InstanceView {
	return InstanceView{
		ID: m.ID, Group: m.Group, Zone: m.Zone, Type: m.kind, State: m.state, Healthy: m.healthy,
		Protected: m.protected, Template: m.Group, TemplateVersion: m.template, Weight: m.weight,
	}
}

func (m *machine) record() InstanceRecord {
	r := m.InstanceRecord
	r.State = m.state
	return r
}

// leaving notes why an instance goes; the first reason stays.
func (m *machine) leaving(r Reason, now time.Time) {
	if m.Reason == "" {
		m.Reason, m.LeavingAt = r, now
	}
}

// Instances describes the instances of these ids, or of all groups; warm pools
// among them, as DescribeAutoScalingInstances does. Unknown ids are left out.
func (w *World) Instances(now time.Time, ids ...string) []InstanceView {
	w.advance(now)
	var out []InstanceView
	for _, g := range w.groups {
		for _, m := range g.members {
			if len(ids) == 0 || contains(ids, m.ID) {
				out = append(out, m.view())
			}
		}
	}
	return out
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// member finds an instance that a group manages.
func (w *World) member(id string) *machine {
	m := w.byID[id]
	if m == nil || m.group == nil || m.state == Terminated {
		return nil
	}
	return m
}

func (w *World) to(m *machine, s State) {
	if m.state == s {
		return
	}
	w.emit(InstanceChanged{At: w.now, ID: m.ID, Group: m.Group, From: m.state, To: s})
	m.state = s
}
