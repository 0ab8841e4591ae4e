package life_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// working is an instance in service with its daemons, one of two in its group.
func working(t testing.TB) *site { return workingWith(t, defaults) }

func workingWith(t testing.TB, set settings) *site {
	s := inService(t)
	s.group.Desired = 2
	s.group.Instances = append(s.group.Instances, member("i-z", true))
	s.startWith(life.UnitMonitor, set)
	s.startWith(life.UnitLifecycleCheck, set)
	return s
}

// member is another instance in service.
func member(id string, busy bool) fleet.Instance {
	return fleet.Instance{ID: id, AvailabilityZone: "b", State: fleet.InService, Healthy: true, Protected: busy, TemplateVersion: "1"}
}

// mustWork demands that the instance is as good as ever: in service, its runner
// polling.
func mustWork(t *testing.T, s *site, about any) {
	t.Helper()
	if s.proc.state != "active" || s.proc.loaded == 0 || s.proc.config == 0 || s.me().State != fleet.InService || s.files.flags.Notice != nil {
		t.Fatalf("%v: runner %s, %d sections read, %d written, %s, notice %v", about, s.proc.state, s.proc.loaded, s.proc.config, s.me().State, s.files.flags.Notice)
	}
}

// mustBeGone demands a clean end: drained, unregistered, hook completed, no job
// lost.
func mustBeGone(t *testing.T, s *site, about any) {
	t.Helper()
	if !s.dead || s.ghosts() != 0 || s.proc.state != "inactive" || len(s.completed) != 1 || s.completed[0] != "stop CONTINUE" || len(s.proc.finished)+len(s.proc.reported) != len(s.proc.took) {
		t.Fatalf("%v: dead %v, %d ghosts, runner %s, completed %v, took %v, finished %v, reported %v", about, s.dead, s.ghosts(), s.proc.state, s.completed, s.proc.took, s.proc.finished, s.proc.reported)
	}
}

func TestMonitorProtectsWhatIsBusy(t *testing.T) {
	s := working(t)
	s.run(30 * time.Second)
	if s.calls["aws"] != 0 {
		t.Fatalf("%d calls while idle", s.calls["aws"])
	}
	s.proc.arrive(5 * time.Minute)
	s.run(15 * time.Second)
	if !s.me().Protected {
		t.Fatal("busy and not protected within a poll")
	}
	s.run(5*time.Minute + 30*time.Second)
	if !s.me().Protected {
		t.Fatal("cleared at the first gap")
	}
	s.run(time.Minute)
	if s.me().Protected || s.count("SetProtection") != 2 {
		t.Errorf("protected %v, %d calls", s.me().Protected, s.count("SetProtection"))
	}
}

// TestMonitorKeepsTheFlagInStep: killed or failing anywhere around a change of
// the protection, busy is protected and idle is not, in the end.
func TestMonitorKeepsTheFlagInStep(t *testing.T) {
	for n := 1; n < 30; n += stride {
		for _, f := range []fault{{kill: true}, {kill: true, effect: true}, {failure: temporary()}, {failure: temporary(), effect: true}} {
			s := working(t)
			s.group.Min = 2 // it stays
			f.verb, f.n = "monitor", n
			s.fault = &f
			s.proc.arrive(4 * time.Minute)
			s.run(3 * time.Minute)
			if !s.me().Protected {
				t.Fatal(f, "busy and not protected")
			}
			s.run(5 * time.Minute)
			if s.me().Protected {
				t.Fatal(f, "idle and protected")
			}
		}
	}
}

// TestMonitorProtectsAgain where the answer to a clearing was lost: it may have
// taken effect, and the next job is to be protected all the same.
func TestMonitorProtectsAgain(t *testing.T) {
	for n := 1; n < 40; n += stride {
		s := working(t)
		s.group.Min = 2 // it stays
		s.fault = &fault{verb: "monitor", n: n, failure: temporary(), effect: true}
		s.proc.arrive(20 * time.Second)
		s.run(30 * time.Second)
		for waited := 0; s.me().Protected && waited < 120; waited++ {
			s.run(time.Second)
		}
		s.proc.arrive(10 * time.Minute)
		s.run(2 * time.Minute)
		if !s.me().Protected {
			t.Fatalf("action %d: busy and not protected", n)
		}
	}
}

// TestMonitorClearsWhatWasSetBeforeAReboot: the flag file went with the run
// directory, the group still protects.
func TestMonitorClearsWhatWasSetBeforeAReboot(t *testing.T) {
	s := working(t)
	s.group.Min = 2 // it is to stay
	for n := range s.group.Instances {
		s.group.Instances[n].Protected = true
	}
	s.run(5 * time.Minute)
	if s.me().Protected {
		t.Fatal("idle for five minutes and still protected")
	}
	mustWork(t, s, "after")
}

func TestMonitorScalesUpWhileSaturated(t *testing.T) {
	s := working(t)
	s.proc.arrive(3 * time.Minute)
	s.run(time.Minute)
	if s.n["scale-up"] != 0 {
		t.Fatal("started scale-up with a slot free")
	}
	s.group.Instances[1].Protected = true
	s.proc.arrive(3 * time.Minute)
	s.run(20 * time.Second)
	if s.n["scale-up"] == 0 || s.group.Desired != 3 {
		t.Errorf("scale-up asked for %d actions, desired %d", s.n["scale-up"], s.group.Desired)
	}
}

func TestMonitorLeavesWhenIdle(t *testing.T) {
	s := working(t)
	s.run(3*time.Minute - time.Second)
	if s.calls["aws"] != 0 {
		t.Fatal("asked before the threshold")
	}
	s.run(time.Minute)
	mustBeGone(t, s, "idle")
	if s.group.Desired != 1 || s.replaced != 0 || s.proc.cancelled != 0 {
		t.Errorf("desired %d, %d replaced, %d polls cut", s.group.Desired, s.replaced, s.proc.cancelled)
	}
}

// TestNothingIsIdleBeforeTheFirstReading: a job came and went between that and the
// registration.
func TestNothingIsIdleBeforeTheFirstReading(t *testing.T) {
	s := inService(t)
	s.files.flags.Registered = false
	s.startWith(life.UnitMonitor, defaults)
	s.startWith(life.UnitLifecycleCheck, defaults)
	s.run(22 * time.Second)
	s.files.flags.Registered = true
	s.proc.arrive(6 * time.Second)
	s.run(6*time.Second + defaults.monitor.IdleThreshold - time.Second)
	if n := s.count("DescribeGroup"); n != 0 {
		t.Errorf("%d looks at the group less than the threshold after the job", n)
	}
	s.run(time.Minute)
	if s.count("DescribeGroup") == 0 {
		t.Error("it does not leave")
	}
}

// TestMonitorLeavesAfterInit: an init that is at work starts the runner at its end.
func TestMonitorLeavesAfterInit(t *testing.T) {
	s := working(t)
	s.unitStates[life.UnitInit] = "activating"
	s.run(20 * time.Minute)
	if s.proc.state != "active" || s.me().State != fleet.InService || s.count("HoldRunner") != 0 || s.calls["aws"] > 10 {
		t.Fatalf("the runner is %s, the instance %s, %d calls", s.proc.state, s.me().State, s.calls["aws"])
	}
	s.unitStates[life.UnitInit] = "inactive"
	s.run(12 * time.Minute)
	mustBeGone(t, s, "init has ended")
}

// TestMonitorStaysWhereItIsNeeded: the minimum, an order, a desired that was
// lowered by hand, weights.
func TestMonitorStaysWhereItIsNeeded(t *testing.T) {
	for _, c := range []struct {
		name  string
		arm   func(*site)
		calls int // to AWS in an hour, at most
		stops bool
	}{
		{"at the minimum", func(s *site) { s.group.Min = 2 }, 1, false},
		{"desired lowered by hand", func(s *site) { s.group.Desired = 1 }, 10, false},
		{"weighted", func(s *site) { s.group.Weighted = true }, 1, false},
		{"not listed yet", func(s *site) { s.group.Instances = s.group.Instances[1:] }, 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := working(t)
			c.arm(s)
			s.run(time.Hour)
			if s.calls["aws"] > c.calls || s.proc.state != "active" || s.proc.starts != 1 || s.count("HoldRunner") != 0 {
				t.Errorf("%d calls, runner %s after %d starts", s.calls["aws"], s.proc.state, s.proc.starts)
			}
		})
	}
}

// TestMonitorYields: where desired is below the number of instances an idle one
// clears its flag and lets the group choose.
func TestMonitorYields(t *testing.T) {
	set := defaults
	set.monitor.UnprotectAfter = time.Hour
	s := workingWith(t, set)
	s.proc.arrive(time.Minute)
	s.run(2 * time.Minute)
	s.group.Desired = 0
	s.run(10 * time.Minute)
	if s.me().Protected || s.count("TerminateSelf") != 0 {
		t.Errorf("protected %v, terminated itself %d times", s.me().Protected, s.count("TerminateSelf"))
	}
	mustWork(t, s, "yields")
}

// TestMonitorWaitsForItsTurn, and goes out of turn where the first does not go.
func TestMonitorWaitsForItsTurn(t *testing.T) {
	s := working(t)
	s.group.Min = 1
	s.group.Instances[1] = member("i-a", false)
	s.group.Instances[1].AvailabilityZone = "a"
	s.run(10 * time.Minute)
	mustWork(t, s, "another goes first")
	s.run(time.Hour)
	mustBeGone(t, s, "out of turn")
}

// TestMonitorTerminateRefused: a refusal puts the runner back to work at once.
func TestMonitorTerminateRefused(t *testing.T) {
	for k, again := range map[fleet.FailureKind]int{fleet.OutOfBounds: 1, fleet.Denied: 2, fleet.NotFound: 2, fleet.Invalid: 2} {
		s := working(t)
		s.fail = func(a life.Action) *fleet.Failure {
			if _, ok := a.(life.TerminateSelf); ok {
				return kind(k)
			}
			return nil
		}
		s.runUntil(10*time.Minute, func() bool { return s.proc.state == "inactive" })
		s.run(10 * time.Second)
		mustWork(t, s, k)
		s.run(90 * time.Minute)
		mustWork(t, s, k)
		if s.proc.starts != 1+again {
			t.Errorf("%s: the runner was started %d times", k, s.proc.starts)
		}
	}
}

// TestMonitorJobAtAnyMoment lets a job arrive right at each action of a leave:
// it is run to its end, whatever has been done already.
func TestMonitorJobAtAnyMoment(t *testing.T) {
	for _, longPoll := range []time.Duration{2 * time.Second, 20 * time.Second} {
		for n := 1; ; n += stride {
			s := working(t)
			s.proc.longPoll = longPoll
			s.run(170 * time.Second)
			clear(s.n)
			s.fault = &fault{verb: "monitor", n: n}
			reached := false
			s.runUntil(3*time.Minute, func() bool { reached = s.n["monitor"] == n-1; return reached || s.dead })
			if !reached {
				break
			}
			s.fault = nil
			s.proc.arrive(90 * time.Minute)
			s.run(2 * time.Hour)
			if len(s.proc.took) == 1 && len(s.proc.finished) != 1 || s.proc.cancelled > 0 && s.count("TerminateSelf") == 0 {
				t.Fatalf("action %d: took %v, finished %v, cancelled %d", n, s.proc.took, s.proc.finished, s.proc.cancelled)
			}
			if s.dead {
				mustBeGone(t, s, n)
			}
		}
	}
}

// TestMonitorJobAfterTheLastReading is the narrowest gap: the poll brings a job
// between the last reading and the stop.
func TestMonitorJobAfterTheLastReading(t *testing.T) {
	s := working(t)
	s.runUntil(10*time.Minute, func() bool {
		_, stop := s.units[life.UnitMonitor].action.(life.StopUnit)
		return stop
	})
	j := &job{id: 1, end: s.now.Add(time.Hour)} // handed out in that very moment
	s.proc.took, s.proc.jobs, s.proc.total = []int{1}, []*job{j}, s.proc.total+1
	s.at(j.end, func() { s.proc.finish(j) })
	s.run(70 * time.Minute)
	if len(s.proc.finished) != 1 {
		t.Error("the job was not run to its end")
	}
	if !s.dead {
		mustWork(t, s, "after the job")
	}
}

// TestLeaveKilledOrFailingAnywhere: whatever happens at any action of a leave,
// the instance is gone cleanly or at work in the end, within some minutes.
func TestLeaveKilledOrFailingAnywhere(t *testing.T) {
	kinds := []fault{{kill: true}, {kill: true, effect: true}}
	for _, k := range []fleet.FailureKind{fleet.Temporary, fleet.Throttled, fleet.Denied, fleet.BadToken, fleet.NotFound, fleet.NotWaiting, fleet.OutOfBounds, fleet.Invalid, fleet.Local} {
		kinds = append(kinds, fault{failure: kind(k)})
	}
	kinds = append(kinds, fault{failure: temporary(), effect: true}, fault{failure: temporary(), effect: true, times: 8}, fault{failure: temporary(), times: 8})
	for _, f := range kinds {
		for n := 1; n < 40; n += stride {
			s := working(t)
			s.run(170 * time.Second)
			clear(s.n)
			f.verb, f.n, f.hit = "monitor", n, false
			s.fault = &f
			s.run(9 * time.Minute)
			if !f.hit {
				break
			}
			if s.dead {
				mustBeGone(t, s, f)
			} else {
				mustWork(t, s, f)
			}
			if s.group.Desired < s.group.Min || s.count("TerminateSelf {InstanceID:i-self Decrement:false") > 0 {
				t.Fatalf("%v: desired %d", f, s.group.Desired)
			}
		}
	}
}

// inALeave is an instance whose monitor has done so many actions since shortly before
// it leaves; not reached where that are more than a leave takes.
func inALeave(t *testing.T, actions int) (s *site, reached bool) {
	s = working(t)
	s.run(170 * time.Second)
	clear(s.n)
	s.runUntil(time.Minute, func() bool { reached = s.n["monitor"] == actions; return reached || s.dead })
	return s, reached
}

// TestLeaveNoticeAnywhere: a notice that comes at any action of a leave makes
// the drain the only owner of the runner.
func TestLeaveNoticeAnywhere(t *testing.T) {
	for n := 1; n < 40; n++ {
		s, reached := inALeave(t, n)
		if !reached {
			break
		}
		s.proc.arrive(20 * time.Minute)
		s.scaleIn()
		s.run(time.Hour)
		mustBeGone(t, s, fmt.Sprint("notice at action ", n))
	}
}

// TestMonitorStoppedAnywhereInALeave: whoever stops monitor in the middle of a
// leave, for good, leaves a runner that takes jobs, or an instance that goes.
func TestMonitorStoppedAnywhereInALeave(t *testing.T) {
	for n := 1; n < 40; n++ {
		s, reached := inALeave(t, n)
		if !reached {
			break
		}
		s.stop(life.UnitMonitor)
		s.run(time.Minute)
		if s.running(life.UnitMonitor) {
			t.Fatalf("stopped at action %d: monitor still runs", n)
		}
		if !s.me().State.IsLeaving() && !s.dead && (s.proc.state != "active" || s.proc.loaded == 0) {
			t.Fatalf("stopped at action %d: the runner is %s with %d sections", n, s.proc.state, s.proc.loaded)
		}
	}
}

// TestMonitorStandby: in Standby the sections are out, back in service they are
// in; what runs goes on.
func TestMonitorStandby(t *testing.T) {
	s := working(t)
	s.group.Min = 2
	s.proc.arrive(5 * time.Minute)
	s.run(10 * time.Second)
	s.target, s.me().State = fleet.Standby, fleet.Standby
	s.run(30 * time.Second)
	if !s.files.flags.Standby || s.proc.config != 0 || s.proc.state != "active" {
		t.Fatalf("flags %+v, %d sections", s.files.flags, s.proc.config)
	}
	s.run(10 * time.Minute)
	if len(s.proc.finished) != 1 || s.proc.polling {
		t.Fatalf("finished %v, polling %v", s.proc.finished, s.proc.polling)
	}
	s.target, s.me().State = fleet.InService, fleet.InService
	s.run(30 * time.Second)
	mustWork(t, s, "back in service")
	if s.files.flags.Standby {
		t.Error("the flag stands")
	}
}

// TestMonitorLooksAgainAfterStandby: the minimum needed the instance before, and
// its own return has raised desired above it.
func TestMonitorLooksAgainAfterStandby(t *testing.T) {
	s := working(t)
	s.group.Min = 2
	s.run(5 * time.Minute) // it has found the group at its minimum
	s.target, s.me().State, s.group.Desired = fleet.Standby, fleet.Standby, 1
	s.group.Min = 1
	s.run(2 * time.Minute)
	s.target, s.me().State, s.group.Desired = fleet.InService, fleet.InService, 2
	s.run(5 * time.Minute)
	mustBeGone(t, s, "above the minimum")
}

// TestMonitorReadsNoClockJump: a machine that was suspended, or a clock that was
// set, is no idle spell.
func TestMonitorReadsNoClockJump(t *testing.T) {
	s := working(t)
	s.run(time.Minute)
	s.jump(24 * time.Hour)
	s.run(time.Minute)
	if s.count("HoldRunner")+s.count("WriteNotice") != 0 {
		t.Errorf("did %v", s.done)
	}
	mustWork(t, s, "jumps")
}

// jump sets the clock forward.
func (s *site) jump(d time.Duration) {
	s.now = s.now.Add(d)
	for i := range s.timers {
		s.timers[i].at = s.timers[i].at.Add(d)
	}
}

// TestMonitorRevivesTheRunner: one that was stopped by a leave cut short, or by
// hand, is started.
func TestMonitorRevivesTheRunner(t *testing.T) {
	s := working(t)
	s.group.Min = 2
	s.proc.quit()
	s.run(time.Minute)
	mustWork(t, s, "stopped by hand")
}

func TestMonitorKeepsStillUnderANotice(t *testing.T) {
	s := working(t)
	s.stop(life.UnitLifecycleCheck)
	s.run(time.Second)
	s.files.flags.Notice = &fleet.Notice{Kind: fleet.NoticeScaleIn, SeenAt: s.now}
	s.forget()
	s.run(time.Hour)
	if len(s.done) != 0 || s.calls["aws"] != 0 {
		t.Errorf("did %v", s.done)
	}
}

// TestMonitorSaysThatItWaits for init: once in each spell.
func TestMonitorSaysThatItWaits(t *testing.T) {
	s := working(t)
	s.group.Min = 2
	for spell := range 2 {
		s.files.flags.Registered = false
		s.run(time.Minute)
		s.files.flags.Registered = true
		s.run(time.Minute)
		if n := s.saidAt(life.Debug, "wait until the runner is registered"); n != spell+1 {
			t.Fatalf("said %d times after %d spells", n, spell+1)
		}
	}
}

// TestMonitorCannotFindTheGroup says so and goes on watching.
func TestMonitorCannotFindTheGroup(t *testing.T) {
	s := working(t)
	s.files.whoami = nil
	s.fail = func(a life.Action) *fleet.Failure {
		if _, ok := a.(life.ReadIdentity); ok {
			return temporary()
		}
		return nil
	}
	s.proc.arrive(10 * time.Minute)
	s.run(5 * time.Minute)
	if s.saidAt(life.Warn, "cannot find out") != 1 || s.calls["metadata"] > 150 {
		t.Errorf("said %d times, %d metadata calls", s.saidAt(life.Warn, "cannot find out"), s.calls["metadata"])
	}
	s.fail = nil
	s.run(2 * time.Minute)
	if !s.me().Protected {
		t.Error("not protected when the metadata came back")
	}
}
