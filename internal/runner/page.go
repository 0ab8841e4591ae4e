package runner

import (
	"bytes"
	"errors"
	"fmt"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// The families that Shoal reads. All else on the page (Go's own metrics, the
// histograms of every endpoint) is nine tenths of it.
const (
	famConcurrent = "gitlab_runner_concurrent"
	famStart      = "process_start_time_seconds"
	famVersion    = "gitlab_runner_version_info"
	famState      = "gitlab_runner_process_state_info"
	famLimit      = "gitlab_runner_limit"
	famJobs       = "gitlab_runner_jobs"
	famJobsTotal  = "gitlab_runner_jobs_total"
	famInFlight   = "gitlab_runner_request_concurrency"
	famQueueSize  = "gitlab_runner_job_queue_size"
	famQueueWait  = "gitlab_runner_job_queue_duration_seconds"
	famJobTime    = "gitlab_runner_job_duration_seconds"
	famStatuses   = "gitlab_runner_api_request_statuses_total"
	famHealth     = "gitlab_runner_worker_health_check_failures_total"
)

var wanted = map[string]bool{
	famConcurrent: true, famStart: true, famVersion: true,
	famState: true, famLimit: true, famJobs: true, famJobsTotal: true,
	famInFlight: true, famQueueSize: true, famStatuses: true, famHealth: true,
	// A histogram without its buckets: only count and sum are read.
	famQueueWait: true, famQueueWait + "_sum": true, famQueueWait + "_count": true,
	famJobTime: true, famJobTime + "_sum": true, famJobTime + "_count": true,
}

var (
	// errForeign says that a whole page came, but not gitlab-runner's.
	errForeign = errors.New("this is not gitlab-runner's page")
	errCutOff  = errors.New("the page is cut off")
)

// keptBuffer is the largest buffer that is kept between polls, so that one huge
// page does not stay in memory for days.
const keptBuffer = 1 << 20

// page holds the buffers and the parser of one scrape after another.
type page struct {
	raw    bytes.Buffer // as it came
	needed bytes.Buffer // the lines of the wanted families
	parser expfmt.TextParser
}

func newPage() page { return page{parser: expfmt.NewTextParser(model.LegacyValidation)} }

func (p *page) reset() {
	for _, b := range []*bytes.Buffer{&p.raw, &p.needed} {
		if b.Cap() > keptBuffer {
			*b = bytes.Buffer{}
		}
		b.Reset()
	}
}

// parse reads the page in raw. Only the wanted lines go through Prometheus'
// parser: a daemon asks every few seconds for days, and the rest of the page
// costs ten times as much.
func (p *page) parse() (fleet.Observation, error) {
	raw := p.raw.Bytes()
	if len(raw) == 0 {
		return fleet.Observation{}, errCutOff
	}
	p.needed.Reset()
	keepWanted(&p.needed, raw)
	families, err := p.parser.TextToMetricFamilies(&p.needed)
	if err != nil {
		return fleet.Observation{}, fmt.Errorf("parse the page: %w", err)
	}
	if len(families[famVersion].GetMetric()) == 0 || len(families[famConcurrent].GetMetric()) == 0 {
		return fleet.Observation{}, missing(raw)
	}
	// The exposition format ends each line; without that a value may be half of one.
	if raw[len(raw)-1] != '\n' {
		return fleet.Observation{}, errCutOff
	}
	return observe(families)
}

// missing tells gitlab-runner's page whose end did not come from another
// program's.
func missing(raw []byte) error {
	if bytes.Contains(raw, []byte("gitlab_runner_")) {
		return fmt.Errorf("%w: no %s or no %s in it", errCutOff, famConcurrent, famVersion)
	}
	return fmt.Errorf("%w: no %s in it", errForeign, famVersion)
}

// keepWanted copies the lines of the wanted families, with their TYPE lines.
func keepWanted(dst *bytes.Buffer, raw []byte) {
	for len(raw) > 0 {
		line := raw
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			line = raw[:i+1]
		}
		raw = raw[len(line):]
		if wanted[string(familyOf(line))] {
			dst.Write(line)
		}
	}
}

// familyOf is the metric's name at the start of a line, or after "# TYPE "; of
// any other line something that is no name.
func familyOf(line []byte) []byte {
	line = bytes.TrimLeft(line, " \t")
	line = bytes.TrimPrefix(line, []byte("# TYPE "))
	if i := bytes.IndexAny(line, "{ \t\r\n"); i >= 0 {
		return line[:i]
	}
	return line
}

// label is the value of a metric's label, "" when it has none. Label sets differ
// between versions: a series is never known by its whole set.
func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
