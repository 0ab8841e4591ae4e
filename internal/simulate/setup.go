package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/scaling"
	"github.com/shoal-ci/shoal/internal/world"
)

// setup is what kind of fleet a seed has: drawn once, before anything happens.
type setup struct {
	mode     fleet.Mode
	sections int
	slots    int
	mayList  bool // the token that makes runners may also list them

	low, high, desired int
	launchHook         time.Duration // heartbeat time-out; 0: no such hook
	endHook            time.Duration
	noTags             bool

	hold     time.Duration // of a poll by GitLab
	interval time.Duration // between two of a runner
	world    world.Options

	reap   reapSetup
	hook   *hookSetup // nil: no webhook runs beside it
	spares life.SpareSettings

	// What Live sets in place of what is drawn.
	traced  *traced
	monitor life.MonitorSettings
	scaleUp life.ScaleUpSettings
	grace   time.Duration // for which instances leave growth to the webhook; 0: it is theirs

	work    []work
	length  time.Duration // of the run
	quietAt time.Duration // no fault begins after this
}

// work is one job that somebody submits.
type work struct {
	at       time.Duration
	takes    time.Duration
	fails    bool // its script does
	stubborn bool // it ignores SIGTERM

	stage, task int // of a trace
}

// fewest is how many instances every fleet begins with, whatever its minimum is:
// a few are a fleet in which little meets.
const fewest = 20

const (
	groupName = "ci"
	gitlabURL = "https://gitlab.example"
	secretRef = "ssm:/shoal/token" //nolint:gosec // a reference, not a secret
)

// fleetOf draws the fleet of a seed.
func fleetOf(seed uint64) setup {
	d := &dice{state: mix(seed ^ 0xf1ee7)}
	s := setup{
		mode: pick(d, fleet.ModeToken, fleet.ModeCreate, fleet.ModeCreate), sections: pick(d, 1, 1, 1, 2), slots: d.from(1, 4), mayList: d.chance(0.6),
		launchHook: pick(d, 5*time.Minute, 10*time.Minute, 20*time.Minute, 0), endHook: pick(d, 30*time.Second, time.Minute, 2*time.Minute, 5*time.Minute),
		noTags: d.chance(0.2), hold: pick(d, 50*time.Second, 50*time.Second, 20*time.Second), interval: checkInterval,
		length: 4*time.Hour + d.span(0, 10*time.Minute),
	}
	s.low = pick(d, 1, 10, 16, 20, 22, 24)
	s.high = max(fewest+2, s.low) + d.from(1, 12)
	s.desired = d.from(max(fewest, s.low), s.high)
	s.quietAt = s.length - 70*time.Minute
	s.world = world.Options{
		Boot: d.span(20*time.Second, 90*time.Second), BootSpread: 0.15, HoldLag: pick(d, 0, 2*time.Second, 5*time.Second),
		React: d.span(time.Second, 8*time.Second), HealthCheck: d.span(20*time.Second, 90*time.Second),
		Shutdown:  pick(d, 0, 5*time.Second, 40*time.Second),
		Staleness: 0, // listings' age is a matter of the loop
		TwoPhase:  d.chance(0.5), JobTimeout: 3 * time.Hour,
	}
	s.drawWork(d)
	s.drawReap(seed)
	s.drawSpares(seed)
	return s
}

// drawSpares has one fleet in six hold slots ready, half of these by the clock.
func (s *setup) drawSpares(seed uint64) {
	d := &dice{state: mix(seed ^ 0x5ba7e)}
	if !d.chance(1.0 / 6) {
		return
	}
	s.spares.Slots = scaling.Schedule{{Slots: s.slots * d.from(1, 4)}}
	if d.chance(0.5) {
		hours, _ := scaling.ParsePeriod("* */2 * * *")
		s.spares.Slots = append(s.spares.Slots, scaling.Spares{Periods: []scaling.Period{hours}, Slots: s.slots * d.from(0, 2)})
	}
	s.spares.Hold = pick(d, 0, 10*time.Minute, 20*time.Minute)
}

// jobs is how many somebody submits, or may: a stage whose turn does not come has none.
func (s *setup) jobs() int {
	n := len(s.work)
	if s.hook != nil {
		for _, p := range s.hook.pipelines {
			for _, stage := range p.stages {
				n += len(stage)
			}
		}
	}
	return n
}

// sparesAt is how many idle instances are to stand ready.
func (s *setup) sparesAt(now time.Time) int { return (s.spares.Slots.At(now) + s.slots - 1) / s.slots }

// drawWork draws the jobs: a steady stream with bursts and lulls, short ones and
// some that last longer than a hook.
func (s *setup) drawWork(d *dice) {
	typical := pick(d, 30*time.Second, 2*time.Minute, 6*time.Minute)
	capacity := float64(s.slots*(s.low+s.high)/2) / typical.Seconds() // jobs a second that it can bear
	rate := capacity * pick(d, 0.3, 0.5, 0.8)
	end := s.quietAt + 15*time.Minute
	for at := 10 * time.Second; at < end; {
		factor := 1.0
		switch phase := (at / (10 * time.Minute)) % 6; {
		case phase == 2:
			factor = 3 // a burst
		case phase >= 4:
			factor = 0.1 // a lull
		}
		gap := time.Duration(float64(time.Second) / (rate * factor) * 2 * share(d.next()))
		at += min(max(gap, 20*time.Millisecond), 5*time.Minute)
		if len(s.work) >= 6000 {
			return
		}
		w := work{at: at, takes: max(time.Second, time.Duration(float64(typical)*2*share(d.next()))), fails: d.chance(0.05), stubborn: d.chance(0.05)}
		if d.chance(0.01) {
			w.takes = d.span(20*time.Minute, 70*time.Minute)
		}
		s.work = append(s.work, w)
	}
}

// The machines' settings are the configuration's defaults.

func (s *setup) initSettings(seed uint64) life.InitSettings {
	return life.InitSettings{
		Mode: s.mode, URL: gitlabURL, Token: secretRef, Runner: fleet.NewRunner{Type: "group_type", GroupID: 7, Tags: []string{"ci"}, RunUntagged: true},
		Timeout: 5 * time.Minute, Patience: 48 * time.Hour, Seed: seed,
	}
}

func (s *setup) monitorSettings(seed uint64) life.MonitorSettings {
	if s.traced != nil {
		set := s.monitor
		set.Seed = seed
		return set
	}
	return life.MonitorSettings{
		Mode: s.mode, Period: 10 * time.Second, SaturatedPeriod: 3 * time.Second, IdleThreshold: idleThreshold,
		UnprotectAfter: unprotectAfter, HoldTimeout: leaveTimeout, UnhealthyAfter: unhealthyAfter, Spares: s.spares, Seed: seed,
	}
}

func (s *setup) scaleUpSettings(seed uint64) life.ScaleUpSettings {
	if s.traced != nil {
		set := s.scaleUp
		set.Seed = seed
		return set
	}
	return life.ScaleUpSettings{Period: 3 * time.Second, BlindAfter: time.Minute, Spares: s.spares, Grace: s.grace, Seed: seed}
}

const unhealthyAfter = 15 * time.Minute

func (s *setup) unregisterSettings(seed uint64, shutdown bool) life.UnregisterSettings {
	return life.UnregisterSettings{
		Margin: margin, HoldTimeout: holdTimeout, KillAfter: killAfter, GitLabTimeout: 5 * time.Minute,
		RebootTimeout: rebootTimeout, PowerOffTimeout: powerOffTimeout, Shutdown: shutdown, Seed: seed,
	}
}

const (
	margin          = 15 * time.Second
	killAfter       = 3 * time.Second
	holdTimeout     = 60 * time.Second // of a drain
	leaveTimeout    = 2 * time.Minute  // for the polls of one that leaves
	unprotectAfter  = 60 * time.Second
	idleThreshold   = 180 * time.Second
	rebootTimeout   = 25 * time.Minute
	powerOffTimeout = 100 * time.Second
	shutdownTimeout = 8 * time.Second // what Shoal writes into config.toml
)

func (s *setup) hooks() []world.Hook {
	hooks := []world.Hook{{Name: "stop", Transition: world.AtTermination, HeartbeatTimeout: s.endHook, DefaultResult: world.Continue}}
	if s.launchHook > 0 {
		hooks = append(hooks, world.Hook{Name: "start", Transition: world.AtLaunch, HeartbeatTimeout: s.launchHook, DefaultResult: world.Abandon})
	}
	return hooks
}
