package supervisor

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/packaging"
)

// oneJob is a GitLab that has one job, and keeps what was reported of it.
type oneJob struct {
	mu     sync.Mutex
	script string
	ended  string // state, reason
}

func (g *oneJob) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case r.Method == http.MethodPatch:
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPut:
		var u struct {
			State  string `json:"state"`
			Reason string `json:"failure_reason"`
		}
		if json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&u) == nil && u.State != "running" {
			g.ended = u.State
		}
	case g.script == "":
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"id": 7, "token": "t", "steps": []any{map[string]any{"name": "script", "script": []string{g.script}}}})
		g.script = ""
	}
}

func (g *oneJob) state() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// runnerInstance is an instance with the units as they are installed, a
// registered runner and one job that runs.
func runnerInstance(t *testing.T, script string) (*instance, *oneJob) {
	t.Helper()
	i := &instance{t: t, root: t.TempDir()}
	bin := filepath.Join(i.root, "bin")
	must(t, os.Mkdir(bin, 0o700))
	linkPrograms(t, bin)
	s, err := New(Options{
		Instance: i.root, Root: i.root, Units: []fs.FS{packaging.Units(), PackagedUnits()},
		Path: []string{bin, "/usr/bin", "/bin"}, MaxRestartSec: 50 * time.Millisecond, Log: i.line,
	})
	must(t, err)
	i.Supervisor = s
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Log(strings.Join(i.log, "\n"))
		}
	})
	gitlab := &oneJob{script: strings.ReplaceAll(script, "ROOT", i.root)}
	server := httptest.NewServer(gitlab)
	t.Cleanup(server.Close)
	config := fmt.Sprintf("concurrent = 1\ncheck_interval = 1\nshutdown_timeout = 60\n[[runners]]\nname = \"r\"\nurl = %q\ntoken = \"glrt-x\"\nexecutor = \"shell\"\n", server.URL)
	must(t, os.WriteFile(filepath.Join(i.root, "etc/gitlab-runner/config.toml"), []byte(config), 0o600))
	must(t, i.Start(within(t), "gitlab-runner"))
	i.is("gitlab-runner", "inactive") // not before it is registered
	must(t, os.WriteFile(filepath.Join(i.root, "run/shoal/registered"), nil, 0o600))
	must(t, i.Start(within(t), "gitlab-runner"))
	i.is("gitlab-runner", "active")
	return i, gitlab
}

// A stopped unit drains: the job, and what it started, finish.
func TestStoppedRunnerFinishesItsJob(t *testing.T) {
	i, gitlab := runnerInstance(t, "echo $$ > ROOT/job; until [ -e ROOT/go ]; do sleep 0.05; done; env true")
	i.pid("job")
	if _, errors, code := i.systemctl("--no-block", "stop", "gitlab-runner.service"); code != 0 {
		t.Fatalf("stop: exit %d, %s", code, errors)
	}
	i.is("gitlab-runner", "deactivating")
	if s := gitlab.state(); s != "" {
		t.Errorf("job reported %s while it runs", s)
	}
	must(t, os.WriteFile(filepath.Join(i.root, "go"), nil, 0o600))
	i.is("gitlab-runner", "inactive")
	if s := gitlab.state(); s != "success" {
		t.Errorf("job reported %q, want success", s)
	}
}

// What unregister does when time runs out: stop, SIGTERM to the main process,
// then the jobs' own processes.
func TestHurriedRunnerReportsADeafJob(t *testing.T) {
	i, gitlab := runnerInstance(t, "trap '' TERM; echo $$ > ROOT/job; while :; do sleep 0.05; done")
	job := i.pid("job")
	i.systemctl("--no-block", "stop", "gitlab-runner.service")
	i.is("gitlab-runner", "deactivating")
	i.hears("Starting graceful shutdown") // in which order it takes two signals at once nobody says
	if _, errors, code := i.systemctl("kill", "--kill-whom=main", "--signal=SIGTERM", "gitlab-runner.service"); code != 0 {
		t.Fatalf("kill: exit %d, %s", code, errors)
	}
	i.hears("Starting forceful shutdown")
	if !living(job) || gitlab.state() != "" {
		t.Fatalf("job alive: %v, reported %q; want a job that ignores SIGTERM", living(job), gitlab.state())
	}
	svc, err := i.find("gitlab-runner")
	must(t, err)
	_, main := i.State("gitlab-runner")
	eventually(t, "the job's processes are gone", func() bool {
		killAll(svc.others(main), sigkill)
		return !living(job)
	})
	i.is("gitlab-runner", "inactive")
	if s := gitlab.state(); s != "failed" {
		t.Errorf("job reported %q, want failed", s)
	}
}

// A runner that dies comes back: Restart=always is the packaged unit's.
func TestKilledRunnerRestarts(t *testing.T) {
	i, _ := runnerInstance(t, "echo $$ > ROOT/job; sleep 1000")
	job := i.pid("job")
	_, first := i.State("gitlab-runner")
	i.systemctl("kill", "--kill-whom=main", "--signal=SIGKILL", "gitlab-runner.service")
	eventually(t, "another main process runs", func() bool {
		active, pid := i.State("gitlab-runner")
		return active == "active" && pid != 0 && pid != first
	})
	eventually(t, "process "+strconv.Itoa(job)+" of the old one is gone", func() bool { return !living(job) })
}
