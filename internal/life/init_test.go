package life_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// inMode prepares a site and settings for a mode of registration.
func inMode(t testing.TB, mode fleet.Mode, sections int) (*site, settings) {
	s, set := newSite(t), defaults
	set.init.Mode, s.proc.sections = mode, sections
	if mode == fleet.ModeToken {
		s.gitlab.runners[900] = &glRunner{token: "glrt-shared", description: "shared", managers: map[string]bool{}}
		s.secret = "glrt-shared"
	}
	return s, set
}

// registered counts what this instance has in GitLab: runners of its own, or
// its manager records of the shared one.
func registered(s *site, mode fleet.Mode) int {
	if mode == fleet.ModeToken {
		return len(s.gitlab.runners[900].managers)
	}
	return s.ghosts()
}

func wantRegistered(mode fleet.Mode, sections int) int {
	if mode == fleet.ModeToken {
		return 1
	}
	return sections
}

var modes = []fleet.Mode{fleet.ModeToken, fleet.ModeCreate, fleet.ModeLegacy}

func TestInitBringsARunnerUp(t *testing.T) {
	for _, mode := range modes {
		for _, sections := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d sections", mode, sections), func(t *testing.T) {
				s, set := inMode(t, mode, sections)
				s.startWith(life.UnitInit, set)
				s.run(time.Minute)
				s.mustExit(life.UnitInit, life.Done)
				checkUp(t, s, mode, sections)
			})
		}
	}
}

// checkUp is what init promises in the end.
func checkUp(t *testing.T, s *site, mode fleet.Mode, sections int) {
	t.Helper()
	if got, want := registered(s, mode), wantRegistered(mode, sections); got != want {
		t.Errorf("%d runners registered, want %d", got, want)
	}
	if got := strings.Join(s.completed, ","); got != "start CONTINUE" {
		t.Errorf("completed %q, want the launch hook once, with CONTINUE", got)
	}
	f := s.files.flags
	if !f.Registered || f.Warmed || f.Unable || s.proc.state != "active" || s.files.whoami == nil {
		t.Errorf("flags %+v, runner %s, whoami %v", f, s.proc.state, s.files.whoami)
	}
	if r := s.files.registration; r == nil || len(r.Runners) != wantRegistered(mode, sections) || !s.gitlab.knows(r.Runners[0].Token.Reveal()) {
		t.Errorf("registration on disk: %+v", r)
	}
}

// TestInitKilledAnywhere kills init before and after each of its actions. Run
// again, it ends as if nothing had been.
func TestInitKilledAnywhere(t *testing.T) {
	for _, mode := range modes {
		for _, sections := range []int{1, 3} {
			for n := 1; ; n += stride {
				hit := false
				for _, effect := range []bool{false, true} {
					s, set := inMode(t, mode, sections)
					s.fault = &fault{verb: "init", n: n, kill: true, effect: effect}
					s.startWith(life.UnitInit, set)
					s.run(2 * time.Minute)
					hit = hit || s.fault.hit
					s.mustExit(life.UnitInit, life.Done)
					if mode == fleet.ModeLegacy { // GitLab has no way to look for it
						if got := registered(s, mode); got < sections || got > sections+1 {
							t.Errorf("%v: %d runners", s.fault, got)
						}
						continue
					}
					checkUp(t, s, mode, sections)
					if t.Failed() {
						t.Fatal(mode, sections, s.fault)
					}
				}
				if !hit {
					break
				}
			}
		}
	}
}

// TestInitKilledTwice kills it at two of its actions.
func TestInitKilledTwice(t *testing.T) {
	for first := 1; first < 20; first++ {
		for second := first + 1; second < 34; second += stride {
			s, set := inMode(t, fleet.ModeCreate, 2)
			s.startWith(life.UnitInit, set)
			s.fault = &fault{verb: "init", n: first, kill: true, effect: true}
			s.runUntil(time.Minute, func() bool { return s.fault.hit })
			s.fault = &fault{verb: "init", n: second, kill: true, effect: second%2 == 0}
			s.run(2 * time.Minute)
			s.mustExit(life.UnitInit, life.Done)
			if checkUp(t, s, fleet.ModeCreate, 2); t.Failed() {
				t.Fatal("killed at", first, "and", second)
			}
		}
	}
}

// TestInitMayNotList: without permission to list at most one runner too many,
// and the reaper can find it.
func TestInitMayNotList(t *testing.T) {
	for n := 1; n < 24; n++ {
		s, set := inMode(t, fleet.ModeCreate, 1)
		s.gitlab.mayList = false
		s.fault = &fault{verb: "init", n: n, kill: true, effect: true}
		s.startWith(life.UnitInit, set)
		s.run(2 * time.Minute)
		s.mustExit(life.UnitInit, life.Done)
		if got := s.ghosts(); got < 1 || got > 2 || got != len(s.gitlab.runners) {
			t.Fatalf("%v: %d runners of ours of %d", s.fault, got, len(s.gitlab.runners))
		}
	}
}

// TestInitFailsAnywhere lets each action fail once, with or without its effect.
func TestInitFailsAnywhere(t *testing.T) {
	for _, mode := range []fleet.Mode{fleet.ModeToken, fleet.ModeCreate} {
		for _, f := range []*fleet.Failure{temporary(), {Kind: fleet.Throttled, Op: "ask", RetryAfter: 20 * time.Second}} {
			for n := 1; n < 30; n++ {
				for _, effect := range []bool{false, true} {
					if f.Kind == fleet.Throttled && effect {
						continue // a refusal has no effect
					}
					s, set := inMode(t, mode, 2)
					s.fault = &fault{verb: "init", n: n, failure: f, effect: effect}
					s.startWith(life.UnitInit, set)
					s.run(3 * time.Minute)
					if effect && s.count("completed") == 0 && len(s.completed) == 0 {
						t.Fatal(s.fault, "hook not completed")
					}
					s.mustExit(life.UnitInit, life.Done)
					if checkUp(t, s, mode, 2); t.Failed() {
						t.Fatal(mode, s.fault)
					}
				}
			}
		}
	}
}

func TestInitAgainKeepsTheRegistration(t *testing.T) {
	for _, mode := range modes {
		s, set := inMode(t, mode, 2)
		s.startWith(life.UnitInit, set)
		s.run(time.Minute)
		before := fmt.Sprint(s.files.registration.Runners[0].Token.Reveal())
		s.files.flags, s.files.whoami = fleet.Flags{}, nil // a reboot empties the run directory
		s.proc.crash()
		s.forget()
		s.start(life.UnitInit)
		s.run(time.Minute)
		s.mustExit(life.UnitInit, life.Done)
		if s.saidAt(life.Info, "keep the registration") != 1 || s.saidAt(life.Info, "registered runner") != 0 {
			t.Errorf("%s: said %v", mode, s.said)
		}
		if len(s.completed) != 0 || registered(s, mode) != wantRegistered(mode, 2) || s.files.registration.Runners[0].Token.Reveal() != before {
			t.Errorf("%s: completed %v, %d registered", mode, s.completed, registered(s, mode))
		}
	}
}

// TestInitRebootWithoutGitLab: what stands on disk is not given up for an
// outage.
func TestInitRebootWithoutGitLab(t *testing.T) {
	for _, mode := range []fleet.Mode{fleet.ModeToken, fleet.ModeCreate} {
		s, set := inMode(t, mode, 1)
		s.startWith(life.UnitInit, set)
		s.run(time.Minute)
		s.files.flags = fleet.Flags{}
		s.proc.crash()
		s.gitlab.down = temporary()
		s.start(life.UnitInit)
		s.run(time.Hour)
		if r := s.files.registration; r == nil || len(r.Runners) != 1 || registered(s, mode) != 1 {
			t.Fatalf("%s: registration %+v", mode, r)
		}
		s.gitlab.down = nil
		s.run(5 * time.Minute)
		s.mustExit(life.UnitInit, life.Done)
		if s.proc.state != "active" || registered(s, mode) != 1 || s.replaced > 0 {
			t.Errorf("%s: runner %s, %d registered, replaced %d", mode, s.proc.state, registered(s, mode), s.replaced)
		}
	}
}

func TestInitWaitsForTheOperator(t *testing.T) {
	s := newSite(t)
	s.secret = "glpat-wrong"
	s.start(life.UnitInit)
	s.run(5 * time.Minute)
	if len(s.exits) != 0 || s.saidAt(life.Error, "cannot register") != 1 {
		t.Fatalf("exits %v, said %d times", s.exits, s.saidAt(life.Error, "cannot register"))
	}
	s.secret = "glpat-the-operators-secret" // mended where it is kept
	s.run(time.Minute)
	s.mustExit(life.UnitInit, life.Done)
}

// TestInitWaitsForAHookThatItCannotSee: it did not wait yet when it was asked first,
// and then Auto Scaling could not be asked for a while.
func TestInitWaitsForAHookThatItCannotSee(t *testing.T) {
	s := newSite(t)
	s.secret = "glpat-wrong"
	s.launch.open = false
	s.after(5*time.Second, func() { s.openHook(&s.launch, fleet.AtLaunch) })
	s.fail = func(a life.Action) *fleet.Failure {
		if _, ok := a.(life.Heartbeat); ok && s.now.Sub(epoch) > 2*time.Second && s.now.Sub(epoch) < time.Minute {
			return kind(fleet.Throttled)
		}
		return nil
	}
	s.start(life.UnitInit)
	s.run(8 * time.Minute)
	if len(s.exits) != 0 || !s.launch.open {
		t.Fatalf("exits %v, the hook waits: %v", s.exits, s.launch.open)
	}
	s.secret = "glpat-the-operators-secret"
	s.run(2 * time.Minute)
	s.mustExit(life.UnitInit, life.Done)
}

// TestInitWaitsForGitLab: an hour without GitLab is no reason to give up, and is
// said once.
func TestInitWaitsForGitLab(t *testing.T) {
	s := newSite(t)
	s.gitlab.down = temporary()
	s.start(life.UnitInit)
	s.run(time.Hour)
	if n := s.saidAt(life.Warn, "") + s.saidAt(life.Error, ""); n != 1 || s.calls["gitlab"] > 250 {
		t.Errorf("%d lines, %d calls to GitLab", n, s.calls["gitlab"])
	}
	s.gitlab.down = nil
	s.run(time.Minute)
	s.mustExit(life.UnitInit, life.Done)
	checkUp(t, s, fleet.ModeCreate, 1)
}

// TestInitBacksOff: a GitLab whose list answers and whose creation fails is not
// asked twice a second.
func TestInitBacksOff(t *testing.T) {
	s := newSite(t)
	s.fail = func(a life.Action) *fleet.Failure {
		if _, ok := a.(life.CreateRunner); ok {
			return temporary()
		}
		return nil
	}
	s.start(life.UnitInit)
	s.run(time.Hour)
	if n := s.calls["gitlab"]; n > 400 {
		t.Errorf("%d calls in an hour", n)
	}
}

func TestInitHooks(t *testing.T) {
	for _, c := range []struct {
		name   string
		arm    func(*site, *settings)
		code   life.ExitCode
		done   string
		says   string
		at     life.Level
		ghosts int
	}{
		{"none", func(s *site, _ *settings) { s.hooks, s.launch = s.hooks[1:], wait{} }, life.Done, "", "has none", life.Warn, 1},
		{"two, none named", func(s *site, _ *settings) { s.hooks = append(s.hooks, second) }, life.BadUsage, "", `the group has 2: "start", "second"`, life.Error, 0},
		{"two, one named", func(s *site, c *settings) {
			s.hooks = append(s.hooks, second)
			c.init.LaunchHook = "start"
		}, life.Done, "start CONTINUE", "", life.Error, 1},
		{"one named that is not there", func(_ *site, c *settings) { c.init.LaunchHook = "begin" }, life.BadUsage, "", `["start"]`, life.Error, 0},
		{"may not be completed", func(s *site, _ *settings) {
			s.fail = func(a life.Action) *fleet.Failure {
				if c, ok := a.(life.CompleteHook); ok && c.Result == fleet.Continue {
					return kind(fleet.Denied)
				}
				return nil
			}
		}, life.Refused, "start ABANDON", "undo", life.Error, 0},
		{"may not be completed, continues by itself", func(s *site, _ *settings) {
			s.hooks[0].DefaultResult = fleet.Continue
			s.fail = func(a life.Action) *fleet.Failure {
				if _, ok := a.(life.CompleteHook); ok {
					return kind(fleet.Denied)
				}
				return nil
			}
		}, life.Refused, "", "will continue the launch", life.Error, 1},
		{"may not be extended", func(s *site, _ *settings) {
			s.fail = func(a life.Action) *fleet.Failure {
				if _, ok := a.(life.Heartbeat); ok {
					return kind(fleet.Denied)
				}
				return nil
			}
		}, life.Done, "start CONTINUE", "cannot extend", life.Error, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, set := newSite(t), defaults
			c.arm(s, &set)
			s.startWith(life.UnitInit, set)
			s.runUntil(4*time.Minute, func() bool { return len(s.exits) > 0 })
			s.mustExit(life.UnitInit, c.code)
			if got := strings.Join(s.completed, ","); got != c.done || s.ghosts() != c.ghosts {
				t.Errorf("completed %q, %d ghosts", got, s.ghosts())
			}
			if c.says != "" && s.saidAt(c.at, c.says) == 0 {
				t.Errorf("nothing said of %q: %+v", c.says, s.said)
			}
		})
	}
}

var second = fleet.Hook{Name: "second", Transition: fleet.AtLaunch, HeartbeatTimeout: time.Minute, GlobalTimeout: time.Hour}

// TestInitWarmPool: nothing is registered before the instance is wanted.
func TestInitWarmPool(t *testing.T) {
	s := newSite(t)
	s.target = "Warmed:Stopped"
	s.start(life.UnitInit)
	s.run(time.Minute)
	s.mustExit(life.UnitInit, life.Done)
	if s.ghosts() != 0 || !s.files.flags.Warmed || len(s.completed) != 1 || s.proc.starts != 0 {
		t.Fatalf("%d runners, flags %+v, completed %v", s.ghosts(), s.files.flags, s.completed)
	}
	s.me().State, s.target, s.launch = fleet.PendingWait, fleet.InService, wait{}
	s.openHook(&s.launch, fleet.AtLaunch)
	s.forget()
	s.start(life.UnitLifecycleCheck)
	s.run(time.Minute)
	s.mustExit(life.UnitInit, life.Done)
	checkUp(t, s, fleet.ModeCreate, 1)
	if n := s.count("StartUnit {Unit:runner-init"); n != 1 {
		t.Errorf("init started %d times", n)
	}
}

func TestInitLeavesWhatIsToGoAlone(t *testing.T) {
	s := newSite(t)
	s.target = fleet.Terminated
	s.start(life.UnitInit)
	s.run(time.Minute)
	s.mustExit(life.UnitInit, life.Done)
	if s.ghosts() != 0 {
		t.Error("registered a runner on an instance that is to go")
	}
	for kind, want := range map[fleet.NoticeKind]int{fleet.NoticeScaleIn: 0, fleet.NoticeOperator: 1} {
		s := newSite(t)
		s.files.flags.Notice = &fleet.Notice{Kind: kind, SeenAt: s.now}
		s.start(life.UnitInit)
		s.run(time.Minute)
		s.mustExit(life.UnitInit, life.Done)
		if s.ghosts() != want {
			t.Errorf("notice %s: %d runners, want %d", kind, s.ghosts(), want)
		}
	}
}

func TestInitIdentityUnknown(t *testing.T) {
	for k, want := range map[fleet.FailureKind]life.ExitCode{fleet.Temporary: life.TryAgain, fleet.Denied: life.Refused, fleet.NotFound: life.Refused} {
		s := newSite(t)
		s.fail = func(a life.Action) *fleet.Failure {
			switch a.(type) {
			case life.ReadIdentity, life.DescribeHooks:
				return kind(k)
			}
			return nil
		}
		s.start(life.UnitInit)
		s.runUntil(4*time.Minute+30*time.Second, func() bool { return len(s.exits) > 0 })
		if k == fleet.Temporary && len(s.exits) != 0 {
			t.Fatal("gave up early")
		}
		s.launch.open = false
		s.runUntil(2*time.Minute, func() bool { return len(s.exits) > 0 })
		s.mustExit(life.UnitInit, want)
	}
}

// TestInitOfAnotherInstance: a registration baked into an image is neither used
// nor deleted.
func TestInitOfAnotherInstance(t *testing.T) {
	s := newSite(t)
	other := s.gitlab.add("ci/i-other")
	s.files.registration = &fleet.Registration{Mode: fleet.ModeCreate, URL: "https://gitlab.example", Description: "ci/i-other", SystemID: life.SystemID("i-other"), Runners: []fleet.RegisteredRunner{other}}
	s.start(life.UnitInit)
	s.run(time.Minute)
	s.mustExit(life.UnitInit, life.Done)
	checkUp(t, s, fleet.ModeCreate, 1)
	if s.gitlab.runners[other.ID] == nil || s.files.registration.Runners[0].ID == other.ID {
		t.Error("took the other instance's runner")
	}
}

// TestInitRunnerDeletedMeanwhile registers anew what GitLab has lost, and adopts
// what only has another token.
func TestInitRunnerDeletedMeanwhile(t *testing.T) {
	for _, rotated := range []bool{false, true} {
		s, set := inMode(t, fleet.ModeCreate, 2)
		s.startWith(life.UnitInit, set)
		s.run(time.Minute)
		if rotated {
			s.gitlab.runners[1].token = "glrt-rotated"
		} else {
			delete(s.gitlab.runners, 1)
		}
		s.proc.crash()
		s.start(life.UnitInit)
		s.run(time.Minute)
		s.mustExit(life.UnitInit, life.Done)
		if s.ghosts() != 2 || len(s.files.registration.Runners) != 2 {
			t.Errorf("rotated %v: %d runners, registration %+v", rotated, s.ghosts(), s.files.registration)
		}
	}
}

// TestInitSavesWhatItHasMade: asked to stop while a runner is being made, its
// token is on disk before the exit.
func TestInitSavesWhatItHasMade(t *testing.T) {
	s := newSite(t)
	s.start(life.UnitInit)
	s.runUntil(time.Minute, func() bool {
		return s.units[life.UnitInit].action == nil || strings.Contains(fmt.Sprintf("%T", s.units[life.UnitInit].action), "CreateRunner")
	})
	s.stop(life.UnitInit)
	s.run(time.Minute)
	s.mustExit(life.UnitInit, life.TryAgain)
	if r := s.files.registration; s.ghosts() != 1 || r == nil || len(r.Runners) != 1 {
		t.Errorf("%d runners, registration %+v", s.ghosts(), r)
	}
}

func TestSystemID(t *testing.T) {
	form := regexp.MustCompile(`^s_[0-9a-zA-Z]{12}$`)
	seen := map[string]bool{}
	for i := range 10000 {
		id := life.SystemID(fmt.Sprintf("i-%017x", i))
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("system id %q: wrong form, or twice", id)
		}
		seen[id] = true
	}
	if got := life.SystemID("i-0123456789abcdef0"); got != "s_4bB3Nkm66j2o" {
		t.Errorf("%s: not the same after an upgrade", got)
	}
}

// TestInitRestartsASilentRunner: GitLab has refused it thrice and takes the token again.
// Where systemd does not answer the stop, the launch is not continued without it.
func TestInitRestartsASilentRunner(t *testing.T) {
	for _, failures := range []int{0, 1, 5} {
		s, set := inMode(t, fleet.ModeToken, 1)
		old := map[int64]string{}
		s.until(func() bool { return s.proc.state == "active" }, func() {
			for id, r := range s.gitlab.runners {
				old[id], r.token = r.token, "glrt-rotated"
			}
		})
		s.after(2*time.Minute, func() {
			for id, r := range s.gitlab.runners {
				r.token = old[id]
			}
		})
		tries := 0
		s.fail = func(a life.Action) *fleet.Failure {
			if a == (life.StopUnit{Unit: life.UnitRunner}) {
				if tries++; tries <= failures {
					return temporary()
				}
			}
			return nil
		}
		s.startWith(life.UnitInit, set)
		s.runUntil(10*time.Minute, func() bool { return len(s.exits) > 0 })
		s.mustExit(life.UnitInit, life.Done)
		if tries != failures+1 || s.proc.answered == 0 {
			t.Errorf("%d failures: %d tries to stop the runner, %d polls answered when init ended", failures, tries, s.proc.answered)
		}
	}
}

// TestInitAgainWithoutTheMetadata: killed before it completes the launch hook, with the
// metadata service ill from then on: what the run before has kept is enough.
func TestInitAgainWithoutTheMetadata(t *testing.T) {
	s, set := inMode(t, fleet.ModeToken, 1)
	s.startWith(life.UnitInit, set)
	s.runUntil(time.Minute, func() bool { return s.files.flags.Registered })
	s.fail = func(a life.Action) *fleet.Failure {
		switch a.(type) {
		case life.ReadIdentity, life.ReadTarget:
			return temporary()
		}
		return nil
	}
	s.kill(s.units[life.UnitInit])
	s.run(10 * time.Minute)
	if s.dead || len(s.completed) != 1 {
		t.Errorf("dead %v, completed %v", s.dead, s.completed)
	}
}
