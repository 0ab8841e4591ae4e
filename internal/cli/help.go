package cli

import "github.com/spf13/cobra"

// strictHelp has "shoal help" refuse what is no command. cobra's own would print
// the root's help for it, as if that had been asked for.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		panic(err) // it was just made
	}
	help.RunE = func(help *cobra.Command, args []string) error {
		cmd, rest, err := root.Find(args)
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			return unknownCommand(cmd, rest)
		}
		help.Run(help, args)
		return nil
	}
}
