package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
	"github.com/shoal-ci/shoal/internal/simulate/tune"
)

// tuneFlags are what the command line says.
type tuneFlags struct {
	capacity.Options
	trace     string
	maxWait   string
	maxCost   string
	price     float64 // of an instance hour
	slots     int
	slotsFrom []int
	seeds     int
	webhook   bool
	asJSON    bool
	html      string
}

// mostSlots is how many kinds of instances may be tried.
const mostSlots = 6

// tuneCommand finds settings in a trace.
func (c *call) tuneCommand() *cobra.Command {
	var f tuneFlags
	cmd := &cobra.Command{
		Use:     "tune",
		GroupID: groupHuman,
		Short:   "Find the settings that keep a promise about waits at the least cost",
		Long: `Play a trace of jobs under hundreds of settings, and tell which keep a promise
about waits at the least cost, what they would have cost and saved against the
settings in force, and how sure that is.

The settings in force are those of the configuration (--config, SHOAL_CONFIG, the
environment); without one the defaults. The group's are --min and --max, and an
instance's --slots. Tried are monitor.idle_threshold and learn_idle, spares.slots
by the hours in which jobs come, spares.hold, the group's minimum (and its maximum
where that is in the way), and how often is polled. What is not clearly better
than the settings in force is not recommended. docs/tuning.md tells more.

A trace is what "shoal trace" exports, and "shoal simulate" plays. "-" reads it
from stdin. The figures that can be promised are mean, p50, p90, p95, p99 and max.
A cost is instance hours a month (600h), a share of what the settings in force
cost (100%), or money a month (450) where --price-per-hour is given. With a cost
alone the mean wait is to be as short as it buys.

Exit 1 where nothing does what is asked, and where the trace says too little.`,
		Example: `  shoal tune --trace fleet.csv --max-wait p95=120s
  shoal tune --trace fleet.csv --max-wait p95=120s --config /etc/shoal/shoal.toml --max 80 --boot 75s
  shoal tune --trace fleet.csv --max-cost 100% --webhook
  shoal tune --trace fleet.csv --max-wait mean=20s --max-cost 400 --price-per-hour 0.192
  shoal tune --trace fleet.csv --max-wait p95=120s --html tuned.html
  shoal tune --trace fleet.csv --max-wait p95=90s --json | jq .recommended.changes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.tune(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.trace, "trace", "", "the trace, a CSV file")
	flags.StringVar(&f.maxWait, "max-wait", "", "what is promised: a figure of the waits and a time, as in p95=120s")
	flags.StringVar(&f.maxCost, "max-cost", "", "what it may cost: hours a month (600h), a share of now (100%), or money a month")
	flags.Float64Var(&f.price, "price-per-hour", 0, "of an instance, in any currency: costs are told in it, too")
	flags.BoolVar(&f.webhook, "webhook", false, "a webhook may be recommended; without, it is told beside what it would bring")
	flags.IntVar(&f.slots, "slots", 6, "jobs that an instance runs at once")
	flags.IntSliceVar(&f.slotsFrom, "slots-from", nil, "choose these slots from several, as in 4,6,8: for instances that cost the same, and run jobs as fast")
	fleetFlags(flags, &f.Options)
	flags.IntVar(&f.seeds, "seeds", usualSeeds, "how often what matters is played, with other dice")
	flags.StringVar(&f.html, "html", "", "write a page to this file as well")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

func (c *call) tune(ctx context.Context, f tuneFlags) error {
	in, err := c.tuneInput(f)
	if err != nil {
		return err
	}
	bench := newTuneBench(in.Trace)
	stop := c.showProgress(bench)
	o, err := tune.Search(in, func(b tune.Batch) ([]capacity.Result, error) { return bench.evaluate(ctx, b) })
	stop()
	if err != nil {
		return &commandError{code: life.Failed, err: err}
	}
	if f.html != "" && o.Verdict != tune.TooThin {
		if err := c.writePage(f.html, (&tunedText{o: o, f: f}).page(in)); err != nil {
			return err
		}
	}
	switch {
	case f.asJSON:
		err = c.printJSON(tuned{Outcome: o, PricePerHour: f.price})
	case o.Verdict != tune.TooThin:
		err = c.printTuned(o, f, in.Trace.Start.Location().String())
	}
	return errors.Join(err, refusal(o))
}

// tuned is tune's object.
type tuned struct {
	tune.Outcome
	PricePerHour float64 `json:"price_per_hour,omitempty"`
}

// refusal is the error of a search that has nothing to recommend.
func refusal(o tune.Outcome) error {
	switch o.Verdict {
	case tune.TooThin:
		return &commandError{
			code: life.Failed, err: fmt.Errorf("the trace says too little to choose settings by:\n%s", strings.Join(o.Thin, "\n")),
			hint: "a fortnight of a fleet's jobs is a good trace; until there is one the defaults are the best guess",
		}
	case tune.OutOfReach:
		return &commandError{code: life.Failed, err: errors.New("nothing that was tried does what is asked")}
	}
	return nil
}

// tuneInput is what the command line and the configuration ask for.
func (c *call) tuneInput(f tuneFlags) (tune.Input, error) {
	f.APIBurst, f.Slots = apiBurst, []int{f.slots}
	f.Idle = tune.Defaults().Idle
	goal, err := f.check()
	if err != nil {
		return tune.Input{}, err
	}
	l, err := c.load("gitlab.url", "gitlab.token")
	if err != nil {
		return tune.Input{}, err
	}
	t, err := c.readTrace(f.trace)
	if err != nil {
		return tune.Input{}, err
	}
	return tune.Input{
		Trace: inZone(t, l.Config.Spares.TimeZone), Fleet: f.Options, InForce: settingsInForce(l.Config, f), Goal: goal,
		Webhook: f.webhook, Slots: f.slotsFrom, Seeds: f.seeds,
	}, nil
}

// inZone puts a trace on the clock that the spares' periods go by. One in seconds
// begins at that clock's midnight.
func inZone(t trace.Trace, name string) trace.Trace {
	zone, err := time.LoadLocation(name)
	if err != nil { // the key's own check has seen it, or the flag's
		return t
	}
	if t.Start.Equal(trace.Monday) {
		y, m, d := t.Start.Date()
		t.Start = time.Date(y, m, d, 0, 0, 0, 0, zone)
		return t
	}
	t.Start = t.Start.In(zone)
	return t
}

// settingsInForce are the configuration's and the group's.
func settingsInForce(c config.Config, f tuneFlags) tune.Settings {
	return tune.Settings{
		Idle: c.Monitor.IdleThreshold, Learn: c.Monitor.LearnIdle, Period: c.Monitor.Period,
		Saturated: min(c.Monitor.SaturatedPeriod, c.Monitor.Period), BlindAfter: c.ScaleUp.BlindAfter,
		Spares: c.Spares.Slots, Hold: c.Spares.Hold,
		Webhook: c.ScaleUp.WebhookGrace > 0, WebhookGrace: c.ScaleUp.WebhookGrace, Anticipate: c.ScaleUp.WebhookGrace > 0 && c.Webhook.Anticipate,
		Slots: f.slots, CheckInterval: f.CheckInterval, Min: f.Min, Max: f.Max,
	}
}

// check tells what is wrong with the command line.
func (f tuneFlags) check() (tune.Goal, error) {
	const hint = `"shoal tune --help" shows what is allowed`
	var all []error
	bad := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	bad(f.trace == "", "--trace: which file? It is required")
	bad(f.maxWait == "" && f.maxCost == "", "--max-wait: what is promised? As in p95=120s; or --max-cost")
	bad(f.seeds < 1 || f.seeds > mostSeeds, "--seeds is %d; allowed are 1 to %d", f.seeds, mostSeeds)
	bad(!(f.price >= 0 && f.price <= 1e6), "--price-per-hour is %g; allowed are 0 to 1e6", f.price)
	bad(len(f.slotsFrom) > mostSlots, "--slots-from: %d numbers; at most %d", len(f.slotsFrom), mostSlots)
	for _, n := range f.slotsFrom {
		bad(n < 1 || n > capacity.MaxSlots, "--slots-from: %d; allowed are 1 to %d", n, capacity.MaxSlots)
	}
	goal := tune.Goal{Figure: "mean"}
	if f.maxWait != "" {
		g, err := tune.ParseWait(f.maxWait)
		bad(err != nil, "--max-wait is %w", err)
		goal = g
	}
	if f.maxCost != "" {
		err := f.cost(&goal)
		bad(err != nil, "--max-cost is %w", err)
	}
	if err := checkPageFile(f.html, f.trace); err != nil {
		all = append(all, err)
	}
	if err := f.Validate(); err != nil {
		all = append(all, err)
	}
	if len(all) > 0 {
		return goal, usage(hint, "%w", errors.Join(all...))
	}
	return goal, nil
}

// cost reads --max-cost.
func (f tuneFlags) cost(goal *tune.Goal) error {
	const allowed = "allowed are hours a month, as in 600h, a share of what the settings in force cost, as in 100%%, and, with --price-per-hour, money a month"
	number := func(text string) (float64, bool) {
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		return v, err == nil && v > 0 && v <= 1e12
	}
	if text, is := strings.CutSuffix(f.maxCost, "h"); is {
		if v, ok := number(text); ok {
			goal.MaxHours = v
			return nil
		}
	} else if text, is := strings.CutSuffix(f.maxCost, "%"); is {
		if v, ok := number(text); ok {
			goal.MaxShare = v / 100
			return nil
		}
	} else if v, ok := number(f.maxCost); ok && f.price > 0 {
		goal.MaxHours = v / f.price
		return nil
	}
	return fmt.Errorf("%q; "+allowed, f.maxCost)
}
