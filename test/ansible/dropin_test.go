package ansible_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/packaging"
)

// exposure is the most that systemd-analyze security may say of a unit with its
// playbook drop-in, in tenths. The drop-in tells the figure.
const exposure = "75"

// playbookUnits are the units that a playbook can take the place of.
var playbookUnits = []string{"runner-init.service", "scale-up.service", "unreg-runner.service"}

func dropIn(t *testing.T, unit string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(playbooks, "units", unit+".d", "shoal-playbook.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// installed writes the units with their drop-ins, as the documented command links
// them, and a program that exists; it returns the units' files.
func installed(t *testing.T) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "shoal")
	write(t, bin, "#!/bin/sh\n", 0o755)
	all, err := fs.Glob(packaging.Units(), "*.service") // one names another
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range all {
		data, err := fs.ReadFile(packaging.Units(), unit)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, unit), strings.ReplaceAll(string(data), "/usr/bin/shoal", bin), 0o644)
	}
	for _, unit := range playbookUnits {
		paths = append(paths, filepath.Join(dir, unit))
		if err := os.Mkdir(filepath.Join(dir, unit+".d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(playbooks, "units", unit+".d", "shoal-playbook.conf"), filepath.Join(dir, unit+".d", "shoal-playbook.conf")); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// TestSystemdTakesTheDropIns asks systemd itself about the units with their drop-ins.
func TestSystemdTakesTheDropIns(t *testing.T) {
	t.Parallel()
	analyze := tool(t, "systemd-analyze", "nobody checks the drop-ins' syntax")
	tool(t, "ansible-playbook", "nobody checks the drop-ins' syntax")
	if out, err := exec.Command(analyze, append([]string{"verify", "--recursive-errors=yes"}, installed(t)...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestExposure: what ordinary tasks do without stays forbidden.
func TestExposure(t *testing.T) {
	t.Parallel()
	analyze := tool(t, "systemd-analyze", "nobody measures what the playbooks may do")
	for _, path := range installed(t) {
		out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", "--threshold="+exposure, path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Overall exposure level") {
			t.Errorf("%s is more exposed than %s tenths: %v\n%s", filepath.Base(path), exposure, err, out)
		}
		if figure := exposure[:1] + "." + exposure[1:]; !strings.Contains(dropIn(t, filepath.Base(path)), "says "+figure) {
			t.Errorf("the drop-in of %s does not say %s", filepath.Base(path), figure)
		}
	}
}

// TestDropInsAreEqual but for their heads and what they run.
func TestDropInsAreEqual(t *testing.T) {
	t.Parallel()
	const mark = "# From here on the three drop-ins are equal"
	first := ""
	for _, unit := range playbookUnits {
		head, rest, ok := strings.Cut(dropIn(t, unit), mark)
		if !ok || (first != "" && rest != first) {
			t.Errorf("the drop-in of %s is another from %q on", unit, mark)
		}
		first = rest
		if got := strings.Join(serviceKeys(head), " "); got != "ExecStart ExecStart" {
			t.Errorf("the head of the drop-in of %s sets %q", unit, got)
		}
		if link := "ln -s /usr/share/shoal/playbook-units/" + unit + ".d/shoal-playbook.conf /etc/systemd/system/" + unit + ".d/\n"; !strings.Contains(head, link) {
			t.Errorf("the drop-in of %s does not say %q", unit, link)
		}
	}
}

// TestMountsReachTheMachine: with a name space of mounts, a disk that the user's
// tasks mount is seen by these alone. Each of these keys makes one.
func TestMountsReachTheMachine(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(dropIn(t, playbookUnits[0])) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateIPC", "ProtectSystem", "ProtectHome",
			"ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups":
			if value != "no" {
				t.Errorf("%s=%s", key, value)
			}
		case "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "TemporaryFileSystem", "BindPaths":
			if value != "" {
				t.Errorf("%s=%s", key, value)
			}
		}
	}
}
