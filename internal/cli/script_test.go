package cli

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"shoal": func() { os.Exit(Main(os.Args)) },
	})
}

// The scripts run the real main as a user types it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "1")
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the detector's second of grace at each exit
			env.Setenv("SHOAL_STATE_DIR", env.WorkDir+"/state")
			env.Setenv("SHOAL_RUN_DIR", env.WorkDir+"/run")
			return nil
		},
	})
}
