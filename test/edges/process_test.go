package edges_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/autoscaling"
	"github.com/shoal-ci/shoal/internal/gitlab"
	"github.com/shoal-ci/shoal/internal/imds"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/reap"
	"github.com/shoal-ci/shoal/internal/runner"
	"github.com/shoal-ci/shoal/internal/secret"
	"github.com/shoal-ci/shoal/internal/simulate"
)

// run is one process: the agent with a machine and the edges of a command.
type run struct {
	site     *site
	p        *simulate.Process
	verb     string
	number   int
	instance string
	ctx      context.Context
	cancel   context.CancelFunc
	dead     chan struct{} // closed when the process is over

	disk   disk
	files  *agent.Files
	writes bool // the action under way writes files
	full   bool // and there is no room for them
	reaps  reap.Edges
}

// main is the process from its start to its end. A process that is killed leaves
// by runtime.Goexit, from wherever it is about to touch the outside.
func (r *run) main() {
	defer func() {
		r.synchronise()
		if e := recover(); e != nil {
			panic(fmt.Sprintf("%s: %s of instance %d: %v", r.site.t.Name(), r.verb, r.number, e))
		}
	}()
	r.disk = r.site.disks.of(r.number)
	r.files = &agent.Files{StateDir: r.disk.state(), RunDir: r.disk.run()}
	r.writes = !r.isReaper() // by an earlier process, which was killed with its machine
	r.synchronise()
	o := agent.Options{Edges: r.edges(), Log: slog.New(slog.NewTextHandler(ear{r}, nil))}
	if r.isReaper() {
		o.Edges, o.Perform = agent.Edges{}, r.reaps.Perform
	}
	out := agent.Run(r.ctx, machine{r}, o)
	r.have(func() { r.p.Exit(out.Code, out.Summary) })
}

// isReaper tells the reaper from an instance's processes: it has no files, and edges of
// its own.
func (r *run) isReaper() bool { return r.number == 0 }

// have gives the process the fleet.
func (r *run) have(use func()) { r.site.have(r.p, use) }

// pause waits, unless the process is killed meanwhile.
func (r *run) pause(d time.Duration) { _ = r.wait(context.Background(), d) }

// wait waits until d has passed or the context is done.
func (r *run) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.dead:
		runtime.Goexit()
	}
	return nil
}

// machine is the process's machine, with the fleet listening to each of its steps.
type machine struct{ *run }

// Step implements life.Machine.
func (m machine) Step(e life.Event, now time.Time) (machine, []life.Action) {
	return m, m.step(e, now)
}

// step takes a step. What is done on the instance itself takes its time here, and
// meets its faults; what goes over a wire does so there.
func (r *run) step(e life.Event, now time.Time) (actions []life.Action) {
	r.synchronise()
	var wait time.Duration
	local := false
	r.have(func() {
		actions = r.p.Step(e, now)
		wait, local = r.p.Local()
	})
	if !local {
		return actions
	}
	r.pause(wait)
	r.have(func() {
		r.writes = r.p.Writes()
		r.full = !r.p.Begins()
	})
	if r.full {
		r.files.StateDir, r.files.RunDir = r.disk.none(), r.disk.none()
	}
	return actions
}

// synchronise tells the fleet what an action has written.
func (r *run) synchronise() {
	if !r.writes {
		return
	}
	r.writes, r.full = false, false
	r.files.StateDir, r.files.RunDir = r.disk.state(), r.disk.run()
	on, err := r.disk.read()
	h := r.site
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.fleet.Breaks("files", "i%02d %s: %v", r.number, r.verb, err)
		return
	}
	if !h.over {
		r.p.Wrote(on)
	}
}

// edges are those of a command, as cli wires them, over the wires of this site.
func (r *run) edges() agent.Edges {
	cloud := aws.Config{
		Region: "eu-central-1", HTTPClient: &http.Client{Transport: &wire{run: r, to: toAWS}},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEMULATED", "secret", ""),
	}
	load := func(context.Context) (aws.Config, error) { return cloud, nil }
	group, err := autoscaling.New(autoscaling.Options{Load: load})
	must(err)
	metadata, err := imds.New(imds.Options{HTTPClient: &http.Client{Transport: &wire{run: r, to: toMetadata}}})
	must(err)
	lab, err := gitlab.New(gitlab.Options{URL: simulate.GitLabURL, Transport: &wire{run: r, to: toGitLab}})
	must(err)
	local := runner.New(runner.Options{
		ConfigPath: r.disk.config(), TemplatePath: r.disk.template(), ListenAddress: "localhost:9090",
		ShutdownTimeout: simulate.ShutdownTimeout, KillAfter: simulate.KillJobsAfter, Margin: simulate.Margin,
		Transport: metricsWire{r},
	})
	secrets := secret.New(secret.Options{Load: load})
	r.reaps = reap.Edges{AWS: group, GitLab: lab, Secrets: secrets}
	all := agent.Edges{
		Metadata: metadata, AutoScaling: group, GitLab: lab, Runner: tight{local, r}, Units: units{r},
		Secrets: secrets, Files: r.files,
	}
	if r.site.bend != nil {
		r.site.bend(&all, &r.reaps)
	}
	return all
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// ear reads the log: no token may stand there.
type ear struct{ *run }

// Write implements io.Writer.
func (e ear) Write(line []byte) (int, error) {
	for _, prefix := range []string{"glrt-", "glpat-", "glcbt-"} {
		if strings.Contains(string(line), prefix) {
			e.have(func() { e.site.fleet.Breaks("secret", "i%02d logs a token: %s", e.number, line) })
		}
	}
	return len(line), nil
}
