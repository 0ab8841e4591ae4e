package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// validate checks what no key can check alone. A key that is a problem already
// is not complained about again, nor is anything that depends on it.
func (l *Loaded) validate(known Problems, without []string) Problems {
	bad := map[string]bool{}
	for _, name := range without {
		bad[name] = !l.set(name) // nothing is to be said of what is not there
	}
	for _, p := range known {
		bad[p.Key] = true
	}
	var problems Problems
	for _, r := range rules {
		if slices.ContainsFunc(r.about, func(name string) bool { return bad[name] }) {
			continue
		}
		if text := r.broken(&l.Config); text != "" {
			problems = append(problems, Problem{Key: r.about[0], Origin: l.origin(r.about), Text: text})
		}
	}
	return append(l.missing(bad), problems...)
}

func (l *Loaded) set(name string) bool {
	k, ok := findKey(name)
	return ok && k.isSet(&l.Config)
}

// missing lists the required keys that nothing sets.
func (l *Loaded) missing(bad map[string]bool) Problems {
	var problems Problems
	for _, k := range keys {
		if k.required && !bad[k.name] && !k.isSet(&l.Config) {
			text := fmt.Sprintf("required, and not set: %s (or set %s)", k.allowed, k.variable())
			problems = append(problems, Problem{Key: k.name, Origin: Origin{File: l.Path}, Text: text})
		}
	}
	return problems
}

// origin is where the first of these keys that somebody set was set: there is
// the line to change.
func (l *Loaded) origin(about []string) Origin {
	for _, name := range about {
		if at, ok := l.origins[name]; ok {
			return at
		}
	}
	return Origin{File: l.Path}
}

// rule is a condition over several keys.
type rule struct {
	about  []string // the keys; the problem is told of the first
	broken func(*Config) string
}

var rules = []rule{
	{[]string{"gitlab.group_id", "gitlab.mode", "gitlab.runner_type"}, func(c *Config) string {
		return needsID(c, "group_type", c.GitLab.GroupID)
	}},
	{[]string{"gitlab.project_id", "gitlab.mode", "gitlab.runner_type"}, func(c *Config) string {
		return needsID(c, "project_type", c.GitLab.ProjectID)
	}},
	{[]string{"monitor.learn_idle", "monitor.idle_threshold"}, func(c *Config) string {
		if c.Monitor.LearnIdle == 0 || c.Monitor.LearnIdle > c.Monitor.IdleThreshold {
			return ""
		}
		return fmt.Sprintf("must be longer than monitor.idle_threshold (%s), or 0s; got %s", short(c.Monitor.IdleThreshold), short(c.Monitor.LearnIdle))
	}},
	{[]string{"runner.shutdown_timeout", "unregister.margin"}, func(c *Config) string {
		if c.Runner.ShutdownTimeout < c.Unregister.Margin {
			return ""
		}
		return fmt.Sprintf("must be shorter than unregister.margin (%s), or killed jobs are not reported; got %s", short(c.Unregister.Margin), short(c.Runner.ShutdownTimeout))
	}},
	{[]string{"unregister.kill_after", "runner.shutdown_timeout"}, func(c *Config) string {
		if c.Unregister.KillAfter < c.Runner.ShutdownTimeout {
			return ""
		}
		return fmt.Sprintf("must be shorter than runner.shutdown_timeout (%s), or killed jobs are not reported; got %s", short(c.Runner.ShutdownTimeout), short(c.Unregister.KillAfter))
	}},
	{[]string{"webhook.untagged", "webhook.groups", "group.name"}, func(c *Config) string {
		named := func(g fleet.JobGroup) bool { return g.Name == c.Webhook.Untagged }
		if c.Webhook.Untagged == "" || slices.ContainsFunc(c.JobGroups(), named) {
			return ""
		}
		return fmt.Sprintf("must be one of webhook.groups; got %q", c.Webhook.Untagged)
	}},
	{[]string{"webhook.tls_key", "webhook.tls_cert"}, func(c *Config) string {
		if (c.Webhook.TLSCert == "") == (c.Webhook.TLSKey == "") {
			return ""
		}
		return "webhook.tls_cert and webhook.tls_key: both, or none"
	}},
	{[]string{"unregister.reboot_timeout", "unregister.margin"}, func(c *Config) string {
		return longerThanMargin(c, c.Unregister.RebootTimeout)
	}},
	{[]string{"unregister.poweroff_timeout", "unregister.margin"}, func(c *Config) string {
		return longerThanMargin(c, c.Unregister.PowerOffTimeout)
	}},
}

func longerThanMargin(c *Config, bound time.Duration) string {
	if bound > c.Unregister.Margin {
		return ""
	}
	return fmt.Sprintf("must be longer than unregister.margin (%s), in which jobs are ended and reported; got %s", short(c.Unregister.Margin), short(bound))
}

func needsID(c *Config, runnerType string, id int64) string {
	if c.GitLab.Mode != fleet.ModeCreate || c.GitLab.RunnerType != runnerType || id > 0 {
		return ""
	}
	return fmt.Sprintf("required with gitlab.mode %q and gitlab.runner_type %q, and not set: the id as GitLab's own page shows it", fleet.ModeCreate, runnerType)
}

// notes lists keys that are set and do nothing in mode token, where the runner
// was made in GitLab.
func (l *Loaded) notes() Problems {
	if l.GitLab.Mode != fleet.ModeToken {
		return nil
	}
	var notes Problems
	for _, name := range []string{"gitlab.tags", "gitlab.run_untagged", "gitlab.locked", "gitlab.access_level", "gitlab.maximum_timeout", "gitlab.maintenance_note"} {
		if k, _ := findKey(name); k.isSet(&l.Config) {
			notes = append(notes, Problem{Key: name, Origin: l.origins[name], Text: `does nothing with gitlab.mode "token": set it on the runner in GitLab`})
		}
	}
	return notes
}
