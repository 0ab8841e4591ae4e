package cli

import "github.com/spf13/cobra"

// Commands returns the command tree, from which the manual pages and the shells'
// completions are written. Run carries commands out: this tree has no process
// around it.
func Commands() *cobra.Command {
	root := (&call{}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd() // cobra adds it only when a command is carried out
	return root
}
