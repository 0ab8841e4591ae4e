package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// answer is what systemctl of systemd 252 printed and returned (recorded).
type answer struct {
	code     int
	out, err string
}

// fake puts a systemctl on PATH that prints the first answer whose key begins its
// arguments, and returns where it writes down what it was asked.
func fake(t *testing.T, answers map[string]answer) (*Units, func() []string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/bash\nprintf '%s\\n' \"$LC_ALL $*\" >> " + dir + "/asked\ncase \"$*\" in\n"
	for args, a := range answers {
		script += fmt.Sprintf("'%s'*) printf %%s %s; printf %%s %s >&2; exit %d;;\n", args, shell(a.out), shell(a.err), a.code)
	}
	script += "*) echo \"no answer to $*\" >&2; exit 99;;\nesac\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o700); err != nil { //nolint:gosec // a test's program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return New(Options{}), func() []string {
		b, _ := os.ReadFile(filepath.Join(dir, "asked")) //nolint:gosec // a test's own file
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
}

func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

const look = "show --property=LoadState,ActiveState,MainPID,ControlGroup,Job,Result,ExecMainStatus,NRestarts job.service"

func TestStartStopSignal(t *testing.T) {
	u, asked := fake(t, map[string]answer{
		"show ":                        {out: "LoadState=loaded\nActiveState=active\nMainPID=1\n"},
		"--no-block start job.service": {}, "--no-block stop job.service": {},
		"kill --kill-whom=main --signal=SIGHUP job.service": {},
	})
	_, started := u.Start(t.Context(), "job.service")
	_, stopped := u.Stop(t.Context(), "job.service")
	for _, err := range []error{started, stopped, u.Signal(t.Context(), "job.service", "HUP")} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"C " + look, "C --no-block start job.service", "C " + look, "C --no-block stop job.service",
		"C kill --kill-whom=main --signal=SIGHUP job.service",
	}
	if got := asked(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

// TestStartAndStopTellWhatTheyChange, and are asked for whatever was seen before.
func TestStartAndStopTellWhatTheyChange(t *testing.T) {
	for _, tt := range []struct {
		name        string
		show        answer
		start, stop bool
	}{
		{"runs", answer{out: "ActiveState=active\nMainPID=7\nJob=0\n"}, false, true},
		{"runs, as an older systemd says it", answer{out: "ActiveState=active\nMainPID=7\n"}, false, true},
		{"is about to stop", answer{out: "ActiveState=active\nMainPID=7\nJob=12\n"}, true, true},
		{"reloads", answer{out: "ActiveState=reloading\nMainPID=7\n"}, false, true},
		{"a oneshot at work", answer{out: "ActiveState=activating\nMainPID=7\nJob=180\n"}, false, true},
		{"waits for its restart", answer{out: "ActiveState=activating\nMainPID=0\n"}, true, true},
		{"drains", answer{out: "ActiveState=deactivating\nMainPID=7\n"}, true, true},
		{"is down", answer{out: "ActiveState=inactive\nMainPID=0\nJob=\n"}, true, false},
		{"is about to start", answer{out: "ActiveState=inactive\nMainPID=0\nJob=12\n"}, true, true},
		{"failed", answer{out: "ActiveState=failed\nMainPID=0\n"}, true, false},
		{"nobody can tell", answer{out: "?\n"}, true, true},
		{"the question fails", answer{code: 1, err: "Failed to get properties: Connection timed out\n"}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, asked := fake(t, map[string]answer{"show ": tt.show, "--no-block start": {}, "--no-block stop": {}})
			if changed, err := u.Start(t.Context(), "job.service"); err != nil || changed != tt.start {
				t.Errorf("start: changed %v, want %v; %v", changed, tt.start, err)
			}
			if changed, err := u.Stop(t.Context(), "job.service"); err != nil || changed != tt.stop {
				t.Errorf("stop: changed %v, want %v; %v", changed, tt.stop, err)
			}
			if got := asked(); !slices.Contains(got, "C --no-block start job.service") || !slices.Contains(got, "C --no-block stop job.service") {
				t.Errorf("asked %q: the look is only for the report", got)
			}
		})
	}
}

// TestASlowLookDelaysNoStop: a manager that does not answer what a unit is doing
// is still told what it must do, within the action's time.
func TestASlowLookDelaysNoStop(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "systemctl")
	script := "#!/bin/bash\n[ \"$1\" != show ] || exec tail -f /dev/null\necho \"$*\" > " + dir + "/asked\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil { //nolint:gosec // a test's program
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if changed, err := New(Options{Systemctl: path}).Stop(ctx, "job.service"); err != nil || !changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "asked")); string(b) != "--no-block stop job.service\n" { //nolint:gosec // a test's own file
		t.Errorf("asked %q, %v", b, err)
	}
}

func TestSignalOnOlderSystemd(t *testing.T) {
	u, asked := fake(t, map[string]answer{
		"kill --kill-whom": {code: 1, err: "systemctl: unrecognized option '--kill-whom=main'\n"},
		"kill --kill-who=": {},
	})
	for range 2 {
		if err := u.Signal(t.Context(), "job.service", "SIGQUIT"); err != nil {
			t.Fatal(err)
		}
	}
	if got := asked(); len(got) != 3 || got[2] != "C kill --kill-who=main --signal=SIGQUIT job.service" {
		t.Errorf("asked %q, want the old option remembered", got)
	}
}

func TestState(t *testing.T) {
	tests := []struct {
		name, out string
		want      fleet.UnitState
		kind      fleet.FailureKind
		fails     bool
	}{
		{name: "active", out: "MainPID=66\nControlGroup=/system.slice/job.service\nLoadState=loaded\nActiveState=active\n", want: fleet.UnitState{Active: "active", MainPID: 66}},
		{name: "inactive", out: "MainPID=0\nControlGroup=\nLoadState=loaded\nActiveState=inactive\n", want: fleet.UnitState{Active: "inactive"}},
		{name: "failed", out: "LoadState=loaded\nActiveState=failed\nMainPID=0\n", want: fleet.UnitState{Active: "failed"}},
		// As systemd 252 tells of a service that ends at each start, by itself and by SIGKILL.
		{name: "ends with a status", out: "MainPID=0\nResult=exit-code\nExecMainStatus=1\nControlGroup=\nLoadState=loaded\nActiveState=activating\n", want: fleet.UnitState{Active: "activating", Result: "exit-code", ExitStatus: 1}},
		{name: "ends by a signal", out: "MainPID=0\nResult=signal\nNRestarts=7\nExecMainStatus=9\nControlGroup=\nLoadState=loaded\nActiveState=activating\n", want: fleet.UnitState{Active: "activating", Result: "signal", ExitStatus: 9, Restarts: 7}},
		{name: "no status", out: "ActiveState=active\nExecMainStatus=x\n", fails: true},
		{name: "no such unit", out: "MainPID=0\nControlGroup=\nLoadState=not-found\nActiveState=inactive\n", fails: true, kind: fleet.NotFound},
		{name: "nothing", out: "", fails: true},
		{name: "no state", out: "MainPID=1\nLoadState=loaded\n", fails: true},
		{name: "no number", out: "ActiveState=active\nMainPID=x\n", fails: true},
		{name: "negative", out: "ActiveState=active\nMainPID=-1\n", fails: true},
		{name: "a state nobody knows", out: "ActiveState=dancing\nMainPID=1\n", fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, _ := fake(t, map[string]answer{"show ": {out: tt.out}})
			got, err := u.State(t.Context(), "job.service")
			if tt.fails {
				_ = failure(t, err, tt.kind)
			} else if err != nil || got != tt.want {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name string
		a    answer
		kind fleet.FailureKind
		want string
	}{
		{"no such unit", answer{5, "", "Failed to start job.service: Unit job.service not found.\n"}, fleet.NotFound, "daemon-reload"},
		{"not running", answer{1, "", "Failed to kill unit job.service: Unit job.service not loaded.\n"}, fleet.NotFound, "not running"},
		{"access denied", answer{4, "", "Failed to start job.service: Access denied\nSee system logs and 'systemctl status job.service' for details.\n"}, fleet.Denied, "run as root"},
		{"asks for a password", answer{1, "", "Failed to start job.service: Interactive authentication required.\n"}, fleet.Denied, "polkit"},
		{"masked", answer{1, "", "Failed to start job.service: Unit job.service is masked.\n"}, fleet.Invalid, "unmask job.service"},
		{"no systemd", answer{1, "", "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down\n"}, fleet.Local, "not running here"},
		{"something else", answer{1, "", strings.Repeat("word ", 1000)}, fleet.Temporary, "…"},
		{"nothing said", answer{3, "", ""}, fleet.Temporary, "exit status 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, _ := fake(t, map[string]answer{"--no-block start": tt.a})
			changed, err := u.Start(t.Context(), "job.service")
			if changed {
				t.Error("failed, and changed")
			}
			f := failure(t, err, tt.kind)
			if !strings.Contains(f.Error(), tt.want) || !strings.HasPrefix(f.Error(), "start job.service: ") || len(f.Error()) > 600 {
				t.Errorf("got %q, want %q in it", f.Error(), tt.want)
			}
		})
	}
	t.Run("no systemctl", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := New(Options{}).Start(t.Context(), "job.service")
		_ = failure(t, err, fleet.Local)
	})
	t.Run("no time", func(t *testing.T) {
		u, _ := fake(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := u.Start(ctx, "job.service")
		f := failure(t, err, fleet.Temporary)
		if !errors.Is(f, context.Canceled) {
			t.Errorf("got %v, want the context's error in it", f)
		}
	})
	for _, name := range []string{"", "-h", "--force.service", "a b.service", "job", "../x.service", "x;y.service"} {
		if name == "../x.service" {
			name = "a/../x.service"
		}
		u, asked := fake(t, nil)
		_, err := u.Start(t.Context(), name)
		_ = failure(t, err, fleet.Invalid)
		if got := asked(); got[0] != "" {
			t.Errorf("%q: systemctl was asked %q", name, got)
		}
	}
	u, _ := fake(t, nil)
	_ = failure(t, u.Signal(t.Context(), "job.service", "--force"), fleet.Invalid)
}

func failure(t *testing.T, err error, kind fleet.FailureKind) *fleet.Failure {
	t.Helper()
	var f *fleet.Failure
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got %v, want a failure of kind %q", err, kind)
	}
	return f
}

func TestHugeOutputIsCut(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/bash\nhead -c 10000000 /dev/zero | tr '\\0' x\n"
	if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(script), 0o700); err != nil { //nolint:gosec // a test's program
		t.Fatal(err)
	}
	u := New(Options{Systemctl: filepath.Join(dir, "systemctl")})
	out, err := u.systemctl(t.Context(), "read", "job.service", "show")
	if err != nil || len(out) != maxOutput {
		t.Errorf("%d bytes kept, %v; want %d", len(out), err, maxOutput)
	}
	_, err = u.State(t.Context(), "job.service")
	_ = failure(t, err, fleet.Temporary)
}

func FuzzShow(f *testing.F) {
	f.Add("MainPID=66\nControlGroup=/system.slice/job.service\nLoadState=loaded\nActiveState=active\n")
	f.Fuzz(func(t *testing.T, out string) {
		p, err := parseShow("job.service", out)
		if err == nil && (p.state.MainPID < 0 || !activeStates[p.state.Active]) {
			t.Errorf("impossible: %+v", p)
		}
	})
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify(Ready); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close() //nolint:errcheck // the test's end
	t.Setenv("NOTIFY_SOCKET", path)
	for _, state := range []string{Ready, Watchdog, Status("two\nlines")} {
		if err := Notify(state); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		_ = socket.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := socket.Read(buf)
		if err != nil || string(buf[:n]) != state || strings.Contains(state, "\n") {
			t.Errorf("systemd got %q, %v; want %q", buf[:n], err, state)
		}
	}
	t.Setenv("NOTIFY_SOCKET", path+"-gone")
	if err := Notify(Ready); err == nil {
		t.Error("no failure without a listener")
	}
}

func TestWatchdogInterval(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "")
	if got := WatchdogInterval(); got != 0 {
		t.Errorf("got %v without a watchdog", got)
	}
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	if got := WatchdogInterval(); got != 15*time.Second {
		t.Errorf("got %v, want 15s", got)
	}
}
