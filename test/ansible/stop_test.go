package ansible_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// slow stands in for shoal in the middle of a step: asked to stop, it says so,
// ends the step, and says that too.
const slow = `#!/bin/sh
trap 'echo asked to stop >&2; sleep 1; echo ended the step >&2; echo ended > %[1]s/ended; exit 75' TERM
echo begun > %[1]s/begun
while :; do sleep 0.1; done
`

// TestStopEndsTheStep: "systemctl stop" signals all processes of a unit at once.
// Ansible's die of it; shoal must not, in the middle of what it does.
func TestStopEndsTheStep(t *testing.T) {
	t.Parallel()
	playbook := tool(t, "ansible-playbook", "nobody stops a playbook")
	dir := t.TempDir()
	fake := filepath.Join(dir, "shoal")
	write(t, fake, fmt.Sprintf(slow, dir), 0o755)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, playbook, "-i", "localhost,", filepath.Join(playbooks, "gitlab_runner_init.yml"),
		"-e", "shoal_program="+fake, "-e", "shoal_own_tasks="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	there(t, filepath.Join(dir, "begun"))
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("ansible-playbook took the signal for a good end")
	}
	there(t, filepath.Join(dir, "ended"))
}

// there waits for a file.
func there(t *testing.T, name string) {
	t.Helper()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for end := time.Now().Add(patience / 3); ; <-ticker.C {
		if _, err := os.Stat(name); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s did not come", filepath.Base(name))
		}
	}
}
