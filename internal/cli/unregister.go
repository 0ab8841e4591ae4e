package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// unregisterFlags are what the command line adds to the configuration.
type unregisterFlags struct {
	now      bool
	within   time.Duration
	shutdown bool
	mistakes error // in the configuration, which it goes on with
}

func (c *call) unregisterCommand() *cobra.Command {
	var f unregisterFlags
	cmd := verbCommand(c, verb{
		keepsFiles: true,
		name:       "unregister",
		short:      "Drain this instance's runner and take it out of GitLab",
		long: `Let the running jobs of this instance end, keeping the termination hook waiting
meanwhile; unregister the runner; complete the hook. Before a deadline of EC2's
the jobs are ended in time to be reported.

It acts only on a notice that lifecycle-check wrote, or with --now. It may be
run again at any point. A mistake in the configuration does not keep it from
draining: it goes on with the defaults, and says so.

With --shutdown it asks systemd whether the machine is going down, and does
nothing where it is not: units run it whenever they are stopped. A reboot waits
for the jobs, for unregister.reboot_timeout at most, and keeps the registration.
A power-off or halt waits for unregister.poweroff_timeout, then unregisters.`,
		example: `  shoal unregister
  shoal unregister --now                 for as long as the jobs take
  shoal unregister --now --within 90s    jobs that still run then are ended and reported
  shoal unregister --shutdown            as ExecStop= of a unit`,
		// Refusing to drain, for a mistake that somebody made since this instance came
		// up, would lose the jobs that run on it. A person who asks is told.
		goesOn: func(mistakes error) bool {
			f.mistakes = mistakes
			return !f.now
		},
	}, func(conf config.Config) (life.Unregister, error) {
		set := unregisterSettings(conf)
		set.Now, set.Within, set.Shutdown = f.now, f.within, f.shutdown
		if f.mistakes != nil {
			set.Mistakes = fleet.AsFailure("read the configuration", f.mistakes)
		}
		return life.NewUnregister(set), f.check(conf)
	})
	cmd.Flags().BoolVar(&f.now, "now", false, "without waiting for a notice: an operator wants it")
	cmd.Flags().DurationVar(&f.within, "within", 0, "with --now: be done in this time, ending jobs that still run (default: wait for them)")
	cmd.Flags().BoolVar(&f.shutdown, "shutdown", false, "only while the machine goes down; a reboot keeps the registration")
	return cmd
}

// check refuses what goes ill together, and a time that leaves none to drain in.
func (f unregisterFlags) check(conf config.Config) error {
	switch {
	case f.shutdown && f.now:
		return usage("", "--shutdown and --now exclude each other: one acts only while the machine goes down, the other whether it does or not")
	case f.shutdown && f.within != 0:
		return usage("", "--within is not for --shutdown: see unregister.reboot_timeout and unregister.poweroff_timeout")
	case f.within == 0:
		return nil
	case !f.now:
		return usage(`"shoal unregister --now --within `+f.within.String()+`"`, "--within needs --now: a notice has its own deadline")
	case f.within <= conf.Unregister.Margin:
		return usage("", "--within must be longer than unregister.margin (%s), in which jobs are ended and reported; got %s", conf.Unregister.Margin, f.within)
	}
	return nil
}
