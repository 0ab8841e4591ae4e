package ansible_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// busy stands in for apt-get and for GitLab's script, which calls it: it tells how
// long a lock is waited for, and the first "update" finds the lists locked.
const busy = `#!/bin/sh
echo "apt-get $* with $(apt-config dump DPkg::Lock::Timeout)" >> "$NOTES"
case $* in *update*) [ -e "$NOTES.updated" ] || { : > "$NOTES.updated"; exit 100; } ;; esac
`

// TestUserDataWaitsForApt: at a first boot apt's own timers hold its locks.
func TestUserDataWaitsForApt(t *testing.T) {
	t.Parallel()
	tool(t, "apt-config", "nobody tries the user data on a machine whose apt is busy")
	dir := t.TempDir()
	notes := filepath.Join(dir, "notes")
	write(t, filepath.Join(dir, "bin/apt-get"), busy, 0o755)
	write(t, filepath.Join(dir, "bin/bash"), "#!/bin/sh\nexec apt-get update\n", 0o755) // as GitLab's script does
	for _, name := range []string{"curl", "sleep", "shoal", "systemctl"} {
		write(t, filepath.Join(dir, "bin", name), "#!/bin/sh\necho "+name+" >> \"$NOTES\"\n", 0o755)
	}
	script := strings.ReplaceAll(scriptOf(t, "../../deploy/image/cloud-init-stock.yaml"), "/root/", dir+"/")
	cmd := exec.CommandContext(t.Context(), "/bin/sh")
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = []string{"PATH=" + filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"), "NOTES=" + notes, "TMPDIR=" + dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	updates, installs := 0, 0
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "apt-get") {
			continue
		}
		if !strings.Contains(line, `DPkg::Lock::Timeout "600"`) {
			t.Errorf("it does not wait for the lock: %s", line)
		}
		if strings.Contains(line, "update") {
			updates++
		} else {
			installs++
		}
	}
	if updates != 2 || installs != 2 || !strings.HasSuffix(string(data), "shoal\nsystemctl\nsystemctl\n") {
		t.Errorf("%d updates, %d installations, want 2 and 2:\n%s", updates, installs, data)
	}
}
