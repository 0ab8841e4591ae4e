package runner

import (
	"fmt"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"github.com/shoal-ci/shoal/internal/fleet"
)

type families map[string]*dto.MetricFamily

// observe puts the families together to one observation.
func observe(f families) (fleet.Observation, error) {
	var v values
	o := fleet.Observation{
		Concurrent: int(v.first(f[famConcurrent])),
		StartedAt:  v.first(f[famStart]),
		Version:    label(f[famVersion].GetMetric()[0], "version"),
	}
	for _, m := range f[famState].GetMetric() {
		o.Draining = o.Draining || label(m, "state") == "graceful-shutdown" && v.of(m) > 0
	}
	var r readings
	r.sections(f[famLimit], &v)
	r.fill(f, &v, &o)
	o.Runners = r.all()
	return o, v.err
}

// readings collects what the page says of each runner. The series share only the
// label runner, a token's first characters: runner_name stands on some of them,
// and on others in other versions.
type readings struct {
	list []*reading
}

type reading struct {
	fleet.RunnerReading
	token string // label runner
	name  string // label runner_name
}

// sections makes a reading of each section that is in config.toml now: they
// alone have a gitlab_runner_limit.
func (r *readings) sections(limits *dto.MetricFamily, v *values) {
	for _, m := range limits.GetMetric() {
		s := &reading{token: label(m, "runner"), name: label(m, "runner_name")}
		s.Limit = int(v.of(m))
		r.list = append(r.list, s)
	}
}

// of finds the reading that a series belongs to. A token in one section needs no
// more; sections that share a token are told apart by name, and a series without
// one counts for the first, so that sums stay right.
func (r *readings) of(m *dto.Metric) *reading {
	token, name := label(m, "runner"), label(m, "runner_name")
	var first *reading
	for _, s := range r.list {
		if s.token != token {
			continue
		}
		if s.name == name && name != "" {
			return s
		}
		if first == nil {
			first = s
		}
	}
	if first == nil {
		first = &reading{token: token}
		first.Removed = true
		r.list = append(r.list, first)
	}
	if first.name == "" {
		first.name = name // 17.5 has the name on the worker's series only
	}
	return first
}

func (r *readings) fill(f families, v *values, o *fleet.Observation) {
	r.each(f[famHealth], func(s *reading, m *dto.Metric) { s.HealthFailures += int64(v.of(m)) })
	r.each(f[famInFlight], func(s *reading, m *dto.Metric) { s.InFlight += int(v.of(m)) })
	r.each(f[famJobsTotal], func(s *reading, m *dto.Metric) { s.JobsTotal += int64(v.of(m)) })
	r.each(f[famQueueSize], func(s *reading, m *dto.Metric) { s.QueueSize = max(s.QueueSize, int(v.of(m))) })
	r.each(f[famQueueWait], func(s *reading, m *dto.Metric) {
		s.QueueWaits += uint64(v.check(float64(m.GetHistogram().GetSampleCount())))
		s.QueueWaitSeconds += v.check(m.GetHistogram().GetSampleSum())
	})
	r.each(f[famJobTime], func(s *reading, m *dto.Metric) {
		s.JobsEnded += uint64(v.check(float64(m.GetHistogram().GetSampleCount())))
		s.JobSeconds += v.check(m.GetHistogram().GetSampleSum())
	})
	r.each(f[famJobs], func(s *reading, m *dto.Metric) { s.jobs(m, v, o) })
	r.each(f[famStatuses], func(s *reading, m *dto.Metric) {
		if label(m, "endpoint") == "request_job" {
			s.poll(label(m, "status"), int64(v.of(m)))
		}
	})
}

func (r *readings) each(mf *dto.MetricFamily, add func(*reading, *dto.Metric)) {
	for _, m := range mf.GetMetric() {
		add(r.of(m), m)
	}
}

// jobs counts the running jobs of one series; idle is no job, whatever its value.
func (s *reading) jobs(m *dto.Metric, v *values, o *fleet.Observation) {
	n := int(v.of(m))
	switch {
	case label(m, "state") == "idle":
	case s.Removed:
		o.OtherRunning += n
	default:
		s.Running += n
	}
}

// poll counts answers to POST /jobs/request. gitlab-runner counts a request that
// got no answer (or a job that does not parse) as -1, in 17.5 and 19.4 alike.
func (s *reading) poll(status string, n int64) {
	switch {
	case len(status) == 3 && status[0] == '2':
		s.PollsAnswered += n
	case status == "401" || status == "403" || status == "404" || status == "410":
		s.PollsRefused += n
	default:
		s.PollsFailed += n
	}
}

// all returns the readings under names of their own: who compares two
// observations knows a runner by its name.
func (r *readings) all() []fleet.RunnerReading {
	seen := map[string]int{}
	out := make([]fleet.RunnerReading, 0, len(r.list))
	for _, s := range r.list {
		s.Name = s.name
		if s.Name == "" {
			s.Name = s.token
		}
		if seen[s.Name]++; seen[s.Name] > 1 {
			s.Name = fmt.Sprintf("%s (%s #%d)", s.Name, s.token, seen[s.Name])
		}
		out = append(out, s.RunnerReading)
	}
	sections := slices.IndexFunc(out, func(x fleet.RunnerReading) bool { return x.Removed })
	if sections >= 0 {
		slices.SortStableFunc(out[sections:], func(a, b fleet.RunnerReading) int { return strings.Compare(a.Name, b.Name) })
	}
	return out
}
