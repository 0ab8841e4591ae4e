package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
)

// The groups that help sorts the commands into.
const (
	groupLife  = "life"
	groupFleet = "fleet"
	groupHuman = "human"
)

// root is the command tree.
func (c *call) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "shoal",
		Short: "GitLab Runner fleets on EC2 Auto Scaling groups that run themselves",
		Long: `shoal makes GitLab Runner fleets on EC2 Auto Scaling groups run themselves. Every
instance registers itself, watches its own runner, grows the group when jobs
wait, leaves when it is idle, and goes away without losing a job.`,
		Example: `  shoal config check              see whether the configuration is in order
  shoal init                      register this instance's runner and start it
  shoal unregister --now          drain this instance and take it out of GitLab`,
		SilenceErrors: true, // finish tells them, with a hint
		SilenceUsage:  true,
	}
	root.PersistentFlags().StringVar(&c.config, "config", "", `configuration file (default "`+config.DefaultPath+`", or SHOAL_CONFIG)`)
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: groupLife, Title: "An instance's life (run by the systemd units):"},
		&cobra.Group{ID: groupFleet, Title: "For a whole fleet (run off the instances):"},
		&cobra.Group{ID: groupHuman, Title: "For people:"},
	)
	root.SetHelpCommandGroupID(groupHuman)
	root.SetCompletionCommandGroupID(groupHuman)
	root.AddCommand(c.initCommand(), c.monitorCommand(), c.scaleUpCommand(), c.lifecycleCheckCommand(), c.unregisterCommand())
	root.AddCommand(c.reapCommand(), c.webhookCommand())
	root.AddCommand(c.configCommand(), c.versionCommand(), c.demoCommand(), c.simulateCommand(), c.tuneCommand(), c.traceCommand())
	group(root)
	strictHelp(root)
	versionFlag(root)
	tellExitCodes(root)
	c.noteStart(root)
	return root
}

// noteStart has every command note that it runs: an error before that is one of
// the command line.
func (c *call) noteStart(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		c.noteStart(sub)
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c.started = true
			return run(cmd, args)
		}
	}
}

// group makes cmd a command that only groups others.
func group(cmd *cobra.Command) {
	cmd.Args, cmd.RunE = cobra.ArbitraryArgs, unknownCommand
	cmd.DisableFlagsInUseLine = true
	cmd.SuggestionsMinimumDistance = 2 // letters; cobra has no default here
}

// noArgs refuses arguments, for commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(fmt.Sprintf("%q shows its flags", cmd.CommandPath()+" --help"), "%s takes no arguments; got %q", strings.TrimPrefix(cmd.CommandPath(), "shoal "), args[0])
}

// unknownCommand is what a command that only groups others does: alone it
// prints its help, with an argument it says what was probably meant.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := fmt.Sprintf("%q lists what there is", cmd.CommandPath()+" --help")
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", cmd.CommandPath()+" "+near[0])
	}
	return usage(hint, "unknown command %q for %q", args[0], cmd.CommandPath())
}

// flagError adds the nearest flag to the complaint about an unknown one.
func flagError(cmd *cobra.Command, err error) error {
	hint := fmt.Sprintf("%q lists the flags", cmd.CommandPath()+" --help")
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		if near := nearestFlag(cmd, name); near != "" {
			hint = fmt.Sprintf("did you mean --%s?", near)
		}
	}
	return usage(hint, "%w", err)
}
