package boot_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestRestartsAndUpgradesDrainNothing: under load every unit is restarted, and the
// package upgraded. Nothing is drained, nothing is lost.
func TestRestartsAndUpgradesDrainNothing(t *testing.T) {
	t.Parallel()
	f := open(t, func(p *plan) {
		p.group.Desired = 2
		p.slots = 5 // one is always free, wherever the jobs are: nobody scales up
	})
	ms := f.inService(2)
	var jobs []int64
	for range 4 {
		jobs = append(jobs, f.submit("sleep 40 & wait $!"))
	}
	for _, job := range jobs {
		f.untilJob(job, world.JobRunning)
	}
	for _, m := range ms {
		for _, unit := range []string{life.UnitMonitor, life.UnitLifecycleCheck, life.UnitInit, life.UnitScaleUp, life.UnitUnregister, "runner-shutdown.service"} {
			if _, err := m.run("systemctl", "restart", unit); err != nil {
				t.Error(err)
			}
		}
	}
	upgrade(t, ms[0])
	f.stays(10*time.Second, "both in service", func() bool {
		return f.desired() == 2 && f.record(ms[0]).State == world.InService && f.record(ms[1]).State == world.InService
	})
	f.drainedNothing(ms...)
	for _, job := range jobs {
		if got := f.job(job).Status; got != world.JobRunning {
			t.Errorf("job %d is %s in the middle of the restarts, want running", job, got)
		}
	}
	// The runner's own restart waits for its jobs.
	if _, err := ms[1].run("systemctl", "--no-block", "restart", life.UnitRunner); err != nil {
		t.Error(err)
	}
	for _, job := range jobs {
		f.untilJob(job, world.JobSuccess)
	}
	for range 4 {
		f.works()
	}
	f.drainedNothing(ms...)
	for _, m := range ms {
		for _, unit := range []string{life.UnitMonitor, life.UnitLifecycleCheck} {
			f.until(unit+" to run", func() bool { return m.show(unit, "ActiveState") == "active" })
		}
	}
}

// upgrade installs the same package as a newer version.
func upgrade(t *testing.T, m *instance) {
	t.Helper()
	daemons := []string{life.UnitMonitor, life.UnitLifecycleCheck}
	before := map[string]int{}
	for _, unit := range daemons {
		before[unit] = m.pid(unit)
	}
	since := m.show("runner-jobs.target", "ActiveEnterTimestampMonotonic")
	state, err := m.run("sha256sum", "/var/lib/shoal/registration.json", "/etc/shoal/shoal.toml", "/etc/gitlab-runner/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	newer(t, m)
	for _, unit := range daemons {
		if pid := m.pid(unit); pid == 0 || pid == before[unit] {
			t.Errorf("the upgrade left process %d of %s, which was %d: want a new one", pid, unit, before[unit])
		}
	}
	if now := m.show("runner-jobs.target", "ActiveEnterTimestampMonotonic"); now != since || since == "0" {
		t.Errorf("runner-jobs.target is up since %s, was since %s: docker could have stopped in between", now, since)
	}
	now, err := m.run("sha256sum", "/var/lib/shoal/registration.json", "/etc/shoal/shoal.toml", "/etc/gitlab-runner/config.toml")
	if err != nil || now != state {
		t.Errorf("the upgrade changed the state: %s\nwas: %s (%v)", now, state, err)
	}
}

// newer installs the image's package with a higher version, and returns what that said.
func newer(t *testing.T, m *instance) string {
	t.Helper()
	deb, err := newerPackage(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.write("/var/tmp/newer.deb", data); err != nil {
		t.Fatal(err)
	}
	out, err := m.run("sh", "-c", "DEBIAN_FRONTEND=noninteractive dpkg --install /var/tmp/newer.deb 2>&1")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// newerPackage is the image's package with a higher version.
func newerPackage(dir string) (string, error) {
	tree, deb := filepath.Join(dir, "tree"), filepath.Join(dir, "newer.deb")
	control := filepath.Join(tree, "DEBIAN/control")
	return deb, all(
		func() error { return command("dpkg-deb", "--raw-extract", filepath.Join(image, packageFile), tree) },
		func() error {
			data, err := os.ReadFile(control)
			if err != nil {
				return err
			}
			lines := strings.Split(string(data), "\n")
			for i, line := range lines {
				if strings.HasPrefix(line, "Version: ") {
					lines[i] = fmt.Sprintf("%s+newer", line)
				}
			}
			return os.WriteFile(control, []byte(strings.Join(lines, "\n")), 0o644)
		},
		func() error { return command("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, deb) },
	)
}
