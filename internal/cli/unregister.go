package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/life"
)

func (c *call) unregisterCommand() *cobra.Command {
	var now bool
	var within time.Duration
	cmd := verbCommand(c, verb{
		name:  "unregister",
		short: "Drain this instance's runner and take it out of GitLab",
		long: `Let the running jobs of this instance end, keeping the termination hook waiting
meanwhile; unregister the runner; complete the hook. Before a deadline of EC2's
the jobs are ended in time to be reported.

It acts only on a notice that lifecycle-check wrote, or with --now. It may be
run again at any point.`,
		example: `  shoal unregister
  shoal unregister --now                 for as long as the jobs take
  shoal unregister --now --within 90s    jobs that still run then are ended and reported`,
	}, func(conf config.Config) (life.Unregister, error) {
		set := unregisterSettings(conf)
		set.Now, set.Within = now, within
		return life.NewUnregister(set), checkWithin(now, within, conf)
	})
	cmd.Flags().BoolVar(&now, "now", false, "without waiting for a notice: an operator wants it")
	cmd.Flags().DurationVar(&within, "within", 0, "with --now: be done in this time, ending jobs that still run (default: wait for them)")
	return cmd
}

// checkWithin refuses a time that leaves none to drain in.
func checkWithin(now bool, within time.Duration, conf config.Config) error {
	switch {
	case within == 0:
		return nil
	case !now:
		return usage(`"shoal unregister --now --within `+within.String()+`"`, "--within needs --now: a notice has its own deadline")
	case within <= conf.Unregister.Margin:
		return usage("", "--within must be longer than unregister.margin (%s), in which jobs are ended and reported; got %s", conf.Unregister.Margin, within)
	}
	return nil
}
