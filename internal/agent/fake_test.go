package agent

import (
	"context"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// outside stands in for every edge: all goes well, at once, but for what a test
// puts into do.
type outside struct {
	// do is asked before each call, by its method's name; nil is nothing.
	do func(ctx context.Context, method string) error

	mu    sync.Mutex
	calls []string
	group fleet.Group
	page  fleet.Observation
	spot  *fleet.SpotAction
	state fleet.LifecycleState
	units map[string]bool
	held  bool
	down  fleet.Shutdown
	wrote *fleet.Registration // that the runner's configuration was last written for
}

func (o *outside) call(ctx context.Context, method string) error {
	o.mu.Lock()
	o.calls = append(o.calls, method)
	o.mu.Unlock()
	if o.do != nil {
		return o.do(ctx, method)
	}
	return nil
}

// made tells how often a method was called.
func (o *outside) made(method string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, c := range o.calls {
		if c == method {
			n++
		}
	}
	return n
}

const (
	operatorsToken = "glpat-the-operators-secret"
	runnersToken   = "glrt-the-runners-secret"
)

func newOutside() *outside {
	return &outside{
		state: fleet.InService, units: map[string]bool{},
		group: fleet.Group{Name: "ci", Max: 4, Desired: 1, Instances: []fleet.Instance{{ID: "i-1", State: fleet.InService, Healthy: true}}},
		page:  fleet.Observation{Concurrent: 2, StartedAt: 1, Runners: []fleet.RunnerReading{{Name: "one", PollsAnswered: 1}}},
	}
}

// edges are the fakes with real files in folders of their own.
func (o *outside) edges(t testing.TB) Edges {
	return Edges{
		Metadata: metadata{o}, AutoScaling: autoScaling{o}, GitLab: gitLab{o}, Runner: gitlabRunner{o}, Units: units{o}, Secrets: secrets{o},
		Files: &Files{StateDir: t.TempDir(), RunDir: t.TempDir()},
	}
}

type metadata struct{ *outside }

func (o metadata) Identity(ctx context.Context) (fleet.Identity, error) {
	return fleet.Identity{InstanceID: "i-1", GroupTag: "ci"}, o.call(ctx, "Identity")
}

func (o metadata) TargetState(ctx context.Context) (fleet.LifecycleState, error) {
	return o.state, o.call(ctx, "TargetState")
}

func (o metadata) SpotAction(ctx context.Context) (*fleet.SpotAction, error) {
	return o.spot, o.call(ctx, "SpotAction")
}

func (o metadata) Rebalance(ctx context.Context) (bool, error) {
	return false, o.call(ctx, "Rebalance")
}

func (o metadata) Maintenance(ctx context.Context) ([]fleet.MaintenanceEvent, error) {
	return nil, o.call(ctx, "Maintenance")
}

type autoScaling struct{ *outside }

func (o autoScaling) GroupOf(ctx context.Context, _ string) (string, error) {
	return "ci", o.call(ctx, "GroupOf")
}

func (o autoScaling) Group(ctx context.Context, _ string) (fleet.Group, error) {
	return o.group, o.call(ctx, "Group")
}

func (o autoScaling) Hooks(ctx context.Context, _ string) ([]fleet.Hook, error) {
	return []fleet.Hook{
		{Name: "start", Transition: fleet.AtLaunch, HeartbeatTimeout: time.Minute, GlobalTimeout: time.Hour},
		{Name: "stop", Transition: fleet.AtTermination, HeartbeatTimeout: time.Minute, GlobalTimeout: time.Hour},
	}, o.call(ctx, "Hooks")
}

func (o autoScaling) Activities(ctx context.Context, _ string) ([]fleet.Activity, error) {
	return nil, o.call(ctx, "Activities")
}

func (o autoScaling) Heartbeat(ctx context.Context, _ fleet.HookAction) error {
	return o.call(ctx, "Heartbeat")
}

func (o autoScaling) Complete(ctx context.Context, _ fleet.HookAction, r fleet.HookResult) error {
	return o.call(ctx, "Complete "+string(r))
}

func (o autoScaling) SetDesired(ctx context.Context, _ string, _ int) error {
	return o.call(ctx, "SetDesired")
}

func (o autoScaling) SetProtection(ctx context.Context, _, _ string, _ bool) error {
	return o.call(ctx, "SetProtection")
}

func (o autoScaling) Terminate(ctx context.Context, _ string, _ bool) error {
	return o.call(ctx, "Terminate")
}

func (o autoScaling) SetUnhealthy(ctx context.Context, _ string) error {
	return o.call(ctx, "SetUnhealthy")
}

type gitLab struct{ *outside }

func (o gitLab) Create(ctx context.Context, _ fleet.Token, _ fleet.NewRunner) (fleet.RegisteredRunner, error) {
	return fleet.RegisteredRunner{ID: 12, Token: fleet.NewToken(runnersToken)}, o.call(ctx, "Create")
}

func (o gitLab) Register(ctx context.Context, _ fleet.Token, _ fleet.NewRunner) (fleet.RegisteredRunner, error) {
	return fleet.RegisteredRunner{ID: 12, Token: fleet.NewToken(runnersToken)}, o.call(ctx, "Register")
}

func (o gitLab) Verify(ctx context.Context, _ fleet.Token, _ string) (int64, error) {
	return 12, o.call(ctx, "Verify")
}
func (o gitLab) Delete(ctx context.Context, _ fleet.Token) error { return o.call(ctx, "Delete") }
func (o gitLab) DeleteManager(ctx context.Context, _ fleet.Token, _ string) error {
	return o.call(ctx, "DeleteManager")
}

func (o gitLab) Find(ctx context.Context, _ fleet.Token, _ fleet.NewRunner) ([]int64, error) {
	return nil, o.call(ctx, "Find")
}

func (o gitLab) ResetToken(ctx context.Context, _ fleet.Token, id int64) (fleet.RegisteredRunner, error) {
	return fleet.RegisteredRunner{ID: id, Token: fleet.NewToken(runnersToken)}, o.call(ctx, "ResetToken")
}

type gitlabRunner struct{ *outside }

func (o gitlabRunner) Observe(ctx context.Context) (fleet.Observation, error) {
	return o.page, o.call(ctx, "Observe")
}

func (o gitlabRunner) Sections(ctx context.Context) (int, error) { return 1, o.call(ctx, "Sections") }

func (o gitlabRunner) Configure(ctx context.Context, r fleet.Registration) (bool, error) {
	changed := o.wrote == nil || !reflect.DeepEqual(o.wrote.Runners, r.Runners)
	o.wrote = &r
	return changed, o.call(ctx, "Configure")
}

func (o gitlabRunner) Hold(ctx context.Context) (bool, error) {
	changed := !o.held
	o.held = true
	return changed, o.call(ctx, "Hold")
}

func (o gitlabRunner) Resume(ctx context.Context) (bool, error) {
	changed := o.held
	o.held = false
	return changed, o.call(ctx, "Resume")
}
func (o gitlabRunner) Held(ctx context.Context) (bool, error) { return o.held, o.call(ctx, "Held") }

type units struct{ *outside }

func (o units) Start(ctx context.Context, unit string) (bool, error) {
	changed := !o.units[unit]
	o.units[unit] = true
	return changed, o.call(ctx, "Start "+unit)
}

func (o units) Stop(ctx context.Context, unit string) (bool, error) {
	changed := o.units[unit]
	o.units[unit] = false
	return changed, o.call(ctx, "Stop "+unit)
}

func (o units) State(ctx context.Context, unit string) (fleet.UnitState, error) {
	return fleet.UnitState{Active: map[bool]string{true: "active", false: "inactive"}[o.units[unit]]}, o.call(ctx, "State")
}

func (o units) Signal(ctx context.Context, _, signal string) error {
	return o.call(ctx, "Signal "+signal)
}
func (o units) KillJobs(ctx context.Context, _ string) error { return o.call(ctx, "KillJobs") }

func (o units) Shutdown(ctx context.Context) (fleet.Shutdown, error) {
	return o.down, o.call(ctx, "Shutdown")
}

type secrets struct{ *outside }

func (o secrets) Resolve(ctx context.Context, _ string) (fleet.Token, error) {
	return fleet.NewToken(operatorsToken), o.call(ctx, "Resolve")
}
