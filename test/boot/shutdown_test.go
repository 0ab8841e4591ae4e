package boot_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// goesDown has a machine reboot or switch itself off, and does not wait for it.
func goesDown(t *testing.T, m *instance, how string) {
	t.Helper()
	if _, err := m.run("systemctl", "--no-block", how); err != nil {
		t.Fatal(err)
	}
}

// TestReboot: a reboot waits for the running job, which may still use what the
// runner needs, and keeps the registration: the same runner comes back.
func TestReboot(t *testing.T) {
	t.Parallel()
	f := open(t, ownRunner)
	m := f.up()
	runner := f.own()
	// As the shell executor runs it: PAM gives su a session of its own.
	job := f.submit("su --shell /bin/bash --command 'sleep 12 & wait $!' gitlab-runner", "systemctl is-active docker podman")
	f.untilJob(job, world.JobRunning)
	slowDocker(t, m)
	goesDown(t, m, "reboot")
	f.untilJob(job, world.JobSuccess)
	f.until("it to be back", func() bool { return m.times() == 2 && m.pid(life.UnitRunner) != 0 })
	f.works()
	f.drainedNothing(m)
	if again := f.own(); len(runner) != 1 || len(again) != 1 || again[0].ID != runner[0].ID || again[0].Token != runner[0].Token {
		t.Errorf("GitLab has the runners %+v, had %+v: want the same one", again, runner)
	}
	if n := f.calls("POST /api/v4/user/runners"); n != 1 {
		t.Errorf("%d runners were made, want 1", n)
	}
	if len(f.cloud.Records().Instances) != 1 {
		t.Error("another instance was launched")
	}
	inOrder(t, m, "gitlab-runner.service Stopped gitlab-runner.service", "docker.service Stopping docker.service")
	inOrder(t, m, "gitlab-runner.service Stopped gitlab-runner.service", "podman.service Stopping podman.service")
	// GitLab's package enables its unit: it is passed over until init starts it.
	atLastBoot(t, m, 2, "docker.service Started docker.service",
		"skipped because of an unmet condition check (ConditionPathExists=/run/shoal/registered)", "gitlab-runner.service Started gitlab-runner.service")
}

// slowDocker has docker take some seconds to start from the next boot on.
func slowDocker(t *testing.T, m *instance) {
	t.Helper()
	const dir = "/etc/systemd/system/docker.service.d"
	if _, err := m.run("mkdir", "-p", dir); err != nil {
		t.Fatal(err)
	}
	if err := m.write(dir+"/slow.conf", []byte("[Service]\nExecStartPre=/bin/sleep 4\n")); err != nil {
		t.Fatal(err)
	}
}

// TestRebootThatCannotWait: a job that outlasts the bound of a reboot is reported
// failed, not left hanging.
func TestRebootThatCannotWait(t *testing.T) {
	t.Parallel()
	f := open(t, ownRunner, func(p *plan) { p.settings["unregister.reboot_timeout"] = `"25s"` })
	m := f.up()
	job := f.submit("sleep 600")
	f.untilJob(job, world.JobRunning)
	goesDown(t, m, "reboot")
	j := f.untilJob(job, world.JobFailed)
	if j.UpdatedAt.Before(j.FinishedAt.Add(-time.Second)) {
		t.Errorf("nobody reported the job: last heard of at %s, ended at %s", j.UpdatedAt, j.FinishedAt)
	}
	f.until("it to be back", func() bool { return m.times() == 2 && m.pid(life.UnitRunner) != 0 })
	f.works()
	if len(f.own()) != 1 {
		t.Errorf("GitLab has the runners %+v, want one", f.own())
	}
}

// TestPowerOff: a machine that is switched off lets its job end and unregisters,
// whatever lifecycle-check is doing in that moment; the group replaces it.
func TestPowerOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		how    string
		before []string // typed on the machine right before
	}{
		"poweroff":             {"poweroff", nil},
		"halt":                 {"halt", nil},
		"nobody watching":      {"poweroff", []string{"systemctl", "stop", life.UnitLifecycleCheck}},
		"watcher killed":       {"poweroff", []string{"systemctl", "kill", "--kill-whom=main", "--signal=KILL", life.UnitLifecycleCheck}},
		"broken configuration": {"poweroff", []string{"sed", "-i", "s/^margin/margn/; $a [unregister]\\nmargn = 1", "/etc/shoal/shoal.toml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, ownRunner)
			m := f.up()
			runner := f.own()
			job := f.submit("sleep 12")
			f.untilJob(job, world.JobRunning)
			if c.before != nil {
				if _, err := m.run(c.before...); err != nil {
					t.Fatal(err)
				}
			}
			goesDown(t, m, c.how)
			f.untilJob(job, world.JobSuccess)
			if i := f.gone(m); i.DeathReason != world.ReasonCrash { // what EC2 makes of it
				t.Errorf("it died of %s, want it switched off", i.DeathReason)
			}
			f.up()
			if now := f.own(); len(runner) != 1 || len(now) != 1 || now[0].ID == runner[0].ID {
				t.Errorf("GitLab has the runners %+v, had %+v: want the replacement's alone", now, runner)
			}
			inOrder(t, m, "gitlab-runner.service Stopped gitlab-runner.service", "docker.service Stopping docker.service")
		})
	}
}

// TestShutdownKilled ends what sees a drain through by -9, while the machine goes
// down: a second run goes on where the first one was, once, and docker stays.
func TestShutdownKilled(t *testing.T) {
	t.Parallel()
	for how, left := range map[string]int{"reboot": 1, "poweroff": 0} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			f := open(t, ownRunner)
			m := f.up()
			runner := f.own()
			job := f.submit("sleep 15", "systemctl is-active docker")
			f.untilJob(job, world.JobRunning)
			goesDown(t, m, how)
			f.untilSaid(m, "runner-shutdown", "wait for the running jobs")
			if _, err := m.run("systemctl", "kill", "--kill-whom=control", "--signal=KILL", "runner-shutdown.service"); err != nil {
				t.Fatal(err)
			}
			f.untilJob(job, world.JobSuccess)
			f.until("it to be off, or back", func() bool { return !f.record(m).Alive() || m.times() == 2 && m.pid(life.UnitRunner) != 0 })
			if n := len(m.said("runner-shutdown", "wait for the running jobs")); n != 2 {
				t.Errorf("%d runs waited for the jobs, want the one that was killed and one more", n)
			}
			inOrder(t, m, "gitlab-runner.service Stopped gitlab-runner.service", "docker.service Stopping docker.service")
			kept := slices.DeleteFunc(f.own(), func(r world.Runner) bool { return r.ID != runner[0].ID })
			if len(kept) != left {
				t.Errorf("GitLab has the runners %+v, had %+v: want %d of these", f.own(), runner, left)
			}
		})
	}
}

// TestRescue: what stops everything but the machine lets the jobs end all the same.
func TestRescue(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.up()
	job := f.submit("sleep 8", "systemctl is-active docker")
	f.untilJob(job, world.JobRunning)
	if _, err := m.run("systemctl", "--no-block", "isolate", "rescue.target"); err != nil {
		t.Fatal(err)
	}
	f.untilJob(job, world.JobSuccess)
	f.until("docker to stop", func() bool { return m.show("docker.service", "ActiveState") == "inactive" })
	inOrder(t, m, "gitlab-runner.service Stopped gitlab-runner.service", "docker.service Stopping docker.service")
}

// TestSlowAtBoot: nothing is registered before what a power-off needs is active, and
// what jobs run in is up.
func TestSlowAtBoot(t *testing.T) {
	t.Parallel()
	f := open(t, ownRunner, func(p *plan) {
		p.files["etc/systemd/system/podman.service.d/slow.conf"] = "[Service]\nExecStartPre=/bin/sleep 6\n"
	})
	m := f.up()
	inOrder(t, m, "runner-shutdown.service Finished runner-shutdown.service", "registered runner")
	inOrder(t, m, "podman.service Started podman.service", "gitlab-runner.service Started gitlab-runner.service")
}

// TestPowerOffInTheMiddleOfADrain: what was being drained is unregistered all the
// same.
func TestPowerOffInTheMiddleOfADrain(t *testing.T) {
	t.Parallel()
	f := open(t, ownRunner, func(p *plan) { p.settings["unregister.poweroff_timeout"] = `"30s"` })
	m := f.up()
	job := f.submit("sleep 600")
	f.untilJob(job, world.JobRunning)
	f.scaleIn(m)
	f.untilSaid(m, "unregister", "wait for the running jobs")
	goesDown(t, m, "poweroff")
	f.untilJob(job, world.JobFailed)
	f.until("it to be off", func() bool { return !f.record(m).Alive() })
	if left := f.own(); len(left) != 0 {
		t.Errorf("GitLab still has %+v", left)
	}
}

// ownRunner has each instance make a runner of its own.
func ownRunner(p *plan) {
	p.cloud.AccessTokens = []world.AccessToken{{Token: createToken, Scopes: []string{world.ScopeCreateRunner}}}
	p.settings["gitlab.mode"], p.settings["gitlab.runner_type"], p.settings["gitlab.run_untagged"] = `"create"`, `"instance_type"`, "true"
	p.files["etc/shoal/token"] = createToken + "\n"
}

const createToken = "glpat-boot-create-0123456789"

// own are the runners that instances made.
func (f *fleet) own() (found []world.Runner) {
	for _, r := range f.cloud.Records().Runners {
		if r.Token != sharedToken {
			found = append(found, r)
		}
	}
	return found
}

// inOrder asserts that one line of the journal comes before another.
func inOrder(t *testing.T, m *instance, first, second string) {
	t.Helper()
	a, b := m.said(first), m.said(second)
	if len(a) == 0 || len(b) == 0 || a[0].at.After(b[0].at) {
		t.Errorf("%s: want %q before %q, got %d and %d lines", m.id, first, second, len(a), len(b))
	}
}

// atLastBoot asserts that lines came in this order after the last of so many boots,
// and that each boot had one of each.
func atLastBoot(t *testing.T, m *instance, boots int, lines ...string) {
	t.Helper()
	var before time.Time
	for _, text := range lines {
		all := m.said(text)
		if len(all) != boots || !all[len(all)-1].at.After(before) {
			t.Errorf("%s: %q was said %d times in %d boots; the last time is to be after %s", m.id, text, len(all), boots, before)
			return
		}
		before = all[len(all)-1].at
	}
}
