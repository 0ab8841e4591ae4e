package edges_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/reap"
	"github.com/shoal-ci/shoal/internal/simulate"
)

// TestLiesAreFound: an edge that says that it did what it did not breaks a promise.
// Otherwise all these runs would prove nothing about the edges.
func TestLiesAreFound(t *testing.T) {
	lies := []struct {
		name, promise string
		bend          func(*agent.Edges, *reap.Edges)
	}{
		{"the truth", "", nil},
		{"runners are not deleted", "hook", func(e *agent.Edges, _ *reap.Edges) { e.GitLab = keepsRunners{e.GitLab} }},
		{"termination hooks are not completed", "hook", func(e *agent.Edges, _ *reap.Edges) { e.AutoScaling = keepsHooks{e.AutoScaling} }},
		{"what is not so is a notice", "notice", func(e *agent.Edges, _ *reap.Edges) { e.Metadata = alarmed{e.Metadata} }},
		{"the reaper deletes nothing", "truth", func(_ *agent.Edges, e *reap.Edges) { e.GitLab = keepsDead{e.GitLab} }},
	}
	for _, lie := range lies {
		t.Run(lie.name, func(t *testing.T) {
			t.Parallel()
			// An operator empties the group: everybody leaves.
			s := simulate.Schedule{Seed: 1, Faults: []simulate.Fault{{Kind: simulate.DesiredZero, At: time.Hour, For: time.Hour}}}
			var r simulate.Result
			synctest.Test(t, func(t *testing.T) { r = live(t, s, 15*time.Minute, lie.bend) })
			found := slices.ContainsFunc(r.Broken, func(b simulate.Broken) bool { return b.Promise == lie.promise })
			if found != (lie.promise != "") || !found && len(r.Broken) > 0 {
				t.Errorf("want %q broken, got %v", lie.promise, r.Broken)
			}
		})
	}
}

type keepsRunners struct{ agent.GitLab }

func (keepsRunners) Delete(context.Context, fleet.Token) error                { return nil }
func (keepsRunners) DeleteManager(context.Context, fleet.Token, string) error { return nil }

type keepsDead struct{ reap.GitLab }

func (keepsDead) DeleteByID(context.Context, fleet.Token, int64) error { return nil }

type alarmed struct{ agent.Metadata }

func (alarmed) TargetState(context.Context) (fleet.LifecycleState, error) {
	return fleet.Terminated, nil
}

type keepsHooks struct{ agent.AutoScaling }

func (k keepsHooks) Complete(ctx context.Context, a fleet.HookAction, r fleet.HookResult) error {
	if a.Hook == "stop" {
		return nil
	}
	return k.AutoScaling.Complete(ctx, a, r)
}
