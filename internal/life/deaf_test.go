package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// deafened is a working instance whose runner falls silent; the poll that is held
// ends by itself.
func deafened(t testing.TB, mode fleet.Mode, until deaf) *site {
	s := pinned(t, mode)
	s.run(30 * time.Second)
	s.said, s.done = nil, nil
	s.proc.deaf = until
	return s
}

// TestDeafRunner: what is gentle is tried first, and only what helps nothing has the
// instance replaced, in the time of every illness of its own.
func TestDeafRunner(t *testing.T) {
	for _, c := range []struct {
		name             string
		until            deaf
		reloads, starts  int
		replaced, silent time.Duration
	}{
		{"a reload cures it", deafUntilReload, 1, 0, 0, 6 * time.Minute},
		{"a restart cures it", deafUntilRestart, 1, 1, 0, 11 * time.Minute},
		{"nothing does", deafForGood, 1, 1, 15 * time.Minute, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := deafened(t, fleet.ModeToken, c.until)
			starts := s.proc.starts
			s.run(14*time.Minute + 30*time.Second)
			if s.count("SetUnhealthy") > 0 {
				t.Error("reported before its time")
			}
			s.run(90 * time.Second)
			if n := s.proc.starts - starts; s.count("{Unit:gitlab-runner.service Signal:HUP}") < c.reloads || n != c.starts {
				t.Errorf("%d starts", n)
			}
			if got := s.count("SetUnhealthy") == 1; got != (c.replaced > 0) {
				t.Errorf("reported Unhealthy: %v", got)
			}
			if c.replaced == 0 {
				mustWork(t, s, c.name)
				if s.saidAt(life.Info, "can get jobs again") != 1 {
					t.Error("the end is not said")
				}
			}
		})
	}
}

// TestDeafRunnerAfterRefusals: for an hour nobody can tell it from one that waits;
// then a restart shows that it is well. (Init, run again, would restart it as well: here
// it cannot be started.)
func TestDeafRunnerAfterRefusals(t *testing.T) {
	s := pinned(t, fleet.ModeToken)
	s.run(30 * time.Second)
	token := s.files.registration.Runners[0].Token.Reveal()
	clear(s.gitlab.runners)
	s.run(time.Minute)
	s.proc.deaf = deafUntilRestart
	s.fail = func(a life.Action) *fleet.Failure {
		if a == life.Action(life.StartUnit{Unit: life.UnitInit}) {
			return kind(fleet.Local)
		}
		return nil
	}
	s.gitlab.runners[1] = &glRunner{token: token, managers: map[string]bool{}}
	s.forget()
	s.run(65 * time.Minute)
	if s.count("StopUnit") > 0 {
		t.Error("restarted within the hour")
	}
	s.run(8 * time.Minute)
	mustWork(t, s, "restarted")
	if s.count("SetUnhealthy") > 0 {
		t.Error("replaced")
	}
}

// TestDeafRunnerThatDoesNotStop is replaced all the same.
func TestDeafRunnerThatDoesNotStop(t *testing.T) {
	s := deafened(t, fleet.ModeCreate, deafForGood)
	s.proc.undying = true
	s.run(16 * time.Minute)
	if s.count("SetUnhealthy") != 1 || s.saidAt(life.Warn, "does not stop") != 1 {
		t.Errorf("reported %d times, said %d times", s.count("SetUnhealthy"), s.saidAt(life.Warn, "does not stop"))
	}
}

// TestSilenceThatIsNone: a poll that is held, a long job, sections that were taken
// out, GitLab away, and a runner that does not tell what its polls became.
func TestSilenceThatIsNone(t *testing.T) {
	for _, c := range []struct {
		name string
		arm  func(*site)
	}{
		{"a poll is held", func(s *site) { s.proc.longPoll = time.Hour }},
		{"a job runs", func(s *site) { s.proc.arrive(time.Hour); s.proc.deaf = deafForGood }},
		{"no section is left", func(s *site) { s.proc.config, s.proc.loaded, s.proc.deaf = 0, 0, deafForGood }},
		{"GitLab does not answer", func(s *site) { s.gitlab.down = temporary() }},
		{"the token is refused", func(s *site) {
			clear(s.gitlab.runners)
			s.run(time.Minute)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pinned(t, fleet.ModeToken)
			s.run(30 * time.Second)
			s.forget()
			c.arm(s)
			s.run(40 * time.Minute)
			if s.count("SetUnhealthy") > 0 || s.count("StopUnit") > 0 || s.saidAt(life.Warn, "does not ask") > 0 {
				t.Error("taken for deaf")
			}
		})
	}
}

// TestDeafRunnerAndItsMonitorStopped: a runner that was stopped to be restarted is
// not left so.
func TestDeafRunnerAndItsMonitorStopped(t *testing.T) {
	s := deafened(t, fleet.ModeToken, deafUntilRestart)
	s.runUntil(12*time.Minute, func() bool { return s.count("StopUnit") > 0 })
	s.stop(life.UnitMonitor)
	s.run(10 * time.Second)
	mustWork(t, s, "monitor was stopped")
	if s.running(life.UnitMonitor) {
		t.Error("monitor still runs")
	}
}
