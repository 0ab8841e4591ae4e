package cli

import (
	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/life"
)

func (c *call) lifecycleCheckCommand() *cobra.Command {
	return verbCommand(c, verb{
		daemon: true,
		name:   "lifecycle-check",
		short:  "Wait for the notice that this instance is to go",
		long: `Poll the instance metadata until it says that this instance is to go: its group
wants it terminated or detached, or EC2 takes it back. Write the notice down and
exit 0; its unit then starts the one that drains.

Only an answer that parses is a notice. Time-outs, errors and garbage are
"unknown", and drain nothing. Being stopped or restarted writes no notice.`,
		example: `  shoal lifecycle-check
  SHOAL_LIFECYCLE_CHECK_ON_REBALANCE=leave shoal lifecycle-check`,
	}, func(conf config.Config) (life.LifecycleCheck, error) {
		return life.NewLifecycleCheck(lifecycleCheckSettings(conf)), nil
	})
}
