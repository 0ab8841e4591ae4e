package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestDeletedRunnerIsMadeAnew within minutes, with its jobs running on, and
// nothing is replaced.
func TestDeletedRunnerIsMadeAnew(t *testing.T) {
	s := pinned(t, fleet.ModeCreate)
	s.group.Max = 2
	s.proc.arrive(time.Hour)
	s.run(30 * time.Second)
	clear(s.gitlab.runners)
	s.run(5 * time.Minute)
	if len(s.gitlab.runners) != 1 || len(s.proc.jobs) != 1 || s.count("SetUnhealthy") != 0 || s.saidAt(life.Error, "") != 0 {
		t.Errorf("%d runners, %d jobs, reported %d times, %d errors", len(s.gitlab.runners), len(s.proc.jobs), s.count("SetUnhealthy"), s.saidAt(life.Error, ""))
	}
	s.proc.arrive(time.Minute)
	s.run(time.Hour)
	if len(s.proc.finished) != 2 || s.count("CreateRunner") != 1 || s.count("StopUnit") != 0 {
		t.Errorf("finished %v, %d runners made", s.proc.finished, s.count("CreateRunner"))
	}
}

// TestRefusalIsSaidOnce where the token that makes runners is revoked and this
// runner is deleted: the whole fleet is refused alike, and nothing is replaced.
func TestRefusalIsSaidOnce(t *testing.T) {
	s := pinned(t, fleet.ModeCreate)
	s.run(2 * time.Minute)
	clear(s.gitlab.runners)
	s.gitlab.auth = "another"
	s.run(24 * time.Hour)
	if n := s.saidAt(life.Error, ""); n != 1 || s.count("SetUnhealthy") != 0 || !s.files.flags.Refused {
		t.Errorf("%d errors, reported %d times, flags %+v", n, s.count("SetUnhealthy"), s.files.flags)
	}
	s.gitlab.auth = s.secret
	s.run(12 * time.Minute)
	mustWork(t, s, "mended")
	if len(s.gitlab.runners) != 1 || s.files.flags.Refused {
		t.Errorf("%d runners, flags %+v", len(s.gitlab.runners), s.files.flags)
	}
}

// TestRefusalThatCannotBeMarked: the mark is what has init run again, so it is tried until
// it can be set; where that takes long systemd starts init instead.
func TestRefusalThatCannotBeMarked(t *testing.T) {
	for _, full := range []time.Duration{3 * time.Minute, 25 * time.Minute} {
		s, set := inMode(t, fleet.ModeCreate, 1)
		s.hooks, s.launch = s.hooks[1:], wait{} // no launch hook: nothing waits for the token to be mended
		s.me().State = fleet.InService
		s.group.Desired, s.group.Min = 2, 2
		s.group.Instances = append(s.group.Instances, member("i-z", true))
		s.gitlab.auth = "another"
		until := s.now.Add(full)
		s.fail = func(a life.Action) *fleet.Failure {
			if f, ok := a.(life.SetFlag); ok && f.Flag == life.FlagRefused && f.On && s.now.Before(until) {
				return kind(fleet.Local)
			}
			return nil
		}
		s.startWith(life.UnitMonitor, set)
		s.startWith(life.UnitInit, set)
		s.run(40 * time.Minute)
		if !s.files.flags.Refused || s.saidAt(life.Warn, "cannot mark") < 1 || s.calls["gitlab"] > 12 || s.count("SetUnhealthy") != 0 {
			t.Errorf("disk full for %s: flags %+v, %d calls to GitLab, reported %d times", full, s.files.flags, s.calls["gitlab"], s.count("SetUnhealthy"))
		}
		s.gitlab.auth = s.secret
		s.run(12 * time.Minute)
		mustWork(t, s, full)
	}
}

// tokenRotated is an instance of two, with the shared token, which has worked until
// GitLab got another one: the secret store still has the old.
func tokenRotated(t *testing.T, minimum int) *site {
	s, set := inMode(t, fleet.ModeToken, 1)
	set.monitor.Mode = fleet.ModeToken
	s.startWith(life.UnitInit, set)
	s.runUntil(time.Minute, func() bool { return len(s.exits) > 0 })
	s.group.Desired, s.group.Min = 2, minimum
	s.group.Instances = append(s.group.Instances, member("i-z", true))
	s.startWith(life.UnitMonitor, set)
	s.startWith(life.UnitLifecycleCheck, set)
	s.run(30 * time.Second)
	s.forget()
	for _, r := range s.gitlab.runners {
		r.token = "glrt-new"
	}
	return s
}

// TestRotatedTokenIsTakenUp from the secret store when it stands there, without
// a replacement, and said once as an error.
func TestRotatedTokenIsTakenUp(t *testing.T) {
	s := tokenRotated(t, 2)
	s.run(3 * time.Hour)
	if n := s.saidAt(life.Error, ""); n != 1 || s.count("SetUnhealthy") != 0 || s.calls["aws"] > 3*6*4 || !s.files.flags.Registered {
		t.Errorf("%d errors, reported %d times, %d calls to AWS, flags %+v", n, s.count("SetUnhealthy"), s.calls["aws"], s.files.flags)
	}
	s.secret = "glrt-new"
	s.run(11 * time.Minute)
	if s.files.flags.Refused || s.saidAt(life.Info, "can get jobs again") != 1 {
		t.Errorf("flags %+v; not taken up", s.files.flags)
	}
	mustWork(t, s, "after the new token")
}

// TestMendedTokenEndsTheSilence: the same token is good again, and the runner, which
// would ask nothing for an hour, is started anew. One that runs a job is not.
func TestMendedTokenEndsTheSilence(t *testing.T) {
	for _, long := range []time.Duration{0, 35 * time.Minute} {
		s, set := inMode(t, fleet.ModeToken, 1)
		set.monitor.Mode = fleet.ModeToken
		s.startWith(life.UnitInit, set)
		s.runUntil(time.Minute, func() bool { return len(s.exits) > 0 })
		s.group.Desired, s.group.Min = 2, 2
		s.group.Instances = append(s.group.Instances, member("i-z", true))
		s.startWith(life.UnitMonitor, set)
		s.run(30 * time.Second)
		if long > 0 {
			s.proc.arrive(long)
		}
		s.run(time.Second)
		good := s.gitlab.runners
		s.gitlab.runners = nil
		s.run(10 * time.Minute)
		s.gitlab.runners = good
		s.run(12 * time.Minute)
		if again := s.saidAt(life.Info, "can get jobs again") == 1; again != (long == 0) {
			t.Errorf("job of %s: works again %v", long, again)
		}
		s.run(long)
		if s.saidAt(life.Info, "can get jobs again") != 1 || s.proc.starts != 2 || len(s.proc.finished) != len(s.proc.took) || len(s.proc.reported) > 0 {
			t.Errorf("job of %s: not at work again, %d starts, jobs %v, finished %v", long, s.proc.starts, s.proc.took, s.proc.finished)
		}
		mustWork(t, s, long)
	}
}

// TestMendedTokenEndsTheSilenceOfALaunch: the polls are refused before the first one
// is answered, while init waits.
func TestMendedTokenEndsTheSilenceOfALaunch(t *testing.T) {
	s, set := inMode(t, fleet.ModeToken, 1)
	set.monitor.Mode = fleet.ModeToken
	s.startWith(life.UnitInit, set)
	s.runUntil(time.Minute, func() bool { return s.count("VerifyRunner") > 0 })
	good := s.gitlab.runners
	s.gitlab.runners = nil
	s.run(4 * time.Minute)
	if len(s.exits) > 0 || s.proc.starts > 1 {
		t.Fatalf("exits %v, %d starts", s.exits, s.proc.starts)
	}
	s.gitlab.runners = good
	s.run(7 * time.Minute)
	if len(s.exits) == 0 || s.me().State != fleet.InService {
		t.Errorf("exits %v, %s", s.exits, s.me().State)
	}
	mustWork(t, s, "after the token was mended")
}

// TestRefusedInitIsRunAgain where no hook waits: after a reboot, or in a group that
// has none. Nothing is undone, it is said once, and mends by itself.
func TestRefusedInitIsRunAgain(t *testing.T) {
	for _, mode := range []fleet.Mode{fleet.ModeToken, fleet.ModeCreate} {
		s, set := inMode(t, mode, 1)
		set.monitor.Mode = mode
		s.hooks, s.launch.open = s.hooks[1:], false
		s.me().State, s.group.Min = fleet.InService, 1
		auth := s.gitlab.auth
		for _, r := range s.gitlab.runners {
			r.token = "glrt-other"
		}
		s.gitlab.auth = "another"
		s.startWith(life.UnitInit, set)
		s.startWith(life.UnitMonitor, set)
		s.startWith(life.UnitLifecycleCheck, set)
		s.run(24 * time.Hour)
		if n := s.saidAt(life.Error, ""); n != 1 || !s.files.flags.Refused || s.files.flags.Unable || s.count("SetUnhealthy") != 0 {
			t.Errorf("%s: %d errors, flags %+v, reported %d times", mode, n, s.files.flags, s.count("SetUnhealthy"))
		}
		if s.calls["aws"] > 24*6*4+10 {
			t.Errorf("%s: %d calls to AWS", mode, s.calls["aws"])
		}
		s.gitlab.auth = auth
		for _, r := range s.gitlab.runners {
			r.token = s.secret
		}
		s.run(12 * time.Minute)
		if s.files.flags.Refused || !s.files.flags.Registered {
			t.Errorf("%s: flags %+v after it was mended", mode, s.files.flags)
		}
		mustWork(t, s, string(mode))
	}
}

// TestRefusalOutlivesALeaveThatWasUndone: with the sections taken out and put back
// the runner is as silent as before, and says nothing of it for an hour.
func TestRefusalOutlivesALeaveThatWasUndone(t *testing.T) {
	s := tokenRotated(t, 1)
	s.runUntil(10*time.Minute, func() bool { return s.count("HoldRunner") > 0 })
	s.group.Min = 2 // the second look finds no room
	s.run(time.Minute)
	if s.count("ResumeRunner") == 0 {
		t.Fatal("the leave was not undone")
	}
	s.secret = "glrt-new"
	s.run(11 * time.Minute)
	if s.saidAt(life.Info, "can get jobs again") != 1 {
		t.Error("the refusal was forgotten: not taken up")
	}
	mustWork(t, s, "after the new token")
}
