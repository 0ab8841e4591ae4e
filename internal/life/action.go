package life

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// An Action is one thing that a machine wants done: one request, one file
// written, one signal, one unit started or stopped; or a Say, a Sleep or an
// Exit. An interpreter carries actions out one at a time in the order given and
// answers each that is not a Say or an Exit with one event.
type Action interface{ action() }

// Say puts a decision into the log. It has no effect and is not answered.
type Say struct {
	Level    Level
	Decision fleet.Decision
	Err      *fleet.Failure // what failed, if anything did
}

// Level is how much a line matters: Info when state changed, Warn when it will
// be tried again, Error when someone must act.
type Level string

// The levels.
const (
	Debug Level = "debug"
	Info  Level = "info"
	Warn  Level = "warn"
	Error Level = "error"
)

// Sleep asks for a Woke event at or after Until.
type Sleep struct{ Until time.Time }

// Exit ends the machine.
type Exit struct {
	Code    ExitCode
	Summary string // one line for a person: what came of it
	Report  any    // what a program is told beside it; nil for nothing
	Said    bool   // a line before this one, or an earlier run, has said why: it is no news
}

// ExitCode is a command's exit status, as programs may rely on.
type ExitCode int

// The exit codes.
const (
	Done     ExitCode = 0
	Failed   ExitCode = 1
	BadUsage ExitCode = 2
	Refused  ExitCode = 3
	TryAgain ExitCode = 75
)

// The requests to the metadata service.
type (
	// ReadIdentity is answered with a fleet.Identity.
	ReadIdentity struct{}
	// ReadTarget is answered with a fleet.LifecycleState, "" for none.
	ReadTarget struct{}
	// ReadSpot is answered with a *fleet.SpotAction, nil for none.
	ReadSpot struct{}
	// ReadRebalance is answered with a bool.
	ReadRebalance struct{}
	// ReadMaintenance is answered with a []fleet.MaintenanceEvent.
	ReadMaintenance struct{}
)

// The requests to Auto Scaling.
type (
	// FindGroup is answered with the group's name, a string.
	FindGroup struct{ InstanceID string }
	// DescribeGroup is answered with a fleet.Group.
	DescribeGroup struct{ Group string }
	// DescribeHooks is answered with a []fleet.Hook.
	DescribeHooks struct{ Group string }
	// DescribeActivities is answered with a []fleet.Activity, newest first.
	DescribeActivities struct{ Group string }
	// Heartbeat starts the time-out of a waiting hook afresh.
	Heartbeat struct{ Hook fleet.HookAction }
	// CompleteHook ends the wait of a hook.
	CompleteHook struct {
		Hook   fleet.HookAction
		Result fleet.HookResult
	}
	// SetDesired sets the group's desired capacity.
	SetDesired struct {
		Group   string
		Desired int
	}
	// SetProtection sets or clears scale-in protection: the busy flag.
	SetProtection struct {
		Group      string
		InstanceID string
		Protected  bool
	}
	// TerminateSelf terminates the instance through its group.
	TerminateSelf struct {
		InstanceID string
		Decrement  bool
	}
	// SetUnhealthy has the group replace the instance.
	SetUnhealthy struct{ InstanceID string }
)

// The requests of the reaper, which an instance never makes.
type (
	// DescribeInstances asks EC2 itself, and is answered with a
	// []fleet.EC2Instance: those of the ids that it knows.
	DescribeInstances struct{ IDs []string }
	// ListRunners is answered with a fleet.RunnerPage. Page is what the page
	// before said of the next; empty for the first.
	ListRunners struct {
		Auth  fleet.Token
		Where fleet.NewRunner // type and id alone count
		Page  string
	}
	// ReadRunner is answered with a fleet.RunnerDetails.
	ReadRunner struct {
		Auth fleet.Token
		ID   int64
	}
	// DeleteRunnerByID deletes any runner that the token may manage.
	DeleteRunnerByID struct {
		Auth fleet.Token
		ID   int64
	}
)

// What the job hook's machine asks for beside the group.
type (
	// LoadBacklog is answered with a *Backlog, nil when none was kept.
	LoadBacklog struct{ Group string }
	// SaveBacklog keeps what a restart must not forget.
	SaveBacklog struct {
		Group   string
		Backlog Backlog
	}
	// ListJobs has GitLab asked for a project's jobs that wait or run. It is
	// answered at once; the list comes as a JobsListed. A GitLab that is slow must
	// not hold up a raise.
	ListJobs struct {
		Group   string // whose jobs count
		Project int64
	}
)

// The requests to GitLab, and the secret that they need.
type (
	// ResolveSecret is answered with a fleet.Token.
	ResolveSecret struct{ Ref string }
	// CreateRunner is answered with a fleet.RegisteredRunner.
	CreateRunner struct {
		Auth   fleet.Token
		Runner fleet.NewRunner
	}
	// RegisterRunner is answered with a fleet.RegisteredRunner.
	RegisterRunner struct {
		Auth   fleet.Token
		Runner fleet.NewRunner
	}
	// VerifyRunner is answered with the runner's id, an int64.
	VerifyRunner struct {
		Token    fleet.Token
		SystemID string
	}
	// FindRunners is answered with a []int64.
	FindRunners struct {
		Auth   fleet.Token
		Runner fleet.NewRunner
	}
	// ResetRunnerToken is answered with a fleet.RegisteredRunner.
	ResetRunnerToken struct {
		Auth fleet.Token
		ID   int64
	}
	// DeleteRunner deletes the runner of a token.
	DeleteRunner struct{ Token fleet.Token }
	// DeleteManager deletes this machine's manager record.
	DeleteManager struct {
		Token    fleet.Token
		SystemID string
	}
)

// What is done on this machine.
type (
	// ReadFlags is answered with a fleet.Flags.
	ReadFlags struct{}
	// WriteNotice writes the notice, never over an older one.
	WriteNotice struct{ Notice fleet.Notice }
	// SetFlag writes or removes one flag file.
	SetFlag struct {
		Flag Flag
		On   bool
	}
	// ReadWhoami is answered with a *Whoami, nil when init has not written it.
	ReadWhoami struct{}
	// WriteWhoami keeps what init found out for the other commands of this boot.
	WriteWhoami struct{ Whoami Whoami }
	// ReadSeen is answered with a *Seen, nil when no reading was believed yet.
	ReadSeen struct{}
	// WriteSeen keeps which reading of the queue was believed last.
	WriteSeen struct{ Seen Seen }
	// ReadBefore is answered with a *Before, nil when monitor has written none.
	ReadBefore struct{}
	// WriteBefore keeps what was so before a saturated spell.
	WriteBefore struct{ Before Before }
	// ReadRegistration is answered with a *fleet.Registration, nil for none.
	ReadRegistration struct{}
	// WriteRegistration keeps the registration across reboots.
	WriteRegistration struct{ Registration fleet.Registration }
	// RemoveRegistration forgets it.
	RemoveRegistration struct{}
	// CountSections is answered with an int: [[runners]] sections that need a token.
	CountSections struct{}
	// WriteRunnerConfig writes config.toml and .runner_system_id.
	WriteRunnerConfig struct{ Registration fleet.Registration }
	// HoldRunner takes the [[runners]] sections out of config.toml.
	HoldRunner struct{}
	// ResumeRunner puts them back.
	ResumeRunner struct{}
	// ScrapeMetrics is answered with a fleet.Observation.
	ScrapeMetrics struct{}
	// StartUnit starts a unit without waiting for it.
	StartUnit struct{ Unit string }
	// StopUnit stops a unit without waiting for it.
	StopUnit struct{ Unit string }
	// ReadUnit is answered with a fleet.UnitState.
	ReadUnit struct{ Unit string }
	// SignalUnit sends a signal to a unit's main process.
	SignalUnit struct{ Unit, Signal string }
	// KillJobs kills the unit's processes but the main one.
	KillJobs struct{ Unit string }
	// ReadShutdown is answered with a fleet.Shutdown.
	ReadShutdown struct{}
)

// Flag names a flag file in the run directory.
type Flag string

// The flags that SetFlag writes and removes.
const (
	FlagStandby    Flag = "standby"
	FlagRegistered Flag = "registered"
	FlagWarmed     Flag = "warmed"
	FlagProtected  Flag = "protected"   // scale-in protection was set, or is about to be
	FlagUnable     Flag = "unable"      // init failed for a reason of this instance's own
	FlagRefused    Flag = "refused"     // init was refused for a reason that the fleet shares: monitor runs it again
	FlagCompleted  Flag = "completed"   // the termination hook was completed by the last drain
	FlagNotice     Flag = "notice.json" // only removed this way
)

// Whoami is what init found out about the instance, kept in the run directory
// so that no later command of this boot asks again.
type Whoami struct {
	Identity fleet.Identity `json:"identity"`
	Group    string         `json:"group"`
}

// Seen is the newest reading of the queue that scale-up believed, and what its
// last look at the group told, kept in the run directory: the gauge stands there
// for hours after, and a scale-up that starts anew with each saturated spell must
// neither take it for news nor ask the group again at once.
type Seen struct {
	StartedAt float64      `json:"started_at"` // of the runner's process
	JobsTotal int64        `json:"jobs_total"` // it had taken by then
	Look      scaling.Look `json:"look"`
}

// Before is what monitor read before every slot was taken, kept in the run directory
// for the scale-up that it starts next: where slots were free here, others had some,
// too, and have taken of what waited.
type Before struct {
	StartedAt float64 `json:"started_at"` // of the runner's process
	JobsTotal int64   `json:"jobs_total"` // it had taken when every slot was taken
	Free      int     `json:"free"`       // slots, at the reading before
}

// The names of the units, as packaging/systemd has them.
const (
	UnitRunner         = "gitlab-runner.service"
	UnitInit           = "runner-init.service"
	UnitMonitor        = "monitor-jobs.service"
	UnitScaleUp        = "scale-up.service"
	UnitLifecycleCheck = "lifecycle-check.service"
	UnitUnregister     = "unreg-runner.service"
)

func (Say) action()                {}
func (Sleep) action()              {}
func (Exit) action()               {}
func (ReadIdentity) action()       {}
func (ReadTarget) action()         {}
func (ReadSpot) action()           {}
func (ReadRebalance) action()      {}
func (ReadMaintenance) action()    {}
func (FindGroup) action()          {}
func (DescribeGroup) action()      {}
func (DescribeHooks) action()      {}
func (DescribeActivities) action() {}
func (Heartbeat) action()          {}
func (CompleteHook) action()       {}
func (SetDesired) action()         {}
func (SetProtection) action()      {}
func (TerminateSelf) action()      {}
func (SetUnhealthy) action()       {}
func (ResolveSecret) action()      {}
func (CreateRunner) action()       {}
func (RegisterRunner) action()     {}
func (VerifyRunner) action()       {}
func (FindRunners) action()        {}
func (ResetRunnerToken) action()   {}
func (DeleteRunner) action()       {}
func (DeleteManager) action()      {}
func (DescribeInstances) action()  {}
func (ListRunners) action()        {}
func (ReadRunner) action()         {}
func (DeleteRunnerByID) action()   {}
func (ReadFlags) action()          {}
func (WriteNotice) action()        {}
func (SetFlag) action()            {}
func (ReadWhoami) action()         {}
func (WriteWhoami) action()        {}
func (ReadSeen) action()           {}
func (WriteSeen) action()          {}
func (ReadBefore) action()         {}
func (WriteBefore) action()        {}
func (ReadRegistration) action()   {}
func (WriteRegistration) action()  {}
func (RemoveRegistration) action() {}
func (CountSections) action()      {}
func (WriteRunnerConfig) action()  {}
func (HoldRunner) action()         {}
func (ResumeRunner) action()       {}
func (ScrapeMetrics) action()      {}
func (StartUnit) action()          {}
func (StopUnit) action()           {}
func (ReadUnit) action()           {}
func (SignalUnit) action()         {}
func (KillJobs) action()           {}
func (ReadShutdown) action()       {}
func (LoadBacklog) action()        {}
func (SaveBacklog) action()        {}
func (ListJobs) action()           {}
