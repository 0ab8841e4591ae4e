package cli

import (
	"fmt"
	"math/rand/v2"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// reapFlags are what the command line adds to the configuration.
type reapFlags struct {
	groups []string
	every  time.Duration
	dryRun bool
	asJSON bool
}

// shortestEvery is the least time between rounds: a faster reaper deletes
// nothing sooner, for two rounds must be four minutes apart.
const shortestEvery = time.Minute

func (c *call) reapCommand() *cobra.Command {
	var f reapFlags
	cmd := &cobra.Command{
		Use:     "reap",
		GroupID: groupFleet,
		Short:   "Clear away what instances left that died",
		Long: `Delete the runners in GitLab whose instance is gone, and let instances go that
died in their lifecycle hook, so that their group does not wait for the dead.

A runner is deleted only if its description is <group>/<instance id>, the group
is one of those named, and the instance was gone in two looks at least four
minutes apart: EC2 has it terminated, or neither EC2 nor the group knows it. A
runner that was used since stays. What GitLab calls online or offline counts for
nothing.

Without --every it looks once, and where something seems gone once more after
four minutes. Run it where a token that may delete runners can be kept, not on
the instances.`,
		Example: `  shoal reap --dry-run                  what would be cleared away
  shoal reap --group ci --group ci-arm  once
  shoal reap --every 5m                 as a service: reap.token, reap.groups
  shoal reap --json | jq '.found[] | select(.done)'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.refused("reap", f.asJSON, c.reap(cmd, f), func(r result) any { return reapResult{r, f.dryRun, leftovers(nil)} })
		},
	}
	jsonFlag(cmd, &f.asJSON)
	cmd.Flags().StringArrayVar(&f.groups, "group", nil, "Auto Scaling group, may be repeated (default reap.groups, else group.name)")
	cmd.Flags().DurationVar(&f.every, "every", 0, "go on, with a round this often and up to 30s of chance added (default: once)")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "do nothing, tell what would be done")
	return cmd
}

func (c *call) reap(cmd *cobra.Command, f reapFlags) error {
	l, err := c.load("gitlab.token")
	if err != nil {
		return err
	}
	set, err := reapSettings(l.Config, f)
	if err != nil {
		return err
	}
	v := verb{name: "reap", daemon: f.every > 0}
	out, err := run(cmd, c, v, l, life.NewReap(set), func(w *wiring) agent.Options { return agent.Options{Perform: w.reap.Perform} })
	if err != nil {
		return err
	}
	found, _ := out.Report.([]fleet.Leftover)
	switch {
	case f.asJSON:
		return c.printJSON(reapResult{newResult(v.name, out), f.dryRun, leftovers(found)})
	case f.dryRun && f.every == 0:
		return c.printLeftovers(found)
	}
	return nil
}

// reapSettings are the configuration and the flags in the machine's words.
func reapSettings(c config.Config, f reapFlags) (life.ReapSettings, error) {
	set := life.ReapSettings{
		Groups:        f.groups,
		LaunchHook:    c.Group.LaunchHook,
		TerminateHook: c.Group.TerminateHook,
		Token:         reapToken(c),
		Where:         newRunner(c.GitLab),
		Every:         f.every,
		DryRun:        f.dryRun,
		Seed:          rand.Uint64(), //nolint:gosec // jitter, no secret
	}
	if len(set.Groups) == 0 {
		set.Groups = c.Reap.Groups
	}
	if len(set.Groups) == 0 && c.Group.Name != "" {
		set.Groups = []string{c.Group.Name}
	}
	return set, checkReap(c, f, set)
}

// reapToken is where the token is. In mode token gitlab.token is a runner's: it
// lists nothing, and there is nothing to delete.
func reapToken(c config.Config) string {
	if c.Reap.Token.IsZero() && c.GitLab.Mode == fleet.ModeCreate {
		return c.GitLab.Token.String()
	}
	return c.Reap.Token.String()
}

func checkReap(c config.Config, f reapFlags, set life.ReapSettings) error {
	typ, id := c.GitLab.RunnerType, map[string]int64{"group_type": c.GitLab.GroupID, "project_type": c.GitLab.ProjectID}
	key := map[string]string{"group_type": "gitlab.group_id", "project_type": "gitlab.project_id"}[typ]
	seen := map[string]bool{}
	for _, g := range set.Groups {
		if g == "" || seen[g] {
			return usage("", "--group %q: an Auto Scaling group's name, each once", g)
		}
		seen[g] = true
	}
	switch {
	case f.every != 0 && f.every < shortestEvery:
		return usage("", "--every must be at least %s; got %s", shortestEvery, f.every)
	case len(set.Groups) == 0:
		return usage(`"shoal reap --group NAME", or set reap.groups`, "which Auto Scaling groups? None is named, and others' runners are not touched")
	case set.Token == "" && c.GitLab.Mode != fleet.ModeToken:
		return usage("a token of scope manage_runner or api; put it where only the reaper reads it", "reap.token: required with gitlab.mode %q, and not set", c.GitLab.Mode)
	case set.Token != "" && key != "" && id[typ] == 0:
		return usage("the id as GitLab's own page shows it", "%s: required with gitlab.runner_type %q to list the runners there, and not set", key, typ)
	}
	return nil
}

// reapResult is reap's object on stdout.
type reapResult struct {
	result
	DryRun bool       `json:"dry_run"`
	Found  []leftover `json:"found"`
}

type leftover struct {
	Group    string `json:"group"`
	Instance string `json:"instance"`
	Runner   int64  `json:"runner,omitempty"`
	Hook     string `json:"hook,omitempty"`
	Why      string `json:"why"`
	Done     bool   `json:"done"` // deleted, or completed
}

func leftovers(found []fleet.Leftover) []leftover {
	list := []leftover{}
	for _, f := range found {
		list = append(list, leftover{f.Group, f.InstanceID, f.Runner, f.Hook, f.Why, f.Done})
	}
	return list
}

// printLeftovers is a dry run's table.
func (c *call) printLeftovers(found []fleet.Leftover) error {
	if len(found) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "GROUP\tINSTANCE\tLEFT\tWHY") // Flush tells what failed
	for _, f := range found {
		left := fmt.Sprintf("runner %d", f.Runner)
		if f.Hook != "" {
			left = "hook " + f.Hook
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Group, f.InstanceID, left, f.Why)
	}
	return w.Flush()
}
