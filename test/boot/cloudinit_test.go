package boot_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestUserDataOfAStockImage: cloud-init installs the package and gitlab-runner from
// their repositories, configures and starts.
func TestUserDataOfAStockImage(t *testing.T) {
	t.Parallel()
	byUserData(t, "stock", stock, "/ci/runner-token")
}

// TestUserDataOfABuiltImage: an image is built by the role, as docs/install.md says
// it, without enabling the units; cloud-init configures and starts what it launches.
func TestUserDataOfABuiltImage(t *testing.T) {
	t.Parallel()
	if reason != "" {
		t.Skip(reason)
	}
	byUserData(t, "baked", built(t), "/ci/large/runner-token")
}

// byUserData boots an image with user data of deploy/image, to the letter: the hosts
// that it names are there, with certificates that the image trusts.
func byUserData(t *testing.T, name, image, parameter string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../deploy/image", "cloud-init-"+name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, func(p *plan) {
		p.image, p.userData = image, string(data)
		p.cloud.Parameters = map[string]string{parameter: sharedToken}
		p.group.Hooks[0].HeartbeatTimeout = launchHook
	})
	var m *instance
	f.within(launchHook, "the instance in service", func() bool {
		for _, i := range f.cloud.Records().Instances {
			if i.Reason != "" {
				t.Fatalf("%s left the group: %s", i.ID, i.Reason)
			}
			m = f.find(i.ID)
		}
		if m != nil && len(m.said("cloud-final", "Failed to run module")) > 0 {
			t.Fatalf("cloud-init of %s failed", m.id)
		}
		return m != nil && f.record(m).State == world.InService
	})
	f.configured(m)
	job := f.submit("sleep 5 & wait $!")
	f.untilJob(job, world.JobRunning)
	goesDown(t, m, "reboot")
	f.untilJob(job, world.JobSuccess)
	f.until("it to be back", func() bool { return m.times() == 2 && m.pid(life.UnitRunner) != 0 })
	f.works()
	f.configured(m)
	f.drainedNothing(m)
	job = f.submit("sleep 10")
	f.untilJob(job, world.JobRunning)
	f.scaleIn(m)
	f.drained(m, job)
}

// launchHook is the time-out of docs/install.md's launch hook.
const launchHook = 300 * time.Second

// configured asserts that cloud-init did everything and complains of nothing, and
// that what begins an instance's life runs now and at each boot.
func (f *fleet) configured(m *instance) {
	f.t.Helper()
	var status string
	f.until("cloud-init to be done", func() bool {
		status, _ = m.run("cloud-init", "status", "--long") // 1 for an error, which it names
		return status != "" && !strings.Contains(status, "status: running")
	})
	if !strings.Contains(status, "status: done") {
		out, _ := m.run("tail", "--lines", "40", "/var/log/cloud-init-output.log")
		f.t.Errorf("cloud-init of %s: %s\n%s", m.id, status, out)
	}
	for _, unit := range []string{life.UnitInit, life.UnitMonitor, life.UnitLifecycleCheck} {
		if got := m.show(unit, "UnitFileState"); got != "enabled" {
			f.t.Errorf("%s of %s is %s, want enabled", unit, m.id, got)
		}
	}
	for _, unit := range []string{life.UnitRunner, life.UnitMonitor, life.UnitLifecycleCheck} {
		f.until(unit+" to be active", func() bool { return m.show(unit, "ActiveState") == "active" })
		if got := m.show(unit, "NRestarts"); got != "0" {
			f.t.Errorf("%s of %s was restarted %s times", unit, m.id, got)
		}
	}
}

// seed is what cloud-init finds on an instance's disk.
func seed(id, userData string) map[string]string {
	return map[string]string{
		"var/lib/cloud/seed/nocloud/meta-data": "instance-id: " + id + "\n",
		"var/lib/cloud/seed/nocloud/user-data": userData,
	}
}

// vendor is what the stock image has for the sake of the tests.
func vendor() map[string]string {
	return map[string]string{
		// User data comes by the disk. There is no network to set up, no locale to
		// choose, and nobody logs in.
		"etc/cloud/cloud.cfg.d/99_boot.cfg": "datasource_list: [NoCloud, None]\nnetwork: {config: disabled}\nlocale: false\nssh_genkeytypes: []\n",
		"etc/ssl/certs/ca-certificates.crt": string(authority().root),
		"etc/apt/sources.list":              "", // Debian's own packages are all there
	}
}

// built builds an image on a machine of the stock image, outside of any group, and
// returns the folders to boot it from.
func built(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(stock), "build-") //nolint:usetesting // overlays stay busy for a moment after a kill
	if err != nil {
		t.Fatal(err)
	}
	m, err := start("build", dir, stock, repositories, func(*instance) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.kill()
		<-m.ended
		_ = os.RemoveAll(dir)
	})
	fromRepositories(t, m)
	if err := m.play("image.yml", "shoal_package=https://example.com/shoal/shoal_"+runtime.GOARCH+".deb",
		"shoal_gitlab_url=https://gitlab.example.com", "shoal_gitlab_token=ssm:/ci/runner-token", "shoal_enable=false"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.run("sh", "-ec", "cloud-init clean --logs; truncate --size 0 /etc/machine-id"); err != nil {
		t.Fatal(err)
	}
	goesDown(t, m, "poweroff")
	select {
	case <-m.ended:
	case <-time.After(patience):
		t.Fatal("the machine that becomes the image does not switch itself off")
	}
	return filepath.Join(dir, "upper") + ":" + stock
}
