package cli

import (
	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/life"
)

func (c *call) scaleUpCommand() *cobra.Command {
	return verbCommand(c, verb{
		name:  "scale-up",
		short: "Raise the group's capacity to what the waiting jobs need",
		long: `Raise the group's desired capacity to what the waiting jobs need, looking at the
group anew before each change and never above its maximum. Until a slot is free
on this instance, decide again at each fresh reading of the queue.

Doing it twice, or on ten instances at once, gives the same result.`,
		example: `  shoal scale-up
  shoal scale-up --json | jq '.decisions[].action'`,
	}, func(conf config.Config) (life.ScaleUp, error) { return life.NewScaleUp(scaleUpSettings(conf)), nil })
}
