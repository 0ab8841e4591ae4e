package e2e_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestRunnerCrashes: gitlab-runner itself is killed; its unit starts it again
// and the instance stays.
func TestRunnerCrashes(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.up()
	old := s.kill(id, life.UnitRunner)
	until(t, "another runner process", func() bool { pid := s.pid(id, life.UnitRunner); return pid != 0 && pid != old })
	s.works()
	if r := s.records(); len(r.Instances) != 1 || calls(r, "SetInstanceHealth") != 0 {
		t.Errorf("%d instances after a crash of the runner, want the one", len(r.Instances))
	}
}

// TestOperatorWantsNone: desired is set to 0 by hand. A busy instance finishes its
// job first; nothing of it is left.
func TestOperatorWantsNone(t *testing.T) {
	t.Parallel()
	for name, busy := range map[string]bool{"idle": false, "busy": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, inMode("create"), func(p *plan) { p.settings["monitor.idle_threshold"] = "2s" })
			id := s.up()
			var job int64
			if busy {
				job = s.submit("sleep 5")
				s.untilJob(job, world.JobRunning)
				until(t, "protection", func() bool { return s.records().Groups[0].Instances[0].Protected })
			}
			s.do(func(w *world.World, now time.Time) error { return w.SetDesired(now, group, 0) })
			i := s.gone(id)
			if busy {
				if j := s.job(job); j.Status != world.JobSuccess || j.FinishedAt.After(i.LeavingAt) {
					t.Errorf("the job is %s (%s), finished at %s, the instance left at %s", j.Status, j.FailureReason, j.FinishedAt, i.LeavingAt)
				}
			}
			if r := s.records(); len(r.Instances) != 1 || r.Groups[0].Desired != 0 {
				t.Errorf("%d instances were launched, desired is %d, want 1 and 0", len(r.Instances), r.Groups[0].Desired)
			}
			s.noGhosts()
		})
	}
}

// TestLeavesWhenIdle: an idle instance leaves by itself, down to the minimum and
// no further.
func TestLeavesWhenIdle(t *testing.T) {
	t.Parallel()
	s := open(t, inMode("create"), func(p *plan) {
		p.group.Min, p.group.Desired = 1, 2
		p.settings["monitor.idle_threshold"] = "2s"
	})
	s.inService(2)
	s.until("one instance to be left", func(r world.Records) bool {
		return len(r.Groups[0].Instances) == 1 && r.Groups[0].Desired == 1
	})
	stays(t, 3*time.Second, "one instance", func() bool { return len(s.records().Groups[0].Instances) == 1 })
	s.works()
	if n := len(s.records().Instances); n != 2 {
		t.Errorf("%d instances were launched, want the 2 of the beginning", n)
	}
	s.noGhosts()
}

// TestGrowsToTheQueue: one decision brings the group to what waits.
func TestGrowsToTheQueue(t *testing.T) {
	t.Parallel()
	s := open(t, func(p *plan) { p.group.Max = 4 })
	s.up()
	for range 7 { // two at once on each: four instances
		s.submit("sleep 6")
	}
	s.inService(4)
	s.untilSaid("INFO", "scale-up", "raised desired capacity", "to 4")
	if n := calls(s.records(), "SetDesiredCapacity"); n > 2 {
		t.Errorf("desired was set %d times, want once (twice where the first reading came too early)", n)
	}
}

// TestAtMaximum: that the group cannot grow is said once in a saturated spell.
func TestAtMaximum(t *testing.T) {
	t.Parallel()
	s := open(t, func(p *plan) { p.group.Max, p.machines.Slots = 1, 1 })
	s.up()
	s.untilJob(s.submit("sleep 12"), world.JobRunning)
	s.submit("true")
	said := func() int { return s.journal.count("WARN", "scale-up", "is at its maximum of 1") }
	until(t, "the maximum to be said", func() bool { return said() == 1 })
	stays(t, 7*time.Second, "said once", func() bool { return said() == 1 })
	if r := s.records(); r.Groups[0].Desired != 1 {
		t.Errorf("desired is %d, want 1", r.Groups[0].Desired)
	}
}

// TestWeightedGroup: where desired does not count instances, it is not touched.
func TestWeightedGroup(t *testing.T) {
	t.Parallel()
	s := open(t, func(p *plan) { p.group.Weight, p.machines.Slots = 2, 1 })
	s.up()
	s.submit("sleep 8")
	l := s.untilExit("scale-up", 3)
	mentions(t, l.Msg, `"ci"`, "weights", "remove WeightedCapacity")
	if n := calls(s.records(), "SetDesiredCapacity"); n != 0 {
		t.Errorf("desired was set %d times, want never", n)
	}
}

// TestOwnRunnerDeleted: somebody deleted the runner in GitLab. systemd sees a
// healthy process; the instance is replaced all the same.
func TestOwnRunnerDeleted(t *testing.T) {
	t.Parallel()
	s := open(t, inMode("create"), func(p *plan) { p.settings["monitor.unhealthy_after"] = "2s" })
	id := s.up()
	own := s.own("create")
	s.do(func(w *world.World, now time.Time) error { return w.UnregisterRunner(now, own[0].Token) })
	if i := s.gone(id); i.Reason != world.ReasonUnhealthy {
		t.Errorf("the instance went for %q, want %q", i.Reason, world.ReasonUnhealthy)
	}
	s.untilSaid("ERROR", "monitor", "reported this instance Unhealthy", "GitLab refuses the runner's token")
	if now := s.up(); now == id {
		t.Errorf("%s is still in service", id)
	}
	s.works()
	if own := s.own("create"); len(own) != 1 {
		t.Errorf("GitLab has %+v, want the replacement's runner", own)
	}
	s.noGhosts()
}

// TestStandby: an instance in Standby takes no job, and takes them again
// afterwards; it is never drained.
func TestStandby(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.up()
	s.do(func(w *world.World, now time.Time) error {
		_, err := w.EnterStandby(now, group, true, id)
		return err
	})
	s.untilSaid("monitor", "take the runner's sections out")
	until(t, "the last poll to end", func() bool { return s.exists(id, "run/shoal/standby") && s.cloud.Polls() == 0 })
	// One more poll may follow the last.
	quiet := time.Now()
	until(t, "no poll for two seconds", func() bool {
		if s.cloud.Polls() > 0 {
			quiet = time.Now()
		}
		return time.Since(quiet) > 2*time.Second
	})
	job := s.submit("true")
	stays(t, 2*time.Second, "the job waits", func() bool { return s.job(job).Status == world.JobPending })
	s.do(func(w *world.World, now time.Time) error {
		_, err := w.ExitStandby(now, group, id)
		return err
	})
	s.untilJob(job, world.JobSuccess)
	if s.exists(id, "run/shoal/notice.json") || s.exists(id, "run/shoal/standby") {
		t.Error("Standby left a notice or its flag")
	}
	if got := s.up(); got != id {
		t.Errorf("%s is in service, want %s", got, id)
	}
}
