package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/life"
)

// exitCodes are what a command may exit with. docs/operations.md says what the
// units do about each.
var exitCodes = []struct {
	code  life.ExitCode
	means string
}{
	{life.Done, "done"},
	{life.Failed, "failed"},
	{life.BadUsage, "bad usage or configuration"},
	{life.Refused, "refused from outside for good: a permission, an unknown group,\n        a revoked token"},
	{life.TryAgain, "try again later"},
}

// tellExitCodes ends the help of every command, and so its manual page, with the
// exit codes. Four columns to the left make a table of it in both.
func tellExitCodes(cmd *cobra.Command) {
	var b strings.Builder
	b.WriteString("\n\nExit codes:\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "\n    %-2d  %s", c.code, c.means)
	}
	tell(cmd, b.String())
}

func tell(cmd *cobra.Command, text string) {
	for _, sub := range cmd.Commands() {
		tell(sub, text)
	}
	switch {
	case cmd.Name() == "help": // it is cobra's
	case cmd.Long == "": // help then shows what is short
		cmd.Long = cmd.Short + "." + text
	default:
		cmd.Long += text
	}
}
