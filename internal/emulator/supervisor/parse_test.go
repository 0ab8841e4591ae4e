package supervisor

import (
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/shoal-ci/shoal/packaging"
)

func unitFS(files map[string]string) []fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return []fs.FS{m}
}

func TestDropInsAddAndReset(t *testing.T) {
	u, err := load(unitFS(map[string]string{
		"a.service":             "# c\n[Unit]\nConditionPathExists=/one\n[Service]\nExecStart=/bin/a \\\n  b 'c d'\nRestart=always\nRestartSec=120\nX-Mine=1\nProtectSystem=strict\n",
		"a.service.d/10-x.conf": "[Unit]\nConditionPathExists=\nConditionPathExists=/two\n[Service]\nRestartSec=2min 3s\n",
		"a.service.d/20-y.conf": "[Unit]\nConditionPathExists=/three\n[Service]\nKillSignal=QUIT\nTimeoutStopSec=infinity\n",
	}), "a.service")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(u.conditions, []string{"/two", "/three"}) || u.restartPause != 123*time.Second || u.restart != "always" ||
		u.killSignal != syscall.SIGQUIT || u.timeoutStop != forever || !slices.Equal(u.start[0].argv, []string{"/bin/a", "b", "c d"}) {
		t.Errorf("got %+v", u)
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"unknown directive":     "[Service]\nExecStart=/a\nExecCondition=/b\n",
		"unknown section":       "[Socket]\nListenStream=1\n",
		"no section":            "ExecStart=/a\n",
		"no assignment":         "[Service]\nExecStart\n",
		"section not closed":    "[Service\nExecStart=/a\n",
		"unknown type":          "[Service]\nType=dbus\nExecStart=/a\n",
		"nothing to start":      "[Service]\nType=simple\n",
		"two to start":          "[Service]\nExecStart=/a\nExecStart=/b\n",
		"oneshot for ever":      "[Service]\nType=oneshot\nRestart=always\nExecStart=/a\n",
		"unknown signal":        "[Service]\nExecStart=/a\nKillSignal=SIGNOPE\n",
		"bad time":              "[Service]\nExecStart=/a\nRestartSec=soon\n",
		"bad status":            "[Service]\nExecStart=/a\nRestartPreventExitStatus=2 many\n",
		"bad boolean":           "[Service]\nExecStart=/a\nSendSIGKILL=perhaps\n",
		"specifier":             "[Service]\nExecStart=/a %i\n",
		"variable":              "[Service]\nExecStart=/a $B\n",
		"quote not closed":      "[Service]\nExecStart=/a 'b\n",
		"reference to nothing":  "[Unit]\nOnSuccess=gone.service\n[Service]\nExecStart=/a\n",
		"unknown prefix":        "[Service]\nExecStart=@/a b\n",
		"bad kill mode":         "[Service]\nExecStart=/a\nKillMode=some\n",
		"bad number of a limit": "[Unit]\nStartLimitBurst=x\n[Service]\nExecStart=/a\n",
	} {
		s := &Supervisor{options: Options{Units: unitFS(map[string]string{"a.service": text})}, services: map[string]*service{}}
		if err := s.loadAll(); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), "a.service") {
			t.Errorf("%s: the error does not name the unit: %v", name, err)
		}
	}
}

// TestShoalsUnits loads what the packages install, as the demo does.
func TestShoalsUnits(t *testing.T) {
	s := &Supervisor{options: Options{Units: []fs.FS{packaging.Units(), PackagedUnits()}}, services: map[string]*service{}}
	if err := s.loadAll(); err != nil {
		t.Fatal(err)
	}
	want := []string{"gitlab-runner.service", "lifecycle-check.service", "monitor-jobs.service", "runner-init.service", "runner-shutdown.service", "scale-up.service", "shoal-reap.service", "shoal-webhook.service", "unreg-runner.service"}
	if got := s.names(); !slices.Equal(got, want) {
		t.Errorf("units %v, want %v", got, want)
	}
	runner := s.services["gitlab-runner.service"].unit
	if runner.killMode != "mixed" || runner.killSignal != syscall.SIGQUIT || runner.timeoutStop != forever || runner.restart != "always" ||
		!slices.Equal(runner.conditions, []string{"/run/shoal/registered"}) {
		t.Errorf("the drop-in does not hold: %+v", runner)
	}
	for _, name := range want[1:] {
		u := s.services[name].unit
		if name == "runner-shutdown.service" { // has no process that could fail
			continue
		}
		if u.limitInterval != 0 || !slices.Equal(u.preventRestart.codes, []int{2, 3}) || u.restart != "on-failure" {
			t.Errorf("%s: limit %v, prevents restart at %v, restart %s", name, u.limitInterval, u.preventRestart.codes, u.restart)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("[Service]\nExecStart=/a\nRestartSec=5min\n")
	f.Add("[Unit]\nAfter=\\\n b\n;c\n")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = load(unitFS(map[string]string{"a.service": text}), "a.service") // must not panic
	})
}
