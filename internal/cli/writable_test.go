package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asNobody names the variable with the command line that this test binary then is.
const asNobody = "TEST_AS_NOBODY"

// Who may not write where Shoal keeps its files is told so at once. The test runs
// itself as somebody else: root may write anywhere.
func TestInitAndUnregisterNeedToWrite(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // for somebody else to get into
		if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // it holds nothing
			t.Fatal(err)
		}
	}
	closed, open := filepath.Join(dir, "closed"), filepath.Join(dir, "open")
	for name, mode := range map[string]os.FileMode{closed: 0o555, open: 0o777} {
		if err := errors.Join(os.Mkdir(name, 0o700), os.Chmod(name, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		verb, state, run string
		code             int
		want             string
	}{
		{"init", closed, closed, 2, "shoal: init keeps files in " + closed + " and " + closed + ", where this user may not write\nhint: run it as root, with sudo for example\n"},
		{"unregister --now", open, closed, 2, "shoal: unregister keeps files in " + closed + ", where this user may not write\nhint: run it as root, with sudo for example\n"},
		{"unregister", open, open, 0, ""},                   // a user's own, as in the demo
		{"unregister", dir + "/none", dir + "/none", 0, ""}, // nothing there is nobody's fault
		{"config show", closed, closed, 0, ""},
	} {
		cmd := nobody(tt.verb, tt.state, tt.run)
		var said strings.Builder
		cmd.Stderr = &said
		err := cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != tt.code || tt.want != "" && said.String() != tt.want {
			t.Errorf("%s: %v\ngot %q\nwant exit %d, %q", tt.verb, err, said.String(), tt.code, tt.want)
		}
	}
}

// nobody is the command line as somebody runs it who is not root.
func nobody(line, state, run string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe") // wherever it is, and whoever may get there
	cmd.Env = []string{
		asNobody + "=shoal " + line, "SHOAL_GITLAB_URL=https://gitlab.example.com", "SHOAL_GITLAB_TOKEN=env:T",
		"SHOAL_STATE_DIR=" + state, "SHOAL_RUN_DIR=" + run, "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1", "GORACE=atexit_sleep_ms=0",
	}
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}
