package world

import (
	"fmt"
	"time"
)

// Event is something that happened. Its text is one line for a log.
type Event interface {
	fmt.Stringer
	event()
}

// Events of instances. A driver starts an instance's processes at
// InstanceBooted and ends them, whatever they do, at InstanceStopped and
// InstanceDead.
type (
	// InstanceLaunched says that EC2 makes a machine; it is not up yet.
	InstanceLaunched struct {
		At                    time.Time
		ID, Group, Zone, Type string
	}
	// InstanceBooted says that the machine is up. Again is true for one that
	// comes back from a warm pool, with its disks as they were.
	InstanceBooted struct {
		At        time.Time
		ID, Group string
		Again     bool
	}
	// InstanceChanged says that the lifecycle state changed.
	InstanceChanged struct {
		At        time.Time
		ID, Group string
		From, To  State
	}
	// InstanceStopped says that the machine was switched off for a warm pool.
	InstanceStopped struct {
		At        time.Time
		ID, Group string
	}
	// InstanceDead says that the machine is gone for good, at this instant.
	InstanceDead struct {
		At        time.Time
		ID, Group string
		Reason    Reason
	}
	// InstanceTerminated says that the group is done with the instance.
	InstanceTerminated struct {
		At        time.Time
		ID, Group string
		Reason    Reason
	}
	// InterruptionNoticed says that the metadata began to announce a spot interruption.
	InterruptionNoticed struct {
		At        time.Time
		ID, Group string
		Deadline  time.Time
	}
	// CapacityChanged says that a group's desired capacity changed.
	CapacityChanged struct {
		At       time.Time
		Group    string
		From, To int
		By       string // the operation
	}
	// Withheld says that a group would have acted, but for a suspended process.
	Withheld struct {
		At             time.Time
		Group, Process string
	}
)

// Events of jobs.
type (
	// JobQueued says that a job waits for a runner.
	JobQueued struct {
		At  time.Time
		Job int64
	}
	// JobStarted says that a runner was given the job.
	JobStarted struct {
		At       time.Time
		Job      int64
		Runner   int64
		SystemID string
	}
	// JobFinished says how a job ended.
	JobFinished struct {
		At            time.Time
		Job           int64
		Status        JobStatus
		FailureReason string
	}
)

func (InstanceLaunched) event()    {}
func (InstanceBooted) event()      {}
func (InstanceChanged) event()     {}
func (InstanceStopped) event()     {}
func (InstanceDead) event()        {}
func (InstanceTerminated) event()  {}
func (InterruptionNoticed) event() {}
func (CapacityChanged) event()     {}
func (Withheld) event()            {}
func (JobQueued) event()           {}
func (JobStarted) event()          {}
func (JobFinished) event()         {}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (e InstanceLaunched) String() string {
	return fmt.Sprintf("%s %s launched in %s for %s", stamp(e.At), e.ID, e.Zone, e.Group)
}

func (e InstanceBooted) String() string {
	return fmt.Sprintf("%s %s is up (again %t)", stamp(e.At), e.ID, e.Again)
}

func (e InstanceChanged) String() string {
	return fmt.Sprintf("%s %s %s → %s", stamp(e.At), e.ID, e.From, e.To)
}
func (e InstanceStopped) String() string { return fmt.Sprintf("%s %s stopped", stamp(e.At), e.ID) }

func (e InstanceDead) String() string {
	return fmt.Sprintf("%s %s is dead: %s", stamp(e.At), e.ID, e.Reason)
}

func (e InstanceTerminated) String() string {
	return fmt.Sprintf("%s %s terminated: %s", stamp(e.At), e.ID, e.Reason)
}

func (e InterruptionNoticed) String() string {
	return fmt.Sprintf("%s %s will be interrupted at %s", stamp(e.At), e.ID, stamp(e.Deadline))
}

func (e CapacityChanged) String() string {
	return fmt.Sprintf("%s %s desired %d → %d by %s", stamp(e.At), e.Group, e.From, e.To, e.By)
}

func (e Withheld) String() string {
	return fmt.Sprintf("%s %s would act, but %s is suspended", stamp(e.At), e.Group, e.Process)
}
func (e JobQueued) String() string { return fmt.Sprintf("%s job %d waits", stamp(e.At), e.Job) }

func (e JobStarted) String() string {
	return fmt.Sprintf("%s job %d runs on runner %d %s", stamp(e.At), e.Job, e.Runner, e.SystemID)
}

func (e JobFinished) String() string {
	return fmt.Sprintf("%s job %d %s %s", stamp(e.At), e.Job, e.Status, e.FailureReason)
}
