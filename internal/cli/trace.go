package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/gitlab"
	"github.com/shoal-ci/shoal/internal/history"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/outfile"
)

var _ history.GitLab = (*gitlab.History)(nil)

// traceFlags are what the command line says.
type traceFlags struct {
	history.Query
	output, token string
	restart       bool
	asJSON        bool
}

const (
	// mostNamed bounds what may be repeated: beyond it a typing error, not a wish.
	mostNamed = 100
	// usualToken is where people keep a token for GitLab's API.
	usualToken = "GITLAB_TOKEN"
	// historyTimeout is longer than that of the requests that an instance waits for:
	// GitLab takes its time for a page far back, and gives up by itself after a minute.
	historyTimeout = 65 * time.Second
	// traceGC keeps the memory close to the jobs that it holds at the end.
	traceGC = 30
)

func (c *call) traceCommand() *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use:     "trace",
		GroupID: groupHuman,
		Short:   "Export a trace of the jobs that ran from GitLab",
		Long: `Export the jobs that a GitLab project or group ran, as a trace that simulate
plays: when each was created, how long it took, its pipeline and stage, how long
it really waited, and what ran it.

Nothing in the trace names people, projects, jobs or runners: pipelines are
numbered, names and runners are hashed with a salt that is deleted at the end.
What lies in FILE.resume meanwhile is for nobody but you.

It needs a token of scope read_api whose user is a reporter of the projects:
--token, else webhook.token, else the variable GITLAB_TOKEN. Without --project and
--group it is the group or project where the runners are registered.

An export with --output that was interrupted, or killed, goes on where it was when
the same is asked for again.`,
		Example: `  export GITLAB_TOKEN=…
  shoal trace --url https://gitlab.example.com --group acme --output month.csv
  shoal trace --project acme/app --project acme/site --since 2026-01-01 --output q1.csv
  shoal trace --group 42 --tag docker --tag linux --since 8w --output linux.csv
  shoal trace --group 42 --runner 'ci/*' | shoal simulate --trace -
  shoal trace --group 42 --token file:/root/token --output month.csv --json | jq .left_out`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.trace(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.URL, "url", "", "GitLab's address (default gitlab.url)")
	flags.StringArrayVar(&f.Projects, "project", nil, "a project's id or path, may be repeated")
	flags.StringArrayVar(&f.Groups, "group", nil, "a group's id or path: its projects and its subgroups', may be repeated")
	flags.StringVar(&f.Since, "since", "28d", "from when on jobs were created: a date, a time as in RFC 3339, or how long ago, as in 36h, 28d, 8w")
	flags.StringVar(&f.Until, "until", "", "until when, in the same ways (default: now)")
	flags.StringArrayVar(&f.Tags, "tag", nil, "a tag that a job must have, may be repeated: all of them")
	flags.StringArrayVar(&f.Runners, "runner", nil, "an id of a runner, or its description, with * for any part: only jobs that ran there; may be repeated: any of them")
	flags.StringVar(&f.output, "output", "-", `the trace's file; "-" is stdout, and then an interrupted export begins anew`)
	flags.StringVar(&f.token, "token", "", "where the token is: env:NAME, file:/path, ssm:/name or secretsmanager:name (default webhook.token, else env:"+usualToken+")")
	flags.BoolVar(&f.restart, "restart", false, "begin anew, whatever was interrupted")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

func (c *call) trace(ctx context.Context, f traceFlags) error {
	l, err := c.load("gitlab.url", "gitlab.token")
	if err != nil {
		return err
	}
	o, err := f.options(l.Config, time.Now())
	if err != nil {
		return err
	}
	ref, key, err := c.traceToken(l.Config, f)
	if err != nil {
		return err
	}
	to, closed, err := c.traceOutput(&o, f.output)
	if err != nil {
		return err
	}
	defer closed()
	defer debug.SetGCPercent(debug.SetGCPercent(traceGC))
	say := newTeller(c.Stderr, l.Log)
	defer say.end()
	o.Out, o.Log, o.Tell = to, say.log, say.progress
	sum, err := c.export(ctx, l, o, ref, key)
	say.end()
	if err != nil {
		return exportFailed(err, o)
	}
	if f.asJSON {
		return c.printJSON(sum)
	}
	return printExport(c.Stderr, o, sum)
}

// export runs the export over the edges.
func (c *call) export(ctx context.Context, l *config.Loaded, o history.Options, ref, key string) (history.Summary, error) {
	w, err := newWiring(l, o.Log)
	if err != nil {
		return history.Summary{}, &commandError{code: life.BadUsage, err: err}
	}
	defer w.close()
	client, err := gitlab.New(gitlab.Options{URL: o.URL, CAFile: l.GitLab.CAFile, Timeout: historyTimeout})
	if err != nil {
		return history.Summary{}, &commandError{code: life.BadUsage, err: err}
	}
	defer client.Close()
	token, err := w.reap.Secrets.Resolve(ctx, ref)
	if err != nil {
		return history.Summary{}, err
	}
	o.GitLab = client.History(token, key)
	return history.Run(ctx, o)
}

// options are the flags and the configuration in the export's words.
func (f traceFlags) options(c config.Config, now time.Time) (o history.Options, err error) {
	o = history.Options{Query: f.Query, Restart: f.restart, To: now}
	var all []error
	if o.URL == "" {
		o.URL = c.GitLab.URL
	}
	o.URL = strings.TrimRight(o.URL, "/")
	if o.URL == "" {
		all = append(all, errors.New("--url: which GitLab? Such as https://gitlab.example.com"))
	}
	if len(o.Projects) == 0 && len(o.Groups) == 0 {
		o.Projects, o.Groups = registeredWhere(c.GitLab)
	}
	if len(o.Projects) == 0 && len(o.Groups) == 0 {
		all = append(all, errors.New("--project, --group: of which are the jobs to be exported?"))
	}
	all = append(all, f.checkLists()...)
	if o.From, err = when(f.Since, now); err != nil {
		all = append(all, fmt.Errorf("--since: %w", err))
	}
	if f.Until != "" {
		if o.To, err = when(f.Until, now); err != nil {
			all = append(all, fmt.Errorf("--until: %w", err))
		}
	}
	if len(all) == 0 && !o.From.Before(o.To) {
		all = append(all, fmt.Errorf("--since %s: that is not before the end, %s", f.Since, o.To.Format(time.RFC3339)))
	}
	if len(all) == 0 && (o.To.Sub(o.From) > history.Longest || o.From.Year() < 2000) {
		all = append(all, fmt.Errorf("--since %s: at most nine years can be exported", f.Since))
	}
	if f.asJSON && f.output == "-" {
		all = append(all, errors.New("--json: its object and the trace cannot both go to stdout; name a file with --output"))
	}
	if len(all) > 0 {
		return o, usage(`"shoal trace --help" shows what is allowed`, "%w", errors.Join(all...))
	}
	return o, nil
}

// checkLists tells what is wrong with the flags that may be repeated.
func (f traceFlags) checkLists() (all []error) {
	for _, l := range []struct {
		name   string
		values []string
	}{{"project", f.Projects}, {"group", f.Groups}, {"tag", f.Tags}, {"runner", f.Runners}} {
		if len(l.values) > mostNamed {
			all = append(all, fmt.Errorf("--%s: %d of them; at most %d", l.name, len(l.values), mostNamed))
		}
		if slices.Contains(l.values, "") {
			all = append(all, fmt.Errorf("--%s: an empty name", l.name))
		}
	}
	for _, pattern := range f.Runners {
		if !history.IsPattern(pattern) {
			all = append(all, fmt.Errorf("--runner %q: no pattern; allowed are an id, or a description with * for any part", pattern))
		}
	}
	return all
}

// registeredWhere is the project or group that the runners are registered in.
func registeredWhere(g config.GitLab) (projects, groups []string) {
	switch {
	case g.RunnerType == "group_type" && g.GroupID != 0:
		return nil, []string{strconv.FormatInt(g.GroupID, 10)}
	case g.RunnerType == "project_type" && g.ProjectID != 0:
		return []string{strconv.FormatInt(g.ProjectID, 10)}, nil
	}
	return nil, nil
}

// when reads a time: a date, a time as in RFC 3339, or how long ago.
func when(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		number, ok := strings.CutSuffix(text, unit)
		if n, err := strconv.ParseUint(number, 10, 16); ok && err == nil {
			return now.Add(-time.Duration(n) * length), nil //nolint:gosec // 16 bits
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; allowed are 2026-01-31, 2026-01-31T08:00:00Z, and how long ago as in 36h, 28d or 8w", text)
}

// traceToken is where the token is, and what that is called in an error.
func (c *call) traceToken(conf config.Config, f traceFlags) (ref, key string, err error) {
	const scope = "a token of scope read_api, whose user is a reporter of the projects"
	set := slices.ContainsFunc(c.Environ, func(e string) bool { return strings.HasPrefix(e, usualToken+"=") && len(e) > len(usualToken)+1 })
	switch {
	case f.token != "":
		if _, err := fleet.ParseSecretRef(f.token); err != nil {
			return "", "", usage(scope, "--token: %w", err)
		}
		return f.token, "--token", nil
	case !conf.Webhook.Token.IsZero():
		return conf.Webhook.Token.String(), "webhook.token", nil
	case set:
		return "env:" + usualToken, usualToken, nil
	}
	return "", "", usage(scope, "--token: required, for neither webhook.token nor %s is set", usualToken)
}

// traceOutput is where the trace goes: a file that is replaced at the end, or what
// can only be written to, as a pipe.
func (c *call) traceOutput(o *history.Options, name string) (to io.Writer, closed func(), err error) {
	nothing := func() {}
	if name == "-" {
		return c.Stdout, nothing, nil
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && info.Mode().IsRegular():
		if o.Output, err = outfile.Target(name); err != nil {
			return nil, nil, usage("", "--output: %w", err)
		}
	case err != nil:
		return nil, nil, usage("", "--output: %w", err)
	case info.IsDir():
		return nil, nil, usage("", "--output: %s is a folder", name)
	default:
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return nil, nil, usage("", "--output: %w", err)
		}
		return file, func() { file.Close() }, nil
	}
	return nil, nothing, nil
}

// exportFailed gives an error its exit code, and says how to go on.
func exportFailed(err error, o history.Options) error {
	again := ""
	if o.Output != "" {
		again = "ask for the same again, and it goes on where it was"
	}
	var f *fleet.Failure
	var known *commandError
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, history.ErrNoJobs):
		return &commandError{code: life.Failed, err: err, hint: "an earlier --since, or fewer filters?"}
	case errors.Is(err, history.ErrOtherQuery):
		return &commandError{code: life.BadUsage, err: err}
	case errors.Is(err, history.ErrInterrupted):
		return &commandError{code: life.Failed, err: err, hint: again}
	case !errors.As(err, &f), f.Kind == fleet.Local:
		return &commandError{code: life.Failed, err: err, hint: again}
	case f.Final():
		return &commandError{code: life.Refused, err: err}
	}
	return &commandError{code: life.TryAgain, err: err, hint: again}
}

// printExport tells a person what came of it. On stdout it would be in the trace.
func printExport(w io.Writer, o history.Options, s history.Summary) error {
	where := o.Output
	if where == "" {
		where = "the output"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s of %s in %s, %s to %s UTC\n", where, count(s.Jobs, "job"), count(s.Pipelines, "pipeline"), count(s.Projects-s.Refused, "project"),
		s.From.Format(time.DateTime), s.To.Format(time.DateTime))
	for _, line := range []struct {
		n    int
		text string
	}{
		{s.Refused, "left out of the group's projects: the token's user may not see their jobs"},
		{s.LeftOut.NeverRan, "left out: they never ran (skipped, manual, canceled before)"},
		{s.LeftOut.Unfinished, "left out: they wait or run still"},
		{s.LeftOut.Filtered, "left out: other tags or runners"},
		{s.LeftOut.Odd, "left out: their times make no sense, or they have no pipeline"},
		{s.Alone, "stand without their pipeline: they began later than it says (by hand, delayed, retried, behind jobs that are left out)"},
		{s.Ahead, "began before the stages below had ended (needs:), which a trace cannot say"},
		{s.Reckoned, "waits are reckoned from the times: GitLab does not tell them"},
	} {
		if line.n > 0 {
			fmt.Fprintf(&b, "%9d %s\n", line.n, line.text)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
