package supervisor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// systemctl runs the stand-in as an instance's process would.
func (i *instance) systemctl(args ...string) (stdout, stderr string, code int) {
	i.t.Helper()
	cmd := exec.Command(filepath.Join(i.root, "bin", "systemctl"), args...) //nolint:gosec // this test binary
	var out, errors strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errors
	cmd.Env = []string{controlVariable + "=" + i.control.path}
	_ = cmd.Run()
	return out.String(), errors.String(), cmd.ProcessState.ExitCode()
}

func TestSystemctl(t *testing.T) {
	i := boot(t, map[string]string{"a.service": "[Unit]\nDescription=A unit\n" + forEver, "forever": foreverProgram,
		"b.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/false\n"})
	run := func(wantCode int, wantOut string, args ...string) string {
		t.Helper()
		out, errors, code := i.systemctl(args...)
		if code != wantCode || (wantOut != "*" && out != wantOut) {
			t.Errorf("systemctl %v: exit %d, %q, %q; want %d, %q", args, code, out, errors, wantCode, wantOut)
		}
		return errors
	}
	run(3, "inactive\n", "is-active", "a.service")
	run(0, "MainPID=0\nControlGroup=\nActiveState=inactive\n", "show", "--property=ActiveState,MainPID,ControlGroup", "a.service")
	run(0, "", "--no-block", "start", "a.service")
	i.is("a.service", "active")
	run(0, "active\n", "is-active", "a")
	run(0, "", "is-active", "--quiet", "a")
	run(0, "active\n", "show", "-p", "ActiveState", "--value", "a.service")
	_, pid := i.State("a")
	run(0, "MainPID="+strconv.Itoa(pid)+"\nActiveState=active\n", "show", "-p", "ActiveState", "-p", "MainPID", "a.service")
	run(0, "MainPID=0\nActiveState=inactive\n", "show", "--property=ActiveState,MainPID", "none.service")
	if e := run(5, "", "--no-block", "start", "none.service"); e != "Failed to start none.service: Unit none.service not found.\n" {
		t.Errorf("start of no unit: %q", e)
	}
	if e := run(5, "", "stop", "none.service"); e != "Failed to stop none.service: Unit none.service not loaded.\n" {
		t.Errorf("stop of no unit: %q", e)
	}
	run(0, "*", "status", "a")
	run(1, "", "start", "b")
	run(0, "failed\n", "is-failed", "b")
	run(0, "", "reset-failed", "b")
	run(1, "inactive\n", "is-failed", "b")
	run(1, "", "frobnicate", "a")
	run(1, "", "start", "--frobnicate", "a")
	run(0, "", "kill", "--kill-whom=main", "--signal=SIGKILL", "a.service")
	i.is("a.service", "failed")
	if e := run(1, "", "kill", "--kill-who=main", "--signal=TERM", "a.service"); e != "Failed to kill unit a.service: No main process to kill\n" {
		t.Errorf("kill of no process: %q", e)
	}
	run(0, "", "start", "a.service")
	run(0, "", "stop", "a.service")
	run(3, "inactive\n", "is-active", "a.service")
}

func TestSystemctlOutsideAnInstance(t *testing.T) {
	var out, errors strings.Builder
	if code := Systemctl([]string{"start", "a"}, func(string) string { return "" }, &out, &errors); code != 1 || errors.Len() == 0 {
		t.Errorf("exit %d, %q", code, errors.String())
	}
}

// A unit that starts another through systemctl, as monitor does, must not wait
// for it.
func TestUnitStartsUnit(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/systemctl --no-block start b.service\n",
		"b.service": forEver, "forever": foreverProgram})
	must(t, i.Start(within(t), "a"))
	i.is("b", "active")
}

// Whoever kills a unit's jobs reads cgroup.procs below the kernel's root.
func TestControlGroupListsTheUnitsProcesses(t *testing.T) {
	i := boot(t, map[string]string{"r.service": "[Service]\nExecStart=/usr/bin/runner\nKillMode=mixed\nKillSignal=SIGQUIT\n", "runner": runner})
	must(t, i.Start(within(t), "r"))
	job := i.pid("job")
	out, _, _ := i.systemctl("show", "--property=ControlGroup", "--value", "r.service")
	data, err := os.ReadFile(controlGroupRoot + strings.TrimSpace(out) + "/cgroup.procs")
	must(t, err)
	_, main := i.State("r")
	for _, pid := range []int{job, main} {
		if !strings.Contains("\n"+string(data), "\n"+strconv.Itoa(pid)+"\n") {
			t.Errorf("cgroup.procs %q lacks process %d", data, pid)
		}
	}
}

// A unix socket's path is limited to 107 bytes; a temporary folder is not.
func TestLongRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	must(t, os.MkdirAll(filepath.Join(root, "bin"), 0o700))
	linkPrograms(t, filepath.Join(root, "bin"))
	i := &instance{t: t, root: root}
	s, err := New(Options{Instance: "i-long-" + strconv.Itoa(os.Getpid()), Root: root, Units: nil})
	must(t, err)
	defer s.Kill()
	i.Supervisor = s
	if out, errors, code := i.systemctl("is-active", "a"); code != 3 || out != "inactive\n" {
		t.Errorf("exit %d, %q, %q", code, out, errors)
	}
	info, err := os.Stat(filepath.Join(root, "run"))
	must(t, err)
	if info.Sys().(*syscall.Stat_t).Mode&0o077 != 0 {
		t.Error("others may reach the control socket")
	}
}
