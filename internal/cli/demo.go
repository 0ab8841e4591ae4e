package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/shoal-ci/shoal/internal/emulator/demo"
	"github.com/shoal-ci/shoal/internal/life"
)

// demoCommand shows a fleet on one machine.
func (c *call) demoCommand() *cobra.Command {
	var o demo.Options
	var keep, asJSON bool
	cmd := &cobra.Command{
		Use:     "demo",
		GroupID: groupHuman,
		Short:   "See a whole fleet work on this machine, in under two minutes",
		Long: `See a whole fleet work on this machine: an emulated EC2 and GitLab on loopback,
the webhook and instances that are real processes of this program under the
packaged units, real shell jobs in a burst, a lull and a second burst, and a spot
interruption of a busy instance. It begins with no instance and ends with none.

It ends by itself with a summary from the emulated services' own records, and
exits 0 only if no job was lost, no runner was left behind and the group is back
at its minimum. Where gitlab-runner is on the PATH the instances use it, else a
built-in stand-in.`,
		Example: `  shoal demo
  shoal demo --json | jq .jobs
  shoal demo --slots 4 --max 10
  shoal demo --keep               leave it running, and print how to talk to it`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.demo(cmd.Context(), o, keep, asJSON) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.Duration, "duration", demo.DefaultDuration, fmt.Sprintf("how long the show takes, %s to %s", demo.MinDuration, demo.MaxDuration))
	flags.IntVar(&o.Slots, "slots", demo.DefaultSlots, "jobs that one instance runs at once, 1 to 20")
	flags.IntVar(&o.Max, "max", demo.DefaultMax, "the group's maximum, 3 to 50 instances")
	flags.BoolVar(&keep, "keep", false, "leave everything running until Ctrl-C")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (c *call) demo(ctx context.Context, o demo.Options, keep, asJSON bool) error {
	if err := checkDemo(o); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // its terminal is gone
	defer stop()
	c.show(&o, asJSON)
	defer survivePipes()()
	o.Progress = audience{o.Progress, stop}
	var kept error
	if keep {
		o.Keep = func(s demo.Summary) { kept = c.summarise(s, asJSON) }
	}
	summary, err := demo.Run(ctx, o)
	if errors.Is(err, context.Canceled) {
		return &commandError{code: life.Failed, err: errors.New("interrupted; everything is cleaned up")}
	}
	if err != nil || keep {
		return errors.Join(err, kept)
	}
	return c.summarise(summary, asJSON)
}

// summarise prints what came of the demo, and picks the exit code.
func (c *call) summarise(s demo.Summary, asJSON bool) error {
	if !s.OK() {
		c.code = life.Failed
	}
	if asJSON {
		for _, missing := range s.Unfinished {
			fmt.Fprintln(c.Stderr, "unfinished:", missing)
		}
		return c.printJSON(s)
	}
	fmt.Fprintln(c.Stdout)
	for _, line := range s.Lines() {
		fmt.Fprintln(c.Stdout, line)
	}
	return nil
}

// show leads the picture to the terminal: to stdout, or past it where stdout is
// for the object.
func (c *call) show(o *demo.Options, asJSON bool) {
	to := c.Stdout
	if asJSON {
		to = c.Stderr
	}
	o.Progress = to
	o.Live = isTerminal(to)
	o.Colour = newPalette(to, c.Environ).on
	if f, ok := to.(*os.File); ok {
		o.Width = func() int { return terminalWidth(f) }
	}
}

// survivePipes has writing to a pipe that nobody reads fail, where the runtime
// would have the program die and leave the demo's files: nobody may read the
// picture to its end (shoal demo | head). The signal itself says nothing, it comes
// for the emulated services' sockets too. It is caught, not ignored, since what
// is ignored the instances' processes would inherit.
func survivePipes() (restore func()) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGPIPE)
	return func() { signal.Stop(caught) }
}

// audience is where the picture goes; when it is gone the show ends.
type audience struct {
	io.Writer
	gone func()
}

func (a audience) Write(p []byte) (int, error) {
	n, err := a.Writer.Write(p)
	if err != nil {
		a.gone()
	}
	return n, err
}

// terminalWidth is the terminal's width in columns, a usual one where it does
// not tell.
func terminalWidth(f *os.File) int {
	const usual = 120
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		return w
	}
	return usual
}

func checkDemo(o demo.Options) error {
	const hint = `"shoal demo --help" shows what is allowed`
	switch {
	case o.Duration < demo.MinDuration || o.Duration > demo.MaxDuration:
		return usage(hint, "--duration is %s; allowed are %s to %s", o.Duration, demo.MinDuration, demo.MaxDuration)
	case o.Slots < 1 || o.Slots > 20:
		return usage(hint, "--slots is %d; allowed are 1 to 20", o.Slots)
	case o.Max < 3 || o.Max > 50:
		return usage(hint, "--max is %d; allowed are 3 to 50", o.Max)
	}
	return nil
}
