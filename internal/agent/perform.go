package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/shoal-ci/shoal/internal/life"
)

// done is the answer of an action whose answer holds nothing.
func done(err error) (any, error) { return nil, err }

// answer makes a typed answer an any.
func answer[T any](v T, err error) (any, error) { return v, err }

// perform carries one action out.
func (e Edges) perform(ctx context.Context, a life.Action) (any, error) {
	switch a.(type) {
	case life.ReadIdentity:
		return answer(e.Metadata.Identity(ctx))
	case life.ReadTarget:
		return answer(e.Metadata.TargetState(ctx))
	case life.ReadSpot:
		return answer(e.Metadata.SpotAction(ctx))
	case life.ReadRebalance:
		return answer(e.Metadata.Rebalance(ctx))
	case life.ReadMaintenance:
		return answer(e.Metadata.Maintenance(ctx))
	}
	for _, perform := range []func(context.Context, life.Action) (any, bool, error){e.onAutoScaling, e.onGitLab, e.onFiles, e.onRunner} {
		if v, ok, err := perform(ctx, a); ok {
			return v, err
		}
	}
	panic(fmt.Sprintf("agent: no way to carry out %T", a))
}

// found marks an answer as given.
func found(v any, err error) (any, bool, error) { return v, true, err }

func (e Edges) onAutoScaling(ctx context.Context, a life.Action) (any, bool, error) {
	switch a := a.(type) {
	case life.FindGroup:
		return found(answer(e.AutoScaling.GroupOf(ctx, a.InstanceID)))
	case life.DescribeGroup:
		return found(answer(e.AutoScaling.Group(ctx, a.Group)))
	case life.DescribeHooks:
		return found(answer(e.AutoScaling.Hooks(ctx, a.Group)))
	case life.DescribeActivities:
		return found(answer(e.AutoScaling.Activities(ctx, a.Group)))
	case life.Heartbeat:
		return found(done(e.AutoScaling.Heartbeat(ctx, a.Hook)))
	case life.CompleteHook:
		return found(done(e.AutoScaling.Complete(ctx, a.Hook, a.Result)))
	case life.SetDesired:
		return found(done(e.AutoScaling.SetDesired(ctx, a.Group, a.Desired)))
	case life.SetProtection:
		return found(done(e.AutoScaling.SetProtection(ctx, a.Group, a.InstanceID, a.Protected)))
	case life.TerminateSelf:
		return found(done(e.AutoScaling.Terminate(ctx, a.InstanceID, a.Decrement)))
	case life.SetUnhealthy:
		return found(done(e.AutoScaling.SetUnhealthy(ctx, a.InstanceID)))
	}
	return nil, false, nil
}

func (e Edges) onGitLab(ctx context.Context, a life.Action) (any, bool, error) {
	switch a := a.(type) {
	case life.ResolveSecret:
		return found(answer(e.Secrets.Resolve(ctx, a.Ref)))
	case life.CreateRunner:
		return found(answer(e.GitLab.Create(ctx, a.Auth, a.Runner)))
	case life.RegisterRunner:
		return found(answer(e.GitLab.Register(ctx, a.Auth, a.Runner)))
	case life.VerifyRunner:
		return found(answer(e.GitLab.Verify(ctx, a.Token, a.SystemID)))
	case life.FindRunners:
		return found(answer(e.GitLab.Find(ctx, a.Auth, a.Runner)))
	case life.ResetRunnerToken:
		return found(answer(e.GitLab.ResetToken(ctx, a.Auth, a.ID)))
	case life.DeleteRunner:
		return found(done(e.GitLab.Delete(ctx, a.Token)))
	case life.DeleteManager:
		return found(done(e.GitLab.DeleteManager(ctx, a.Token, a.SystemID)))
	}
	return nil, false, nil
}

func (e Edges) onFiles(ctx context.Context, a life.Action) (any, bool, error) {
	switch a := a.(type) {
	case life.ReadFlags:
		return found(answer(e.readFlags(ctx)))
	case life.WriteNotice:
		return found(done(e.Files.WriteNotice(a.Notice)))
	case life.SetFlag:
		return found(done(e.Files.SetFlag(a.Flag, a.On)))
	case life.ReadWhoami:
		return found(answer(e.Files.Whoami()))
	case life.WriteWhoami:
		return found(done(e.Files.WriteWhoami(a.Whoami)))
	case life.ReadSeen:
		return found(answer(e.Files.Seen()))
	case life.WriteSeen:
		return found(done(e.Files.WriteSeen(a.Seen)))
	case life.ReadRegistration:
		return found(answer(e.Files.Registration()))
	case life.WriteRegistration:
		return found(done(e.Files.WriteRegistration(a.Registration)))
	case life.RemoveRegistration:
		return found(done(e.Files.RemoveRegistration()))
	}
	return nil, false, nil
}

func (e Edges) onRunner(ctx context.Context, a life.Action) (any, bool, error) {
	switch a := a.(type) {
	case life.CountSections:
		return found(answer(e.Runner.Sections(ctx)))
	case life.WriteRunnerConfig:
		return found(done(e.Runner.Configure(ctx, a.Registration)))
	case life.HoldRunner:
		return found(done(e.Runner.Hold(ctx)))
	case life.ResumeRunner:
		return found(done(e.Runner.Resume(ctx)))
	case life.ScrapeMetrics:
		return found(answer(e.Runner.Observe(ctx)))
	case life.StartUnit:
		return found(done(e.Units.Start(ctx, a.Unit)))
	case life.StopUnit:
		return found(done(e.Units.Stop(ctx, a.Unit)))
	case life.ReadUnit:
		return found(answer(e.Units.State(ctx, a.Unit)))
	case life.SignalUnit:
		return found(done(e.Units.Signal(ctx, a.Unit, a.Signal)))
	case life.KillJobs:
		return found(done(e.Units.KillJobs(ctx, a.Unit)))
	}
	return nil, false, nil
}

// changes tells whether an action changes something outside of this process
// that a person would call a change.
func changes(a life.Action) bool {
	switch a.(type) {
	case life.CompleteHook, life.SetDesired, life.SetProtection, life.TerminateSelf, life.SetUnhealthy,
		life.CreateRunner, life.RegisterRunner, life.ResetRunnerToken, life.DeleteRunner, life.DeleteManager,
		life.WriteNotice, life.WriteRegistration, life.RemoveRegistration, life.WriteRunnerConfig,
		life.HoldRunner, life.ResumeRunner, life.StartUnit, life.StopUnit, life.SignalUnit, life.KillJobs:
		return true
	}
	return false
}

// describe names an action in the error of an edge that did not: its type's
// name, never its fields, which may hold a token.
func describe(a life.Action) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", a), "life.")
}
