package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
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
