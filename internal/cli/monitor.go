package cli

import (
	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/life"
)

func (c *call) monitorCommand() *cobra.Command {
	return verbCommand(c, verb{
		daemon: true,
		name:   "monitor",
		short:  "Watch this instance's runner: grow the group, protect, leave when idle",
		long: `Watch the metrics of this instance's gitlab-runner until told to stop. While every
slot is busy, start scale-up.service; keep scale-in protection equal to "busy";
idle past the threshold, leave the group in an order that can be undone; unable
to run jobs for a reason of its own, have the instance replaced.

With nothing happening it asks nobody but the runner.`,
		example: `  shoal monitor
  SHOAL_MONITOR_IDLE_THRESHOLD=10m SHOAL_LOG_LEVEL=debug shoal monitor`,
	}, func(conf config.Config) (life.Monitor, error) { return life.NewMonitor(monitorSettings(conf)), nil })
}
