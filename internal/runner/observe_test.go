package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name) //nolint:gosec // a test's own file
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parseText(text string) (fleet.Observation, error) {
	p := newPage()
	p.raw.WriteString(text)
	return p.parse()
}

func serve(t *testing.T, h http.HandlerFunc) *Local {
	t.Helper()
	srv := httptest.NewServer(h)
	l := New(Options{ListenAddress: strings.TrimPrefix(srv.URL, "http://")})
	t.Cleanup(func() { l.Close(); srv.Close() })
	return l
}

func TestObserveRecordedPages(t *testing.T) {
	r175 := fleet.RunnerReading{Name: "r1"}
	with := func(r fleet.RunnerReading, f func(*fleet.RunnerReading)) fleet.RunnerReading { f(&r); return r }
	tests := map[string]fleet.Observation{
		"17.5/metrics-idle.prom": {
			Concurrent: 2, Version: "17.5.0",
			Runners: []fleet.RunnerReading{with(r175, func(r *fleet.RunnerReading) { r.PollsAnswered = 5 })},
		},
		"17.5/metrics-busy.prom": {
			Concurrent: 2, Version: "17.5.0",
			Runners: []fleet.RunnerReading{with(r175, func(r *fleet.RunnerReading) {
				r.PollsAnswered, r.Running, r.JobsTotal, r.QueueWaits = 7, 2, 2, 2
			})},
		},
		"17.5/metrics-after.prom": {
			Concurrent: 2, Version: "17.5.0",
			Runners: []fleet.RunnerReading{with(r175, func(r *fleet.RunnerReading) {
				r.PollsAnswered, r.JobsTotal, r.QueueWaits = 32, 3, 3
				r.JobsEnded, r.JobSeconds = 3, 61.21482417200001
			})},
		},
		"19.4/metrics-idle.prom": {
			Concurrent: 2, Version: "19.4.0",
			Runners: []fleet.RunnerReading{with(r175, func(r *fleet.RunnerReading) { r.PollsAnswered = 5 })},
		},
		"19.4/metrics-busy.prom": {
			Concurrent: 2, Version: "19.4.0",
			Runners: []fleet.RunnerReading{with(r175, func(r *fleet.RunnerReading) {
				r.PollsAnswered, r.Running, r.JobsTotal, r.QueueSize, r.QueueWaits, r.QueueWaitSeconds = 7, 2, 2, 42, 2, 25
			})},
		},
		"19.4/metrics-draining.prom": {
			Concurrent: 2, Version: "19.4.0", Draining: true,
			Runners: []fleet.RunnerReading{with(r175, func(r *fleet.RunnerReading) {
				r.PollsAnswered, r.Running, r.JobsTotal, r.QueueSize, r.QueueWaits, r.QueueWaitSeconds = 4, 2, 2, 42, 2, 25
			})},
		},
		"19.4/metrics-after.prom": {
			Concurrent: 2, Version: "19.4.0",
			Runners: []fleet.RunnerReading{with(r175, func(r *fleet.RunnerReading) {
				r.PollsAnswered, r.JobsTotal, r.QueueSize, r.QueueWaits, r.QueueWaitSeconds = 32, 3, 42, 3, 37.5
				r.JobsEnded, r.JobSeconds = 3, 61.56354953
			})},
		},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			body := fixture(t, name)
			l := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
			got, err := l.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.At.IsZero() || got.StartedAt < 1e9 {
				t.Errorf("At %v, StartedAt %v: want both set", got.At, got.StartedAt)
			}
			got.At, got.StartedAt = time.Time{}, 0
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// head is a page's least: what tells that it is gitlab-runner's.
const head = "gitlab_runner_concurrent 4\ngitlab_runner_version_info{version=\"18.1.0\"} 1\n"

func TestObserveSections(t *testing.T) {
	tests := []struct {
		name, page string
		want       []fleet.RunnerReading
		other      int
		slots      int
	}{
		{name: "two tokens", page: head + `gitlab_runner_limit{runner="a",runner_name="x",system_id="s"} 1
gitlab_runner_limit{runner="b",runner_name="y",system_id="s"} 2
gitlab_runner_jobs{runner="a",runner_name="x",state="idle"} 0
gitlab_runner_jobs{runner="b",runner_name="y",state="running",stage="prepare"} 1
gitlab_runner_jobs{runner="b",runner_name="y",state="pending",stage="step"} 1
gitlab_runner_request_concurrency{runner="a"} 1
`, want: []fleet.RunnerReading{{Name: "x", Limit: 1, InFlight: 1}, {Name: "y", Limit: 2, Running: 2}}, slots: 3},
		{name: "one token in two sections", page: head + `gitlab_runner_limit{runner="a",runner_name="x"} 1
gitlab_runner_limit{runner="a",runner_name="y"} 0
gitlab_runner_jobs{runner="a",runner_name="y",state="running"} 1
gitlab_runner_jobs{runner="a",runner_name="before it was renamed",state="running"} 1
gitlab_runner_request_concurrency{runner="a"} 2
gitlab_runner_api_request_statuses_total{endpoint="request_job",runner="a",status="204"} 5
`, want: []fleet.RunnerReading{{Name: "x", Limit: 1, Running: 1, InFlight: 2, PollsAnswered: 5}, {Name: "y", Running: 1}}, slots: 4},
		{name: "sections taken out: the poll is still seen", page: head + `gitlab_runner_jobs{runner="a",runner_name="x",state="running"} 1
gitlab_runner_jobs{runner="a",runner_name="x",state="idle"} 0
gitlab_runner_jobs_total{runner="a",runner_name="x"} 9
gitlab_runner_request_concurrency{runner="a"} 1
`, want: []fleet.RunnerReading{{Name: "x", Removed: true, InFlight: 1, JobsTotal: 9}}, other: 1, slots: 4},
		{name: "one section taken out, the limits of the rest count", page: head + `gitlab_runner_limit{runner="b",runner_name="y"} 1
gitlab_runner_jobs{runner="a",runner_name="x",state="running"} 1
`, want: []fleet.RunnerReading{{Name: "y", Limit: 1}, {Name: "x", Removed: true}}, other: 1, slots: 1},
		{name: "two sections of one name", page: head + `gitlab_runner_limit{runner="a",runner_name="x"} 0
gitlab_runner_limit{runner="b",runner_name="x"} 0
`, want: []fleet.RunnerReading{{Name: "x"}, {Name: "x (b #2)"}}, slots: 4},
		{name: "statuses", page: head + `gitlab_runner_limit{runner="a"} 0
gitlab_runner_api_request_statuses_total{endpoint="request_job",runner="a",status="201"} 1
gitlab_runner_api_request_statuses_total{endpoint="request_job",runner="a",status="204"} 2
gitlab_runner_api_request_statuses_total{endpoint="request_job",runner="a",status="401"} 4
gitlab_runner_api_request_statuses_total{endpoint="request_job",runner="a",status="403"} 8
gitlab_runner_api_request_statuses_total{endpoint="request_job",runner="a",status="429"} 16
gitlab_runner_api_request_statuses_total{endpoint="request_job",runner="a",status="502"} 32
gitlab_runner_api_request_statuses_total{endpoint="request_job",runner="a",status="-1"} 64
gitlab_runner_api_request_statuses_total{endpoint="update_job",runner="a",status="200"} 128
gitlab_runner_worker_health_check_failures_total{runner="a"} 3
`, want: []fleet.RunnerReading{{Name: "a", PollsAnswered: 3, PollsRefused: 12, PollsFailed: 112, HealthFailures: 3}}, slots: 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := parseText(tt.page)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(o.Runners, tt.want) || o.OtherRunning != tt.other || o.Slots() != tt.slots {
				t.Errorf("got  %+v, other %d, slots %d\nwant %+v, other %d, slots %d",
					o.Runners, o.OtherRunning, o.Slots(), tt.want, tt.other, tt.slots)
			}
		})
	}
}

func TestObserveRefusesOtherPages(t *testing.T) {
	whole := string(fixture(t, "19.4/metrics-busy.prom"))
	at := strings.Index(whole, "gitlab_runner_version_info{")
	tests := []struct {
		name, page, want string
		mend             bool
	}{
		{name: "empty", page: "", want: "cut off"},
		{name: "another program's", page: "# TYPE go_goroutines gauge\ngo_goroutines 7\n", want: "not gitlab-runner's", mend: true},
		{name: "a web page", page: "<!doctype html>\n<title>hello</title>\n", want: "not gitlab-runner's", mend: true},
		{name: "cut at a line", page: whole[:strings.LastIndex(whole[:at], "\n")+1], want: "cut off"},
		{name: "cut in a needed line", page: whole[:at+70], want: "parse the page"},
		{name: "cut in another line", page: whole[:len(whole)-5], want: "cut off"},
		{name: "no number", page: head + "gitlab_runner_jobs{state=\"running\"} many\n", want: "parse the page"},
		{name: "NaN", page: head + "gitlab_runner_jobs{state=\"running\"} NaN\n", want: "NaN"},
		{name: "negative", page: head + "gitlab_runner_jobs{state=\"running\"} -1\n", want: "-1"},
		{name: "infinite", page: head + "gitlab_runner_jobs{state=\"running\"} +Inf\n", want: "Inf"},
		{name: "huge", page: head + strings.Repeat("# x\n", maxPage/4), want: "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tt.page)) })
			_, err := l.Observe(t.Context())
			f := failure(t, err, fleet.Temporary)
			if !strings.Contains(f.Error(), tt.want) || (f.Mend != "") != tt.mend {
				t.Errorf("got %q, mend %q; want %q in it, a mend: %v", f.Error(), f.Mend, tt.want, tt.mend)
			}
			// A bad page leaves nothing behind for the next.
			if _, err := parseText(head); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestObserveFailures(t *testing.T) {
	t.Run("nothing listens", func(t *testing.T) {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := lis.Addr().String()
		_ = lis.Close()
		l := New(Options{ListenAddress: address})
		defer l.Close()
		_, err = l.Observe(t.Context())
		f := failure(t, err, fleet.Local)
		if want := "reach gitlab-runner's metrics at http://" + address; !strings.HasPrefix(f.Op, want) {
			t.Errorf("Op %q, want %q", f.Op, want)
		}
	})
	t.Run("an error status", func(t *testing.T) {
		l := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "collected twice", http.StatusInternalServerError)
		})
		_, err := l.Observe(t.Context())
		_ = failure(t, err, fleet.Temporary)
	})
	t.Run("a redirect is not followed", func(t *testing.T) {
		l := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) })
		_, err := l.Observe(t.Context())
		_ = failure(t, err, fleet.Temporary)
	})
	t.Run("less than announced", func(t *testing.T) {
		l := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write([]byte(head))
		})
		_, err := l.Observe(t.Context())
		_ = failure(t, err, fleet.Temporary)
	})
	t.Run("no answer", func(t *testing.T) {
		l := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := l.Observe(ctx)
		_ = failure(t, err, fleet.Temporary)
	})
	t.Run("no address", func(t *testing.T) {
		_, err := New(Options{ListenAddress: "local host:9"}).Observe(t.Context())
		_ = failure(t, err, fleet.Invalid)
	})
}

func TestObserveKeepsItsConnection(t *testing.T) {
	connections := map[string]bool{}
	l := serve(t, func(w http.ResponseWriter, r *http.Request) {
		connections[r.RemoteAddr] = true
		_, _ = w.Write([]byte(head))
	})
	for range 5 {
		if _, err := l.Observe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(connections) != 1 {
		t.Errorf("%d connections for 5 polls, want 1", len(connections))
	}
}

func TestMetricsURL(t *testing.T) {
	for listen, want := range map[string]string{
		"localhost:9090": "http://localhost:9090/metrics",
		":9252":          "http://localhost:9252/metrics",
		"0.0.0.0:9252":   "http://localhost:9252/metrics",
		"[::]:9252":      "http://localhost:9252/metrics",
		"[::1]:9252":     "http://[::1]:9252/metrics",
		"10.0.0.1:80":    "http://10.0.0.1:80/metrics",
	} {
		if got := metricsURL(listen); got != want {
			t.Errorf("metricsURL(%q) = %q, want %q", listen, got, want)
		}
	}
}

func failure(t *testing.T, err error, kind fleet.FailureKind) *fleet.Failure {
	t.Helper()
	var f *fleet.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a failure of kind %q", err, kind)
	}
	if f.Kind != kind {
		t.Fatalf("got kind %q (%v), want %q", f.Kind, err, kind)
	}
	return f
}

func FuzzPage(f *testing.F) {
	for _, name := range []string{"17.5/metrics-busy.prom", "19.4/metrics-draining.prom"} {
		f.Add(fixture(f, name))
	}
	f.Add([]byte(head + "gitlab_runner_jobs{runner=\"a\",state=\"running\"} 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newPage()
		p.raw.Write(data)
		o, err := p.parse()
		if err != nil {
			return
		}
		if o.Running() < 0 || o.Free() < 0 || o.InFlight() < 0 || o.JobsTotal() < 0 ||
			o.PollsAnswered() < 0 || o.PollsRefused() < 0 || o.PollsFailed() < 0 || o.Slots() > o.Concurrent {
			t.Errorf("impossible: %+v", o)
		}
		names := map[string]bool{}
		for _, r := range o.Runners {
			if names[r.Name] {
				t.Errorf("name %q twice", r.Name)
			}
			names[r.Name] = true
		}
		// The same page read again says the same: nothing stays from the first time.
		p.reset()
		p.raw.Write(data)
		again, err := p.parse()
		if err != nil || fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", o) {
			t.Errorf("second reading differs: %+v, %v", again, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	body := fixture(b, "19.4/metrics-after.prom")
	p := newPage()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		p.reset()
		p.raw.Write(body)
		if _, err := p.parse(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	body := fixture(b, "19.4/metrics-after.prom")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = bytes.NewReader(body).WriteTo(w)
	}))
	defer srv.Close()
	l := New(Options{ListenAddress: strings.TrimPrefix(srv.URL, "http://")})
	defer l.Close()
	for b.Loop() {
		if _, err := l.Observe(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
