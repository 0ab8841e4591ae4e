package standin

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// runnerLabels is how a section is told apart in the metrics.
type runnerLabels struct{ runner, name, systemID string }

// metrics is the page at listen_address. Which labels a series bears is part of
// the flavour: that the versions differ here is what Shoal must cope with.
type metrics struct {
	flavour  flavour
	registry *prometheus.Registry

	concurrent   prometheus.Gauge
	limit        *prometheus.GaugeVec
	jobs         *prometheus.GaugeVec
	jobsTotal    *prometheus.CounterVec
	jobSeconds   *prometheus.HistogramVec
	jobModes     *prometheus.CounterVec
	failedJobs   *prometheus.CounterVec
	queueSize    *prometheus.GaugeVec
	queueDepth   *prometheus.GaugeVec
	queueSeconds *prometheus.HistogramVec
	queueTooLong *prometheus.CounterVec

	inFlight      *prometheus.GaugeVec
	exceeded      *prometheus.CounterVec
	hardLimit     *prometheus.GaugeVec
	usedLimit     *prometheus.GaugeVec
	adaptiveLimit *prometheus.GaugeVec

	loaded, loadErrors prometheus.Counter
	errors             *prometheus.CounterVec
	state              *prometheus.GaugeVec

	statuses *prometheus.CounterVec
	retries  *prometheus.CounterVec
	seconds  *prometheus.HistogramVec

	feeds, feedFailures, unhealthy *prometheus.CounterVec
	processingFailures             *prometheus.CounterVec
	slots                          prometheus.Gauge
	slotOperations                 *prometheus.CounterVec
}

const namespace = "gitlab_runner_"

func newMetrics(f flavour) *metrics {
	m := &metrics{flavour: f, registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.jobMetrics()
	m.pollMetrics()
	m.processMetrics()
	m.workerMetrics()
	return m
}

// jobLabels names the labels of the series about jobs: 19.x added runner_name.
func (m *metrics) jobLabels(more ...string) []string {
	l := append([]string{"runner", "system_id"}, more...)
	if m.flavour.runnerNames {
		l = append(l, "runner_name")
	}
	return l
}

func (m *metrics) jobMetrics() {
	m.limit = m.gauge("limit", "The current value of limit setting", m.jobLabels()...)
	m.jobs = m.gauge("jobs", "The current number of running builds", m.jobLabels("state", "stage", "executor_stage")...)
	m.jobsTotal = m.counter("jobs_total", "Total number of handled jobs", m.jobLabels()...)
	m.queueTooLong = m.counter("acceptable_job_queuing_duration_exceeded_total", "Counts how often jobs exceed the configured queuing time threshold", m.jobLabels()...)
	m.queueSeconds = m.histogram("job_queue_duration_seconds", "A histogram representing job queue duration.", []float64{1, 3, 10, 30, 60, 120, 300, 900, 1800, 3600}, m.jobLabels("project_jobs_running")...)
	m.failedJobs = m.counter("failed_jobs_total", "Total number of failed jobs", m.jobLabels("failure_reason")...)
	modes := m.jobLabels()
	if m.flavour.queueSize {
		modes = m.jobLabels("mode")
		m.queueSize = m.gauge("job_queue_size", "A gauge representing the size of the queue for the runner", m.jobLabels()...)
		m.queueDepth = m.gauge("job_queue_depth", "A gauge representing the search depth in the queue for the runner", m.jobLabels()...)
		m.jobModes = m.counter("job_execution_mode_total", "Total number of jobs grouped by execution mode and executor", "mode", "executor")
	}
	m.jobSeconds = m.histogram("job_duration_seconds", "Histogram of job durations", []float64{30, 60, 300, 600, 1800, 3600, 7200, 10800, 18000, 36000}, modes...)
}

func (m *metrics) pollMetrics() {
	m.inFlight = m.gauge("request_concurrency", "The current number of concurrent requests for a new job", "runner", "system_id")
	m.exceeded = m.counter("request_concurrency_exceeded_total", "Count of excess requests above the configured request_concurrency limit", "runner", "system_id")
	statuses, seconds := []string{"runner", "system_id", "endpoint", "status"}, []string{"runner", "system_id", "endpoint"}
	if m.flavour.runnerNames {
		m.hardLimit = m.gauge("request_concurrency_hard_limit", "Configured request_concurrency limit", "runner", "system_id")
		m.usedLimit = m.gauge("request_concurrency_used_limit", "Used request_concurrency limit", "runner", "system_id")
		m.adaptiveLimit = m.gauge("request_concurrency_adaptive_limit", "Computed adaptive request_concurrency limit", "runner", "system_id")
		m.retries = m.counter("api_request_retries_total", "Total number of API request attempts", "path", "method")
		statuses, seconds = append(statuses, "method"), append(seconds, "method", "status_class")
	}
	m.statuses = m.counter("api_request_statuses_total", "The total number of api requests, partitioned by runner, system_id, endpoint and status.", statuses...)
	m.seconds = m.histogram("api_request_duration_seconds", "Latency histogram of API requests made by GitLab Runner", []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60}, seconds...)
}

func (m *metrics) processMetrics() {
	m.concurrent = m.gauge("concurrent", "The current value of concurrent setting").WithLabelValues()
	m.loaded = m.counter("configuration_loaded_total", "Total number of times the configuration file was loaded by Runner process").WithLabelValues()
	m.loadErrors = m.counter("configuration_loading_error_total", "Total number of times the configuration file was not loaded by Runner process due to errors").WithLabelValues()
	m.counter("configuration_saved_total", "Total number of times the configuration file was saved by Runner process").WithLabelValues()
	m.counter("configuration_saving_error_total", "Total number of times the configuration file was not saved by Runner process due to errors").WithLabelValues()
	m.errors = m.counter("errors_total", "The number of caught errors.", "level")
	for _, level := range []string{"error", "fatal", "panic", "warning"} {
		m.errors.WithLabelValues(level)
	}
	f := m.flavour
	m.gauge("version_info", "A metric with a constant '1' value labeled by different build stats fields.",
		"architecture", "branch", "built_at", "go_version", "name", "os", "revision", "version").
		WithLabelValues(runtime.GOARCH, f.branch, f.builtAt, runtime.Version(), "gitlab-runner", runtime.GOOS, f.revision, f.version).Set(1)
	if f.processState {
		m.state = m.gauge("process_state_info", "The current state of the process", "state")
		m.setState("running")
	}
}

func (m *metrics) workerMetrics() {
	l := []string{"runner", "runner_name", "system_id"}
	m.feeds = m.counter("worker_feeds_total", "Total number of times that runner worker is fed to the main process", l...)
	m.feedFailures = m.counter("worker_feed_failures_total", "Total number of times that runner worker feeding have failed", l...)
	m.unhealthy = m.counter("worker_health_check_failures_total", "Total number of runner worker health check failures", l...)
	m.processingFailures = m.counter("worker_processing_failures_total", "Total number of failures when processing runner worker", append(l, "failure_type")...)
	m.slots = m.gauge("worker_slots_number", "Current number of runner worker slots").WithLabelValues()
	m.slotOperations = m.counter("worker_slot_operations_total", "Total number of runner workers slot operations (starting and stopping slots)", "operation")
	for _, o := range []string{"started", "stopped"} {
		m.slotOperations.WithLabelValues(o)
	}
}

func (m *metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: namespace + name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: namespace + name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: namespace + name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

// of is the labels of a series about jobs; pairs adds to them.
func (m *metrics) of(r runnerLabels, pairs ...string) prometheus.Labels {
	l := requestLabels(r, pairs...)
	if m.flavour.runnerNames {
		l["runner_name"] = r.name
	}
	return l
}

func requestLabels(r runnerLabels, pairs ...string) prometheus.Labels {
	l := prometheus.Labels{"runner": r.runner, "system_id": r.systemID}
	for i := 0; i+1 < len(pairs); i += 2 {
		l[pairs[i]] = pairs[i+1]
	}
	return l
}

func workerLabels(r runnerLabels, pairs ...string) prometheus.Labels {
	l := requestLabels(r, pairs...)
	l["runner_name"] = r.name
	return l
}

// setState says what the process is about; one series at a time.
func (m *metrics) setState(state string) {
	if m.state == nil {
		return
	}
	m.state.Reset()
	m.state.WithLabelValues(state).Set(1)
}

// configure shows a configuration that was loaded. What earlier ones made stays
// on the page, but for the limits.
func (m *metrics) configure(c *configuration) {
	m.loaded.Inc()
	m.concurrent.Set(float64(c.Concurrent))
	m.limit.Reset()
	for _, s := range c.Sections {
		m.section(runnerLabels{m.flavour.short(s.Token), s.Name, c.systemID}, s)
	}
}

func (m *metrics) section(r runnerLabels, s section) {
	m.limit.With(m.of(r)).Set(float64(s.Limit))
	m.jobs.With(m.of(r, "state", "idle", "stage", "idle", "executor_stage", "idle")).Set(0)
	m.inFlight.With(requestLabels(r)).Add(0)
	m.exceeded.With(requestLabels(r))
	m.feeds.With(workerLabels(r))
	m.feedFailures.With(workerLabels(r))
	m.unhealthy.With(workerLabels(r))
	for _, t := range []string{"job_failure", "no_free_executor", "other"} {
		m.processingFailures.With(workerLabels(r, "failure_type", t))
	}
	if !m.flavour.runnerNames {
		return
	}
	m.jobsTotal.With(m.of(r)) // 17.5 shows none before the first job
	m.hardLimit.With(requestLabels(r)).Set(float64(s.requestConcurrency()))
	m.usedLimit.With(requestLabels(r)).Set(float64(s.requestConcurrency()))
	m.adaptiveLimit.With(requestLabels(r)).Set(1)
}

// added counts a job that begins.
func (m *metrics) added(r runnerLabels, j *job) {
	m.jobs.With(m.running(r)).Inc()
	m.jobsTotal.With(m.of(r)).Inc()
	m.queueTooLong.With(m.of(r))
	m.queueSeconds.With(m.of(r, "project_jobs_running", j.Info.ProjectJobsRunning)).Observe(j.Info.TimeInQueueSeconds)
	if m.queueSize != nil {
		m.queueSize.With(m.of(r)).Set(float64(j.Info.QueueSize))
		m.queueDepth.With(m.of(r)).Set(float64(j.Info.QueueDepth))
	}
}

func (m *metrics) running(r runnerLabels) prometheus.Labels {
	return m.of(r, "state", "running", "stage", "step_script", "executor_stage", "prepare")
}

// removed counts a job that has ended; still is how many of its runner go on.
func (m *metrics) removed(r runnerLabels, took time.Duration, reason string, still int) {
	if still == 0 {
		m.jobs.Delete(m.running(r))
	} else {
		m.jobs.With(m.running(r)).Set(float64(still))
	}
	labels := m.of(r)
	if m.jobModes != nil {
		labels["mode"] = "traditional"
		m.jobModes.WithLabelValues("traditional", "shell").Inc()
	}
	m.jobSeconds.With(labels).Observe(took.Seconds())
	if reason != "" {
		m.failedJobs.With(m.of(r, "failure_reason", reason)).Inc()
		m.processingFailures.With(workerLabels(r, "failure_type", "job_failure")).Inc()
	}
}

// request counts one request to GitLab.
func (m *metrics) request(r runnerLabels, endpoint, method, pattern string, status int, took time.Duration) {
	statuses := requestLabels(r, "endpoint", endpoint, "status", strconv.Itoa(status))
	seconds := requestLabels(r, "endpoint", endpoint)
	if m.retries != nil {
		m.retries.WithLabelValues(pattern, method).Inc()
		statuses["method"], seconds["method"] = method, method
		seconds["status_class"] = fmt.Sprintf("%dxx", max(0, status/100))
	}
	m.statuses.With(statuses).Inc()
	m.seconds.With(seconds).Observe(took.Seconds())
}

// logged counts a line of the log.
func (m *metrics) logged(level string) {
	switch level {
	case "error", "fatal", "panic", "warning":
		m.errors.WithLabelValues(level).Inc()
	}
}

// ServeHTTP writes the page in Prometheus' text format.
func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	families, err := m.registry.Gather()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	for _, f := range families {
		if encoder.Encode(f) != nil {
			return // the reader has gone
		}
	}
}
