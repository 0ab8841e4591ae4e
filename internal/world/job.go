package world

import (
	"slices"
	"time"
)

// JobStatus is a job's status in GitLab's words.
type JobStatus string

// The statuses of a job.
const (
	JobPending  JobStatus = "pending"
	JobRunning  JobStatus = "running"
	JobSuccess  JobStatus = "success"
	JobFailed   JobStatus = "failed"
	JobCanceled JobStatus = "canceled"
)

// Finished tells whether the job has ended.
func (s JobStatus) Finished() bool { return s != JobPending && s != JobRunning }

// The failure reasons that GitLab itself gives.
const (
	FailedStuck   = "stuck_or_timeout_failure"
	FailedTimeout = "job_execution_timeout"
	ackTimeout    = 2 * time.Minute // TwoPhase: how long a runner may take to acknowledge
	maxTrace      = 1 << 20         // bytes of a job's log that are kept
)

// JobSpec is what a job is submitted with.
type JobSpec struct {
	ProjectID, PipelineID int64 // default 1
	Name, Stage, Ref      string
	Tags                  []string
	Script                []string
	Variables             []Variable
	Timeout               time.Duration // 0: Options.JobTimeout
}

// Variable is one CI/CD variable.
type Variable struct{ Key, Value string }

// Job is a job and its fate. Times that did not come are zero.
type Job struct {
	JobSpec
	ID            int64
	Status        JobStatus
	FailureReason string
	ExitCode      int
	CreatedAt     time.Time
	QueuedAt      time.Time
	StartedAt     time.Time
	FinishedAt    time.Time
	RunnerID      int64     // which runner took it
	SystemID      string    // and on which machine
	UpdatedAt     time.Time // when the runner last spoke of it; zero: never since it was handed out
	RetriedBy     int64     // the job that took its place
	RetryOf       int64
	TraceBytes    int
	// HandedToGone says that the client had gone when the job was handed to it:
	// no runner knows of the job.
	HandedToGone bool
}

type job struct {
	Job
	token   string
	trace   []byte
	waiting bool   // TwoPhase: handed out, not acknowledged
	expiry  *timer // pending too long, running too long
	silence *timer // running and not heard of
}

func (j *job) view() Job {
	v := j.Job
	v.Tags, v.Script, v.Variables = slices.Clone(j.Tags), slices.Clone(j.Script), slices.Clone(j.Variables)
	return v
}

// SubmitJob makes a job that waits for a runner from now on.
func (w *World) SubmitJob(now time.Time, s JobSpec) int64 {
	w.advance(now)
	return w.newJob(s).ID
}

func (w *World) newJob(s JobSpec) *job {
	w.lab.jobIDs++
	if s.ProjectID == 0 {
		s.ProjectID = 1
	}
	if s.PipelineID == 0 {
		s.PipelineID = 1
	}
	orString(&s.Name, "job")
	orString(&s.Stage, "test")
	orString(&s.Ref, "main")
	orDuration(&s.Timeout, w.opt.JobTimeout)
	j := &job{Job: Job{JobSpec: s, ID: w.lab.jobIDs, CreatedAt: w.now}}
	w.lab.jobs = append(w.lab.jobs, j)
	w.lab.byJob[j.ID] = j
	w.enqueue(j)
	return j
}

// enqueue makes a job wait, and tells every runner that could take it.
func (w *World) enqueue(j *job) {
	j.Status, j.QueuedAt, j.waiting = JobPending, w.now, false
	j.RunnerID, j.SystemID, j.token = 0, "", ""
	j.expiry.stop()
	j.expiry = w.after(w.opt.PendingTimeout, func() { w.finish(j, JobFailed, FailedStuck) })
	w.lab.waiting = append(w.lab.waiting, j)
	w.emit(JobQueued{At: w.now, Job: j.ID})
	for _, r := range w.lab.runners {
		if r.takes(j) {
			r.tick()
		}
	}
}

// unqueue takes a job out of those that wait, if it is among them.
func (w *World) unqueue(j *job) {
	if i := slices.Index(w.lab.waiting, j); i >= 0 {
		w.lab.waiting = slices.Delete(w.lab.waiting, i, i+1)
	}
}

// run: the job is a runner's from now on.
func (w *World) run(j *job) {
	j.Status, j.StartedAt, j.waiting = JobRunning, w.now, false
	j.expiry.stop()
	j.expiry = w.after(j.Timeout, func() { w.finish(j, JobFailed, FailedTimeout) })
	w.heard(j, false)
	w.emit(JobStarted{At: w.now, Job: j.ID, Runner: j.RunnerID, SystemID: j.SystemID})
}

// heard starts a running job's silence afresh.
func (w *World) heard(j *job, byRunner bool) {
	if byRunner {
		j.UpdatedAt = w.now
	}
	j.silence.stop()
	j.silence = w.after(w.opt.StuckAfter, func() { w.finish(j, JobFailed, FailedStuck) })
}

func (w *World) finish(j *job, s JobStatus, reason string) {
	j.expiry.stop()
	j.silence.stop()
	w.unqueue(j)
	j.waiting = false // an acknowledgement that comes late starts nothing
	j.Status, j.FailureReason, j.FinishedAt = s, reason, w.now
	w.emit(JobFinished{At: w.now, Job: j.ID, Status: s, FailureReason: reason})
}

// JobUpdate is the body of PUT /jobs/:id.
type JobUpdate struct {
	State         string // pending, running, success, failed
	FailureReason string
	ExitCode      int
}

// UpdateJob is PUT /jobs/:id with the job's token. A running one that says
// "running" acknowledges the job, or only keeps it.
func (w *World) UpdateJob(now time.Time, id int64, token string, u JobUpdate) error {
	j, err := w.jobOf(now, id, token)
	if err != nil {
		return err
	}
	w.heard(j, true)
	switch u.State {
	case "success":
		w.finish(j, JobSuccess, "")
	case "failed":
		orString(&u.FailureReason, "unknown_failure")
		j.ExitCode = u.ExitCode
		w.finish(j, JobFailed, u.FailureReason)
	case "running":
		if j.waiting {
			w.run(j)
		}
	case "pending", "":
	default:
		return &HTTPError{Status: 400, Message: "400 Bad request - Unknown parameters"}
	}
	return nil
}

// AppendTrace is PATCH /jobs/:id/trace: data begins at byte from of the log. It
// returns the log's size; with status 416 in the error, what is expected.
func (w *World) AppendTrace(now time.Time, id int64, token string, from int, data []byte) (int, error) {
	j, err := w.jobOf(now, id, token)
	if err != nil {
		return 0, err
	}
	if from != j.TraceBytes {
		return j.TraceBytes, &HTTPError{Status: 416, Message: "416 Range Not Satisfiable"}
	}
	w.heard(j, true)
	j.TraceBytes += len(data)
	j.trace = append(j.trace, data[:min(len(data), max(0, maxTrace-len(j.trace)))]...)
	return j.TraceBytes, nil
}

// jobOf authorizes a runner's word on a job.
func (w *World) jobOf(now time.Time, id int64, token string) (*job, error) {
	w.advance(now)
	j := w.lab.byJob[id]
	if j == nil || token == "" || token != j.token {
		return nil, forbidden()
	}
	if j.Status != JobRunning && !j.waiting {
		return nil, &HTTPError{Status: 403, Message: "403 Forbidden - Job is not running", JobStatus: string(j.Status)}
	}
	if r, err := w.runnerByID(j.RunnerID); err == nil {
		_ = w.contact(r, known(j.SystemID), ManagerInfo{})
	}
	return j, nil
}

func known(systemID string) string {
	if systemID == noSystemID {
		return ""
	}
	return systemID
}

// CancelJob cancels a job; a finished one stays as it is.
func (w *World) CancelJob(now time.Time, id int64) error {
	w.advance(now)
	j := w.lab.byJob[id]
	if j == nil {
		return notFound("Job")
	}
	if !j.Status.Finished() {
		w.finish(j, JobCanceled, "")
	}
	return nil
}

// RetryJob is POST /projects/:id/jobs/:job_id/retry; it returns the new job.
func (w *World) RetryJob(now time.Time, auth string, project, id int64) (Job, error) {
	w.advance(now)
	if err := w.authorize(auth, ScopeAPI); err != nil {
		return Job{}, err
	}
	j := w.lab.byJob[id]
	if j == nil || j.ProjectID != project {
		return Job{}, &HTTPError{Status: 404, Message: "404 Not found"}
	}
	if !j.Status.Finished() || j.RetriedBy != 0 {
		return Job{}, &HTTPError{Status: 403, Message: "403 Forbidden - Job is not retryable"}
	}
	n := w.newJob(j.JobSpec)
	n.RetryOf, j.RetriedBy = id, n.ID
	return n.view(), nil
}

// Jobs is every job by id, for judges and displays.
func (w *World) Jobs(now time.Time) []Job {
	w.advance(now)
	out := make([]Job, 0, len(w.lab.jobs))
	for _, j := range w.lab.jobs {
		out = append(out, j.view())
	}
	return out
}

// Job is one job; false when there is none.
func (w *World) Job(now time.Time, id int64) (Job, bool) {
	w.advance(now)
	if j := w.lab.byJob[id]; j != nil {
		return j.view(), true
	}
	return Job{}, false
}

// ProjectJob is GET /projects/:id/jobs/:job_id.
func (w *World) ProjectJob(now time.Time, auth string, project, id int64) (Job, error) {
	w.advance(now)
	if err := w.authorize(auth, ScopeAPI, ScopeReadAPI); err != nil {
		return Job{}, err
	}
	if j := w.lab.byJob[id]; j != nil && j.ProjectID == project {
		return j.view(), nil
	}
	return Job{}, &HTTPError{Status: 404, Message: "404 Not found"}
}

// ProjectJobs is GET /projects/:id/jobs: those with one of the statuses, or all, the
// newest first.
func (w *World) ProjectJobs(now time.Time, auth string, project int64, scope []JobStatus) ([]Job, error) {
	w.advance(now)
	if err := w.authorize(auth, ScopeAPI, ScopeReadAPI); err != nil {
		return nil, err
	}
	var out []Job
	for _, j := range slices.Backward(w.lab.jobs) {
		if j.ProjectID == project && (len(scope) == 0 || slices.Contains(scope, j.Status)) {
			out = append(out, j.view())
		}
	}
	return out, nil
}

// Trace is a job's log so far, at most its first mebibyte.
func (w *World) Trace(id int64) []byte {
	if j := w.lab.byJob[id]; j != nil {
		return slices.Clone(j.trace)
	}
	return nil
}
