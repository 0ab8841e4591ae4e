// Package fleet holds the nouns that all of Shoal speaks in: instances, their
// group and its hooks, what a runner's metrics say, notices, decisions, and the
// ways in which the outside can fail.
//
// It guarantees that nothing here does I/O, reads a clock or keeps a secret
// where it could be printed. What to do with these values is left to scaling
// and life; where they come from to the edges.
package fleet

import (
	"strings"
	"time"
)

// LifecycleState is where Auto Scaling says an instance is in its life, in the
// words of DescribeAutoScalingGroups.
type LifecycleState string

// The states that decisions look at. Others (Detaching, EnteringStandby,
// Warmed:*, …) occur and count as out of service.
const (
	Pending            LifecycleState = "Pending"
	PendingWait        LifecycleState = "Pending:Wait"
	PendingProceed     LifecycleState = "Pending:Proceed"
	InService          LifecycleState = "InService"
	Terminating        LifecycleState = "Terminating"
	TerminatingWait    LifecycleState = "Terminating:Wait"
	TerminatingProceed LifecycleState = "Terminating:Proceed"
	Terminated         LifecycleState = "Terminated"
	Standby            LifecycleState = "Standby"
	Detached           LifecycleState = "Detached"
)

// IsPending tells whether the instance is on its way into service.
func (s LifecycleState) IsPending() bool {
	return s == Pending || s == PendingWait || s == PendingProceed
}

// IsLeaving tells whether the group has begun to terminate the instance.
func (s LifecycleState) IsLeaving() bool {
	return s == Terminating || s == TerminatingWait || s == TerminatingProceed || s == Terminated
}

// IsWarmed tells whether the state belongs to a warm pool.
func (s LifecycleState) IsWarmed() bool { return len(s) > 7 && s[:7] == "Warmed:" }

// Identity is who an instance is, from its metadata.
type Identity struct {
	InstanceID       string `json:"instance_id"`
	InstanceType     string `json:"instance_type"`
	Region           string `json:"region"`
	AvailabilityZone string `json:"availability_zone"`
	AccountID        string `json:"account_id"`
	// GroupTag is the metadata tag aws:autoscaling:groupName; empty where the
	// launch template does not allow tags in metadata.
	GroupTag string `json:"group_tag,omitempty"`
}

// Instance is one member of a group as DescribeAutoScalingGroups shows it: a
// picture that may be some seconds old.
type Instance struct {
	ID               string
	AvailabilityZone string
	State            LifecycleState
	Protected        bool   // ProtectedFromScaleIn: the busy flag
	Healthy          bool   // HealthStatus is not Unhealthy
	TemplateVersion  string // launch template version, or launch configuration name
	Weight           int    // WeightedCapacity; 0 where the group has no weights
}

// Group is one Auto Scaling group as one DescribeAutoScalingGroups shows it.
type Group struct {
	Name            string
	ARN             string
	Min             int // instances
	Max             int
	Desired         int
	TemplateVersion string // what a launch would use now, where the group names a number; else empty
	Weighted        bool   // a mixed-instances policy gives instance types weights
	Instances       []Instance
}

// Find returns the member with the given id.
func (g Group) Find(id string) (Instance, bool) {
	for _, i := range g.Instances {
		if i.ID == id {
			return i, true
		}
	}
	return Instance{}, false
}

// Transition is which lifecycle transition a hook holds.
type Transition string

// The two transitions, as DescribeLifecycleHooks spells them.
const (
	AtLaunch      Transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
	AtTermination Transition = "autoscaling:EC2_INSTANCE_TERMINATING"
)

// Hook is a lifecycle hook from DescribeLifecycleHooks.
type Hook struct {
	Name             string
	Transition       Transition
	HeartbeatTimeout time.Duration // a heartbeat starts it afresh
	GlobalTimeout    time.Duration // the cap on the whole wait: 48 h or 100 × HeartbeatTimeout
	DefaultResult    HookResult    // what the time-out does
}

// HookResult is how a lifecycle action is completed.
type HookResult string

// The two results.
const (
	Continue HookResult = "CONTINUE"
	Abandon  HookResult = "ABANDON"
)

// HookAction is the lifecycle action of one instance at one hook: what
// heartbeats and completions address, since the token is not to be had on the
// instance.
type HookAction struct {
	Group      string
	Hook       string
	InstanceID string
}

// Activity is one entry of DescribeScalingActivities.
type Activity struct {
	ID          string
	InstanceID  string // from the description; empty where it names none
	Description string
	Cause       string
	Start       time.Time // by this machine's clock, whatever that has been set to
	End         time.Time // likewise; zero while it goes on
	Status      string    // Successful, InProgress, Failed, …
}

// Launches tells whether the group launches an instance, or has launched it.
func (a Activity) Launches() bool {
	return strings.HasPrefix(a.Description, "Launching a new EC2 instance") && a.Status != "Failed" && a.Status != "Cancelled"
}

// Shrinks tells whether an instance goes, or has gone, with nobody in its place: by
// the wording of Auto Scaling's causes.
func (a Activity) Shrinks() bool {
	return strings.HasPrefix(a.Description, "Terminating EC2 instance") && strings.Contains(a.Cause, "shrinking the capacity")
}

// UnitState is what systemd says of a unit.
type UnitState struct {
	// Active is active, activating, reloading, deactivating, inactive or failed.
	Active string
	// MainPID is the main process, 0 when there is none.
	MainPID int
	// Result is how it ended last, in systemd's words: success, exit-code, signal,
	// watchdog, …; success while it runs, and empty where nobody tells.
	Result string
	// ExitStatus is the main process's, where Result is exit-code.
	ExitStatus int
	// Restarts is how often systemd has started it again by itself, since somebody
	// last did.
	Restarts int
}

// Running tells whether the unit has, or is about to have, or is still losing,
// its process.
func (u UnitState) Running() bool {
	switch u.Active {
	case "active", "activating", "reloading", "deactivating":
		return true
	}
	return false
}
