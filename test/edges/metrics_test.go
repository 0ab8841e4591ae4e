package edges_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/simulate"
)

// metricsWire leads to gitlab-runner's metrics on the process's instance.
type metricsWire struct{ *run }

// RoundTrip implements http.RoundTripper.
func (w metricsWire) RoundTrip(req *http.Request) (*http.Response, error) {
	var p simulate.Page
	var listens, answers bool
	w.have(func() { p, listens, answers = w.p.Metrics() })
	switch {
	case !listens:
		return nil, errRefused
	case !answers:
		return nil, w.wait(req.Context(), time.Hour)
	}
	return answer(req, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", metrics(p)), nil
}

// series is one family of the page, or a part of one.
type series struct {
	name, kind string
	lines      []string
}

func (s *series) add(labels string, v any) {
	s.lines = append(s.lines, fmt.Sprintf("%s{%s} %v\n", s.name, labels, v))
}

// metrics is the page as gitlab-runner 19.4 writes it, in what Shoal reads and a
// little more. It has runner_name on the series about jobs; those about requests
// are one for each token.
func metrics(p simulate.Page) string {
	state := "running"
	if p.Draining {
		state = "graceful-shutdown"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# TYPE go_goroutines gauge\ngo_goroutines 17\n# TYPE gitlab_runner_concurrent gauge\ngitlab_runner_concurrent %d\n", p.Concurrent)
	b.WriteString("# TYPE gitlab_runner_version_info gauge\ngitlab_runner_version_info{name=\"gitlab-runner\",version=\"19.4.0\"} 1\n")
	fmt.Fprintf(&b, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %v\n", p.StartedAt/1000)
	fmt.Fprintf(&b, "# TYPE gitlab_runner_process_state_info gauge\ngitlab_runner_process_state_info{state=%q} 1\n", state)
	for _, s := range append(jobs(p), requests(p)...) {
		if len(s.lines) > 0 {
			fmt.Fprintf(&b, "# TYPE %s %s\n%s", s.name, s.kind, strings.Join(s.lines, ""))
		}
	}
	return b.String()
}

func family(name, kind string) *series { return &series{name: "gitlab_runner_" + name, kind: kind} }

// jobs are the series about jobs.
func jobs(p simulate.Page) []*series {
	limit, running, total := family("limit", "gauge"), family("jobs", "gauge"), family("jobs_total", "counter")
	size, waits := family("job_queue_size", "gauge"), family("job_queue_duration_seconds", "histogram")
	took := family("job_duration_seconds", "histogram")
	for n, r := range p.Runners {
		labels := jobLabels(p.Tokens[n], r.Name)
		if !r.Removed {
			limit.add(labels, r.Limit)
		}
		running.add(labels+`,state="idle",stage="idle",executor_stage="idle"`, 0)
		if r.Running > 0 {
			running.add(labels+`,state="running",stage="step_script",executor_stage="prepare"`, r.Running)
		}
		total.add(labels, r.JobsTotal)
		if r.QueueSize > 0 {
			size.add(labels, r.QueueSize)
		}
		if r.QueueWaits > 0 {
			waits.histogram(labels+`,project_jobs_running="0"`, r.QueueWaits, r.QueueWaitSeconds)
		}
		if r.JobsEnded > 0 {
			took.histogram(labels+`,mode="traditional"`, r.JobsEnded, r.JobSeconds)
		}
	}
	return []*series{limit, running, total, size, waits, took}
}

func (s *series) histogram(labels string, count uint64, sum float64) {
	s.lines = append(s.lines,
		fmt.Sprintf("%s_bucket{%s,le=\"+Inf\"} %d\n", s.name, labels, count),
		fmt.Sprintf("%s_sum{%s} %v\n", s.name, labels, sum),
		fmt.Sprintf("%s_count{%s} %d\n", s.name, labels, count))
}

// short is what the metrics show of a token.
func short(token string) string {
	_, rest, _ := strings.Cut(token, "-")
	return rest[:min(9, len(rest))]
}

func jobLabels(token, name string) string {
	return requestLabels(token) + fmt.Sprintf(",runner_name=%q", name)
}

func requestLabels(token string) string {
	return fmt.Sprintf("runner=%q,system_id=\"s_000000000000\"", short(token))
}

// requests are the series about polls, of which sections with one token share one.
func requests(p simulate.Page) []*series {
	inFlight, statuses := family("request_concurrency", "gauge"), family("api_request_statuses_total", "counter")
	sums := map[string]*fleet.RunnerReading{}
	var order []string
	for n, r := range p.Runners {
		token := p.Tokens[n]
		s := sums[token]
		if s == nil {
			s = &fleet.RunnerReading{}
			sums[token] = s
			order = append(order, token)
		}
		s.InFlight += r.InFlight
		s.JobsTotal += r.JobsTotal
		s.PollsAnswered += r.PollsAnswered
		s.PollsRefused += r.PollsRefused
		s.PollsFailed += r.PollsFailed
	}
	for _, token := range order {
		s, labels := sums[token], requestLabels(token)
		inFlight.add(labels, s.InFlight)
		for _, x := range []struct {
			status string
			n      int64
		}{{"201", s.JobsTotal}, {"204", s.PollsAnswered - s.JobsTotal}, {"403", s.PollsRefused}, {"-1", s.PollsFailed}} {
			if x.n > 0 {
				statuses.add(labels+fmt.Sprintf(",endpoint=\"request_job\",method=\"post\",status=%q", x.status), x.n)
			}
		}
	}
	return []*series{inFlight, statuses}
}
