package standin

// The wire types of the job protocol, as recorded. They are this package's own:
// were they shared with Shoal's edges, one misreading would cancel itself.

type versionInfo struct {
	Name         string          `json:"name"`
	Version      string          `json:"version"`
	Revision     string          `json:"revision"`
	Platform     string          `json:"platform"`
	Architecture string          `json:"architecture"`
	Executor     string          `json:"executor"`
	Shell        string          `json:"shell"`
	Features     map[string]bool `json:"features"`
	Config       struct {
		GPUs string `json:"gpus"`
	} `json:"config"`
}

type jobRequest struct {
	Info       versionInfo `json:"info"`
	Token      string      `json:"token"`
	SystemID   string      `json:"system_id,omitempty"`
	LastUpdate string      `json:"last_update,omitempty"`
}

type job struct {
	ID         int64      `json:"id"`
	Token      string     `json:"token"`
	Variables  []variable `json:"variables"`
	Steps      []step     `json:"steps"`
	Info       jobInfo    `json:"job_info"`
	RunnerInfo struct {
		Timeout int `json:"timeout"` // seconds; 0 means none
	} `json:"runner_info"`
	Features struct {
		FailureReasons []string `json:"failure_reasons"`
	} `json:"features"`
}

type variable struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	File  bool   `json:"file"`
}

type step struct {
	Name         string   `json:"name"`
	Script       []string `json:"script"`
	When         string   `json:"when"` // on_success (default), on_failure, always
	AllowFailure bool     `json:"allow_failure"`
}

type jobInfo struct {
	QueueSize          int64   `json:"queue_size"`
	QueueDepth         int64   `json:"queue_depth"`
	TimeInQueueSeconds float64 `json:"time_in_queue_seconds"`
	ProjectJobsRunning string  `json:"project_jobs_running_on_instance_runners_count"`
}

type jobUpdate struct {
	Info          versionInfo `json:"info"`
	Token         string      `json:"token"`
	State         string      `json:"state"`
	FailureReason string      `json:"failure_reason,omitempty"`
	Checksum      string      `json:"checksum,omitempty"`
	Output        traceOutput `json:"output"`
	ExitCode      int         `json:"exit_code,omitempty"`
}

type traceOutput struct {
	Checksum string `json:"checksum,omitempty"`
	Bytesize int    `json:"bytesize,omitempty"`
}

// The states of a job that a runner reports.
const (
	stateRunning = "running"
	stateSuccess = "success"
	stateFailed  = "failed"
)

// The reasons for a failure that a runner gives.
const (
	reasonScript      = "script_failure"
	reasonSystem      = "runner_system_failure"
	reasonTimeout     = "job_execution_timeout"
	reasonInterrupted = "runner_interrupted"
	reasonCanceled    = "job_canceled"
	// reasonUnknown stands in for a reason that the server has not said it knows.
	reasonUnknown = "unknown_failure"
)

// oldReasons are those that every server knows; the others are given only to a
// job whose features name them.
var oldReasons = map[string]bool{reasonScript: true, reasonSystem: true, reasonTimeout: true}

// reason is what may be reported to this job's server.
func (j *job) reason(r string) string {
	if r == "" || oldReasons[r] {
		return r
	}
	for _, known := range j.Features.FailureReasons {
		if known == r {
			return r
		}
	}
	return reasonUnknown
}
