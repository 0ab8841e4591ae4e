package standin

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const two = "concurrent = 2\ncheck_interval = 1\n"

func TestIdleRunnerEndsAtOnceOnSIGQUIT(t *testing.T) {
	s := begin(t, Options{}, two)
	hold := make(chan struct{})
	defer close(hold)
	s.gitlab.set(func() { s.gitlab.hold = hold })
	eventually(t, "a poll is held", func() bool { return s.held() == 1 })
	if v := value(s.page(), "request_concurrency"); v != 1 {
		t.Errorf("polls in flight: %v, want 1", v)
	}
	if code := s.end(syscall.SIGQUIT); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	eventually(t, "the held poll is cancelled", func() bool { return s.held() == 0 })
}

func (s *subject) held() int {
	s.gitlab.mu.Lock()
	defer s.gitlab.mu.Unlock()
	return s.gitlab.open
}

// A runner that drains asks for nothing more, finishes, and is seen to.
func TestDrain(t *testing.T) {
	s := begin(t, Options{}, two)
	s.gitlab.set(func() { s.gitlab.jobs = []string{jobJSON(1, s.waiting("up", "go"))} })
	eventually(t, "the job runs", func() bool { return s.exists("up") })
	s.signals <- syscall.SIGQUIT
	eventually(t, "it drains", func() bool { return value(s.page(), "process_state_info", "state", "graceful-shutdown") == 1 })
	s.signals <- syscall.SIGQUIT // twice is the same
	s.signals <- syscall.SIGHUP  // and SIGHUP is nothing
	before := s.gitlab.polls()
	s.touch("go")
	if code := s.exit(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	if u, _ := s.gitlab.ended(1); u.State != stateSuccess {
		t.Errorf("job reported %+v, want success", u)
	}
	if n := s.gitlab.polls(); n != before {
		t.Errorf("%d polls after SIGQUIT", n-before)
	}
}

func TestSIGTERMReportsJobs(t *testing.T) {
	for version, want := range map[string]string{"19.4": reasonUnknown, "17.5": reasonSystem} {
		s := begin(t, Options{Flavour: version}, two)
		s.gitlab.set(func() { s.gitlab.jobs = []string{jobJSON(1, "touch "+s.path("up")+"; sleep 1000")} })
		eventually(t, "the job runs", func() bool { return s.exists("up") })
		s.signals <- syscall.SIGQUIT // SIGQUIT then SIGTERM is SIGTERM
		if code := s.end(syscall.SIGTERM); code != 0 {
			t.Errorf("%s: exit %d, want 0", version, code)
		}
		if u, _ := s.gitlab.ended(1); u.State != stateFailed || u.FailureReason != want {
			t.Errorf("%s: reported %+v, want failed, %s", version, u, want)
		}
	}
}

func TestServerThatKnowsTheReasonIsToldIt(t *testing.T) {
	s := begin(t, Options{}, two)
	job := strings.Replace(jobJSON(1, "touch "+s.path("up")+"; sleep 1000"), `{"id"`, `{"features":{"failure_reasons":["runner_interrupted"]},"id"`, 1)
	s.gitlab.set(func() { s.gitlab.jobs = []string{job} })
	if !strings.Contains(job, "failure_reasons") {
		s.gitlab.set(func() {
			s.gitlab.jobs = []string{strings.Replace(job, "{", `{"features":{"failure_reasons":["runner_interrupted"]},`, 1)}
		})
	}
	eventually(t, "the job runs", func() bool { return s.exists("up") })
	s.end(syscall.SIGINT)
	if u, _ := s.gitlab.ended(1); u.FailureReason != reasonInterrupted {
		t.Errorf("reported %+v, want %s", u, reasonInterrupted)
	}
}

// deaf is a job that ignores SIGTERM, and says which process group is its.
func (s *subject) deaf() string {
	return fmt.Sprintf("trap '' TERM; echo $$ > %s.new; mv %s.new %s; while :; do sleep 0.05; done", s.path("pid"), s.path("pid"), s.path("pid"))
}

func (s *subject) killJob() {
	s.t.Helper()
	data, err := os.ReadFile(s.path("pid"))
	must(s.t, err)
	var pid int
	_, err = fmt.Sscan(string(data), &pid)
	must(s.t, err)
	must(s.t, syscall.Kill(-pid, syscall.SIGKILL))
}

// A job that ignores SIGTERM is not reported: the runner gives up at its
// shutdown time-out and exits 1.
func TestDeafJobIsNeverReported(t *testing.T) {
	s := begin(t, Options{}, two+"shutdown_timeout = 5\n")
	s.gitlab.set(func() { s.gitlab.jobs = []string{jobJSON(1, s.deaf())} })
	eventually(t, "the job runs", func() bool { return s.exists("pid") })
	if code := s.end(syscall.SIGTERM); code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	if u, ok := s.gitlab.ended(1); ok {
		t.Errorf("reported %+v, want nothing", u)
	}
	s.killJob()
	eventually(t, "what is left has ended", func() bool { _, ok := s.gitlab.ended(1); return ok })
	s.workers.Wait()
}

// Killing its processes lets the runner report it: what unregister does.
func TestDeafJobIsReportedOnceItsProcessesAreGone(t *testing.T) {
	s := begin(t, Options{}, two+"shutdown_timeout = 3000\n")
	s.gitlab.set(func() { s.gitlab.jobs = []string{jobJSON(1, s.deaf())} })
	eventually(t, "the job runs", func() bool { return s.exists("pid") })
	s.signals <- syscall.SIGTERM
	eventually(t, "it aborts", func() bool { return value(s.page(), "process_state_info", "state", "forceful-shutdown") == 1 })
	s.killJob()
	if code := s.exit(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
	if u, _ := s.gitlab.ended(1); u.State != stateFailed {
		t.Errorf("reported %+v, want failed", u)
	}
}

func TestScriptsEnd(t *testing.T) {
	for _, c := range []struct {
		script, state, reason string
		code                  int
	}{
		{"true", stateSuccess, "", 0},
		{"exit 3", stateFailed, reasonScript, 3},
		{"false\ntrue", stateFailed, reasonScript, 1},
		{"kill -9 $$", stateFailed, reasonScript, 137},
		{`[ "$GIT_STRATEGY" = none ] && [ "$CI_JOB_ID" = 1 ] && [ "$PWD" = "$CI_PROJECT_DIR" ] && printenv | sort | tail -1`, stateSuccess, "", 0},
	} {
		s := begin(t, Options{}, two)
		s.gitlab.set(func() { s.gitlab.jobs = []string{jobJSON(1, c.script)} })
		eventually(t, "the job is reported", func() bool { _, ok := s.gitlab.ended(1); return ok })
		if u, _ := s.gitlab.ended(1); u.State != c.state || u.FailureReason != c.reason || u.ExitCode != c.code {
			t.Errorf("%q: reported %+v, want %s %s %d", c.script, u, c.state, c.reason, c.code)
		}
		s.end(syscall.SIGQUIT)
	}
}

func TestConcurrentAndLimits(t *testing.T) {
	for _, c := range []struct {
		top, section string
		want         int
	}{{"concurrent = 3\ncheck_interval = 1\n", "", 3}, {"concurrent = 3\ncheck_interval = 1\n", "limit = 2", 2}} {
		s := begin(t, Options{}, c.top, c.section)
		s.gitlab.set(func() {
			for n := range 5 {
				s.gitlab.jobs = append(s.gitlab.jobs, jobJSON(n+1, s.waiting(fmt.Sprint("up", n), "go")))
			}
		})
		running := func() float64 { return value(s.page(), "jobs", "state", "running") }
		eventually(t, "all slots are taken", func() bool { return running() == float64(c.want) })
		polls := s.gitlab.polls()
		eventually(t, "its turn comes again", func() bool {
			return value(s.page(), "worker_feeds_total") >= 0 && running() == float64(c.want)
		})
		if n := s.gitlab.polls(); n != polls {
			t.Errorf("%s%s: %d polls at full slots", c.top, c.section, n-polls)
		}
		s.gitlab.set(func() { s.gitlab.jobs = nil })
		s.touch("go")
		s.end(syscall.SIGQUIT)
	}
}

func TestSeveralSections(t *testing.T) {
	s := begin(t, Options{}, two)
	other := strings.Replace(strings.Replace(sectionTOML(s.gitlab.URL), "stubtok-", "another-", 1), `"r1"`, `"r2"`, 1)
	s.configure(two + sectionTOML(s.gitlab.URL) + other)
	s.signals <- syscall.SIGHUP
	eventually(t, "both poll", func() bool {
		p := s.page()
		return value(p, "worker_feeds_total", "runner_name", "r1") > 0 && value(p, "worker_feeds_total", "runner_name", "r2") > 0
	})
	if v := value(s.page(), "limit", "runner", "another-0"); v != 0 {
		t.Errorf("limit of the second section: %v, want 0", v)
	}
	s.end(syscall.SIGQUIT)
}

// Taking the sections out leaves a poll in flight; the job that it brings is
// run; then nothing more comes, and the page says so.
func TestHold(t *testing.T) {
	s := begin(t, Options{}, two)
	hold := make(chan struct{})
	s.gitlab.set(func() { s.gitlab.hold = hold })
	eventually(t, "a poll is held", func() bool { return s.held() == 1 })
	s.configure(two)
	s.signals <- syscall.SIGHUP
	eventually(t, "it is loaded", func() bool { return value(s.page(), "configuration_loaded_total") >= 2 })
	if v := value(s.page(), "request_concurrency"); v != 1 {
		t.Errorf("polls in flight after the sections went: %v, want 1", v)
	}
	if v := value(s.page(), "limit"); v != -1 {
		t.Errorf("limit of a section that is gone: %v", v)
	}
	s.gitlab.set(func() { s.gitlab.hold, s.gitlab.jobs = nil, []string{jobJSON(1, s.waiting("up", "go"))} })
	close(hold)
	eventually(t, "its job runs", func() bool { return s.exists("up") })
	eventually(t, "no poll is in flight", func() bool { return value(s.page(), "request_concurrency") == 0 })
	polls := s.gitlab.polls()
	s.touch("go")
	eventually(t, "it is reported", func() bool { _, ok := s.gitlab.ended(1); return ok })
	s.configure(two + sectionTOML(s.gitlab.URL))
	s.signals <- syscall.SIGHUP
	eventually(t, "polls resume", func() bool { return s.gitlab.polls() > polls })
	s.end(syscall.SIGQUIT)
}

func TestReload(t *testing.T) {
	s := begin(t, Options{}, two)
	future := time.Now()
	write := func(text string) {
		future = future.Add(time.Second) // never the time of the last one
		s.configure(text)
		must(t, os.Chtimes(s.path("config.toml"), future, future))
	}
	write("concurrent = 5\n" + sectionTOML(s.gitlab.URL))
	eventually(t, "it is loaded by itself", func() bool { return value(s.page(), "concurrent") == 5 })
	write("concurrent = \n")
	eventually(t, "the error is counted", func() bool { return value(s.page(), "configuration_loading_error_total") == 1 })
	if v := value(s.page(), "concurrent"); v != 5 {
		t.Errorf("concurrent = %v after a broken file, want the old 5", v)
	}
	write("concurrent = 6\n" + sectionTOML(s.gitlab.URL))
	eventually(t, "the mended one is loaded", func() bool { return value(s.page(), "concurrent") == 6 })
	write("concurrent = 0\n" + sectionTOML(s.gitlab.URL))
	if code := s.exit(); code != 1 { // it kills a live runner
		t.Errorf("exit %d, want 1", code)
	}
	s.workers.Wait()
	s.loops.Wait()
}

func TestRefusedRunnerDisablesItself(t *testing.T) {
	var ahead atomic.Int64
	s := begin(t, Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}, two)
	s.gitlab.set(func() { s.gitlab.status = http.StatusForbidden })
	eventually(t, "it is disabled", func() bool { return value(s.page(), "worker_health_check_failures_total") >= 1 })
	polls := s.gitlab.polls()
	failures := value(s.page(), "worker_feed_failures_total")
	eventually(t, "its turn has passed", func() bool { return value(s.page(), "worker_feed_failures_total") > failures+1 })
	if n := s.gitlab.polls(); n != polls {
		t.Errorf("%d polls while disabled", n-polls)
	}
	if v := value(s.page(), "api_request_statuses_total", "endpoint", "request_job", "status", "403"); v != 3 {
		t.Errorf("%v refusals counted, want 3", v)
	}
	s.gitlab.set(func() { s.gitlab.status = 0 })
	ahead.Store(int64(time.Hour + time.Minute))
	eventually(t, "it polls again after an hour", func() bool { return s.gitlab.polls() > polls })
	s.end(syscall.SIGQUIT)
}

func TestOtherRefusalsDoNotDisable(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusInternalServerError, http.StatusTooManyRequests} {
		s := begin(t, Options{}, two)
		s.gitlab.set(func() { s.gitlab.status = status; s.gitlab.header.Set("Retry-After", "1") })
		eventually(t, "it has been refused four times", func() bool { return s.gitlab.polls() >= 4 })
		s.gitlab.set(func() { s.gitlab.status, s.gitlab.jobs = 0, []string{jobJSON(1, "true")} })
		eventually(t, "it takes a job again", func() bool { _, ok := s.gitlab.ended(1); return ok })
		if v := value(s.page(), "worker_health_check_failures_total"); v != 0 {
			t.Errorf("%d: disabled", status)
		}
		s.end(syscall.SIGQUIT)
	}
}

// The end of a job is reported until GitLab has it.
func TestReportIsRepeated(t *testing.T) {
	s := begin(t, Options{Flavour: "17.5"}, two)
	s.gitlab.set(func() { s.gitlab.jobs, s.gitlab.reply = []string{jobJSON(1, "true")}, http.StatusBadGateway })
	put := func(e exchange) bool { return e.Method == http.MethodPut }
	eventually(t, "it was told twice", func() bool { return s.gitlab.count(put) >= 2 })
	s.gitlab.set(func() { s.gitlab.reply = 0 })
	if code := s.end(syscall.SIGQUIT); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

func TestGitLabCancelsAJob(t *testing.T) {
	s := begin(t, Options{}, two)
	s.gitlab.set(func() {
		s.gitlab.jobs = []string{jobJSON(1, "touch "+s.path("up")+"; while :; do echo still here; sleep 0.02; done")}
	})
	eventually(t, "the job runs", func() bool { return s.exists("up") })
	s.gitlab.set(func() { s.gitlab.header.Set("Job-Status", "canceled") })
	eventually(t, "it is over", func() bool { _, ok := s.gitlab.ended(1); return ok })
	s.end(syscall.SIGQUIT)
}

func TestBadStarts(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"missing": "", "broken": "concurrent =", "zero": "concurrent = 0\n"} {
		path := dir + "/" + name
		if text != "" {
			must(t, os.WriteFile(path, []byte(text), 0o600))
		}
		if _, err := New(Options{Config: path}); err == nil {
			t.Errorf("%s configuration: accepted", name)
		}
	}
	if _, err := New(Options{Config: "x", Flavour: "3.1"}); err == nil {
		t.Error("unknown flavour: accepted")
	}
}

// TestProcess runs the command itself, with the flags of the packaged unit.
func TestProcess(t *testing.T) {
	gitlab := newCoordinator(t)
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/config.toml", []byte(two+sectionTOML(gitlab.URL)), 0o600))
	self, err := os.Executable()
	must(t, err)
	run := func(args ...string) (*exec.Cmd, *lockedBuffer) {
		cmd, out := exec.Command(self, args...), &lockedBuffer{}
		cmd.Args[0], cmd.Stdout, cmd.Stderr = "gitlab-runner", out, out
		must(t, cmd.Start())
		return cmd, out
	}
	cmd, out := run("--version")
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "19.4.0") {
		t.Errorf("--version: %v, %s", err, out)
	}
	cmd, out = run("run", "--config", dir+"/config.toml", "--working-directory", dir, "--service", "gitlab-runner", "--user", "gitlab-runner", "--bad")
	if cmd.Wait() == nil {
		t.Errorf("a bad flag: accepted, %s", out)
	}
	cmd, out = run("run", "--config", dir+"/config.toml", "--working-directory", dir, "--service", "gitlab-runner", "--user", "gitlab-runner")
	gitlab.set(func() {
		gitlab.jobs = []string{jobJSON(1, "touch "+dir+"/up; until [ -e "+dir+"/go ]; do sleep 0.02; done")}
	})
	eventually(t, "the job runs", func() bool { _, err := os.Stat(dir + "/up"); return err == nil })
	must(t, cmd.Process.Signal(syscall.SIGQUIT))
	must(t, os.WriteFile(dir+"/go", nil, 0o600))
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGQUIT: %v, %s", err, out)
	}
	if u, _ := gitlab.ended(1); u.State != stateSuccess {
		t.Errorf("job reported %+v, want success", u)
	}
	id, err := os.ReadFile(dir + "/.runner_system_id")
	if err != nil || !systemIDForm.Match(id) {
		t.Errorf("system id %q, %v", id, err)
	}
}

func TestShortTokens(t *testing.T) {
	for _, c := range []struct{ version, token, want string }{
		{"19.4", token, "stubtok-0"}, {"17.5", token, "stubtok-"}, {"19.4", "glrt-abcdefghijkl", "abcdefghi"}, {"19.4", "abc", "abc"},
	} {
		f, err := flavourNamed(c.version)
		must(t, err)
		if got := f.short(c.token); got != c.want {
			t.Errorf("%s: %s is shown as %q, want %q", c.version, c.token, got, c.want)
		}
	}
}
