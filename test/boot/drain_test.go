package boot_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// scaleIn has the group take an instance, whatever it does.
func (f *fleet) scaleIn(m *instance) {
	f.t.Helper()
	f.do(func(w *world.World, now time.Time) error {
		_, err := w.Terminate(now, m.id, true)
		return err
	})
}

// drained waits for an instance's end after scaleIn, and asserts that the job ran
// to its end and the runner is gone.
func (f *fleet) drained(m *instance, job int64) {
	f.t.Helper()
	j := f.untilJob(job, world.JobSuccess)
	i := f.gone(m)
	if i.DeadAt.Before(j.FinishedAt) {
		f.t.Errorf("the machine died at %s, its job ended at %s", i.DeadAt, j.FinishedAt)
	}
	if late := i.TerminatedAt.Sub(j.FinishedAt); late > 20*time.Second {
		f.t.Errorf("the instance was gone %s after its job had ended: its hook timed out", late)
	}
	if f.registered(m) {
		f.t.Errorf("%s is still registered in GitLab", m.id)
	}
}

// TestScaleInWaitsForJobs: a job of a minute, with a child of its own, ends as if
// nothing were; the hook, which times out after 30 s, is heartbeaten meanwhile.
func TestScaleInWaitsForJobs(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.up()
	job := f.submit("sleep 60 & wait $!", "echo the child has ended")
	f.untilJob(job, world.JobRunning)
	f.scaleIn(m)
	f.untilSaid(m, "unreg-runner", "drain and unregister (scale-in)")
	f.drained(m, job)
	for _, unit := range []string{life.UnitRunner, life.UnitLifecycleCheck} {
		if n := len(m.said(unit, "Started "+unit)); n != 1 {
			t.Errorf("%s was started %d times, want once", unit, n)
		}
	}
	if n := f.calls("RecordLifecycleActionHeartbeat"); n < 4 {
		t.Errorf("%d heartbeats, want 4 or more in a minute", n)
	}
	if n := f.calls("POST /api/v4/runners/verify"); n != 1 {
		t.Errorf("registered %d times, want once", n)
	}
}

// TestDrainHoldsNoJobUp: a step of a job that begins in the drain opens a session, and
// starts what a socket would; and docker crashes. systemd keeps all three waiting
// where their unit has an order with the one that is stopping.
func TestDrainHoldsNoJobUp(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.up()
	if _, err := m.run("systemctl", "stop", "podman"); err != nil {
		t.Fatal(err)
	}
	job := f.submit("sleep 10",
		"timeout 20 su --shell /bin/bash --command 'grep session- /proc/self/cgroup' gitlab-runner",
		"timeout 20 systemctl start podman",
		"systemctl kill --kill-whom=main --signal=KILL docker",
		"timeout 20 sh -c 'until [ $(systemctl show --property=NRestarts --value docker) = 1 ] && systemctl is-active docker; do sleep 0.2; done'")
	f.untilJob(job, world.JobRunning)
	f.scaleIn(m)
	f.until("the runner to stop", func() bool { return m.show(life.UnitRunner, "ActiveState") == "deactivating" })
	f.drained(m, job)
}

// TestSpot: EC2 announces that it takes the instance in two minutes. A long job, and
// one that ignores every request to end, are reported failed before that, and the
// replacement is there by then.
func TestSpot(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.up()
	jobs := []int64{f.submit("sleep 600"), f.submit(`trap "" TERM QUIT INT; while :; do sleep 1; done`)}
	for _, job := range jobs {
		f.untilJob(job, world.JobRunning)
	}
	const lead = 2 * time.Minute // as EC2 has it
	deadline := time.Now().Add(lead)
	if err := f.cloud.Interrupt(m.id, lead); err != nil {
		t.Fatal(err)
	}
	f.until("the replacement", func() bool {
		for _, i := range f.cloud.Records().Instances {
			if i.ID != m.id && i.State == world.InService {
				return i.InServiceAt.Before(deadline)
			}
		}
		return false
	})
	for _, job := range jobs {
		f.within(lead, "the job to be reported", func() bool { return f.job(job).Status.Finished() })
		j := f.job(job)
		if j.Status != world.JobFailed || !j.FinishedAt.Before(deadline) || j.UpdatedAt.Before(j.FinishedAt.Add(-time.Second)) {
			t.Errorf("job %d is %s (%s) at %s, last heard of at %s: want it reported failed before %s",
				job, j.Status, j.FailureReason, j.FinishedAt, j.UpdatedAt, deadline)
		}
		if early := deadline.Sub(j.FinishedAt); early > 20*time.Second {
			t.Errorf("job %d was ended %s before the deadline, want the margin of 15 s", job, early)
		}
	}
	f.within(lead, "the end of "+m.id, func() bool { return !f.record(m).Alive() })
	if f.registered(m) {
		t.Errorf("%s is still registered in GitLab", m.id)
	}
}

// TestMistakeInTheConfiguration: somebody writes a mistake into shoal.toml of a live
// instance, and upgrades the package. The daemons go on as they are, and the next
// scale-in loses no job.
func TestMistakeInTheConfiguration(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.up()
	was := m.pid(life.UnitLifecycleCheck)
	if err := m.write("/etc/shoal/shoal.toml", []byte(f.configuration()+"\n[unregistr]\n")); err != nil {
		t.Fatal(err)
	}
	if out := newer(t, m); !strings.Contains(out, "refuses the configuration") {
		t.Errorf("the upgrade does not say what it leaves alone: %s", out)
	}
	if now := m.pid(life.UnitLifecycleCheck); now != was {
		t.Errorf("lifecycle-check is process %d, was %d: nobody knows what the mistake did to it", now, was)
	}
	job := f.submit("sleep 15 & wait $!")
	f.untilJob(job, world.JobRunning)
	f.scaleIn(m)
	f.drained(m, job)
	f.untilSaid(m, life.UnitUnregister, "the configuration has mistakes")
}

// TestRestartsInADrain: what is restarted, upgraded and refused in the middle of a
// drain leaves the drain alone.
func TestRestartsInADrain(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.up()
	job := f.submit("sleep 40 & wait $!")
	f.untilJob(job, world.JobRunning)
	f.scaleIn(m)
	f.untilSaid(m, "unregister", "wait for the running jobs")
	newer(t, m)
	if out, err := m.run("dpkg", "--remove", "shoal"); err == nil {
		t.Errorf("the package could be removed in the middle of a drain: %s", out)
	}
	for _, unit := range []string{life.UnitMonitor, life.UnitLifecycleCheck, life.UnitScaleUp} {
		if _, err := m.run("systemctl", "--no-block", "restart", unit); err != nil {
			t.Error(err)
		}
	}
	if _, err := m.run("systemctl", "--no-block", "restart", life.UnitUnregister); err != nil {
		t.Error(err)
	}
	f.drained(m, job)
	if n := len(m.said(life.UnitRunner, "Started "+life.UnitRunner)); n != 1 {
		t.Errorf("the runner was started %d times, want once", n)
	}
}

// TestRemovalWaitsForJobs: a runner that was told to stop still has a job. Without
// the package's drop-in systemd would kill it.
func TestRemovalWaitsForJobs(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.up()
	job := f.submit("sleep 15 & wait $!")
	f.untilJob(job, world.JobRunning)
	if _, err := m.run("systemctl", "--no-block", "stop", life.UnitRunner); err != nil {
		t.Fatal(err)
	}
	f.until("the runner to stop", func() bool { return m.show(life.UnitRunner, "ActiveState") == "deactivating" })
	if out, err := m.run("dpkg", "--remove", "shoal"); err == nil {
		t.Errorf("the package could be removed while jobs end: %s", out)
	}
	f.untilJob(job, world.JobSuccess)
	f.until("it to be removed", func() bool {
		_, err := m.run("dpkg", "--remove", "shoal")
		return err == nil
	})
}
