package fleet

import "time"

// Observation is one reading of gitlab-runner's metrics page.
type Observation struct {
	At           time.Time // when it was read
	Concurrent   int       // gitlab_runner_concurrent: slots of the whole process
	StartedAt    float64   // process_start_time_seconds: tells a restart from a quiet spell; 0 when absent
	Version      string    // gitlab-runner's version; empty when absent
	Draining     bool      // process_state_info says graceful-shutdown (19.x)
	Runners      []RunnerReading
	OtherRunning int // jobs whose series name no [[runners]] section that still exists (sections taken out)
}

// RunnerReading is what the page says of one [[runners]] section.
type RunnerReading struct {
	Name     string // label runner_name where there, else the short token in label runner
	Removed  bool   // its section is taken out of config.toml: polls may still be in flight, Limit says nothing
	Running  int    // Σ gitlab_runner_jobs over every state but idle
	Limit    int    // gitlab_runner_limit; 0 means none
	InFlight int    // gitlab_runner_request_concurrency: polls that GitLab holds now

	JobsTotal int64 // gitlab_runner_jobs_total; 0 when absent (17.5 before the first job)
	// QueueSize is gitlab_runner_job_queue_size at the last job this runner was
	// given, that job among them; 0 when absent or not sent. It is news only when
	// JobsTotal has risen since it was last looked at.
	QueueSize int
	// QueueWaits and QueueWaitSeconds are count and sum of
	// gitlab_runner_job_queue_duration_seconds: how long its jobs had waited.
	QueueWaits       uint64
	QueueWaitSeconds float64
	// JobsEnded and JobSeconds are count and sum of
	// gitlab_runner_job_duration_seconds: how long the jobs took that have ended.
	JobsEnded  uint64
	JobSeconds float64

	// Answers to POST /jobs/request by kind, from
	// gitlab_runner_api_request_statuses_total{endpoint="request_job"}.
	PollsAnswered int64 // 2xx
	PollsRefused  int64 // 401, 403, 404, 410: the token is not accepted
	PollsFailed   int64 // anything else: GitLab, or the way to it, is ill
	// HealthFailures is gitlab_runner_worker_health_check_failures_total.
	HealthFailures int64
}

// Running is the number of jobs that run in the whole process.
func (o Observation) Running() int {
	n := o.OtherRunning
	for _, r := range o.Runners {
		n += r.Running
	}
	return n
}

// Slots is how many jobs the process can run at once: min(concurrent, Σ
// limits), where a section without a limit can use all of concurrent.
func (o Observation) Slots() int {
	sum := 0
	for _, r := range o.Runners {
		if r.Removed {
			continue
		}
		if r.Limit <= 0 {
			return o.Concurrent
		}
		sum += r.Limit
	}
	if sum == 0 || sum > o.Concurrent {
		return o.Concurrent
	}
	return sum
}

// Free is the number of free slots, never negative.
func (o Observation) Free() int { return max(0, o.Slots()-o.Running()) }

// InFlight is the number of polls that GitLab holds: while it is above zero a
// job may arrive at any moment.
func (o Observation) InFlight() int {
	n := 0
	for _, r := range o.Runners {
		n += r.InFlight
	}
	return n
}

// JobsTotal is the number of jobs taken since the process started.
func (o Observation) JobsTotal() int64 {
	var n int64
	for _, r := range o.Runners {
		n += r.JobsTotal
	}
	return n
}

// PollsAnswered is the number of polls that GitLab answered with 2xx.
func (o Observation) PollsAnswered() int64 {
	var n int64
	for _, r := range o.Runners {
		n += r.PollsAnswered
	}
	return n
}

// PollsRefused is the number of polls that GitLab refused for the token's sake.
func (o Observation) PollsRefused() int64 {
	var n int64
	for _, r := range o.Runners {
		n += r.PollsRefused
	}
	return n
}

// PollsFailed is the number of polls that failed for another reason.
func (o Observation) PollsFailed() int64 {
	var n int64
	for _, r := range o.Runners {
		n += r.PollsFailed
	}
	return n
}
