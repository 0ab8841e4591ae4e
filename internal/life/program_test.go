package life_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// The settings of every test, as the configuration's defaults have them.
var (
	initSettings = life.InitSettings{
		Mode: fleet.ModeCreate, URL: "https://gitlab.example", Token: "ssm:/shoal/token", Runner: fleet.NewRunner{Type: "group_type", GroupID: 7, Tags: []string{"ci"}},
		Timeout: 5 * time.Minute, Patience: 10 * time.Minute, Seed: 1,
	}
	monitorSettings = life.MonitorSettings{
		Mode: fleet.ModeCreate, Period: 10 * time.Second, SaturatedPeriod: 3 * time.Second, IdleThreshold: 180 * time.Second,
		UnprotectAfter: 60 * time.Second, HoldTimeout: 60 * time.Second, UnhealthyAfter: 15 * time.Minute, Seed: 2,
	}
	scaleUpSettings    = life.ScaleUpSettings{Period: 5 * time.Second, BlindAfter: 10 * time.Second, Seed: 3}
	checkSettings      = life.LifecycleCheckSettings{Period: 5 * time.Second, UnhealthyAfter: 15 * time.Minute, Seed: 4}
	unregisterSettings = life.UnregisterSettings{
		Margin: 15 * time.Second, HoldTimeout: 60 * time.Second, KillAfter: 3 * time.Second, GitLabTimeout: 5 * time.Minute,
		RebootTimeout: 25 * time.Minute, PowerOffTimeout: 100 * time.Second, Seed: 5,
	}
)

// verbs are the machines' names by their units.
var verbs = map[string]string{
	life.UnitInit: "init", life.UnitMonitor: "monitor", life.UnitScaleUp: "scale-up",
	life.UnitLifecycleCheck: "lifecycle-check", life.UnitUnregister: "unregister",
	shutdownStops: "shutdown",
}

// settings are what the machines of a site are made with; a test may replace
// them before it starts a unit.
type settings struct {
	init       life.InitSettings
	monitor    life.MonitorSettings
	scaleUp    life.ScaleUpSettings
	check      life.LifecycleCheckSettings
	unregister life.UnregisterSettings
}

var defaults = settings{initSettings, monitorSettings, scaleUpSettings, checkSettings, unregisterSettings}

// program is one verb at work: a machine and the action that it waits for.
type program struct {
	unit    string
	set     *settings
	step    stepper
	gen     int // timers of an earlier process do nothing
	action  life.Action
	stopped bool // systemctl stop: no restart
	asleep  bool
	asked   bool // to stop: the machine is told after each event
}

// stepper hides the machine's type.
type stepper func(e life.Event, now time.Time) []life.Action

// fault is one thing that goes wrong at the n-th action of a verb.
type fault struct {
	verb    string
	n       int // from 1, counted over restarts
	kill    bool
	effect  bool // it takes place all the same
	failure *fleet.Failure
	times   int // failures in a row; 0 is one
	hit     bool
}

func (f fault) String() string {
	what := "fails: "
	if f.kill {
		what = "kill"
	} else if f.failure != nil {
		what += string(f.failure.Kind)
	}
	return fmt.Sprintf("%s action %d: %s, effect %v", f.verb, f.n, what, f.effect)
}

// latency is what an action takes.
const latency = 5 * time.Millisecond

// start starts a unit; one that runs is left alone.
func (s *site) start(unit string) *program { return s.startWith(unit, defaults) }

func (s *site) startWith(unit string, set settings) *program {
	if _, broken := s.broken[unit]; broken {
		return s.units[unit]
	}
	if s.refuses(unit) {
		return s.units[unit]
	}
	if p := s.units[unit]; p != nil {
		if p.step == nil && !s.dead {
			p.stopped = false
			s.boot(p)
		}
		return p
	}
	p := &program{unit: unit, set: &set}
	s.units[unit] = p
	s.boot(p)
	return p
}

func (s *site) running(unit string) bool { p := s.units[unit]; return p != nil && p.step != nil }

// stop is systemctl stop: SIGTERM, which the machine is told.
func (s *site) stop(unit string) {
	p := s.units[unit]
	if p == nil || p.step == nil {
		return
	}
	p.stopped, p.asked = true, true
	if p.asleep { // else what is under way is finished first
		s.feed(p, life.Woke{})
	}
}

func (s *site) boot(p *program) {
	p.asked = false
	switch p.unit {
	case life.UnitInit:
		p.step = drive(s, life.NewInit(p.set.init))
	case life.UnitMonitor:
		p.step = drive(s, life.NewMonitor(p.set.monitor))
	case life.UnitScaleUp:
		p.step = drive(s, life.NewScaleUp(p.set.scaleUp))
	case life.UnitLifecycleCheck:
		p.step = drive(s, life.NewLifecycleCheck(p.set.check))
	case life.UnitUnregister:
		p.step = drive(s, life.NewUnregister(p.set.unregister))
	case shutdownStops:
		set := p.set.unregister
		set.Shutdown = true
		p.step = drive(s, life.NewUnregister(set))
	}
	s.feed(p, life.Started{})
}

// kill is SIGKILL; systemd starts the unit again.
func (s *site) kill(p *program) {
	p.gen++
	p.step = nil
	s.restart(p, time.Second)
}

func (s *site) restart(p *program, after time.Duration) {
	gen := p.gen
	stops := p.unit == shutdownStops
	if stops {
		s.due++
	}
	s.after(after, func() {
		if stops {
			s.due--
		}
		if gen == p.gen && p.step == nil && !p.stopped && !s.refuses(p.unit) {
			s.boot(p)
		}
	})
}

// feed tells a machine an event and schedules what it wants.
func (s *site) feed(p *program, e life.Event) {
	p.gen++
	gen := p.gen
	actions := p.step(e, s.now)
	s.hear(actions)
	if _, exit := actions[len(actions)-1].(life.Exit); p.asked && !exit {
		actions = p.step(life.Interrupted{}, s.now)
		s.hear(actions)
	}
	_, p.asleep = actions[len(actions)-1].(life.Sleep)
	switch a := actions[len(actions)-1].(type) {
	case life.Exit:
		s.exited(p, a)
	case life.Sleep:
		s.at(a.Until, func() {
			if gen == p.gen {
				s.feed(p, life.Woke{})
			}
		})
	default:
		p.action = a
		s.after(latency, func() {
			if gen == p.gen {
				s.perform(p)
			}
		})
	}
}

func (s *site) hear(actions []life.Action) {
	for _, a := range actions[:len(actions)-1] {
		s.said = append(s.said, a.(life.Say))
	}
}

// exited does what the unit files say.
func (s *site) exited(p *program, x life.Exit) {
	p.gen++
	p.step = nil
	s.exits = append(s.exits, fmt.Sprint(verbs[p.unit], " ", int(x.Code)))
	switch {
	case p.unit == shutdownStops: // not run again
	case p.unit == life.UnitLifecycleCheck && x.Code == life.Done:
		s.start(life.UnitUnregister) // OnSuccess=
	case x.Code == life.Failed || x.Code == life.TryAgain:
		s.restart(p, 5*time.Second)
	}
}

// faultAt is what goes wrong with the action at hand, nil for nothing.
func (s *site) faultAt(verb string) *fault {
	if s.chaos != nil {
		return s.chaos()
	}
	f := s.fault
	if f == nil || f.verb != verb || s.n[verb] < f.n || s.n[verb] > f.n+max(f.times-1, 0) || f.kill && f.hit {
		return nil
	}
	return f
}

// perform carries the action out that a machine waits for, or what the fault
// makes of it.
func (s *site) perform(p *program) {
	verb, a := verbs[p.unit], p.action
	s.n[verb]++
	if f := s.faultAt(verb); f != nil {
		f.hit = true
		if f.effect {
			_, _ = s.do(verb, a)
		}
		if s.dead {
			return
		}
		if f.kill {
			s.kill(p)
			return
		}
		s.feed(p, life.Result{Action: a, Failure: f.failure})
		return
	}
	if s.fail != nil {
		if f := s.fail(a); f != nil {
			s.feed(p, life.Result{Action: a, Failure: f})
			return
		}
	}
	v, failure := s.do(verb, a)
	if s.dead {
		return
	}
	if failure != nil {
		v = nil
	}
	s.feed(p, life.Result{Action: a, Value: v, Failure: failure})
}

var secrets = regexp.MustCompile(`glpat-|glrt-`)

// drive wraps a machine so that each step is checked: it gives the same for the
// same, leaves the state that it was given alone, ends with one thing to do, and
// shows no token.
func drive[S life.Machine[S]](s *site, m S) stepper {
	steps := 0
	return func(e life.Event, now time.Time) []life.Action {
		steps++
		if (!s.thorough || steps > 60) && steps%61 != 0 { // printing a state costs a hundred times what a step does
			next, actions := m.Step(e, now)
			m = next
			return actions
		}
		before := fmt.Sprintf("%#v", m)
		first, actions := m.Step(e, now)
		after := fmt.Sprintf("%#v", first)
		second, again := m.Step(e, now)
		switch {
		case !reflect.DeepEqual(actions, again) || !reflect.DeepEqual(first, second):
			s.never("%T: one event, two answers: %+v and %+v", m, actions, again)
		case fmt.Sprintf("%#v", m) != before || fmt.Sprintf("%#v", first) != after:
			s.never("%T: a step changed the state that it was given", m)
		}
		s.checkShape(actions)
		m = first
		text := fmt.Sprintf("%v %+v %#v %+v", actions, actions, actions, m)
		data, err := json.Marshal(actions)
		if err != nil || secrets.MatchString(text) || secrets.Match(data) {
			s.never("%T shows a token (%v): %s %s", m, err, text, data)
		}
		return actions
	}
}

// checkShape holds what Machine promises.
func (s *site) checkShape(actions []life.Action) {
	for i, a := range actions {
		if _, say := a.(life.Say); say == (i == len(actions)-1) {
			s.never("a step must end with the one thing to do: %+v", actions)
		}
	}
	if len(actions) == 0 {
		s.t.Fatal("a step gave nothing to do")
	}
}
