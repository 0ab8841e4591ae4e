package cli

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/autoscaling"
	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/demand"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/gitlab"
	"github.com/shoal-ci/shoal/internal/imds"
	"github.com/shoal-ci/shoal/internal/reap"
	"github.com/shoal-ci/shoal/internal/runner"
	"github.com/shoal-ci/shoal/internal/secret"
	"github.com/shoal-ci/shoal/internal/systemd"
)

// Every edge is what agent, reap and demand need of it.
var (
	_ agent.Metadata    = (*imds.Client)(nil)
	_ agent.AutoScaling = (*autoscaling.Client)(nil)
	_ agent.GitLab      = (*gitlab.Client)(nil)
	_ agent.GitLab      = (*lateGitLab)(nil)
	_ agent.Runner      = (*runner.Local)(nil)
	_ agent.Units       = (*systemd.Units)(nil)
	_ agent.Secrets     = (*secret.Resolver)(nil)
	_ reap.AWS          = (*autoscaling.Client)(nil)
	_ reap.GitLab       = (*gitlab.Client)(nil)
	_ reap.GitLab       = (*lateGitLab)(nil)
	_ reap.Secrets      = (*secret.Resolver)(nil)
	_ demand.AWS        = (*autoscaling.Client)(nil)
	_ demand.GitLab     = (*lateGitLab)(nil)
)

// wiring is the outside of one verb. Nothing in it asks, loads or connects
// before its first use: a daemon that never calls AWS pays nothing for it.
type wiring struct {
	edges    agent.Edges
	reap     reap.Edges
	demand   demandEdges
	metadata *imds.Client
	runner   *runner.Local
	log      *slog.Logger
}

// demandEdges are the systems that the webhook reaches.
type demandEdges struct {
	AWS    demand.AWS
	GitLab demand.GitLab
}

func newWiring(l *config.Loaded, log *slog.Logger) (*wiring, error) {
	metadata, err := imds.New(imds.Options{})
	if err != nil {
		return nil, err
	}
	w := &wiring{metadata: metadata, log: log, runner: runner.New(runnerOptions(l))}
	files := &agent.Files{StateDir: l.Dirs.State, RunDir: l.Dirs.Run}
	load := autoscaling.Cached(func(ctx context.Context) (aws.Config, error) {
		region, err := w.region(ctx, files)
		if err != nil {
			return aws.Config{}, err
		}
		return autoscaling.LoadConfig(ctx, region, nil)
	})
	group, err := autoscaling.New(autoscaling.Options{Load: load})
	if err != nil {
		return nil, err
	}
	lab := &lateGitLab{options: gitlab.Options{URL: l.GitLab.URL, CAFile: l.GitLab.CAFile}}
	secrets := secret.New(secret.Options{Load: load})
	w.reap = reap.Edges{AWS: group, GitLab: lab, Secrets: secrets}
	w.demand = demandEdges{AWS: group, GitLab: lab}
	w.edges = agent.Edges{
		GitLab:      lab,
		Metadata:    metadata,
		AutoScaling: group,
		Runner:      w.runner,
		Units:       systemd.New(systemd.Options{}),
		Secrets:     secrets,
		Files:       files,
	}
	return w, nil
}

func runnerOptions(l *config.Loaded) runner.Options {
	return runner.Options{
		ConfigPath:      l.Runner.Config,
		TemplatePath:    l.Runner.Template,
		ListenAddress:   l.Runner.ListenAddress,
		ShutdownTimeout: l.Runner.ShutdownTimeout,
		KillAfter:       l.Unregister.KillAfter,
		Margin:          l.Unregister.Margin,
	}
}

// region is where this instance is: from what init left, else from the
// metadata. The SDK's own variables win, and spare the question.
func (w *wiring) region(ctx context.Context, files *agent.Files) (string, error) {
	if os.Getenv("AWS_REGION") != "" || os.Getenv("AWS_DEFAULT_REGION") != "" {
		return "", nil
	}
	if who, err := files.Whoami(); err == nil && who != nil {
		return who.Identity.Region, nil
	}
	id, err := w.metadata.Identity(ctx)
	if err != nil {
		return "", noRegion(err)
	}
	return id.Region, nil
}

// noRegion says what the metadata's own failure cannot: elsewhere than on EC2,
// where the reaper may be, the region is set.
func noRegion(err error) error {
	f := *fleet.AsFailure("read the region from the instance metadata", err)
	f.Mend = strings.TrimSuffix("off EC2 set AWS_REGION; on an instance "+f.Mend, "; on an instance ")
	return &f
}

// notify tells systemd. What it does not take is no reason to stop.
func (w *wiring) notify(state string) {
	if err := systemd.Notify(state); err != nil {
		w.log.Debug("tell systemd", "error", err.Error())
	}
}

// close lets go of what the edges keep open.
func (w *wiring) close() {
	w.runner.Close()
	w.metadata.Close()
}
