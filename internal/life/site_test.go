package life_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// site is one instance with everything around it: its group and hooks, the
// metadata, GitLab, the runner, files and units, on a clock of its own. It is a
// model, deterministic and small: what each action does is in do, what happens
// by itself is a timer.
type site struct {
	t      testing.TB
	now    time.Time
	timers []timer
	seq    int

	group      fleet.Group // self is the member i-self
	hooks      []fleet.Hook
	launch     wait
	end        wait
	endDelay   time.Duration // from the group's decision to the hook's wait
	lingers    time.Duration // from the end of the hook to that of the machine
	target     fleet.LifecycleState
	spot       *fleet.SpotAction
	rebalance  bool
	upkeep     []fleet.MaintenanceEvent
	activities []fleet.Activity
	suspended  bool // the group does not act on an Unhealthy report
	dead       bool
	down       fleet.Shutdown // the machine is going down
	soft       bool           // a soft-reboot: /run stays
	boots      int            // after the first
	due        int            // of what units run when they are stopped: killed, and run again
	completed  []string       // hook and result, each completion that ended a wait
	replaced   int            // terminations of self that start a replacement

	gitlab gitlab
	secret string // what the reference resolves to

	files files
	proc  process
	units map[string]*program
	// unitStates is what systemctl says of units, where it is not what runs.
	unitStates map[string]string
	// broken are units that die at each start, and how systemd words that.
	broken map[string]fleet.UnitState

	fail  func(a life.Action) *fleet.Failure // an outage: asked before each action
	fault *fault                             // one thing that goes wrong
	chaos func() *fault                      // instead: many
	n     map[string]int                     // actions so far, by verb

	calls map[string]int // to aws, gitlab, metadata
	done  []string       // every effect, for people and for counting
	said  []life.Say
	exits []string // verb and code
	wrong []string // what must never happen

	thorough bool // each step is done twice and looked at
}

type timer struct {
	at  time.Time
	seq int
	do  func()
}

// wait is a lifecycle action.
type wait struct {
	open         bool
	since, until time.Time
}

type files struct {
	flags        fleet.Flags
	whoami       *life.Whoami
	seen         *life.Seen
	before       *life.Before
	registration *fleet.Registration
}

type gitlab struct {
	runners map[int64]*glRunner
	next    int64
	auth    string // the token that may create
	mayList bool
	down    *fleet.Failure
}

type glRunner struct {
	token       string
	description string
	managers    map[string]bool
}

// latest is the last site of each test: a loop that fails shows that one.
var latest = map[string]*site{}

// made counts the sites of each test.
var made = map[string]int{}

const self = "i-self"

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newSite is an instance just launched: Pending:Wait, its launch hook waiting,
// in a group of min 0, max 10, with one other idle instance.
func newSite(t testing.TB) *site {
	s := &site{
		t: t, now: epoch, units: map[string]*program{}, unitStates: map[string]string{}, broken: map[string]fleet.UnitState{}, n: map[string]int{}, calls: map[string]int{},
		target: fleet.InService, secret: "glpat-the-operators-secret",
		group: fleet.Group{
			Name: "ci", Max: 10, Desired: 1, TemplateVersion: "1",
			Instances: []fleet.Instance{{ID: self, AvailabilityZone: "a", State: fleet.PendingWait, Healthy: true, TemplateVersion: "1"}},
		},
		hooks: []fleet.Hook{
			{Name: "start", Transition: fleet.AtLaunch, HeartbeatTimeout: 5 * time.Minute, GlobalTimeout: 100 * 5 * time.Minute, DefaultResult: fleet.Abandon},
			{Name: "stop", Transition: fleet.AtTermination, HeartbeatTimeout: 5 * time.Minute, GlobalTimeout: 100 * 5 * time.Minute, DefaultResult: fleet.Continue},
		},
		gitlab: gitlab{runners: map[int64]*glRunner{}, next: 1, auth: "glpat-the-operators-secret", mayList: true},
	}
	s.proc = process{s: s, sections: 1, slots: 2, longPoll: 5 * time.Second, state: "inactive"}
	s.openHook(&s.launch, fleet.AtLaunch)
	latest[t.Name()] = s
	made[t.Name()]++
	s.thorough = made[t.Name()]%(9*stride) == 1
	t.Cleanup(s.report)
	return s
}

// inService is an instance that init has brought up: mode create, runner
// polling, hook completed.
func inService(t testing.TB) *site {
	s := newSite(t)
	s.start(life.UnitInit)
	s.runUntil(time.Minute, func() bool { return len(s.exits) > 0 })
	s.mustExit(life.UnitInit, life.Done)
	s.forget()
	return s
}

// forget drops the records of what was done so far.
func (s *site) forget() {
	s.done, s.said, s.exits, s.completed = nil, nil, nil, nil
	clear(s.calls)
	clear(s.n)
}

// report says what must never happen, and how it came to that.
func (s *site) report() {
	if len(s.wrong) > 0 {
		s.t.Errorf("%s", strings.Join(s.wrong, "\n"))
	}
	if s.t.Failed() && latest[s.t.Name()] == s {
		s.t.Logf("effects:\n%s\nexits: %v", strings.Join(s.done, "\n"), s.exits)
	}
}

func (s *site) never(format string, args ...any) {
	s.wrong = append(s.wrong, s.now.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// at does f at t; after does it d from now.
func (s *site) at(t time.Time, f func()) {
	s.seq++
	s.timers = append(s.timers, timer{t, s.seq, f})
}

func (s *site) after(d time.Duration, f func()) { s.at(s.now.Add(d), f) }

// run lets d pass.
func (s *site) run(d time.Duration) { s.runUntil(d, func() bool { return false }) }

// runUntil lets time pass until stop holds, at most d.
func (s *site) runUntil(d time.Duration, stop func() bool) {
	end := s.now.Add(d)
	for steps := 0; !stop() && len(s.timers) > 0; steps++ {
		if steps > 1_000_000 {
			s.t.Fatalf("no end at %s: a machine spins", s.now)
		}
		first := 0
		for i, t := range s.timers {
			if f := s.timers[first]; t.at.Before(f.at) || t.at.Equal(f.at) && t.seq < f.seq {
				first = i
			}
		}
		t := s.timers[first]
		if t.at.After(end) {
			break
		}
		s.timers = slices.Delete(s.timers, first, first+1)
		if t.at.After(s.now) {
			s.now = t.at
		}
		t.do()
	}
	if !stop() {
		s.now = end
	}
}

// me is this instance as the group shows it.
func (s *site) me() *fleet.Instance {
	for i := range s.group.Instances {
		if s.group.Instances[i].ID == self {
			return &s.group.Instances[i]
		}
	}
	return &fleet.Instance{}
}

func (s *site) hookOf(t fleet.Transition) (fleet.Hook, bool) {
	for _, h := range s.hooks {
		if h.Transition == t {
			return h, true
		}
	}
	return fleet.Hook{}, false
}

// openHook begins a wait, if there is a hook.
func (s *site) openHook(w *wait, t fleet.Transition) {
	h, ok := s.hookOf(t)
	if !ok {
		return
	}
	*w = wait{open: true, since: s.now}
	s.extend(w, h)
}

// extend starts the time-out afresh.
func (s *site) extend(w *wait, h fleet.Hook) {
	w.until = s.now.Add(h.HeartbeatTimeout)
	if most := w.since.Add(h.GlobalTimeout); w.until.After(most) {
		w.until = most
	}
	until := w.until
	s.at(until, func() {
		if w.open && w.until.Equal(until) {
			s.done = append(s.done, s.now.Format("15:04:05.000 ")+"(time-out of hook "+h.Name+")")
			s.endWait(h, w, h.DefaultResult)
		}
	})
}

// endWait is what the end of a wait does.
func (s *site) endWait(h fleet.Hook, w *wait, r fleet.HookResult) {
	w.open = false
	switch {
	case h.Transition == fleet.AtTermination && s.lingers > 0:
		s.after(s.lingers, s.die)
	case h.Transition == fleet.AtTermination:
		s.die()
	case r == fleet.Continue:
		s.me().State = fleet.InService
	default:
		s.leave(true)
	}
}

// leave is the group's decision that this instance goes.
func (s *site) leave(replace bool) {
	if s.me().State.IsLeaving() {
		return
	}
	if replace {
		s.replaced++
	}
	s.me().State, s.target, s.launch.open = fleet.TerminatingWait, fleet.Terminated, false
	s.after(s.endDelay, func() {
		s.openHook(&s.end, fleet.AtTermination)
		if !s.end.open {
			s.after(30*time.Second, s.die) // the machine shuts down
		}
	})
}

// scaleIn has the group choose this instance.
func (s *site) scaleIn() { s.group.Desired--; s.leave(false) }

// interrupt is EC2 taking the instance in d.
func (s *site) interrupt(d time.Duration) {
	s.spot = &fleet.SpotAction{Action: "terminate", Time: s.now.Add(d)}
	s.after(d, s.die)
}

// die ends the instance: whatever still runs on it is lost.
func (s *site) die() {
	if s.dead {
		return
	}
	s.dead = true
	s.me().State = fleet.Terminated
	for _, j := range s.proc.jobs {
		s.never("job %d lost: the instance is gone", j.id)
	}
	s.timers = nil
}

// breaks has a unit die at each start.
func (s *site) breaks(unit string, how fleet.UnitState) {
	s.broken[unit] = how
	if p := s.units[unit]; p != nil && p.step != nil {
		p.gen++
		p.step = nil
	}
}

// mends has it run again, as systemd's next restart does.
func (s *site) mends(unit string) {
	delete(s.broken, unit)
	s.start(unit)
}

// ghosts are the runners that GitLab lists with this instance's description.
func (s *site) ghosts() int {
	n := 0
	for _, r := range s.gitlab.runners {
		if r.description == "ci/"+self {
			n++
		}
	}
	return n
}

// count counts effects by their text.
func (s *site) count(part string) int {
	n := 0
	for _, d := range s.done {
		if strings.Contains(d, part) {
			n++
		}
	}
	return n
}

// saidAt counts the lines of one level that hold part, in the decision or the
// failure.
func (s *site) saidAt(l life.Level, part string) int {
	n := 0
	for _, y := range s.said {
		text := y.Decision.String()
		if y.Err != nil {
			text += ": " + y.Err.Error()
		}
		if y.Level == l && strings.Contains(text, part) {
			n++
		}
	}
	return n
}

func (s *site) mustExit(unit string, code life.ExitCode) {
	s.t.Helper()
	if want := fmt.Sprint(verbs[unit], " ", int(code)); len(s.exits) == 0 || s.exits[len(s.exits)-1] != want {
		s.t.Fatalf("exits %v, want %q last", s.exits, want)
	}
}

func temporary() *fleet.Failure { return &fleet.Failure{Op: "ask", Message: "connection refused"} }
func kind(k fleet.FailureKind) *fleet.Failure {
	return &fleet.Failure{Kind: k, Op: "ask", Message: "injected: " + string(k)}
}
