package life_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestInitGivesUp: what is for good is undone and the launch abandoned.
func TestInitGivesUp(t *testing.T) {
	denied := func(match string) func(life.Action) *fleet.Failure {
		return func(a life.Action) *fleet.Failure {
			if strings.Contains(fmt.Sprintf("%T", a), match) {
				return kind(fleet.Denied)
			}
			return nil
		}
	}
	for _, c := range []struct {
		name   string
		arm    func(*site)
		code   life.ExitCode
		unable bool
		within time.Duration
	}{
		{"the token is revoked", func(s *site) { s.gitlab.auth = "another" }, life.Refused, false, 11 * time.Minute},
		{"the token lacks the scope", func(s *site) { s.fail = denied("CreateRunner") }, life.Refused, false, 11 * time.Minute},
		{"the secret is denied", func(s *site) { s.fail = denied("ResolveSecret") }, life.Refused, false, 11 * time.Minute},
		{"the runner dies at its start", func(s *site) { s.proc.broken = true }, life.Failed, true, 6 * time.Minute},
		{"the runner serves no metrics", func(s *site) { s.proc.mute = true }, life.Failed, true, 6 * time.Minute},
		{"the template is broken", func(s *site) {
			s.fail = func(a life.Action) *fleet.Failure {
				if _, ok := a.(life.CountSections); ok {
					return kind(fleet.Invalid)
				}
				return nil
			}
		}, life.BadUsage, false, time.Minute},
		{"the disk is full", func(s *site) {
			s.fail = func(a life.Action) *fleet.Failure {
				if _, ok := a.(life.WriteRunnerConfig); ok {
					return kind(fleet.Local)
				}
				return nil
			}
		}, life.Failed, true, time.Minute},
		{"GitLab is away longer than the hook can be kept", func(s *site) { s.gitlab.down = temporary() }, life.TryAgain, false, 501 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.arm(s)
			s.start(life.UnitInit)
			s.runUntil(c.within, func() bool { return len(s.exits) > 0 })
			s.mustExit(life.UnitInit, c.code)
			if got := strings.Join(s.completed, ","); got != "start ABANDON" {
				t.Errorf("completed %q", got)
			}
			if s.ghosts() != 0 || s.files.registration != nil || s.proc.state != "inactive" || s.files.flags.Registered || s.files.flags.Unable != c.unable {
				t.Errorf("%d ghosts, registration %v, runner %s, flags %+v", s.ghosts(), s.files.registration, s.proc.state, s.files.flags)
			}
		})
	}
}

// TestUndoKilledAnywhere: an undoing that is killed is found again.
func TestUndoKilledAnywhere(t *testing.T) {
	for _, sections := range []int{1, 2} {
		for n := 8; ; n++ {
			hit := false
			for _, effect := range []bool{false, true} {
				s, set := inMode(t, fleet.ModeCreate, sections)
				s.proc.broken = true
				set.init.Timeout = 20 * time.Second
				s.fault = &fault{verb: "init", n: n, kill: true, effect: effect}
				s.startWith(life.UnitInit, set)
				s.runUntil(5*time.Minute, func() bool { return len(s.completed) > 0 && len(s.exits) > 0 })
				hit = hit || s.fault.hit
				if got := strings.Join(s.completed, ","); got != "start ABANDON" || s.ghosts() != 0 {
					t.Fatalf("%v: completed %q, %d ghosts", s.fault, got, s.ghosts())
				}
			}
			if !hit {
				break
			}
		}
	}
}

// TestUndoIsNotCutShort: asked to stop in the middle, it goes on to its end.
func TestUndoIsNotCutShort(t *testing.T) {
	for extra := range 6 {
		s := newSite(t)
		s.proc.broken = true
		s.start(life.UnitInit)
		s.runUntil(10*time.Minute, func() bool { return s.count("StopUnit") > 0 })
		s.run(time.Duration(extra) * latency)
		s.stop(life.UnitInit)
		s.run(time.Minute)
		if s.ghosts() != 0 || len(s.completed) != 1 {
			t.Errorf("%d ghosts, completed %v", s.ghosts(), s.completed)
		}
	}
}

// TestUndoLetsJobsEnd: a runner that polls but cannot be watched has taken a
// job; the launch is given up after it.
func TestUndoLetsJobsEnd(t *testing.T) {
	s := newSite(t)
	s.proc.mute = true
	s.start(life.UnitInit)
	s.after(time.Minute, func() { s.proc.arrive(30 * time.Minute) })
	s.runUntil(40*time.Minute, func() bool { return len(s.exits) > 0 })
	s.mustExit(life.UnitInit, life.Failed)
	if len(s.proc.finished) != 1 || s.ghosts() != 0 {
		t.Errorf("finished %v, %d ghosts", s.proc.finished, s.ghosts())
	}
}

// TestInitDiskFullAfterMaking: the only copy of the token is in memory; it is
// written as soon as there is room, and no second runner is made.
func TestInitDiskFullAfterMaking(t *testing.T) {
	s := newSite(t)
	full := false
	s.fail = func(a life.Action) *fleet.Failure {
		switch a.(type) {
		case life.CreateRunner:
			full = true
		case life.WriteRegistration:
			if full {
				return kind(fleet.Local)
			}
		}
		return nil
	}
	s.start(life.UnitInit)
	s.run(20 * time.Minute)
	if s.ghosts() != 1 || len(s.exits) != 0 || s.saidAt(life.Error, "cannot keep the registration") != 1 {
		t.Fatalf("%d runners, exits %v", s.ghosts(), s.exits)
	}
	s.fail = nil
	s.run(2 * time.Minute)
	s.mustExit(life.UnitInit, life.Done)
	checkUp(t, s, fleet.ModeCreate, 1)
}

// TestInitDiskStaysFull: before the hook's cap strikes the runner is deleted
// again, by the token in memory.
func TestInitDiskStaysFull(t *testing.T) {
	s := newSite(t)
	s.hooks[0].GlobalTimeout = 30 * time.Minute
	made := false
	s.fail = func(a life.Action) *fleet.Failure {
		switch a.(type) {
		case life.CreateRunner:
			made = true
		case life.WriteRegistration:
			if made {
				return kind(fleet.Local)
			}
		}
		return nil
	}
	s.start(life.UnitInit)
	s.runUntil(30*time.Minute, func() bool { return len(s.exits) > 0 })
	if s.ghosts() != 0 || len(s.completed) != 1 || s.completed[0] != "start ABANDON" {
		t.Errorf("%d runners, completed %v", s.ghosts(), s.completed)
	}
}

// TestInitLongRetryAfter: a GitLab that asks for a day's patience does not make
// init sleep past the end of its hook.
func TestInitLongRetryAfter(t *testing.T) {
	s := newSite(t)
	s.hooks[0].GlobalTimeout = 30 * time.Minute
	s.gitlab.down = &fleet.Failure{Kind: fleet.Throttled, Op: "create runner", RetryAfter: 24 * time.Hour}
	s.start(life.UnitInit)
	s.runUntil(30*time.Minute, func() bool { return len(s.exits) > 0 })
	s.mustExit(life.UnitInit, life.TryAgain)
	if len(s.completed) != 1 || s.completed[0] != "start ABANDON" || s.calls["gitlab"] > 8 {
		t.Errorf("completed %v, %d calls to GitLab", s.completed, s.calls["gitlab"])
	}
}
