package e2e_test

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// stubborn is a job that does not end when it is asked to, nor do its children.
const stubborn = `trap "" TERM QUIT INT; while :; do sleep 1; done`

// TestSpotTakesAStubbornJob: before EC2 takes the instance its job is reported,
// though it ignores every request to end, and the replacement is on its way.
func TestSpotTakesAStubbornJob(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.up()
	job := s.submit(stubborn)
	s.untilJob(job, world.JobRunning)
	const lead = 14 * time.Second
	noticed := time.Now()
	if err := s.cloud.Interrupt(id, lead); err != nil {
		t.Fatal(err)
	}
	j := s.untilJob(job, world.JobFailed)
	deadline := noticed.Add(lead)
	if j.FailureReason != "runner_interrupted" || !j.FinishedAt.Before(deadline) {
		t.Errorf("the job failed for %q at %s, want runner_interrupted before %s", j.FailureReason, j.FinishedAt, deadline)
	}
	if j.FinishedAt.Before(deadline.Add(-7 * time.Second)) {
		t.Errorf("the job was ended %s before the deadline, want the margin of 6 s", deadline.Sub(j.FinishedAt))
	}
	s.gone(id)
	s.until("the replacement", func(r world.Records) bool {
		return len(r.Instances) == 2 && r.Instances[1].LaunchedAt.Before(deadline) && r.Instances[1].State == world.InService
	})
	s.noGhosts()
}

// TestDrainLetsJobsEnd: a scale-in in the middle of a job waits for it.
func TestDrainLetsJobsEnd(t *testing.T) {
	t.Parallel()
	s := open(t, inMode("create"))
	id := s.up()
	job := s.submit("sleep 4 & wait", "echo a child was waited for")
	s.untilJob(job, world.JobRunning)
	s.do(func(w *world.World, now time.Time) error { // asks neither protection nor jobs
		_, err := w.Terminate(now, id, true)
		return err
	})
	i := s.gone(id)
	if j := s.job(job); j.Status != world.JobSuccess || i.DeadAt.Before(j.FinishedAt) {
		t.Errorf("the job is %s (%s), finished at %s; the machine died at %s", j.Status, j.FailureReason, j.FinishedAt, i.DeadAt)
	}
	s.noGhosts()
}

// TestDrainWithoutGitLab: GitLab is away while the instance goes. It is asked for
// as long as it may be, then the hook is completed and what stays behind is said.
func TestDrainWithoutGitLab(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	s := open(t, inMode("create"), func(p *plan) {
		p.settings["unregister.gitlab_timeout"] = "4s"
		p.cloud.Fault = func(q emulator.Request) emulator.Fault {
			if away.Load() && q.Service == emulator.ServiceGitLab {
				return emulator.Fault{Status: 502, Body: "<html>Bad Gateway</html>"}
			}
			return emulator.Fault{}
		}
	})
	id := s.up()
	away.Store(true)
	s.do(func(w *world.World, now time.Time) error { return w.SetDesired(now, group, 0) })
	i := s.gone(id)
	if took := i.TerminatedAt.Sub(i.LeavingAt); took > 25*time.Second {
		t.Errorf("the instance was gone after %s: its hook timed out", took)
	}
	s.untilSaid("ERROR", "unregister", "runner stays behind in GitLab", "502")
}

// TestAWSThrottles: each call is throttled, or fails, a few times before it is
// answered; nothing is lost by it.
func TestAWSThrottles(t *testing.T) {
	t.Parallel()
	s := open(t, inMode("create"), func(p *plan) {
		p.cloud.Fault = func(q emulator.Request) emulator.Fault {
			switch {
			case q.Service != emulator.ServiceAutoScaling || q.N > 3:
				return emulator.Fault{}
			case q.N == 3:
				return emulator.AWSFault(500, "InternalFailure", "try again")
			}
			return emulator.Throttling()
		}
	})
	id := s.up()
	job := s.submit("sleep 3")
	s.untilJob(job, world.JobRunning)
	s.do(func(w *world.World, now time.Time) error {
		_, err := w.Terminate(now, id, true)
		return err
	})
	s.gone(id)
	if j := s.job(job); j.Status != world.JobSuccess {
		t.Errorf("the job is %s (%s), want success", j.Status, j.FailureReason)
	}
	s.noGhosts()
	if r := s.records(); len(r.Instances) != 1 {
		t.Errorf("%d instances were launched, want the one", len(r.Instances))
	}
}

// TestRestartDrainsNothing: OnSuccess= fires on a restart of lifecycle-check, as
// at an upgrade of the package; without a notice nothing comes of it.
func TestRestartDrainsNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.up()
	runner := s.pid(id, life.UnitRunner)
	for range 2 {
		if out := s.run(id, "systemctl", "restart", life.UnitLifecycleCheck); out.code != 0 {
			t.Fatalf("restart: %+v", out)
		}
	}
	until(t, "lifecycle-check to run", func() bool { return s.pid(id, life.UnitLifecycleCheck) != 0 })
	s.works()
	stays(t, time.Second, "no notice", func() bool { return !s.exists(id, "run/shoal/notice.json") })
	if pid := s.pid(id, life.UnitRunner); pid != runner {
		t.Errorf("gitlab-runner is process %d, was %d", pid, runner)
	}
	if n := calls(s.records(), "DELETE"); n != 0 {
		t.Errorf("%d deletions in GitLab, want none", n)
	}
}

// TestUnregisterByHand: without a notice it does nothing and says so; --now
// drains; init takes the instance back.
func TestUnregisterByHand(t *testing.T) {
	t.Parallel()
	s := open(t, inMode("create"))
	id := s.up()
	before := s.own("create")

	out := s.run(id, "shoal", "unregister", "--json")
	if code, summary, changed := result(t, out); code != 0 || changed {
		t.Errorf("unregister without a notice: exit %d, changed %v: %s", code, changed, summary)
	}
	mentions(t, out.stdout, "no notice: nothing to do", "--now")
	if own := s.own("create"); len(own) != 1 || own[0].ID != before[0].ID {
		t.Errorf("GitLab has %+v, want the runner of before", own)
	}
	s.works()

	job := s.submit("sleep 3")
	s.untilJob(job, world.JobRunning)
	out = s.run(id, "shoal", "unregister", "--now", "--json")
	if code, summary, _ := result(t, out); code != 0 {
		t.Errorf("unregister --now exits with %d: %s%s", code, summary, out.stderr)
	}
	if j := s.job(job); j.Status != world.JobSuccess {
		t.Errorf("the job is %s (%s), want success", j.Status, j.FailureReason)
	}
	if own := s.own("create"); len(own) != 0 {
		t.Errorf("GitLab has %+v, want nothing", own)
	}
	if pid := s.pid(id, life.UnitRunner); pid != 0 {
		t.Error("gitlab-runner still runs")
	}
	if i := s.instance(id); i.State != world.InService {
		t.Errorf("the instance is %s, want InService: nobody asked for its end", i.State)
	}

	if out := s.run(id, "shoal", "init"); out.code != 0 {
		t.Errorf("init after that exits with %d: %s", out.code, out.stderr)
	}
	s.works()
	if own := s.own("create"); len(own) != 1 || own[0].ID == before[0].ID {
		t.Errorf("GitLab has %+v, want one new runner", own)
	}
}

// result reads a verb's object.
func result(t *testing.T, out outcome) (exit int, summary string, changed bool) {
	t.Helper()
	var r struct {
		Exit    int
		Summary string
		Changed bool
	}
	if err := json.Unmarshal([]byte(out.stdout), &r); err != nil {
		t.Fatalf("stdout is no object: %v: %s%s", err, out.stdout, out.stderr)
	}
	if r.Exit != out.code {
		t.Errorf("the object says exit %d, the process %d", r.Exit, out.code)
	}
	return r.Exit, r.Summary, r.Changed
}
