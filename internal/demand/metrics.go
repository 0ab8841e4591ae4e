package demand

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// Why an event was dropped.
const (
	dropQueue    = "queue"    // too many waited for the group
	dropLookup   = "lookup"   // nobody could tell whose it is
	dropUnplaced = "unplaced" // nobody can be asked whose it is
	dropForeign  = "foreign"  // it is none of our groups'
)

type metrics struct {
	registry  *prometheus.Registry
	events    *prometheus.CounterVec
	answers   *prometheus.CounterVec
	seconds   prometheus.Histogram
	dropped   *prometheus.CounterVec
	requests  *prometheus.CounterVec
	lookups   *prometheus.CounterVec
	reconcile *prometheus.CounterVec
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shoal_webhook_" + name, Help: help}, labels)
	}
	m := &metrics{
		registry:  prometheus.NewRegistry(),
		events:    counter("events_total", "Events that were taken in, by how far the job has come.", "state"),
		answers:   counter("answers_total", "Answers to GitLab, or to whoever asked.", "code"),
		dropped:   counter("events_dropped_total", "Events that led to nothing, by why.", "reason"),
		requests:  counter("group_requests_total", "Requests to Auto Scaling: a look at the group, or a raise.", "group", "request", "result"),
		lookups:   counter("lookups_total", "Requests to GitLab for a job's tags.", "result"),
		reconcile: counter("reconciliations_total", "Lists of a project's jobs that were asked of GitLab.", "group", "result"),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "shoal_webhook_answer_seconds", Help: "How long an answer took. GitLab waits ten seconds.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .02, .05, .1, .5, 1, 5, 10},
		}),
	}
	m.registry.MustRegister(m.events, m.answers, m.dropped, m.requests, m.lookups, m.reconcile, m.seconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ServeHTTP writes them as Prometheus reads them.
func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	families, err := m.registry.Gather()
	if err != nil {
		http.Error(w, "the metrics cannot be gathered", http.StatusInternalServerError)
		return
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	for _, f := range families {
		if encoder.Encode(f) != nil {
			return // who does not listen is not waited for
		}
	}
}

// watch shows a group's queue, and what its machine believes.
func (m *metrics) watch(g *Group) {
	gauge := func(name, help string, labels prometheus.Labels, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "shoal_webhook_" + name, Help: help, ConstLabels: labels}, f))
	}
	h := g.Machine
	gauge("queue_length", "Events that wait for the group's machine.", prometheus.Labels{"group": g.Name}, func() float64 { return float64(len(g.inbox)) })
	gauge("jobs", "Jobs that are believed to wait, or to run.", prometheus.Labels{"group": g.Name, "state": "pending"}, func() float64 { return float64(h.pending.Load()) })
	gauge("jobs", "Jobs that are believed to wait, or to run.", prometheus.Labels{"group": g.Name, "state": "running"}, func() float64 { return float64(h.running.Load()) })
	gauge("slots_ahead", "Slots that the stages which are about to begin are thought to need.", prometheus.Labels{"group": g.Name}, func() float64 { return float64(h.expected.Load()) })
	for result, n := range map[string]*atomic.Int64{"hit": &h.hits, "waste": &h.wastes} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "shoal_webhook_stages_ahead_total", Help: "Stages that instances were launched for before they began: in time, or in vain.",
			ConstLabels: prometheus.Labels{"group": g.Name, "result": result},
		}, func() float64 { return float64(n.Load()) }))
	}
}

func (m *metrics) answered(code int, took time.Duration) {
	m.answers.WithLabelValues(strconv.Itoa(code)).Inc()
	m.seconds.Observe(took.Seconds())
}

var stateNames = map[fleet.JobState]string{
	fleet.JobUnknown: "unknown", fleet.JobCreated: "created", fleet.JobPending: "pending", fleet.JobRunning: "running", fleet.JobFinished: "finished",
}

func (m *metrics) heard(s fleet.JobState) { m.events.WithLabelValues(stateNames[s]).Inc() }

func result(err error) string {
	if err != nil {
		return "failed"
	}
	return "done"
}

func (m *metrics) asked(group, request string, err error) {
	m.requests.WithLabelValues(group, request, result(err)).Inc()
}
func (m *metrics) lookedUp(err error) { m.lookups.WithLabelValues(result(err)).Inc() }
func (m *metrics) reconciled(group string, err error) {
	m.reconcile.WithLabelValues(group, result(err)).Inc()
}
