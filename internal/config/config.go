// Package config reads Shoal's one configuration: a TOML file, overridden key
// by key by variables of the environment, over built-in defaults.
//
// It guarantees that a Config it returns has been validated whole, that every
// problem of a bad one is told at once, each with its key, its place, what is
// allowed and what was got, and that no secret passes through: a token is
// configured by reference, and a token pasted in its place is refused without
// being shown. Whether a reference leads anywhere, or a file named here exists,
// is left to those who use it.
package config

import (
	"time"
	_ "time/tzdata" // a small image has no zones of its own, and spares.time_zone names one

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// DefaultPath is where the configuration is when nothing names another place.
const DefaultPath = "/etc/shoal/shoal.toml"

// Config is the configuration in force. The keys and their meaning stand in
// keys.go, each once.
type Config struct {
	GitLab         GitLab
	Group          Group
	Runner         Runner
	Init           Init
	Monitor        Monitor
	ScaleUp        ScaleUp
	Spares         Spares
	LifecycleCheck LifecycleCheck
	Unregister     Unregister
	Reap           Reap
	Webhook        Webhook
	Log            Log
}

// GitLab is the [gitlab] table: where runners register, and how.
type GitLab struct {
	URL             string
	Token           Secret
	Mode            fleet.Mode
	CAFile          string // PEM, added to the system's roots; empty for none
	RunnerType      string // instance_type, group_type or project_type
	GroupID         int64
	ProjectID       int64
	Tags            []string
	RunUntagged     bool
	Locked          bool
	AccessLevel     string        // empty leaves GitLab's default
	MaximumTimeout  time.Duration // 0 leaves GitLab's default
	MaintenanceNote string
}

// Group is the [group] table: what is found unless it is named.
type Group struct {
	Name          string
	LaunchHook    string
	TerminateHook string
}

// Runner is the [runner] table: gitlab-runner on this machine.
type Runner struct {
	Config          string // path of its config.toml
	Template        string // path of the operator's template
	ListenAddress   string // of its metrics, host:port
	ShutdownTimeout time.Duration
}

// Init is the [init] table.
type Init struct {
	Timeout  time.Duration
	Patience time.Duration
}

// Monitor is the [monitor] table.
type Monitor struct {
	Period          time.Duration
	SaturatedPeriod time.Duration
	IdleThreshold   time.Duration
	LearnIdle       time.Duration
	UnprotectAfter  time.Duration
	HoldTimeout     time.Duration
	UnhealthyAfter  time.Duration
}

// ScaleUp is the [scale_up] table.
type ScaleUp struct {
	Period       time.Duration
	BlindAfter   time.Duration
	WebhookGrace time.Duration
}

// Spares is the [spares] table: capacity that stands ready.
type Spares struct {
	Slots    []string // as scaling.ParseSpares reads them
	TimeZone string
	Hold     time.Duration
}

// Schedule is when how many slots stand ready. The keys' own checks have seen that
// everything parses.
func (s Spares) Schedule() scaling.Schedule {
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		return nil
	}
	list := make(scaling.Schedule, 0, len(s.Slots))
	for _, text := range s.Slots {
		if policy, err := scaling.ParseSpares(text, zone); err == nil {
			list = append(list, policy)
		}
	}
	return list
}

// LifecycleCheck is the [lifecycle_check] table.
type LifecycleCheck struct {
	Period        time.Duration
	OnRebalance   string // Ignore or Leave
	OnMaintenance string // Ignore or Leave
}

// What an instance does about a rebalance recommendation or a maintenance event.
const (
	Ignore = "ignore"
	Leave  = "leave"
)

// Unregister is the [unregister] table.
type Unregister struct {
	Margin          time.Duration
	HoldTimeout     time.Duration
	KillAfter       time.Duration
	GitLabTimeout   time.Duration
	RebootTimeout   time.Duration
	PowerOffTimeout time.Duration
}

// Reap is the [reap] table: what the reaper needs, which runs off the instances.
type Reap struct {
	Token  Secret // zero: gitlab.token, where that may do it
	Groups []string
}

// Webhook is the [webhook] table: what the webhook needs, which runs off the
// instances.
type Webhook struct {
	Listen   string
	Secrets  []string // references, as checkSecret takes them
	Groups   []string // as fleet.ParseJobGroup reads them; empty: Group.Name
	Untagged string
	Slots    int64
	Token    Secret // zero: GitLab is not asked
	TLSCert  string
	TLSKey   string

	Anticipate           bool
	AnticipateMost       int64 // per cent of the group's maximum
	AnticipateConfidence int64 // per cent
}

// JobGroups are the groups that jobs are matched with. The keys' own checks have seen
// that everything parses.
func (c Config) JobGroups() []fleet.JobGroup {
	list := c.Webhook.Groups
	if len(list) == 0 && c.Group.Name != "" {
		return []fleet.JobGroup{{Name: c.Group.Name, Any: true}}
	}
	groups := make([]fleet.JobGroup, 0, len(list))
	for _, text := range list {
		if g, err := fleet.ParseJobGroup(text); err == nil {
			groups = append(groups, g)
		}
	}
	return groups
}

// Log is the [log] table.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // auto, text or json
}

// Default is the configuration with nothing set: every default, and neither a
// URL nor a token.
func Default() Config {
	var c Config
	for _, k := range keys {
		k.reset(&c)
	}
	return c
}
