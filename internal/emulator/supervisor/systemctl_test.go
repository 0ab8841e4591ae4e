package supervisor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// systemctl asks as the stand-in would; TestUnitStartsUnit runs it for real.
func (i *instance) systemctl(args ...string) (stdout, stderr string, code int) {
	i.t.Helper()
	var out, errors strings.Builder
	code = Systemctl(args, func(string) string { return i.control.path }, &out, &errors)
	return out.String(), errors.String(), code
}

func TestSystemctl(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Unit]\nDescription=A unit\n" + forEver, "forever": foreverProgram,
		"b.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/false\n",
	})
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
		"b.service": forEver, "forever": foreverProgram,
	})
	must(t, i.Start(within(t), "a"))
	i.is("b", "active")
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
