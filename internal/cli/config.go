package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/life"
)

func (c *call) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		GroupID: groupHuman,
		Short:   "Show or check the configuration",
	}
	cmd.AddCommand(c.configShow(), c.configCheck())
	group(cmd)
	return cmd
}

func (c *call) configShow() *cobra.Command {
	var asJSON, defaults bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print what is in force, and where each value came from",
		Long: `Print every key's value in force and where it came from: the default, a line of
the configuration file, or a variable of the environment. Secrets are shown as
references, never resolved.`,
		Example: `  shoal config show
  shoal config show --json | jq -r '.values[] | select(.origin != "default") | .key'
  shoal config show --defaults > ./shoal.toml`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if defaults {
				_, err := fmt.Fprint(c.Stdout, config.Example())
				return err
			}
			l, err := c.load()
			switch {
			case err != nil && asJSON:
				return errors.Join(c.printRefused(err), err)
			case err != nil:
				return err
			case asJSON:
				return c.printJSON(shownConfig{File: l.Path, Values: l.Values()})
			}
			return c.printValues(l)
		},
	}
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&defaults, "defaults", false, "print a file with every key and its default to begin with")
	cmd.MarkFlagsMutuallyExclusive("json", "defaults")
	return cmd
}

// shownConfig is config show's object.
type shownConfig struct {
	File     string         `json:"file"`   // empty when everything is from the environment
	Values   []config.Value `json:"values"` // none where there are problems: nothing is in force
	Problems []string       `json:"problems,omitempty"`
}

func (c *call) printRefused(err error) error {
	var problems config.Problems
	errors.As(err, &problems)
	l, _ := config.LoadAnyway(config.Source{Path: c.config, Environ: c.Environ})
	return c.printJSON(shownConfig{File: l.Path, Values: []config.Value{}, Problems: lines(problems)})
}

func (c *call) printValues(l *config.Loaded) error {
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KEY\tVALUE\tFROM") // Flush tells what failed
	for _, v := range l.Values() {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", v.Key, v.Text, v.Origin)
	}
	return w.Flush()
}

func (c *call) configCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell every problem of the configuration",
		Long: `Check the configuration file and the variables, and tell every problem at once:
its place, what is allowed, and what was got. Where these are in order, check what
they name on this machine as "shoal init" will: the template of gitlab-runner's
configuration, and a token in a file. What may be all right on another machine is
a warning. Exit 0 when there is no problem, else 2. Nothing outside this machine is
asked, nothing is written.`,
		Example: `  shoal config check
  shoal config check --config ./shoal.toml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.load()
			var found findings
			if err == nil {
				found = inspect(cmd.Context(), l)
				err = found.err()
			}
			if asJSON {
				return c.printCheck(found, err)
			}
			for _, w := range found.warnings {
				_, _ = fmt.Fprintln(c.Stderr, "shoal: warning: "+w.String())
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.Stdout, "ok")
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// checkedConfig is config check's object.
type checkedConfig struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
	Warnings []string `json:"warnings"`
}

func (c *call) printCheck(found findings, err error) error {
	var problems config.Problems
	if errors.As(err, &problems) {
		c.code = life.BadUsage
	}
	return c.printJSON(checkedConfig{OK: err == nil, Problems: lines(problems), Warnings: lines(found.warnings)})
}

// lines is never nil: no problem is [] in JSON.
func lines(problems config.Problems) []string {
	list := make([]string, len(problems))
	for i, p := range problems {
		list[i] = p.String()
	}
	return list
}

// load reads the configuration that the flags and the environment name.
func (c *call) load(without ...string) (*config.Loaded, error) {
	l, err := config.Load(config.Source{Path: c.config, Environ: c.Environ, Without: without})
	var problems config.Problems
	if errors.As(err, &problems) {
		return nil, badConfig(problems)
	}
	return l, err
}

func badConfig(problems config.Problems) error {
	if len(problems) == 1 {
		return &commandError{code: life.BadUsage, err: problems}
	}
	return &commandError{
		code: life.BadUsage,
		err:  fmt.Errorf("%d problems in the configuration\n%w", len(problems), problems),
	}
}
