package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/shoal-ci/shoal/internal/life"
)

// reply is what came of an action.
type reply struct {
	value any // what the machine is told; nil where the answer holds nothing
	// changed tells that something outside of this process is not as it was, and
	// that a person would call it a change: Ansible reports it. Machines are not
	// told, for what they do must not hang on it.
	changed bool
}

// read is the reply to a question.
func read[T any](v T, err error) (reply, error) { return reply{value: v}, err }

// made is the reply to what makes something new each time, and tells what.
func made[T any](v T, err error) (reply, error) { return reply{v, err == nil}, err }

// done is the reply to what is a change each time that it succeeds: the other
// side refuses it, or the machine leaves it out, where all is so already.
func done(err error) (reply, error) { return reply{changed: err == nil}, err }

// perhaps is the reply where the edge found out whether it changed anything.
func perhaps(changed bool, err error) (reply, error) {
	return reply{changed: changed && err == nil}, err
}

// noted is the reply to what only Shoal itself takes notice of.
func noted(err error) (reply, error) { return reply{}, err }

// perform carries one action out.
func (e Edges) perform(ctx context.Context, a life.Action) (reply, error) {
	switch a.(type) {
	case life.ReadIdentity:
		return read(e.Metadata.Identity(ctx))
	case life.ReadTarget:
		return read(e.Metadata.TargetState(ctx))
	case life.ReadSpot:
		return read(e.Metadata.SpotAction(ctx))
	case life.ReadRebalance:
		return read(e.Metadata.Rebalance(ctx))
	case life.ReadMaintenance:
		return read(e.Metadata.Maintenance(ctx))
	}
	for _, perform := range []func(context.Context, life.Action) (reply, bool, error){e.onAutoScaling, e.onGitLab, e.onFiles, e.onRunner} {
		if v, ok, err := perform(ctx, a); ok {
			return v, err
		}
	}
	panic(fmt.Sprintf("agent: no way to carry out %T", a))
}

// found marks a reply as given.
func found(r reply, err error) (reply, bool, error) { return r, true, err }

func (e Edges) onAutoScaling(ctx context.Context, a life.Action) (reply, bool, error) {
	switch a := a.(type) {
	case life.FindGroup:
		return found(read(e.AutoScaling.GroupOf(ctx, a.InstanceID)))
	case life.DescribeGroup:
		return found(read(e.AutoScaling.Group(ctx, a.Group)))
	case life.DescribeHooks:
		return found(read(e.AutoScaling.Hooks(ctx, a.Group)))
	case life.DescribeActivities:
		return found(read(e.AutoScaling.Activities(ctx, a.Group)))
	case life.Heartbeat:
		return found(noted(e.AutoScaling.Heartbeat(ctx, a.Hook)))
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
	return reply{}, false, nil
}

func (e Edges) onGitLab(ctx context.Context, a life.Action) (reply, bool, error) {
	switch a := a.(type) {
	case life.ResolveSecret:
		return found(read(e.Secrets.Resolve(ctx, a.Ref)))
	case life.CreateRunner:
		return found(made(e.GitLab.Create(ctx, a.Auth, a.Runner)))
	case life.RegisterRunner:
		return found(made(e.GitLab.Register(ctx, a.Auth, a.Runner)))
	case life.VerifyRunner:
		return found(read(e.GitLab.Verify(ctx, a.Token, a.SystemID)))
	case life.FindRunners:
		return found(read(e.GitLab.Find(ctx, a.Auth, a.Runner)))
	case life.ResetRunnerToken:
		return found(made(e.GitLab.ResetToken(ctx, a.Auth, a.ID)))
	case life.DeleteRunner:
		return found(done(e.GitLab.Delete(ctx, a.Token)))
	case life.DeleteManager:
		return found(done(e.GitLab.DeleteManager(ctx, a.Token, a.SystemID)))
	}
	return reply{}, false, nil
}

func (e Edges) onFiles(ctx context.Context, a life.Action) (reply, bool, error) {
	switch a := a.(type) {
	case life.ReadFlags:
		return found(read(e.readFlags(ctx)))
	case life.WriteNotice:
		return found(perhaps(e.Files.WriteNotice(a.Notice)))
	case life.SetFlag:
		return found(noted(e.Files.SetFlag(a.Flag, a.On)))
	case life.ReadWhoami:
		return found(read(e.Files.Whoami()))
	case life.WriteWhoami:
		return found(noted(e.Files.WriteWhoami(a.Whoami)))
	case life.ReadSeen:
		return found(read(e.Files.Seen()))
	case life.WriteSeen:
		return found(noted(e.Files.WriteSeen(a.Seen)))
	case life.ReadBefore:
		return found(read(e.Files.Before()))
	case life.WriteBefore:
		return found(noted(e.Files.WriteBefore(a.Before)))
	case life.ReadRegistration:
		return found(read(e.Files.Registration()))
	case life.WriteRegistration:
		return found(perhaps(e.Files.WriteRegistration(a.Registration)))
	case life.RemoveRegistration:
		return found(perhaps(e.Files.RemoveRegistration()))
	}
	return reply{}, false, nil
}

func (e Edges) onRunner(ctx context.Context, a life.Action) (reply, bool, error) {
	switch a := a.(type) {
	case life.CountSections:
		return found(read(e.Runner.Sections(ctx)))
	case life.WriteRunnerConfig:
		return found(perhaps(e.Runner.Configure(ctx, a.Registration)))
	case life.HoldRunner:
		return found(perhaps(e.Runner.Hold(ctx)))
	case life.ResumeRunner:
		return found(perhaps(e.Runner.Resume(ctx)))
	case life.ScrapeMetrics:
		return found(read(e.Runner.Observe(ctx)))
	case life.StartUnit:
		return found(perhaps(e.Units.Start(ctx, a.Unit)))
	case life.StopUnit:
		return found(perhaps(e.Units.Stop(ctx, a.Unit)))
	case life.ReadUnit:
		return found(read(e.Units.State(ctx, a.Unit)))
	case life.SignalUnit:
		return found(done(e.Units.Signal(ctx, a.Unit, a.Signal)))
	case life.KillJobs:
		return found(done(e.Units.KillJobs(ctx, a.Unit)))
	case life.ReadShutdown:
		return found(read(e.Units.Shutdown(ctx)))
	}
	return reply{}, false, nil
}

// describe names an action in the error of an edge that did not: its type's
// name, never its fields, which may hold a token.
func describe(a life.Action) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", a), "life.")
}
