package life_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// stays is a busy instance that its group needs: it does not leave when idle.
func stays(t testing.TB, job time.Duration) *site {
	s := busy(t, job)
	s.group.Min = 2
	s.forget()
	return s
}

// mustBeBack demands that the machine came up again with the runner that it had.
func mustBeBack(t *testing.T, s *site, about any) {
	t.Helper()
	mustWork(t, s, about)
	if s.boots != 1 || s.ghosts() != 1 || s.gitlab.next != 2 || s.count("CreateRunner") != 0 || s.count("DeleteRunner") != 0 {
		t.Fatalf("%v: %d boots, %d runners in GitLab, the next would be %d", about, s.boots, s.ghosts(), s.gitlab.next)
	}
	mustAccount(t, s, about)
}

// mustBeOff demands that the machine is off and its runner unregistered.
func mustBeOff(t *testing.T, s *site, about any) {
	t.Helper()
	forgot := s.files.registration == nil || s.saidAt(life.Warn, "going on without") > 0 // init finds out
	if !s.dead || s.ghosts() != 0 || !forgot {
		t.Fatalf("%v: off %v, %d ghosts, registration %v", about, s.dead, s.ghosts(), s.files.registration)
	}
	mustAccount(t, s, about)
}

func mustAccount(t *testing.T, s *site, about any) {
	t.Helper()
	if n := len(s.proc.finished) + len(s.proc.reported) + len(s.proc.jobs); n != len(s.proc.took) {
		t.Fatalf("%v: %d jobs taken, %d accounted for", about, len(s.proc.took), n)
	}
}

// TestShutdownOnAnOrdinaryStop: a restart or an upgrade asks, and nothing more.
func TestShutdownOnAnOrdinaryStop(t *testing.T) {
	s := stays(t, time.Hour)
	begin := s.now
	s.start(shutdownStops)
	s.runUntil(time.Minute, func() bool { return len(s.exits) > 0 })
	s.mustExit(shutdownStops, life.Done)
	if took := s.now.Sub(begin); took > 100*time.Millisecond || s.n["shutdown"] != 1 || len(s.said) != 0 {
		t.Errorf("%d actions in %s, said %v", s.n["shutdown"], took, s.said)
	}
	mustWork(t, s, "an ordinary stop")
}

func TestShutdown(t *testing.T) {
	for _, c := range []struct {
		how      fleet.Shutdown
		job      time.Duration
		stubborn bool
		reported int
	}{
		{fleet.Reboot, time.Second, false, 0},
		{fleet.Reboot, 24 * time.Minute, false, 0},
		{fleet.Reboot, 2 * time.Hour, false, 1},
		{fleet.Reboot, 2 * time.Hour, true, 1},
		{fleet.PowerOff, time.Second, false, 0},
		{fleet.PowerOff, 90 * time.Second, false, 0},
		{fleet.PowerOff, time.Hour, false, 1},
		{fleet.PowerOff, time.Hour, true, 1},
	} {
		about := fmt.Sprintf("%s, a job of %s, stubborn %v", c.how, c.job, c.stubborn)
		s := stays(t, c.job)
		s.proc.stubborn = c.stubborn
		s.goDown(c.how)
		end := s.now.Add(map[fleet.Shutdown]time.Duration{fleet.Reboot: 25 * time.Minute, fleet.PowerOff: 100 * time.Second}[c.how])
		s.runUntil(time.Hour, func() bool { return s.boots > 0 || s.dead })
		if s.now.After(end) {
			t.Errorf("%s: took %s longer than it may", about, s.now.Sub(end))
		}
		s.run(time.Minute)
		if c.how == fleet.Reboot {
			mustBeBack(t, s, about)
		} else {
			mustBeOff(t, s, about)
		}
		if len(s.proc.reported) != c.reported || s.replaced != 0 || s.calls["aws"] > 2 && c.how == fleet.PowerOff {
			t.Errorf("%s: reported %v, replaced %d times, %d calls to AWS", about, s.proc.reported, s.replaced, s.calls["aws"])
		}
	}
}

// TestSoftReboot keeps /run: what was written there must not keep the runner away.
func TestSoftReboot(t *testing.T) {
	s := stays(t, time.Minute)
	s.soft = true
	s.goDown(fleet.Reboot)
	s.run(10 * time.Minute)
	mustBeBack(t, s, "soft-reboot")
}

// TestSoftRebootCutShort leaves the notice of a shutdown in /run, with nobody to take
// it back: the instance stays, and works.
func TestSoftRebootCutShort(t *testing.T) {
	s := stays(t, time.Second)
	s.soft = true
	s.run(time.Minute)
	s.goDown(fleet.Reboot)
	s.runUntil(time.Minute, func() bool { return s.files.flags.Notice != nil })
	s.proc.state = "inactive"
	s.off()
	if n := s.files.flags.Notice; n == nil || n.Kind != fleet.NoticeShutdown {
		t.Fatalf("notice %v: this proves nothing", n)
	}
	s.run(5 * time.Minute)
	mustBeBack(t, s, "soft-reboot, cut short")
}

// TestShutdownOfARunnerThatSystemdStopsLater: it is stopped all the same.
func TestShutdownOfARunnerThatSystemdStopsLater(t *testing.T) {
	for _, how := range []fleet.Shutdown{fleet.Reboot, fleet.PowerOff} {
		s := stays(t, time.Minute)
		s.down = how // and no unit was told yet
		s.start(shutdownStops)
		s.runUntil(5*time.Second, func() bool { return s.proc.state == "deactivating" })
		if s.proc.state != "deactivating" || s.proc.config == 0 || s.files.flags.Notice == nil {
			t.Errorf("%s: runner %s, %d sections, notice %v", how, s.proc.state, s.proc.config, s.files.flags.Notice)
		}
		s.run(5 * time.Minute)
		s.mustExit(shutdownStops, life.Done)
	}
}

// TestShutdownInADrain: the drain by notice was killed by the shutdown; it takes
// its full course, within what the shutdown leaves.
func TestShutdownInADrain(t *testing.T) {
	for _, how := range []fleet.Shutdown{fleet.Reboot, fleet.PowerOff} {
		for _, job := range []time.Duration{30 * time.Second, 2 * time.Hour} {
			for after := 0; after < 20; after += stride {
				about := fmt.Sprintf("%s %d s after the notice, a job of %s", how, after, job)
				s := stays(t, job)
				s.group.Min = 0
				s.scaleIn()
				s.run(time.Duration(after) * time.Second)
				s.goDown(how)
				s.run(time.Hour)
				if s.ghosts() != 0 || !s.dead {
					t.Fatalf("%s: %d ghosts, dead %v", about, s.ghosts(), s.dead)
				}
				if s.files.registration != nil && how == fleet.PowerOff {
					t.Fatalf("%s: a registration stays", about)
				}
				if after > 10 && (len(s.completed) != 1 || s.boots != 0) {
					t.Fatalf("%s: completed %v, %d boots", about, s.completed, s.boots)
				}
				mustAccount(t, s, about)
			}
		}
	}
}

// TestRebootOfAnInstanceThatIsTakenMeanwhile: its hook is extended, or EC2's
// deadline kept, and no ghost stays behind. Nobody else looks: lifecycle-check is
// being stopped.
func TestRebootOfAnInstanceThatIsTakenMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		take     func(*site)
		job      time.Duration
		reported int
	}{
		"scale-in, a job longer than the hook": {func(s *site) { s.scaleIn() }, 20 * time.Minute, 0},
		"scale-in, a job longer than a reboot": {func(s *site) { s.scaleIn() }, 2 * time.Hour, 1},
		"spot":                                 {func(s *site) { s.interrupt(2 * time.Minute) }, 2 * time.Hour, 1},
	} {
		s := stays(t, c.job)
		s.group.Min = 0
		s.goDown(fleet.Reboot)
		s.run(time.Minute)
		c.take(s)
		s.run(time.Hour)
		mustBeGone(t, s, name)
		if len(s.proc.reported) != c.reported || s.boots != 0 {
			t.Errorf("%s: reported %v, %d boots", name, s.proc.reported, s.boots)
		}
	}
}

// TestPowerOffAfterASpotNotice that came in the middle of another drain: that one knew,
// and the one that goes on with it has to find out anew, or EC2 is there before it.
func TestPowerOffAfterASpotNotice(t *testing.T) {
	s := busy(t, 2*time.Hour)
	s.scaleIn()
	s.run(10 * time.Minute)
	s.interrupt(2 * time.Minute)
	s.run(55 * time.Second)
	s.goDown(fleet.PowerOff)
	s.run(3 * time.Minute)
	mustBeGone(t, s, "power-off")
	if len(s.proc.reported) != 1 {
		t.Errorf("reported %v", s.proc.reported)
	}
}

// TestShutdownWithANotice of each kind: whose deadline is earlier counts.
func TestShutdownWithANotice(t *testing.T) {
	for _, c := range []struct {
		kind      fleet.NoticeKind
		in        time.Duration // its deadline; 0 is none
		how       fleet.Shutdown
		within    time.Duration
		completes bool
	}{
		{fleet.NoticeScaleIn, 0, fleet.PowerOff, 100 * time.Second, true},
		{fleet.NoticeScaleIn, 0, fleet.Reboot, 25 * time.Minute, true},
		{fleet.NoticeSpot, 40 * time.Second, fleet.PowerOff, 40 * time.Second, true},
		{fleet.NoticeSpot, 40 * time.Second, fleet.Reboot, 40 * time.Second, true},
		{fleet.NoticeOperator, time.Hour, fleet.Reboot, 25 * time.Minute, false},
		{fleet.NoticeDetached, 0, fleet.PowerOff, 100 * time.Second, false},
		{fleet.NoticeShutdown, -time.Hour, fleet.PowerOff, 100 * time.Second, false}, // left by one that was cancelled
	} {
		about := fmt.Sprintf("%s in %s, %s", c.kind, c.in, c.how)
		s := stays(t, 10*time.Hour)
		s.stop(life.UnitMonitor)
		s.stop(life.UnitLifecycleCheck)
		s.run(time.Second)
		s.forget()
		s.files.flags.Notice = &fleet.Notice{Kind: c.kind, SeenAt: s.now.Add(-5 * time.Second), Source: "test"}
		if c.in != 0 {
			d := s.now.Add(c.in)
			s.files.flags.Notice.Deadline = &d
		}
		if c.completes {
			s.openHook(&s.end, fleet.AtTermination)
		}
		s.down = c.how
		s.proc.quit()
		begin := s.now
		s.start(shutdownStops)
		s.runUntil(time.Hour, func() bool { return len(s.proc.reported) > 0 })
		if took := s.now.Sub(begin); took > c.within || took < c.within-20*time.Second {
			t.Errorf("%s: jobs ended after %s, want it shortly before %s", about, took, c.within)
		}
		s.runUntil(time.Minute, func() bool { return len(s.exits) > 0 || s.dead })
		if s.ghosts() != 0 || s.files.registration != nil || len(s.completed) != map[bool]int{true: 1}[c.completes] {
			t.Errorf("%s: %d ghosts, registration %v, completed %v", about, s.ghosts(), s.files.registration, s.completed)
		}
	}
}

// TestShutdownTwice: two units are stopped, each runs it.
func TestShutdownTwice(t *testing.T) {
	for _, how := range []fleet.Shutdown{fleet.Reboot, fleet.PowerOff} {
		for lag := time.Duration(0); lag < 300*time.Millisecond; lag += 7 * time.Millisecond {
			s := stays(t, time.Minute)
			s.after(lag, func() { s.start(shutdownStops) })
			s.goDown(how)
			s.run(10 * time.Minute)
			if how == fleet.Reboot {
				mustBeBack(t, s, lag)
			} else {
				mustBeOff(t, s, lag)
			}
		}
	}
}

// TestShutdownUnknown is none.
func TestShutdownUnknown(t *testing.T) {
	for _, times := range []int{1, 3, 1000} {
		for _, k := range []fleet.FailureKind{fleet.Temporary, fleet.Local, fleet.Denied} {
			s := stays(t, time.Hour)
			s.fault = &fault{verb: "shutdown", n: 1, times: times, failure: kind(k)}
			s.start(shutdownStops)
			s.run(10 * time.Second)
			s.mustExit(shutdownStops, life.Done)
			mustWork(t, s, "unknown")
			if unknown := times > 3 || k == fleet.Denied; (s.saidAt(life.Warn, "unknown is no shutdown") == 1) != unknown {
				t.Errorf("%d failures of kind %q: said %v", times, k, s.said)
			}
		}
	}
}

// TestShutdownKilledOrFailingAnywhere and run again.
func TestShutdownKilledOrFailingAnywhere(t *testing.T) {
	faults := []fault{{kill: true}, {kill: true, effect: true}, {failure: temporary()}, {failure: temporary(), effect: true}, {failure: temporary(), times: 3}, {failure: kind(fleet.Local), times: 2}}
	for _, how := range []fleet.Shutdown{fleet.Reboot, fleet.PowerOff} {
		for _, job := range []time.Duration{0, 20 * time.Second, 3 * time.Hour} {
			for _, f := range faults {
				step := stride
				if job > time.Hour { // thousands of looks
					step *= 3
				}
				for n := 2; n < 45; n += step {
					s := stays(t, job)
					f.verb, f.n, f.hit = "shutdown", n, false
					s.fault = &f
					s.goDown(how)
					s.run(time.Hour)
					about := fmt.Sprintf("%s, a job of %s, %v", how, job, f)
					if how == fleet.Reboot {
						mustBeBack(t, s, about)
					} else {
						mustBeOff(t, s, about)
					}
					if job < time.Minute && len(s.proc.reported) > 0 {
						t.Fatalf("%s: the job was killed", about)
					}
					if !f.hit {
						break
					}
				}
			}
		}
	}
}

// TestShutdownInTime, whatever does not answer: the machine is not held up, and
// the jobs are reported.
func TestShutdownInTime(t *testing.T) {
	away := map[string]func(life.Action) bool{
		"GitLab":   func(a life.Action) bool { _, is := a.(life.DeleteRunner); return is },
		"metadata": func(a life.Action) bool { _, is := a.(life.ReadSpot); return is },
		"files": func(a life.Action) bool {
			switch a.(type) {
			case life.ReadFlags, life.WriteNotice, life.SetFlag:
				return true
			}
			return false
		},
		"unit states": func(a life.Action) bool { _, is := a.(life.ReadUnit); return is },
		"stops":       func(a life.Action) bool { _, is := a.(life.StopUnit); return is },
	}
	for name, is := range away {
		for _, how := range []fleet.Shutdown{fleet.Reboot, fleet.PowerOff} {
			s := stays(t, 3*time.Hour)
			s.fail = func(a life.Action) *fleet.Failure {
				if s.down != fleet.NotGoingDown && is(a) {
					return temporary()
				}
				return nil
			}
			s.goDown(how)
			s.run(time.Hour)
			if len(s.proc.reported) != 1 || (s.boots == 1) != (how == fleet.Reboot) {
				t.Errorf("%s away, %s: reported %v, %d boots", name, how, s.proc.reported, s.boots)
			}
			if name == "GitLab" && how == fleet.PowerOff && s.saidAt(life.Error, "stays behind") != 1 {
				t.Errorf("%s: nobody says that a runner stays behind", how)
			}
		}
	}
}

// TestShutdownWithoutARunner: no such unit, nothing ever registered.
func TestShutdownWithoutARunner(t *testing.T) {
	for _, how := range []fleet.Shutdown{fleet.Reboot, fleet.PowerOff} {
		s := newSite(t)
		s.fail = func(a life.Action) *fleet.Failure {
			switch a := a.(type) {
			case life.ReadUnit:
				if a.Unit == life.UnitRunner {
					return kind(fleet.NotFound)
				}
			case life.StopUnit:
				return kind(fleet.NotFound)
			}
			return nil
		}
		s.down = how
		s.start(shutdownStops)
		s.run(5 * time.Second)
		s.mustExit(shutdownStops, life.Done)
	}
}

// TestShutdownWhileLeaving: monitor is in the middle of leaving the group.
func TestShutdownWhileLeaving(t *testing.T) {
	for _, how := range []fleet.Shutdown{fleet.Reboot, fleet.PowerOff} {
		for n := range 40 {
			s := working(t)
			s.run(175 * time.Second)
			s.run(time.Duration(n) * 500 * time.Millisecond)
			s.goDown(how)
			s.run(latency) // what is under way is finished
			left := s.count("TerminateSelf")
			s.runUntil(20*time.Second, func() bool { return s.boots > 0 || s.dead })
			if s.count("TerminateSelf") != left {
				t.Errorf("%s after %d: left the group while the machine went down", how, n)
			}
			s.run(10 * time.Minute)
			if !s.dead {
				t.Fatalf("%s after %d: still there", how, n) // idle: it leaves when it is back
			}
			if s.ghosts() != 0 {
				t.Fatalf("%s after %d: %d ghosts", how, n, s.ghosts())
			}
		}
	}
}
