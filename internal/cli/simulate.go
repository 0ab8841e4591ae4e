package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// simulateFlags are what the command line says.
type simulateFlags struct {
	capacity.Options
	trace    string
	policies []string
	seeds    int
	zone     string // what clock the policies' hours go by
	asJSON   bool
	asCSV    bool
	html     string
}

// The bounds of --seeds and of --policy: beyond them a typing error, not a wish.
const (
	usualSeeds   = 5
	mostSeeds    = 1000
	mostPolicies = 100
)

// apiBurst is how many calls of a throttled Auto Scaling are answered at once.
const apiBurst = 100

// simulateCommand plays a trace under several policies.
func (c *call) simulateCommand() *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use:     "simulate",
		GroupID: groupHuman,
		Short:   "Play a trace of jobs under Shoal's policy and others'",
		Long: `Play a trace of jobs on a simulated fleet, under the decisions that run on an
instance and under others', and compare how long jobs wait and what it costs.

A trace is CSV with a header: created_at (seconds, or RFC 3339) and duration
(seconds) of each job, and where there are pipelines the columns pipeline and
stage: a job of a stage waits for all of its pipeline's lower stages. "-" reads
it from stdin.

Policies, with options as name:option=value,…

` + indent(capacity.Describe()) + `
All begin with the group's minimum in service. A figure is the median over the
seeds; jobs lost are their sum. A job that EC2 interrupts is tried again from its
beginning; its wait is that of the first time.

--html writes a page to look at: the fleet and its queue over time, how long jobs
waited, cost against wait. It is one file, which loads nothing from anywhere.`,
		Example: `  shoal simulate --trace week.csv
  shoal simulate --trace week.csv --policy shoal --policy taskscaler:idle_count=6,idle_time=300
  shoal simulate --trace week.csv --slots 6 --boot 90s --idle 180s --max 80 --policy shoal --policy original
  shoal simulate --trace week.csv --spot-mtbf 6h --slots 4,8
  shoal simulate --trace week.csv --policy shoal --policy shoal:idle=600s --html week.html
  shoal simulate --trace week.csv --csv > week-policies.csv
  shoal simulate --trace week.csv --json | jq '.policies[] | {policy, instance_hours}'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.simulate(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.trace, "trace", "", "the trace, a CSV file")
	flags.StringArrayVar(&f.policies, "policy", []string{"shoal", "original", "taskscaler"}, "a policy to play, may be repeated")
	flags.IntSliceVar(&f.Slots, "slots", []int{6}, "jobs that an instance runs at once; several, as in 4,8, are drawn evenly")
	fleetFlags(flags, &f.Options)
	flags.DurationVar(&f.Idle, "idle", 180*time.Second, "how long an instance is without a job before it leaves")
	flags.Float64Var(&f.APIRate, "api-rate", 0, "calls a second that Auto Scaling answers Shoal's instances before it throttles them; the others are never held back (default: any number)")
	flags.IntVar(&f.seeds, "seeds", usualSeeds, "how often each policy is played, with other dice")
	flags.StringVar(&f.zone, "time-zone", "UTC", "whose clock spares_period and the page go by, such as Europe/Berlin")
	flags.StringVar(&f.html, "html", "", "write a page to this file as well")
	flags.BoolVar(&f.asCSV, "csv", false, "print CSV on stdout, a line for each policy")
	jsonFlag(cmd, &f.asJSON)
	err := cmd.RegisterFlagCompletionFunc("policy", cobra.FixedCompletions(capacity.Names(), cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // there is no such flag
	}
	return cmd
}

// fleetFlags are what simulate and tune suppose of a fleet alike.
func fleetFlags(flags *pflag.FlagSet, o *capacity.Options) {
	flags.DurationVar(&o.Boot, "boot", 90*time.Second, "from an instance's launch until it is up, ±15 %")
	flags.DurationVar(&o.Init, "init", 2*time.Second, "from then until it is in service, ±15 %")
	flags.IntVar(&o.Min, "min", 0, "the group's minimum, instances")
	flags.IntVar(&o.Max, "max", 40, "the group's maximum, instances")
	flags.DurationVar(&o.CheckInterval, "check-interval", 3*time.Second, "between two polls of a runner that has a free slot")
	flags.DurationVar(&o.SpotMTBF, "spot-mtbf", 0, "mean time until EC2 takes an instance (default: never)")
}

func indent(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString("  " + l + "\n")
	}
	return b.String()
}

func (c *call) simulate(ctx context.Context, f simulateFlags) error {
	f.APIBurst = apiBurst
	with, err := f.check()
	if err != nil {
		return err
	}
	t, err := c.readTrace(f.trace)
	if err != nil {
		return err
	}
	t = inZone(t, f.zone)
	b := &bench{plan: capacity.NewPlan(t), options: f.Options, policies: with, seeds: f.seeds, record: f.html != ""}
	stop := c.showProgress(b)
	results, err := b.run(ctx)
	stop()
	if err != nil {
		return &commandError{code: life.Failed, err: err}
	}
	for _, r := range results {
		if r.JobsLost > 0 {
			fmt.Fprintf(c.Stderr, "shoal: %s lost %d jobs\n", r.Policy, r.JobsLost)
		}
		if r.JobsUnfinished > 0 {
			fmt.Fprintf(c.Stderr, "shoal: %s never ended %d jobs: EC2 interrupts instances sooner than they take; try a longer --spot-mtbf\n", r.Policy, r.JobsUnfinished)
		}
	}
	if f.html != "" {
		if err := c.writePage(f.html, comparisonPage(f, t, b, results)); err != nil {
			return err
		}
	}
	switch {
	case f.asJSON:
		return c.printJSON(map[string]any{"policies": results})
	case f.asCSV:
		return printCSV(c.Stdout, results)
	}
	return printComparison(c.Stdout, c.newLook(), results)
}

// check tells what is wrong with the command line.
func (f simulateFlags) check() ([]capacity.Policy, error) {
	const hint = `"shoal simulate --help" shows what is allowed`
	var all []error
	if f.trace == "" {
		all = append(all, errors.New("--trace: which file? It is required"))
	}
	if f.asJSON && f.asCSV {
		all = append(all, errors.New("--json and --csv: both go to stdout; choose one"))
	}
	if err := checkPageFile(f.html, f.trace); err != nil {
		all = append(all, err)
	}
	if _, err := time.LoadLocation(f.zone); err != nil || f.zone == "" {
		all = append(all, fmt.Errorf(`--time-zone is %q; allowed is a time zone such as "UTC" or "Europe/Berlin"`, f.zone))
	}
	if f.seeds < 1 || f.seeds > mostSeeds {
		all = append(all, fmt.Errorf("--seeds is %d; allowed are 1 to %d", f.seeds, mostSeeds))
	}
	if len(f.policies) > mostPolicies {
		all = append(all, fmt.Errorf("--policy: %d of them; at most %d", len(f.policies), mostPolicies))
	}
	if err := f.Validate(); err != nil {
		all = append(all, err)
	}
	var with []capacity.Policy
	for _, spec := range f.policies {
		p, err := capacity.Parse(spec)
		if err != nil {
			all = append(all, fmt.Errorf("--policy: %w", err))
			continue
		}
		if err := p.Check(f.Options); err != nil {
			all = append(all, fmt.Errorf("--policy %s: %w", spec, err))
		}
		with = append(with, p)
	}
	if len(all) > 0 {
		return nil, usage(hint, "%w", errors.Join(all...))
	}
	return with, nil
}

// readTrace reads the trace from its file, or from stdin.
func (c *call) readTrace(name string) (trace.Trace, error) {
	from := c.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return trace.Trace{}, usage("", "%w", err)
		}
		defer file.Close()
		from = file
	}
	defer debug.SetGCPercent(debug.SetGCPercent(traceGC))
	t, err := trace.Read(from)
	if err != nil {
		return trace.Trace{}, usage(`"shoal simulate --help" tells what a trace is`, "%s: %w", name, err)
	}
	return t, nil
}
