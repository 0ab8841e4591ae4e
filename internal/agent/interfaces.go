package agent

import (
	"context"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// The interfaces below are what the machines' actions need of the outside. An
// edge implements each; every method is one request (or one file, signal or
// unit job), bounded by its context, and safe to call again. Errors are
// *fleet.Failure, possibly wrapped; anything else counts as Temporary. A changed
// that is returned says whether the call changed anything, or found all as it was
// to be; with an error it says nothing.

// Metadata is the instance metadata service. Only a 200 whose body parses is an
// answer and only a 404 is "none" (the zero value); all else is a Temporary
// failure: unknown, never a notice.
type Metadata interface {
	Identity(ctx context.Context) (fleet.Identity, error)
	TargetState(ctx context.Context) (fleet.LifecycleState, error)     // "" when there is none
	SpotAction(ctx context.Context) (*fleet.SpotAction, error)         // nil when there is none
	Rebalance(ctx context.Context) (bool, error)                       // whether a recommendation stands
	Maintenance(ctx context.Context) ([]fleet.MaintenanceEvent, error) // nil when there is none
}

// AutoScaling is the Auto Scaling API. A retry of any method is harmless.
type AutoScaling interface {
	// GroupOf finds the group of an instance (DescribeAutoScalingInstances);
	// NotFound when it is in none.
	GroupOf(ctx context.Context, instanceID string) (string, error)
	// Group reads one group; NotFound when there is none of that name.
	Group(ctx context.Context, name string) (fleet.Group, error)
	Hooks(ctx context.Context, group string) ([]fleet.Hook, error)
	// Activities returns the newest scaling activities, newest first, at most one page.
	Activities(ctx context.Context, group string) ([]fleet.Activity, error)
	// Heartbeat restarts the hook's time-out; NotWaiting when no action waits.
	Heartbeat(ctx context.Context, a fleet.HookAction) error
	// Complete ends the wait; NotWaiting when no action waits.
	Complete(ctx context.Context, a fleet.HookAction, r fleet.HookResult) error
	// SetDesired sets the desired capacity (HonorCooldown false); OutOfBounds
	// outside [min, max].
	SetDesired(ctx context.Context, group string, desired int) error
	SetProtection(ctx context.Context, group, instanceID string, protected bool) error
	// Terminate terminates an instance of a group; OutOfBounds where decrement
	// would bring desired below min.
	Terminate(ctx context.Context, instanceID string, decrement bool) error
	// SetUnhealthy reports the instance Unhealthy, not respecting the grace period.
	SetUnhealthy(ctx context.Context, instanceID string) error
}

// GitLab is the part of GitLab's API that an instance needs.
type GitLab interface {
	// Create makes a runner (POST /user/runners) with a token of scope create_runner.
	Create(ctx context.Context, auth fleet.Token, r fleet.NewRunner) (fleet.RegisteredRunner, error)
	// Register makes a runner with a registration token (POST /runners).
	Register(ctx context.Context, registration fleet.Token, r fleet.NewRunner) (fleet.RegisteredRunner, error)
	// Verify checks a runner token and announces this machine as its manager;
	// BadToken when GitLab does not know the token. It returns the runner's id.
	Verify(ctx context.Context, runner fleet.Token, systemID string) (int64, error)
	// Delete deletes the runner of this token (DELETE /runners); BadToken when
	// it is gone already.
	Delete(ctx context.Context, runner fleet.Token) error
	// DeleteManager deletes this machine's manager record only.
	DeleteManager(ctx context.Context, runner fleet.Token, systemID string) error
	// Find returns the ids of the runners with exactly this description among
	// those of the new runner's group, project or instance; Denied when the
	// token may not list.
	Find(ctx context.Context, auth fleet.Token, r fleet.NewRunner) ([]int64, error)
	// ResetToken gives runner id a new token (POST /runners/:id/reset_authentication_token).
	ResetToken(ctx context.Context, auth fleet.Token, id int64) (fleet.RegisteredRunner, error)
}

// Runner is gitlab-runner's face on this machine: its metrics page and its
// config.toml.
type Runner interface {
	// Observe reads the metrics page; Local with Op "reach …" when nothing
	// listens, Temporary when what answers is not gitlab-runner's page.
	Observe(ctx context.Context) (fleet.Observation, error)
	// Sections tells how many [[runners]] sections of the operator's template
	// need a token; a template without any section counts as one.
	Sections(ctx context.Context) (int, error)
	// Configure writes config.toml (0600, atomically) from the template with
	// the registration's tokens, and .runner_system_id beside it. Writing it
	// again with the same registration changes nothing.
	Configure(ctx context.Context, r fleet.Registration) (changed bool, err error)
	// Hold takes the [[runners]] sections out of config.toml and keeps them
	// beside it; nothing when they are out already.
	Hold(ctx context.Context) (changed bool, err error)
	// Resume puts them back; nothing when none are held.
	Resume(ctx context.Context) (changed bool, err error)
	// Held tells whether sections are taken out.
	Held(ctx context.Context) (bool, error)
}

// Units is systemd, through systemctl.
type Units interface {
	// Start has a unit started and does not wait for it (--no-block). A unit that
	// runs stays as it is, which changes nothing. Whether it ran is looked up just
	// before; where that cannot be told, it counts as a change.
	Start(ctx context.Context, unit string) (changed bool, err error)
	// Stop has a unit stopped and does not wait for it (--no-block). One that is
	// down stays so, which changes nothing; told as by Start.
	Stop(ctx context.Context, unit string) (changed bool, err error)
	State(ctx context.Context, unit string) (fleet.UnitState, error)
	// Signal sends a signal (HUP, QUIT, TERM, …) to the unit's main process.
	Signal(ctx context.Context, unit, signal string) error
	// KillJobs kills every process of the unit but the main one (SIGKILL).
	KillJobs(ctx context.Context, unit string) error
	// Shutdown tells whether the machine itself is going down, and how.
	Shutdown(ctx context.Context) (fleet.Shutdown, error)
}

// Secrets resolves references to secrets.
type Secrets interface {
	Resolve(ctx context.Context, ref string) (fleet.Token, error)
}
