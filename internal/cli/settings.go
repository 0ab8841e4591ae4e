package cli

import (
	"math/rand/v2"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// What the configuration says, in the words of each machine. The seed is drawn
// here: instances that fail together must not try again together.

func initSettings(c config.Config) life.InitSettings {
	return life.InitSettings{
		Mode:       c.GitLab.Mode,
		URL:        c.GitLab.URL,
		Token:      c.GitLab.Token.String(),
		Runner:     newRunner(c.GitLab),
		Group:      c.Group.Name,
		LaunchHook: c.Group.LaunchHook,
		Timeout:    c.Init.Timeout,
		Patience:   c.Init.Patience,
		Seed:       rand.Uint64(), //nolint:gosec // jitter, no secret
	}
}

// newRunner leaves the description to init, which alone knows the instance.
func newRunner(g config.GitLab) fleet.NewRunner {
	return fleet.NewRunner{
		Type:            g.RunnerType,
		GroupID:         g.GroupID,
		ProjectID:       g.ProjectID,
		Tags:            g.Tags,
		RunUntagged:     g.RunUntagged,
		Locked:          g.Locked,
		AccessLevel:     g.AccessLevel,
		MaximumTimeout:  g.MaximumTimeout,
		MaintenanceNote: g.MaintenanceNote,
	}
}

func monitorSettings(c config.Config) life.MonitorSettings {
	return life.MonitorSettings{
		Group:           c.Group.Name,
		Mode:            c.GitLab.Mode,
		Period:          c.Monitor.Period,
		SaturatedPeriod: min(c.Monitor.SaturatedPeriod, c.Monitor.Period),
		IdleThreshold:   c.Monitor.IdleThreshold,
		LearnIdle:       c.Monitor.LearnIdle,
		UnprotectAfter:  c.Monitor.UnprotectAfter,
		HoldTimeout:     c.Monitor.HoldTimeout,
		UnhealthyAfter:  c.Monitor.UnhealthyAfter,
		Spares:          spareSettings(c),
		Seed:            rand.Uint64(), //nolint:gosec // jitter, no secret
	}
}

func scaleUpSettings(c config.Config) life.ScaleUpSettings {
	return life.ScaleUpSettings{
		Group:      c.Group.Name,
		Period:     c.ScaleUp.Period,
		BlindAfter: c.ScaleUp.BlindAfter,
		Grace:      c.ScaleUp.WebhookGrace,
		Spares:     spareSettings(c),
		Seed:       rand.Uint64(), //nolint:gosec // jitter, no secret
	}
}

func spareSettings(c config.Config) life.SpareSettings {
	return life.SpareSettings{Slots: c.Spares.Schedule(), Hold: c.Spares.Hold}
}

func lifecycleCheckSettings(c config.Config) life.LifecycleCheckSettings {
	return life.LifecycleCheckSettings{
		Group:              c.Group.Name,
		Period:             c.LifecycleCheck.Period,
		LeaveOnRebalance:   c.LifecycleCheck.OnRebalance == config.Leave,
		LeaveOnMaintenance: c.LifecycleCheck.OnMaintenance == config.Leave,
		UnhealthyAfter:     c.Monitor.UnhealthyAfter,
		Seed:               rand.Uint64(), //nolint:gosec // jitter, no secret
	}
}

func unregisterSettings(c config.Config) life.UnregisterSettings {
	return life.UnregisterSettings{
		Group:           c.Group.Name,
		TerminateHook:   c.Group.TerminateHook,
		Margin:          c.Unregister.Margin,
		HoldTimeout:     c.Unregister.HoldTimeout,
		KillAfter:       c.Unregister.KillAfter,
		GitLabTimeout:   c.Unregister.GitLabTimeout,
		RebootTimeout:   c.Unregister.RebootTimeout,
		PowerOffTimeout: c.Unregister.PowerOffTimeout,
		Seed:            rand.Uint64(), //nolint:gosec // jitter, no secret
	}
}
