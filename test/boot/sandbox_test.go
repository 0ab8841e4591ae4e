package boot_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/shoal-ci/shoal/internal/life"
)

// TestSandbox tries what each unit may do and may not, and has systemd judge the
// units as they are installed.
func TestSandbox(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.up()
	probes := filepath.Join(t.TempDir(), "sandbox")
	build := exec.Command("go", "build", "-o", probes, "../../packaging/sandbox")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the probes: %v\n%s", err, out)
	}
	data, err := os.ReadFile(probes)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.write("/usr/local/bin/sandbox", data); err != nil {
		t.Fatal(err)
	}
	if _, err := m.run("chmod", "755", "/usr/local/bin/sandbox"); err != nil {
		t.Fatal(err)
	}
	out, err := m.run("/usr/local/bin/sandbox")
	if err != nil {
		t.Error(err)
	}
	t.Log(out)
	for unit, most := range map[string]float64{
		life.UnitMonitor: 2, life.UnitLifecycleCheck: 2, life.UnitInit: 4, life.UnitScaleUp: 4, life.UnitUnregister: 4,
		"runner-shutdown.service": 4, "shoal-reap.service": 2, "shoal-webhook.service": 2,
	} {
		if got := exposure(t, m, unit); got > most {
			t.Errorf("the exposure of %s is %.1f, want at most %.1f", unit, got, most)
		}
	}
	f.works()
	f.drainedNothing(m)
}

var overall = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

func exposure(t *testing.T, m *instance, unit string) float64 {
	t.Helper()
	out, err := m.run("systemd-analyze", "--no-pager", "security", unit)
	found := overall.FindStringSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("systemd-analyze security %s: %v\n%s", unit, err, out)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %.1f", unit, n)
	return n
}
