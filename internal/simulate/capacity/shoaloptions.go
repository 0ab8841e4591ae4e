package capacity

import (
	"time"

	"github.com/shoal-ci/shoal/internal/scaling"
)

// shortestRead is the shortest time between two readings.
const shortestRead = 100 * time.Millisecond

var shoalOptions = []option{
	{"idle", "how long an instance is without a job before it leaves (--idle)", spanFrom(time.Second, func(p *shoal) *time.Duration { return &p.patience.Idle })},
	{"learn", "up to how long it may learn to stay (0s: it does not learn)", span(func(p *shoal) *time.Duration { return &p.patience.Most })},
	{"spares", "slots of idle instances to hold ready (0)", whole(func(p *shoal) *int { return &p.spares }, 0, 1_000_000)},
	{"spares_period", "when, in cron's words, as in * 8-18 * * mon-fri (always)", cron(func(p *shoal) *[]scaling.Period { return &p.sparePeriods })},
	{"spares_slots", "all of spares.slots, with a semicolon between its policies, as in 6; 0 * * * * sat,sun (as spares and spares_period say)", policies(func(p *shoal) *[]scaling.Spares { return &p.sparePlan })},
	{"spares_hold", "how long after its last job an idle one is held while none is busy (0s: for ever)", span(func(p *shoal) *time.Duration { return &p.spareHold })},
	{"period", "between two readings of the runner (10s)", spanFrom(shortestRead, func(p *shoal) *time.Duration { return &p.period })},
	{"saturated_period", "the same while jobs run, and a minute longer (3s)", spanFrom(shortestRead, func(p *shoal) *time.Duration { return &p.saturated })},
	{"gauge", "1: the runner tells how many jobs wait, as from 18.1 on; 0: it does not (1)", whole(func(p *shoal) *int { return &p.gauge }, 0, 1)},
	{"poll_hold", "up to how long GitLab holds a poll, which an instance that leaves lets end; 50s is GitLab's default, 0s goes with the polls of this model (0s)", span(func(p *shoal) *time.Duration { return &p.pollHold })},
	{"machines", "on: played by the daemons' own machines, step by step, which takes a hundred times as long; off: by their decisions alone (off)", onOff(func(p *shoal) *bool { return &p.machines })},
	{"blind_after", "how long an instance is full without news of the queue before it finds out (1m)", span(func(p *shoal) *time.Duration { return &p.growth.BlindAfter })},
	{"hook", "on: a webhook that GitLab tells of each job sees to the group's growth (off)", onOff(func(p *shoal) *bool { return &p.hook.on })},
	{"webhook_grace", "with hook=on, how long jobs had waited when an instance raises by itself all the same (2m)", spanFrom(time.Second, func(p *shoal) *time.Duration { return &p.hook.grace })},
	{"anticipate", "with hook=on, on: raise for stages, too, that probably begin within a launch (off)", onOff(func(p *shoal) *bool { return &p.hook.anticipate })},
	{"confidence", "with anticipate=on, how probable that has to be, from 0 to 1 (0.18)", shareTo(1, func(p *shoal) *float64 { return &p.hook.forecasts.Confidence })},
	{"ahead_most", "with anticipate=on, the share of the maximum that may be raised ahead (0.5)", shareTo(1, func(p *shoal) *float64 { return &p.hook.forecasts.Most })},
	{"ahead_waste", "with anticipate=on, how long slots may wait in vain, as a share of the time for which jobs run (0.03)", shareTo(1, func(p *shoal) *float64 { return &p.hook.forecasts.Waste })},
}

func newShoal() *shoal {
	return &shoal{
		period: 10 * time.Second, saturated: 3 * time.Second, unprotect: time.Minute, gauge: 1,
		growth: scaling.GrowthSettings{BlindAfter: time.Minute},
		hook:   newJobHook(),
	}
}
