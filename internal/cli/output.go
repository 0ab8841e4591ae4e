package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// jsonFlag gives a command its --json.
func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print one JSON object on stdout")
}

// printJSON writes v as one object on one line.
func (c *call) printJSON(v any) error {
	enc := json.NewEncoder(c.Stdout)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// nearestFlag is the flag of cmd that begins like name, or differs from it by a
// letter or two; empty when there is none.
func nearestFlag(cmd *cobra.Command, name string) string {
	// cobra knows the nearest command; a tree of commands named after the flags
	// lets it answer for flags too.
	flags := &cobra.Command{SuggestionsMinimumDistance: 2}
	visit := func(f *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	}
	cmd.Flags().VisitAll(visit)
	cmd.InheritedFlags().VisitAll(visit)
	near := flags.SuggestionsFor(strings.SplitN(name, "=", 2)[0])
	if len(near) == 0 {
		return ""
	}
	return near[0]
}
