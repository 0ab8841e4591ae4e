// Package demo shows a whole fleet on one machine: an emulated EC2 and GitLab, the
// webhook and instances that are real processes of this program under the packaged
// units, and real shell jobs in a burst, a lull and a second burst, with a spot
// interruption in between. It begins with no instance and ends with none.
//
// It guarantees that everything listens on loopback only, that no process or
// file of it is left when Run returns, and that its summary comes from the
// emulated services' own records, not from the instances' word.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/machine"
	"github.com/shoal-ci/shoal/internal/world"
)

// Options are how a demo is run. Progress must be set; for the rest the zero
// value has defaults.
type Options struct {
	Duration time.Duration // of the whole show; default DefaultDuration
	Slots    int           // jobs at once on an instance; default DefaultSlots
	Max      int           // the group's maximum; default DefaultMax
	// Keep is told what came of it, and has everything left running until ctx
	// ends; nil ends it at once.
	Keep     func(Summary)
	Progress io.Writer // where it is shown
	Live     bool      // Progress is a terminal: draw in place
	Colour   bool
	Width    func() int // of the terminal, in columns
}

// The defaults of Options.
const (
	DefaultDuration = 90 * time.Second
	DefaultSlots    = 2
	DefaultMax      = 6
	// MinDuration is the shortest show in which instances come and leave.
	MinDuration = 60 * time.Second
	// MaxDuration keeps what the demo's tokens and hooks allow.
	MaxDuration = 30 * time.Minute
)

const (
	groupName   = "demo"
	region      = "eu-central-1"
	runnerToken = "glrt-demo-0123456789abcd" //nolint:gosec // of an emulated GitLab that lives for two minutes
	// accessToken lets whoever talks to a kept demo ask its GitLab.
	accessToken = "glpat-demo-0123456789abcd" //nolint:gosec // of the same GitLab
	minimum     = 0
	// spotLead is how long ahead the demo's EC2 announces an interruption: two
	// minutes would be the whole show.
	spotLead = 20 * time.Second
	// overtime is how long after its time the show may take to settle.
	overtime = 25 * time.Second
	// tick is how often the picture is drawn and the end looked for.
	tick = 250 * time.Millisecond
	// pollHold is how long the demo's GitLab holds a runner's poll.
	pollHold = 3 * time.Second
)

// pace is the configuration of the demo's instances: the defaults' shape, at a
// pace at which a fleet's day fits into two minutes.
const pace = `
[monitor]
period = "1s"
saturated_period = "500ms"
idle_threshold = "8s"
unprotect_after = "3s"
hold_timeout = "15s"

[scale_up]
period = "1s"
blind_after = "3s"

[lifecycle_check]
period = "1s"

[unregister]
margin = "6s"
kill_after = "1s"
`

// Run shows a fleet and returns what came of it. An error means that the show
// could not be given, not that a promise was broken: that is in the summary.
// When ctx ends everything is cleaned up and ctx's error is returned.
func Run(ctx context.Context, o Options) (Summary, error) {
	o = o.withDefaults()
	show, err := open(o)
	if err != nil {
		return Summary{}, err
	}
	defer show.close()
	return show.run(ctx)
}

func (o Options) withDefaults() Options {
	if o.Duration == 0 {
		o.Duration = DefaultDuration
	}
	if o.Slots == 0 {
		o.Slots = DefaultSlots
	}
	if o.Max == 0 {
		o.Max = DefaultMax
	}
	if o.Width == nil {
		o.Width = func() int { return 120 }
	}
	return o
}

// show is a demo under way.
type show struct {
	Options
	dir      string
	cloud    *emulator.Cloud
	machines *machine.Machines
	screen   *screen
	events   chan struct{} // closed when the last event has been dealt with
	failed   chan error    // an instance could not be started
}

func open(o Options) (*show, error) {
	dir, err := os.MkdirTemp("", "shoal-demo-") // short: sockets' paths are bounded
	if err != nil {
		return nil, fmt.Errorf("make the demo's folder: %w", err)
	}
	cloud, err := emulator.Start(cloudOptions(o))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the emulated services: %w", err), os.RemoveAll(dir))
	}
	s := &show{Options: o, dir: dir, cloud: cloud, events: make(chan struct{}), failed: make(chan error, 1)}
	s.screen = &screen{out: o.Progress, live: o.Live, colour: o.Colour, width: o.Width, start: time.Now(), duration: o.Duration, slots: o.Slots}
	s.machines, err = machine.New(machine.Options{
		Dir: dir, Cloud: cloud, Region: region, Token: runnerToken, Slots: o.Slots,
		Config: pace, RunnerConfig: `shutdown_timeout = "4s"`, Runner: machine.FindRunner(), Line: s.screen.line,
	})
	if err != nil {
		close(s.events)
		s.close()
		return nil, err
	}
	go s.follow()
	return s, nil
}

func cloudOptions(o Options) emulator.Options {
	return emulator.Options{
		World: world.Options{
			Region: region, Rand: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)), //nolint:gosec // boot times
			Boot: 2 * time.Second, BootSpread: 0.25, React: 300 * time.Millisecond,
			HealthCheck: 2 * time.Second, Shutdown: 300 * time.Millisecond, SpotLead: spotLead,
		},
		Groups: []world.GroupSpec{{
			Name: groupName, Min: minimum, Max: o.Max, Desired: minimum,
			Hooks: []world.Hook{
				{Name: "launch", Transition: world.AtLaunch, HeartbeatTimeout: 30 * time.Second, DefaultResult: world.Abandon},
				{Name: "terminate", Transition: world.AtTermination, HeartbeatTimeout: 30 * time.Second, DefaultResult: world.Continue},
			},
		}},
		AccessTokens: []world.AccessToken{{Token: accessToken, Scopes: []string{world.ScopeAPI}}},
		Runners:      []world.NewRunner{{Type: world.TypeInstance, Description: "demo", RunUntagged: true, Token: runnerToken}},
		PollHold:     pollHold,
	}
}

// follow makes processes of what the world says of instances.
func (s *show) follow() {
	defer close(s.events)
	for e := range s.cloud.Events() {
		s.screen.event(e)
		switch e := e.(type) {
		case world.InstanceBooted:
			if err := s.machines.Boot(e.ID, e.Again); err != nil {
				select {
				case s.failed <- err:
				default: // one is enough
				}
			}
		case world.InstanceDead:
			s.machines.Kill(e.ID)
		case world.InstanceStopped:
			s.machines.Kill(e.ID)
		}
	}
}

// close ends everything, in the order in which nothing new can come up.
func (s *show) close() {
	s.cloud.Close()
	<-s.events
	if s.machines != nil {
		s.machines.KillAll()
	}
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintf(s.Progress, "demo: %v\n", err)
	}
}

func (s *show) run(ctx context.Context) (Summary, error) {
	if err := s.startWebhook(ctx); err != nil {
		return Summary{}, err
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	s.say()
	script := newScript(s)
	for {
		select {
		case <-ctx.Done():
			return Summary{}, ctx.Err()
		case err := <-s.failed:
			return Summary{}, err
		case <-ticker.C:
		}
		records := s.cloud.Records()
		s.screen.draw(records)
		script.act(records)
		if over, why := script.over(records); over {
			summary := judge(records)
			summary.Unfinished = append(summary.Unfinished, why...)
			s.screen.announce("over")
			s.screen.draw(records)
			return summary, s.keep(ctx, summary)
		}
	}
}

// say tells what is shown.
func (s *show) say() {
	runner := "the built-in stand-in for gitlab-runner"
	if real := machine.FindRunner(); real != "" {
		runner = real
	}
	s.screen.announce("a group of %d to %d instances with %d slots each, with %s; GitLab tells the webhook of jobs", minimum, s.Max, s.Slots, runner)
}

// keep leaves everything running until the user has seen enough.
func (s *show) keep(ctx context.Context, summary Summary) error {
	if s.Keep == nil {
		return nil
	}
	s.Keep(summary)
	fmt.Fprintf(s.Progress, "\nStill running, until Ctrl-C. Other programs talk to it with:\n\n%s\n", s.variables())
	select {
	case <-ctx.Done():
		return nil // asked for: this is how a kept demo ends
	case err := <-s.failed:
		return err
	}
}
