package packaging

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// want is what each unit has to say; a line that begins with ! must not be there.
var want = map[string][]string{
	"runner-init.service": {
		"Type=oneshot", "ExecStart=/usr/bin/shoal init", "After=network-online.target", "Restart=on-failure",
		"RestartSec=10", "RestartPreventExitStatus=2 3", "StartLimitIntervalSec=0", "TimeoutStartSec=infinity", "WantedBy=multi-user.target", "!RemainAfterExit",
	},
	"monitor-jobs.service": {
		"Type=notify", "ExecStart=/usr/bin/shoal monitor", "Restart=on-failure", "RestartPreventExitStatus=2 3",
		"StartLimitIntervalSec=0", "WantedBy=multi-user.target", "!runner-init",
	},
	"lifecycle-check.service": {
		"Type=notify", "ExecStart=/usr/bin/shoal lifecycle-check", "OnSuccess=unreg-runner.service", "OnSuccessJobMode=replace",
		"Restart=on-failure", "RestartPreventExitStatus=2 3", "StartLimitIntervalSec=0", "WantedBy=multi-user.target", "!runner-init",
	},
	"scale-up.service": {"Type=exec", "ExecStart=/usr/bin/shoal scale-up", "Restart=on-failure", "RestartPreventExitStatus=2 3", "StartLimitIntervalSec=0", "!WantedBy"},
	"unreg-runner.service": {
		"Type=oneshot", "ExecStart=/usr/bin/shoal unregister", "ConditionPathExists=/run/shoal/notice.json", "TimeoutStartSec=infinity",
		"Restart=on-failure", "RestartPreventExitStatus=2 3", "StartLimitIntervalSec=0",
		// The original's defect: each termination started both again.
		"!Requires=", "!Wants=", "!BindsTo=", "!After=", "!WantedBy=",
	},
	"gitlab-runner.service.d/shoal.conf": {"KillSignal=SIGQUIT", "KillMode=mixed", "TimeoutStopSec=infinity", "ConditionPathExists=/run/shoal/registered", "!Restart="},
	"tmpfiles.d/shoal.conf":              {"d /run/shoal 0755 root root -", "d /var/lib/shoal 0700 root root -"},
}

// TestUnitsMeanWhatTheyMust also guards the original's tenth defect:
// unreg-runner pulled lifecycle-check and gitlab-runner in at each termination.
func TestUnitsMeanWhatTheyMust(t *testing.T) {
	for name, lines := range want {
		data, err := fs.ReadFile(Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				said = append(said, line)
			}
		}
		for _, line := range lines {
			check(t, name, said, line)
		}
	}
}

func check(t *testing.T, name string, said []string, line string) {
	t.Helper()
	text, never := strings.CutPrefix(line, "!")
	for _, s := range said {
		if never && strings.Contains(s, text) {
			t.Errorf("%s says %q, which has %q in it", name, s, text)
		}
		if !never && s == text {
			return
		}
	}
	if !never {
		t.Errorf("%s does not say %q", name, text)
	}
}

// TestNoOtherUnits keeps the table above whole.
func TestNoOtherUnits(t *testing.T) {
	err := fs.WalkDir(Units(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && want[path] == nil {
			t.Errorf("%s is in no test", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSystemdTakesTheUnits asks systemd itself, with a root of its own in which
// the programs exist.
func TestSystemdTakesTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("systemd-analyze is not on the PATH: nobody checks the units' syntax")
		}
		t.Skip("systemd-analyze is not on the PATH: nobody checks the units' syntax")
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "shoal")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var units []string
	for name := range want {
		data, err := fs.ReadFile(Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "/usr/bin/shoal", bin)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".service") {
			units = append(units, path)
		}
	}
	base := "[Unit]\nDescription=GitLab Runner\n[Service]\nExecStart=" + bin + "\nRestart=always\nRestartSec=120\n[Install]\nWantedBy=multi-user.target\n"
	runner := filepath.Join(dir, "gitlab-runner.service")
	if err := os.WriteFile(runner, []byte(base), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--recursive-errors=yes"}, append(units, runner)...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
