package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestMonitorLateLookIsNoIdleSpell: a reading that hangs for as long as three
// periods and finds the job ended says nothing of when it ended, so not much of
// the time counts towards clearing the protection.
func TestMonitorLateLookIsNoIdleSpell(t *testing.T) {
	set := life.MonitorSettings{Group: "ci", Mode: fleet.ModeToken, Period: 10 * time.Second, SaturatedPeriod: 10 * time.Second, IdleThreshold: time.Hour, UnprotectAfter: time.Minute}
	m := life.NewMonitor(set)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ends := now.Add(48 * time.Second) // the look that begins at :30 lasts until :50
	flags := fleet.Flags{Registered: true, Protected: true}
	var e life.Event = life.Started{}
	for range 1000 {
		var actions []life.Action
		m, actions = m.Step(e, now)
		switch a := actions[len(actions)-1].(type) {
		case life.Sleep:
			now, e = a.Until, life.Woke{}
		case life.ReadFlags:
			e = life.Result{Action: a, Value: flags}
		case life.ReadWhoami:
			e = life.Result{Action: a, Value: &life.Whoami{Identity: fleet.Identity{InstanceID: "i-self"}, Group: "ci"}}
		case life.ScrapeMetrics:
			if now.Second() == 30 && now.Before(ends) {
				now = now.Add(20 * time.Second)
			}
			busy := 0
			if now.Before(ends) {
				busy = 1
			}
			e = life.Result{Action: a, Value: fleet.Observation{At: now, Concurrent: 2, StartedAt: 1, Runners: []fleet.RunnerReading{{Name: "a", Running: busy, JobsTotal: 1}}}}
		case life.SetProtection:
			e = life.Result{Action: a}
			if a.Protected {
				continue
			}
			if idle := now.Sub(ends); idle < 50*time.Second || idle > 70*time.Second {
				t.Errorf("cleared %s after the job, want a minute, a period more or less", idle)
			}
			return
		default:
			e = life.Result{Action: a}
		}
	}
	t.Fatal("never cleared")
}
