package packaging

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/internal/life"
)

// exposure is the most that systemd-analyze security may say of a unit, in
// tenths. gitlab-runner.service is not among them: it runs the jobs.
var exposure = map[string]string{
	"monitor-jobs.service":    "20",
	"lifecycle-check.service": "20",
	"shoal-reap.service":      "20",
	"shoal-webhook.service":   "20",
	"runner-init.service":     "40",
	"scale-up.service":        "40",
	"unreg-runner.service":    "40",
	"runner-shutdown.service": "40",
}

// analyze is systemd's own judge.
func analyze(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("systemd-analyze is not on the PATH: nobody checks the units")
	}
	if err != nil {
		t.Skip("systemd-analyze is not on the PATH: nobody checks the units")
	}
	return path
}

// install writes the units into a folder, as systemd-analyze can take them: with
// a program that exists, and GitLab's own unit beside them. It returns the units'
// files.
func install(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "shoal")
	write(t, bin, "#!/bin/sh\n", 0o755)
	base := "[Unit]\nDescription=GitLab Runner\n[Service]\nExecStart=" + bin + "\nRestart=always\nRestartSec=120\n[Install]\nWantedBy=multi-user.target\n"
	units := []string{filepath.Join(dir, "gitlab-runner.service")}
	write(t, units[0], base, 0o644)
	for name := range want {
		data, err := fs.ReadFile(Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		write(t, path, strings.ReplaceAll(string(data), "/usr/bin/shoal", bin), 0o644)
		if ext := filepath.Ext(name); ext == ".service" || ext == ".target" {
			units = append(units, path)
		}
	}
	return units
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a test's folder
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// TestSystemdTakesTheUnits: without --recursive-errors an unknown key is no
// error. All at once: a circle in their order shows only so.
func TestSystemdTakesTheUnits(t *testing.T) {
	program := analyze(t)
	out, err := exec.Command(program, append([]string{"verify", "--recursive-errors=yes"}, install(t)...)...).CombinedOutput() //nolint:gosec // systemd's own
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestExposure holds each unit to the least it needs.
func TestExposure(t *testing.T) {
	program := analyze(t)
	for _, path := range install(t) {
		name := filepath.Base(path)
		threshold := exposure[name]
		if name == "gitlab-runner.service" || filepath.Ext(name) == ".target" {
			continue
		}
		if threshold == "" {
			t.Errorf("%s: no exposure is set for it", name)
			continue
		}
		out, err := exec.Command(program, "security", "--offline=true", "--no-pager", "--threshold="+threshold, path).CombinedOutput() //nolint:gosec // systemd's own
		if err != nil || !strings.Contains(string(out), "Overall exposure level") {
			t.Errorf("%s is more exposed than %s tenths: %v\n%s", name, threshold, err, out)
		}
	}
}

var unitNames = regexp.MustCompile(`[a-z][a-z-]*\.service|runner-[a-z]+\.target`)

// foreign are units of others, which may be there or not: only an order names them.
var foreign = []string{"gitlab-runner.service", "docker.service", "containerd.service", "podman.service"}

// TestNamedUnitsExist: systemd-analyze verify does not notice that what OnSuccess=
// names is missing; the instance would wait for its end, drained by nobody.
func TestNamedUnitsExist(t *testing.T) {
	named := map[string]string{}
	for name := range want {
		data, err := fs.ReadFile(Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			for _, unit := range unitNames.FindAllString(value, -1) {
				if strings.HasPrefix(line, "#") || slices.Contains(foreign, unit) && (key == "After" || key == "Before") {
					continue
				}
				named[unit] = name
			}
		}
	}
	for _, unit := range []string{life.UnitInit, life.UnitMonitor, life.UnitScaleUp, life.UnitLifecycleCheck, life.UnitUnregister} {
		named[unit] = "package life"
	}
	if named["unreg-runner.service"] == "" {
		t.Error("nothing names unreg-runner.service: this test reads nothing")
	}
	for unit, by := range named {
		if _, err := fs.Stat(Units(), unit); err != nil {
			t.Errorf("%s names %s, which does not exist", by, unit)
		}
	}
	if _, err := fs.Stat(Units(), life.UnitRunner+".d/shoal.conf"); err != nil {
		t.Errorf("no drop-in for %s, which package life starts and stops: %v", life.UnitRunner, err)
	}
}
