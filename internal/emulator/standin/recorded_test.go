package standin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// recorded is what a real runner sent.
func recorded(t *testing.T, version, scenario string) []exchange {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", version, scenario+".requests.jsonl"))
	must(t, err)
	defer func() { _ = f.Close() }()
	var all []exchange
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e exchange
		must(t, json.Unmarshal(lines.Bytes(), &e))
		if strings.HasPrefix(e.Path, "/api/v4/jobs/") {
			all = append(all, e)
		}
	}
	return all
}

// kind sorts requests by what they are for.
func kind(e exchange) string {
	var b struct {
		State      string `json:"state"`
		LastUpdate string `json:"last_update"`
	}
	_ = json.Unmarshal(e.Body, &b)
	switch {
	case e.Method == http.MethodPost && b.LastUpdate == "":
		return "first poll"
	case e.Method == http.MethodPost:
		return "poll"
	case e.Method == http.MethodPatch:
		return "trace"
	}
	return "update " + b.State
}

// plain takes out of a request what differs from run to run, and from machine
// to machine.
func plain(t *testing.T, e exchange) map[string]any {
	t.Helper()
	h := maps.Clone(e.Header)
	for _, k := range []string{"Content-Length", "Content-Range", "X-Request-Id", "User-Agent"} {
		if _, ok := h[k]; ok {
			h[k] = "…"
		}
	}
	m := map[string]any{"method": e.Method, "path": e.Path, "headers": h, "code": e.Code}
	if e.Method == http.MethodPatch {
		return m // the trace is compared elsewhere
	}
	var body map[string]any
	must(t, json.Unmarshal(e.Body, &body))
	if info, ok := body["info"].(map[string]any); ok {
		info["architecture"] = runtime.GOARCH
	}
	if _, ok := body["checksum"]; ok {
		body["checksum"] = "…"
	}
	if out, ok := body["output"].(map[string]any); ok {
		for k := range out {
			out[k] = "…"
		}
	}
	m["body"] = body
	return m
}

// compare holds every request of got beside the first recorded one of its kind,
// and tells which kinds there were.
func compare(t *testing.T, got, want []exchange) {
	t.Helper()
	sample := map[string]exchange{}
	for _, e := range slices.Backward(want) {
		sample[kind(e)] = e
	}
	seen := map[string]bool{}
	for _, e := range got {
		k := kind(e)
		w, ok := sample[k]
		if !ok {
			t.Errorf("the real runner never sent a %s: %s", k, e.Body)
			continue
		}
		seen[k] = true
		w.Code = e.Code // which polls bring a job is the coordinator's affair
		if g, w := plain(t, e), plain(t, w); fmt.Sprint(g) != fmt.Sprint(w) {
			t.Errorf("%s differs\n got %v\nwant %v", k, g, w)
		}
	}
	for k := range sample {
		if !seen[k] {
			t.Errorf("no %s was sent", k)
		}
	}
}

var versions = []string{"19.4", "17.5"}

func TestRequestsAreTheRecordedOnes(t *testing.T) {
	for _, version := range versions {
		for scenario, sig := range map[string]syscall.Signal{"sigquit": syscall.SIGQUIT, "sigterm": syscall.SIGTERM} {
			t.Run(version+" "+scenario, func(t *testing.T) {
				t.Parallel()
				s := begin(t, Options{Flavour: version}, "concurrent = 2\ncheck_interval = 1\n")
				eventually(t, "two polls", func() bool { return s.gitlab.polls() >= 2 })
				s.gitlab.set(func() { s.gitlab.jobs = append(s.gitlab.jobs, jobJSON(1001, s.waiting("up", "go"))) })
				eventually(t, "the job runs", func() bool { return s.exists("up") })
				s.signals <- sig
				eventually(t, "the signal has arrived", func() bool { return s.stopping.Err() != nil })
				s.touch("go")
				if code := s.exit(); code != 0 {
					t.Errorf("exit %d, want 0", code)
				}
				s.gitlab.set(func() {})
				compare(t, s.gitlab.got, recorded(t, version, scenario))
			})
		}
	}
}

// read are the families that Shoal reads. Whatever else the stand-in shows must
// be there in the real one too, with the same labels.
var read = []string{
	"concurrent", "limit", "jobs", "jobs_total", "job_queue_size", "job_queue_duration_seconds", "request_concurrency",
	"api_request_statuses_total", "worker_health_check_failures_total", "worker_feed_failures_total", "process_state_info",
	"configuration_loaded_total", "configuration_loading_error_total", "version_info",
}

// pollCounts are the series whose value is how often the runner has polled or
// reported so far; the recording polled longer than a test can.
var pollCounts = []string{"api_request_statuses_total", "worker_feeds_total", "api_request_retries_total", "api_request_duration_seconds", "errors_total", "job_duration_seconds", "request_concurrency_exceeded_total"}

func TestMetricsAreTheRecordedOnes(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := begin(t, Options{Flavour: version}, "concurrent = 2\ncheck_interval = 1\n")
			eventually(t, "two polls", func() bool { return s.gitlab.polls() >= 2 })
			samePage(t, s, version, "idle")
			s.gitlab.set(func() {
				s.gitlab.jobs = []string{s.job175(version, 1001, s.waiting("up1", "go1")), s.job175(version, 1002, s.waiting("up2", "go1"))}
			})
			eventually(t, "both jobs run", func() bool { return s.exists("up1") && s.exists("up2") })
			eventually(t, "their traces have begun", func() bool { return s.gitlab.count(func(e exchange) bool { return e.Method == http.MethodPatch }) >= 2 })
			samePage(t, s, version, "busy")
			s.gitlab.set(func() { s.gitlab.jobs = []string{s.job175(version, 1003, s.waiting("up3", "go3"))} })
			s.touch("go1")
			eventually(t, "the third job runs", func() bool { return s.exists("up3") })
			s.touch("go3")
			eventually(t, "all jobs are over", func() bool {
				n := s.gitlab.polls()
				return value(s.page(), "jobs", "state", "running") < 0 && s.gitlab.polls() > n
			})
			eventually(t, "three are counted", func() bool { return value(s.page(), "jobs_total") == 3 })
			samePage(t, s, version, "after")
			if code := s.end(syscall.SIGQUIT); code != 0 {
				t.Errorf("exit %d", code)
			}
		})
	}
}

// job175 is a job as the recording of that version had it: 17.5's coordinator
// sent no queue.
func (s *subject) job175(version string, id int, script string) string {
	if version != "17.5" {
		return jobJSON(id, script)
	}
	var m map[string]any
	must(s.t, json.Unmarshal([]byte(jobJSON(id, script)), &m))
	delete(m, "job_info")
	data, err := json.Marshal(m)
	must(s.t, err)
	return string(data)
}

func TestDrainingMetrics(t *testing.T) {
	s := begin(t, Options{}, "concurrent = 2\ncheck_interval = 1\n")
	s.gitlab.set(func() {
		s.gitlab.jobs = []string{jobJSON(1001, s.waiting("up1", "go")), jobJSON(1002, s.waiting("up2", "go"))}
	})
	eventually(t, "both jobs run", func() bool { return s.exists("up1") && s.exists("up2") })
	eventually(t, "their traces have begun", func() bool { return s.gitlab.count(func(e exchange) bool { return e.Method == http.MethodPatch }) >= 2 })
	s.signals <- syscall.SIGQUIT
	eventually(t, "it drains", func() bool { return value(s.page(), "process_state_info", "state", "graceful-shutdown") == 1 })
	samePage(t, s, "19.4", "draining")
	s.touch("go")
	if code := s.exit(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// samePage compares the page with the recorded one.
func samePage(t *testing.T, s *subject, version, situation string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", version, "metrics-"+situation+".prom"))
	must(t, err)
	defer func() { _ = f.Close() }()
	want, got := families(t, f), s.page()
	// A poll that the scrape caught in flight is no difference.
	eventually(t, "no poll is in flight", func() bool { got = s.page(); return value(got, "request_concurrency") == 0 })
	for name, family := range got {
		short, ours := strings.CutPrefix(name, namespace)
		if !ours {
			continue
		}
		w := series(want[name])
		for labels, v := range series(family) {
			wv, ok := w[labels]
			switch {
			case !ok && (short != "api_request_statuses_total" || !strings.Contains(labels, "20")):
				t.Errorf("%s, %s: the real runner has no %s%s", version, situation, short, labels)
			case ok && !slices.Contains(pollCounts, short) && !reflect.DeepEqual(v, wv):
				t.Errorf("%s, %s: %s%s is %v, recorded %v", version, situation, short, labels, v, wv)
			}
		}
	}
	for _, short := range read {
		g := series(got[namespace+short])
		for labels := range series(want[namespace+short]) {
			if _, ok := g[labels]; !ok && short != "api_request_statuses_total" {
				t.Errorf("%s, %s: %s%s is missing", version, situation, short, labels)
			}
		}
	}
}

// series is a family's values by their labels. The Go version and architecture
// are the build's.
func series(f *dto.MetricFamily) map[string]any {
	m := map[string]any{}
	for _, metric := range f.GetMetric() {
		var labels []string
		for _, l := range metric.GetLabel() {
			v := l.GetValue()
			if n := l.GetName(); n == "go_version" || n == "architecture" {
				v = "…"
			}
			labels = append(labels, l.GetName()+"="+v)
		}
		slices.Sort(labels)
		key := "{" + strings.Join(labels, ",") + "}"
		if h := metric.GetHistogram(); h != nil {
			m[key] = [2]float64{float64(h.GetSampleCount()), h.GetSampleSum()}
			continue
		}
		m[key] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
	}
	return m
}
