package cli

import (
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/imds"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/systemd"
)

// verb is a command that an instance lives by: one machine of package life.
type verb struct {
	name       string
	short      string
	long       string
	example    string
	daemon     bool // runs for as long as the instance
	keepsFiles bool // and so must be run by who may write them
	// goesOn takes the mistakes that the configuration has and tells whether the
	// verb goes on with the defaults, to say them itself; nil is never.
	goesOn func(mistakes error) bool
}

// verbCommand is the command of a verb; machine makes its machine from the
// configuration once the command line is read.
func verbCommand[S life.Machine[S]](c *call, v verb, machine func(config.Config) (S, error)) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     v.name,
		GroupID: groupLife,
		Short:   v.short,
		Long:    v.long,
		Example: v.example,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := live(cmd, c, v, machine, asJSON)
			return c.refused(v.name, asJSON, err, func(r result) any { return r })
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// live makes a verb's machine and runs it.
func live[S life.Machine[S]](cmd *cobra.Command, c *call, v verb, machine func(config.Config) (S, error), asJSON bool) error {
	l, err := c.loadFor(v)
	if err != nil {
		return err
	}
	m, err := machine(l.Config)
	if err != nil {
		return err
	}
	if v.keepsFiles {
		if err := checkWritable(v.name, l.Dirs); err != nil {
			return err
		}
	}
	return drive(cmd, c, v, l, m, asJSON)
}

// loadFor loads the configuration for a verb. For one that goes on regardless, what
// it asks of GitLab goes where this instance is registered.
func (c *call) loadFor(v verb) (*config.Loaded, error) {
	l, err := c.load()
	if v.goesOn == nil {
		return l, err
	}
	_, variable := imds.New(imds.Options{})
	if err == nil && variable == nil {
		return l, nil
	}
	anyway, mistakes := config.LoadAnyway(config.Source{Path: c.config, Environ: c.Environ})
	if !v.goesOn(errors.Join(mistakes, variable)) {
		return l, err
	}
	if variable != nil { // the clients take what it is without it
		_ = os.Unsetenv(imds.ModeVariable)
	}
	anyway.GitLab.URL = registeredAt(anyway)
	return anyway, nil
}

// registeredAt is the GitLab where this instance is registered; where it is not, the
// one that is configured.
func registeredAt(l *config.Loaded) string {
	files := &agent.Files{StateDir: l.Dirs.State, RunDir: l.Dirs.Run}
	if r, err := files.Registration(); err == nil && r != nil {
		return r.URL
	}
	return l.GitLab.URL
}

// drive runs the machine and tells what came of it.
func drive[S life.Machine[S]](cmd *cobra.Command, c *call, v verb, l *config.Loaded, m S, asJSON bool) error {
	out, err := run(cmd, c, v, l, m, func(w *wiring) agent.Options { return agent.Options{Edges: w.edges} })
	if err == nil && asJSON {
		return c.printJSON(newResult(v.name, out))
	}
	return err
}

// run runs the machine over the edges that options picks.
func run[S life.Machine[S]](cmd *cobra.Command, c *call, v verb, l *config.Loaded, m S, options func(*wiring) agent.Options) (agent.Outcome, error) {
	if v.daemon {
		defer keepSmall()()
	}
	log := newLogger(c.Stderr, l.Log.Level, l.Log.Format)
	for _, warning := range l.Warnings() {
		log.Warn("configuration: "+warning, "verb", v.name)
	}
	w, err := newWiring(l, log)
	if err != nil { // a variable of AWS' that cannot be: nothing was asked yet
		return agent.Outcome{}, &commandError{code: life.BadUsage, err: err}
	}
	defer w.close()
	o := options(w)
	o.Log, o.Notify, o.Watchdog = log, w.notify, systemd.WatchdogInterval()
	out := agent.Run(cmd.Context(), m, o)
	c.code = out.Code
	log.Log(cmd.Context(), levelOf(out, isTerminal(c.Stderr)), out.Summary, "verb", v.name, "exit", int(out.Code))
	return out, nil
}

// levelOf is how much an exit matters: what is tried again is a warning, what
// is not needs somebody. That all went well the decisions have said, and some
// failures too; a person who typed the command and waits for it is told all the
// same.
func levelOf(out agent.Outcome, person bool) slog.Level {
	switch {
	case out.Code == life.Done && person:
		return slog.LevelInfo
	case out.Code == life.Done, out.Said && !person:
		return slog.LevelDebug
	case out.Code == life.TryAgain:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// result is a verb's object on stdout.
type result struct {
	Verb      string     `json:"verb"`
	Exit      int        `json:"exit"`
	Summary   string     `json:"summary"`
	Changed   bool       `json:"changed"` // something outside of the process was changed
	Decisions []decision `json:"decisions"`
}

type decision struct {
	Action  string         `json:"action"`
	Reasons []fleet.Reason `json:"reasons"`
}

func newResult(name string, out agent.Outcome) result {
	r := result{Verb: name, Exit: int(out.Code), Summary: out.Summary, Changed: out.Changed, Decisions: []decision{}}
	for _, d := range out.Decisions {
		r.Decisions = append(r.Decisions, decision{d.Action, append([]fleet.Reason{}, d.Reasons...)})
	}
	return r
}
