package cli

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/shoal-ci/shoal/internal/emulator"
)

func TestMain(m *testing.M) {
	if line := os.Getenv(asNobody); line != "" {
		os.Exit(Main(strings.Fields(line)))
	}
	testscript.Main(leakChecked{m}, map[string]func(){
		"shoal": func() { os.Exit(Main(os.Args)) },
	})
}

// leakChecked looks for goroutines that are left when the tests have passed.
type leakChecked struct{ *testing.M }

// Run runs the tests.
func (m leakChecked) Run() int {
	code := m.M.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "cli:", err)
		return 1
	}
	return 0
}

// The scripts run the real main as a user types it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"gitlab": scriptGitLab},
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "1")
			env.Setenv("GORACE", "atexit_sleep_ms=0")                                // the detector's second of grace at each exit
			env.Setenv("SHOAL_RUNNER_TEMPLATE", env.WorkDir+"/config.template.toml") // the machine's own must not be seen
			env.Setenv("SHOAL_STATE_DIR", env.WorkDir+"/state")
			env.Setenv("SHOAL_RUN_DIR", env.WorkDir+"/run")
			return nil
		},
	})
}

// scriptGitLab starts an emulated GitLab with a history, at $GITLAB_URL. It fails from
// the fourth request of a list on while there is a file "broken"; "gitlab mended" takes
// that away.
func scriptGitLab(ts *testscript.TestScript, _ bool, args []string) {
	broken := ts.MkAbs("broken")
	if len(args) > 0 {
		ts.Check(os.Remove(broken))
		return
	}
	asked := 0
	cloud := pastGitLab(scriptT{ts}, 600, func(q emulator.Request) emulator.Fault {
		if _, err := os.Stat(broken); err != nil || !strings.HasSuffix(q.Operation, "/jobs") {
			return emulator.Fault{}
		}
		if asked++; asked < 3 {
			return emulator.Fault{}
		}
		return emulator.Fault{Status: http.StatusBadGateway}
	})
	ts.Defer(cloud.Close)
	ts.Setenv("GITLAB_URL", cloud.GitLabURL())
}

// scriptT is a script's way to fail.
type scriptT struct{ ts *testscript.TestScript }

func (scriptT) Helper() {}

func (t scriptT) Fatal(args ...any) { t.ts.Fatalf("%s", fmt.Sprint(args...)) }
