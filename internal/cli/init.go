package cli

import (
	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/life"
)

func (c *call) initCommand() *cobra.Command {
	return verbCommand(c, verb{
		keepsFiles: true,
		name:       "init",
		short:      "Register this instance's runner and start it",
		long: `Register this instance's runner in GitLab, write its key into config.toml, start
gitlab-runner, see it serve its metrics and reach GitLab, and complete the launch
hook. Where that fails, undo what was done and give the launch up.

It may be run again at any time: what was done already is found and kept. In a
warm pool nothing is registered until the instance goes into service.`,
		example: `  shoal init
  shoal init --json | jq -r .summary`,
	}, func(conf config.Config) (life.Init, error) { return life.NewInit(initSettings(conf)), nil })
}
