package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// checking is an instance in service with lifecycle-check alone; unregister is
// kept from starting by a program that does nothing.
func checking(t testing.TB, set settings) *site {
	s := inService(t)
	s.units[life.UnitUnregister] = &program{unit: life.UnitUnregister, step: func(life.Event, time.Time) []life.Action { return nil }}
	s.startWith(life.UnitLifecycleCheck, set)
	return s
}

func TestLifecycleCheckNotices(t *testing.T) {
	spot := epoch.Add(5 * time.Minute)
	eager := defaults
	eager.check.LeaveOnRebalance, eager.check.LeaveOnMaintenance = true, true
	stop := []fleet.MaintenanceEvent{{ID: "e-1", Code: "instance-stop", State: "active", NotBefore: spot}}
	for _, c := range []struct {
		name     string
		set      settings
		arm      func(*site)
		want     fleet.NoticeKind // empty: none
		deadline bool
	}{
		{"nothing", defaults, func(*site) {}, "", false},
		{"scale-in", defaults, func(s *site) { s.target = fleet.Terminated }, fleet.NoticeScaleIn, false},
		{"warm pool lets go", defaults, func(s *site) { s.target = "Warmed:Terminated" }, fleet.NoticeScaleIn, false},
		{"detached", defaults, func(s *site) { s.target = fleet.Detached }, fleet.NoticeDetached, false},
		{"no target state", defaults, func(s *site) { s.target = "" }, "", false},
		{"an unknown target state", defaults, func(s *site) { s.target = "Terminating" }, "", false},
		{"spot", defaults, func(s *site) { s.spot = &fleet.SpotAction{Action: "terminate", Time: spot} }, fleet.NoticeSpot, true},
		{"spot and scale-in", defaults, func(s *site) { s.target, s.spot = fleet.Terminated, &fleet.SpotAction{Time: spot} }, fleet.NoticeSpot, true},
		{"rebalance, ignored", defaults, func(s *site) { s.rebalance = true }, "", false},
		{"rebalance", eager, func(s *site) { s.rebalance = true }, fleet.NoticeRebalance, false},
		{"maintenance, ignored", defaults, func(s *site) { s.upkeep = stop }, "", false},
		{"maintenance", eager, func(s *site) { s.upkeep = stop }, fleet.NoticeMaintenance, true},
		{"maintenance without a date", eager, func(s *site) {
			s.upkeep = []fleet.MaintenanceEvent{{Code: "instance-retirement", State: "active"}}
		}, fleet.NoticeMaintenance, false},
		{"maintenance, a reboot", eager, func(s *site) {
			s.upkeep = []fleet.MaintenanceEvent{{Code: "system-reboot", State: "active"}}
		}, "", false},
		{"maintenance, over", eager, func(s *site) {
			s.upkeep = []fleet.MaintenanceEvent{{Code: "instance-stop", State: "completed"}}
		}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := checking(t, c.set)
			s.run(time.Minute)
			c.arm(s)
			s.run(time.Minute)
			n := s.files.flags.Notice
			if c.want == "" {
				if n != nil || len(s.exits) != 0 {
					t.Fatalf("notice %+v, exits %v", n, s.exits)
				}
				return
			}
			s.mustExit(life.UnitLifecycleCheck, life.Done)
			if n == nil || n.Kind != c.want || (n.Deadline != nil) != c.deadline || n.SeenAt.IsZero() || n.Source == "" {
				t.Errorf("notice %+v, want %s", n, c.want)
			}
		})
	}
}

// TestLifecycleCheckIsQuick: seen within two looks.
func TestLifecycleCheckIsQuick(t *testing.T) {
	s := checking(t, defaults)
	s.run(61 * time.Second)
	at := s.now
	s.target = fleet.Terminated
	s.runUntil(time.Minute, func() bool { return s.files.flags.Notice != nil })
	if d := s.now.Sub(at); d > 6*time.Second {
		t.Errorf("took %s", d)
	}
}

// TestLifecycleCheckUnknown: whatever the metadata service does but answer, for
// hours: no notice, one line, and the notice comes when it answers again.
func TestLifecycleCheckUnknown(t *testing.T) {
	for _, k := range []fleet.FailureKind{fleet.Temporary, fleet.Denied, fleet.NotFound, fleet.Invalid, fleet.Throttled, fleet.BadToken} {
		for name, part := range map[string]func(life.Action) bool{
			"all": func(life.Action) bool { return true },
			"the target state": func(a life.Action) bool {
				_, is := a.(life.ReadTarget)
				return is
			},
			"the spot path": func(a life.Action) bool {
				_, is := a.(life.ReadSpot)
				return is
			},
		} {
			s := checking(t, defaults)
			s.fail = func(a life.Action) *fleet.Failure {
				switch a.(type) {
				case life.ReadTarget, life.ReadSpot, life.ReadRebalance, life.ReadMaintenance:
					if part(a) {
						return kind(k)
					}
				}
				return nil
			}
			s.run(7 * time.Hour)
			if s.files.flags.Notice != nil || len(s.exits) != 0 {
				t.Fatalf("%s, %s: notice %+v, exits %v", name, k, s.files.flags.Notice, s.exits)
			}
			if n := s.saidAt(life.Warn, ""); n != 1 {
				t.Errorf("%s, %s: %d lines", name, k, n)
			}
			s.fail, s.target = nil, fleet.Terminated
			s.run(10 * time.Second)
			s.mustExit(life.UnitLifecycleCheck, life.Done)
		}
	}
}

// TestLifecycleCheckHalfAnswer: a spot path that fails does not hide the target
// state.
func TestLifecycleCheckHalfAnswer(t *testing.T) {
	s := checking(t, defaults)
	s.fail = func(a life.Action) *fleet.Failure {
		if _, is := a.(life.ReadSpot); is {
			return temporary()
		}
		return nil
	}
	s.target = fleet.Terminated
	s.run(10 * time.Second)
	s.mustExit(life.UnitLifecycleCheck, life.Done)
}

// TestLifecycleCheckDiskFull: the notice is written as soon as it can be, and
// never skipped; nor by a kill, nor by a stop.
// TestLifecycleCheckSaysItOnce where the paths of the metadata fail in turns for
// hours: the log tells of it now and then, not at each look.
func TestLifecycleCheckSaysItOnce(t *testing.T) {
	m := life.NewLifecycleCheck(defaults.check)
	now, warned := epoch, 0
	e := life.Event(life.Started{})
	for n := 0; now.Sub(epoch) < 2*time.Hour; n++ {
		var actions []life.Action
		m, actions = m.Step(e, now)
		for _, a := range actions {
			if s, ok := a.(life.Say); ok && s.Level == life.Warn {
				warned++
			}
		}
		switch a := actions[len(actions)-1].(type) {
		case life.Sleep:
			now, e = a.Until, life.Woke{}
		case life.ReadFlags:
			e = life.Result{Action: a, Value: fleet.Flags{}}
		case life.ReadSpot:
			e = life.Result{Action: a, Value: (*fleet.SpotAction)(nil), Failure: map[bool]*fleet.Failure{true: {Op: "read spot"}}[n%5 == 0]}
		case life.ReadTarget:
			e = life.Result{Action: a, Value: fleet.InService, Failure: map[bool]*fleet.Failure{true: {Op: "read target"}}[n%7 == 0]}
		default:
			e = life.Result{Action: a, Failure: &fleet.Failure{Op: "read the rest"}}
		}
	}
	if warned < 2 || warned > 13 {
		t.Fatalf("%d lines in two hours", warned)
	}
}

func TestLifecycleCheckDiskFull(t *testing.T) {
	s := checking(t, defaults)
	full := true
	s.fail = func(a life.Action) *fleet.Failure {
		if _, is := a.(life.WriteNotice); is && full {
			return kind(fleet.Local)
		}
		return nil
	}
	s.spot = &fleet.SpotAction{Action: "terminate", Time: s.now.Add(2 * time.Minute)}
	s.run(30 * time.Second)
	s.stop(life.UnitLifecycleCheck)
	s.run(30 * time.Second)
	if len(s.exits) != 0 || s.saidAt(life.Error, "") != 1 {
		t.Fatalf("exits %v, %d errors said", s.exits, s.saidAt(life.Error, ""))
	}
	full = false
	s.run(2 * time.Second)
	s.mustExit(life.UnitLifecycleCheck, life.Done)
	if s.files.flags.Notice == nil {
		t.Error("exit 0 without a notice")
	}
}

// TestLifecycleCheckUnreadableFlags hide nothing.
func TestLifecycleCheckUnreadableFlags(t *testing.T) {
	s := checking(t, defaults)
	s.fail = func(a life.Action) *fleet.Failure {
		if _, is := a.(life.ReadFlags); is {
			return kind(fleet.Local)
		}
		return nil
	}
	s.run(time.Minute)
	s.target = fleet.Terminated
	s.run(10 * time.Second)
	if s.files.flags.Notice == nil {
		t.Error("no notice")
	}
}

func TestLifecycleCheckKilledAnywhere(t *testing.T) {
	for n := 1; n < 20; n++ {
		for _, effect := range []bool{false, true} {
			s := checking(t, defaults)
			s.fault = &fault{verb: "lifecycle-check", n: n, kill: true, effect: effect}
			s.target = fleet.Terminated
			s.run(30 * time.Second)
			s.mustExit(life.UnitLifecycleCheck, life.Done)
			if s.files.flags.Notice == nil {
				t.Fatal(s.fault)
			}
		}
	}
}

// TestLifecycleCheckStopped writes no notice: a restart or an upgrade drains
// nothing.
func TestLifecycleCheckStopped(t *testing.T) {
	for n := range 10 {
		s := working(t)
		s.run(time.Minute + time.Duration(n)*time.Millisecond)
		s.stop(life.UnitLifecycleCheck)
		s.run(time.Minute)
		if s.files.flags.Notice != nil || s.count("StopUnit {Unit:gitlab-runner") != 0 {
			t.Fatalf("notice %+v", s.files.flags.Notice)
		}
		mustWork(t, s, "stopped")
	}
}

func TestLifecycleCheckStandby(t *testing.T) {
	s := checking(t, defaults)
	for range 3 {
		s.target = fleet.Standby
		s.run(20 * time.Second)
		if !s.files.flags.Standby {
			t.Fatal("no flag in Standby")
		}
		s.target = fleet.InService
		s.run(20 * time.Second)
		if s.files.flags.Standby {
			t.Fatal("the flag stands in service")
		}
	}
	if s.files.flags.Notice != nil {
		t.Error("Standby is no notice")
	}
}

// TestLifecycleCheckStartsInitInTime: where init is refused it is not started
// every five seconds.
func TestLifecycleCheckStartsInitInTime(t *testing.T) {
	s := checking(t, defaults)
	s.units[life.UnitInit] = &program{unit: life.UnitInit, step: func(life.Event, time.Time) []life.Action { return nil }}
	s.files.flags.Warmed, s.files.flags.Registered = true, false
	s.run(10 * time.Minute)
	if n := s.count("StartUnit"); n < 9 || n > 11 {
		t.Errorf("started %d times in ten minutes", n)
	}
}
