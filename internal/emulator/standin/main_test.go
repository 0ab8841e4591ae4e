package standin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"
)

// TestMain lets the test binary be gitlab-runner itself.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "gitlab-runner" {
		os.Exit(Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of a test; a loaded machine is slow.
const patience = 20 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-ticker.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// exchange is one request that the coordinator got, as the fixtures have it.
type exchange struct {
	Method string          `json:"m"`
	Path   string          `json:"p"`
	Header map[string]any  `json:"h"`
	Body   json.RawMessage `json:"b"`
	Code   int             `json:"code"`
}

// coordinator is a GitLab that records. Jobs are handed out in order; hold
// makes it hold polls that find none.
type coordinator struct {
	*httptest.Server
	mu     sync.Mutex
	got    []exchange
	jobs   []string
	status int           // answered to polls instead, when not 0
	header http.Header   // sent with every answer
	hold   chan struct{} // nil: polls are answered at once
	open   int           // polls held now
	reply  int           // to PUT, when not 0
}

func newCoordinator(t *testing.T) *coordinator {
	c := &coordinator{header: http.Header{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *coordinator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	code, answer := c.answer(r)
	c.mu.Lock()
	e := exchange{Method: r.Method, Path: r.URL.RequestURI(), Header: map[string]any{}, Code: code, Body: body}
	for k, v := range r.Header {
		e.Header[k] = v[0]
	}
	if r.ContentLength > 0 {
		e.Header["Content-Length"] = fmt.Sprint(r.ContentLength)
	}
	c.got = append(c.got, e)
	maps.Copy(w.Header(), c.header)
	c.mu.Unlock()
	w.Header().Set("X-GitLab-Last-Update", "stub-last-update-1")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, answer)
}

func (c *coordinator) answer(r *http.Request) (int, string) {
	switch r.Method {
	case http.MethodPut:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.reply != 0 {
			return c.reply, ""
		}
		return http.StatusOK, "200"
	case http.MethodPatch:
		return http.StatusAccepted, ""
	}
	c.mu.Lock()
	hold := c.hold
	if c.status == 0 && len(c.jobs) == 0 && hold != nil {
		c.open++
		c.mu.Unlock()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
		c.mu.Lock()
		c.open--
	}
	defer c.mu.Unlock()
	switch {
	case c.status != 0:
		return c.status, "{}"
	case len(c.jobs) == 0:
		return http.StatusNoContent, ""
	}
	job := c.jobs[0]
	c.jobs = c.jobs[1:]
	return http.StatusCreated, job
}

// set changes the coordinator between requests.
func (c *coordinator) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// count is how many requests satisfy f.
func (c *coordinator) count(f func(exchange) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, e := range c.got {
		if f(e) {
			n++
		}
	}
	return n
}

func isPoll(e exchange) bool { return e.Method == http.MethodPost }

func (c *coordinator) polls() int { return c.count(isPoll) }

// ended is how a job was reported to have ended.
func (c *coordinator) ended(id int) (u jobUpdate, ok bool) {
	c.count(func(e exchange) bool {
		var got jobUpdate
		if e.Method == http.MethodPut && e.Path == fmt.Sprintf("/api/v4/jobs/%d", id) && json.Unmarshal(e.Body, &got) == nil && got.State != stateRunning {
			u, ok = got, true
		}
		return false
	})
	return u, ok
}

// jobJSON is a job that runs a script, as the recorded coordinator gave it.
func jobJSON(id int, script string) string {
	data, _ := json.Marshal(map[string]any{
		"id": id, "token": fmt.Sprintf("jobtoken-%d", id),
		"steps":     []any{map[string]any{"name": "script", "script": []string{script}}},
		"variables": []any{map[string]any{"key": "GIT_STRATEGY", "value": "none"}},
		"job_info":  map[string]any{"queue_size": 42, "queue_depth": 3, "time_in_queue_seconds": 12.5, "project_jobs_running_on_instance_runners_count": "0"},
	})
	return string(data)
}

// subject is one stand-in under test.
type subject struct {
	*Process
	t       *testing.T
	gitlab  *coordinator
	dir     string
	signals chan os.Signal
	code    chan int
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const token = "stubtok-0123456789abcdef"

func sectionTOML(url string, more ...string) string {
	return fmt.Sprintf("[[runners]]\nname = \"r1\"\nurl = %q\ntoken = %q\nexecutor = \"shell\"\n%s\n", url, token, strings.Join(more, "\n"))
}

// quick has a "second" of config.toml last 20 ms.
var quick = Timing{Second: 20 * time.Millisecond, ConfigPoll: 20 * time.Millisecond, Trace: 20 * time.Millisecond}

// begin runs a stand-in with the given top of config.toml and one section.
func begin(t *testing.T, o Options, top string, more ...string) *subject {
	t.Helper()
	s := &subject{t: t, gitlab: newCoordinator(t), dir: t.TempDir(), signals: make(chan os.Signal, 4), code: make(chan int, 1), log: &lockedBuffer{}}
	s.gitlab.set(func() { s.gitlab.hold = nil })
	must(t, os.WriteFile(filepath.Join(s.dir, ".runner_system_id"), []byte("s_1746f8786189\n"), 0o600))
	s.configure(top + sectionTOML(s.gitlab.URL, more...))
	o.Config, o.WorkDir, o.ListenAddress, o.Log = filepath.Join(s.dir, "config.toml"), s.dir, "127.0.0.1:0", s.log
	if o.Timing == (Timing{}) {
		o.Timing = quick
	}
	p, err := New(o)
	must(t, err)
	s.Process = p
	go func() { s.code <- p.Run(s.signals) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if t.Failed() {
			t.Log(s.log)
		}
	})
	return s
}

// configure writes config.toml; its time must be newer than the last one's.
func (s *subject) configure(text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, "config.toml")
	must(s.t, os.WriteFile(path, []byte(text), 0o600))
}

// end sends a signal and returns the exit status.
func (s *subject) end(sig syscall.Signal) int {
	s.t.Helper()
	s.signals <- sig
	return s.exit()
}

func (s *subject) exit() int {
	s.t.Helper()
	select {
	case code := <-s.code:
		return code
	case <-time.After(patience):
		s.t.Fatal("the stand-in does not end")
		return -1
	}
}

// path is a file of the test's folder, for jobs to wait for.
func (s *subject) path(name string) string { return filepath.Join(s.dir, name) }

func (s *subject) exists(name string) bool {
	_, err := os.Stat(s.path(name))
	return err == nil
}

func (s *subject) touch(name string) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path(name), nil, 0o600))
}

// waiting is a script that says that it runs, and ends when it may.
func (s *subject) waiting(up, until string) string {
	return fmt.Sprintf("touch %s; until [ -e %s ]; do sleep 0.02; done", s.path(up), s.path(until))
}

// page reads the metrics as Shoal would.
func (s *subject) page() map[string]*dto.MetricFamily {
	s.t.Helper()
	eventually(s.t, "metrics are served", func() bool { return s.Address() != nil })
	r, err := http.Get("http://" + s.Address().String() + "/metrics")
	must(s.t, err)
	defer func() { _ = r.Body.Close() }()
	return families(s.t, r.Body)
}

func families(t *testing.T, r io.Reader) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	f, err := p.TextToMetricFamilies(r)
	must(t, err)
	return f
}

// value is the value of the one series of a family that has the labels.
func value(f map[string]*dto.MetricFamily, name string, pairs ...string) float64 {
	for _, m := range f[namespace+name].GetMetric() {
		if matches(m, pairs) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return -1
}

func matches(m *dto.Metric, pairs []string) bool {
	have := map[string]string{}
	for _, l := range m.GetLabel() {
		have[l.GetName()] = l.GetValue()
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if have[pairs[i]] != pairs[i+1] {
			return false
		}
	}
	return true
}
