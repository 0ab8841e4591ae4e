// Package reap carries out what the reaper wants done: the machine is
// life.Reap, which package agent runs, and this is its way to the outside.
//
// It declares the interfaces of what it needs, which is little: three reads and
// one completion at AWS, two reads and one deletion at GitLab, one secret. What is
// gone, and when it is safe to act on it, is left to the machine.
package reap

import (
	"context"
	"fmt"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// AWS is what the reaper needs of Auto Scaling and of EC2. Every method is safe
// to call again; errors are *fleet.Failure, anything else counts as Temporary.
type AWS interface {
	// Group reads one group whole, or fails; NotFound when there is none.
	Group(ctx context.Context, name string) (fleet.Group, error)
	Hooks(ctx context.Context, group string) ([]fleet.Hook, error)
	// Complete ends the wait; NotWaiting when no action waits.
	Complete(ctx context.Context, a fleet.HookAction, r fleet.HookResult) error
	// Instances returns those of these instances that EC2 knows, all of them, or
	// fails: one that is left out counts as gone.
	Instances(ctx context.Context, ids []string) ([]fleet.EC2Instance, error)
}

// GitLab is what the reaper needs of GitLab, with a token that may manage
// runners. Every method is one request, and safe to call again.
type GitLab interface {
	// List reads one page of the runners of a group, project or the instance.
	List(ctx context.Context, auth fleet.Token, where fleet.NewRunner, page string) (fleet.RunnerPage, error)
	// Details reads one runner; NotFound when there is none.
	Details(ctx context.Context, auth fleet.Token, id int64) (fleet.RunnerDetails, error)
	// DeleteByID deletes one runner; NotFound when it is gone already.
	DeleteByID(ctx context.Context, auth fleet.Token, id int64) error
}

// Secrets resolves references to secrets.
type Secrets interface {
	Resolve(ctx context.Context, ref string) (fleet.Token, error)
}

// Edges are the systems that the reaper's actions reach.
type Edges struct {
	AWS     AWS
	GitLab  GitLab
	Secrets Secrets
}

// Perform carries one action out. It returns what the machine is told, and
// whether anything outside was changed.
func (e Edges) Perform(ctx context.Context, a life.Action) (value any, changed bool, err error) {
	switch a := a.(type) {
	case life.DescribeGroup:
		value, err = e.AWS.Group(ctx, a.Group)
	case life.DescribeHooks:
		value, err = e.AWS.Hooks(ctx, a.Group)
	case life.DescribeInstances:
		value, err = e.AWS.Instances(ctx, a.IDs)
	case life.CompleteHook:
		return nil, true, e.AWS.Complete(ctx, a.Hook, a.Result)
	case life.ResolveSecret:
		value, err = e.Secrets.Resolve(ctx, a.Ref)
	case life.ListRunners:
		value, err = e.GitLab.List(ctx, a.Auth, a.Where, a.Page)
	case life.ReadRunner:
		value, err = e.GitLab.Details(ctx, a.Auth, a.ID)
	case life.DeleteRunnerByID:
		return nil, true, e.GitLab.DeleteByID(ctx, a.Auth, a.ID)
	default:
		panic(fmt.Sprintf("reap: no way to carry out %T", a))
	}
	return value, false, err
}
