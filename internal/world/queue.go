package world

import "time"

// JobRequest is the body of POST /jobs/request.
type JobRequest struct {
	Token      string
	SystemID   string
	LastUpdate string // the X-GitLab-Last-Update of the last empty answer
	TwoPhase   bool   // the runner acknowledges jobs
	Info       ManagerInfo
}

// Handout answers a JobRequest.
type Handout struct {
	Job      *Job   // nil: none
	Token    string // of the job
	RunnerID int64  // who asked
	// LastUpdate goes with an empty answer: while a runner sends it back and
	// nothing changed, nobody looks for a job.
	LastUpdate string
	// QueueSize is how many jobs waited that this runner could take, this one
	// among them; QueueDepth how many were looked at until this one was found;
	// TimeInQueue how long it had waited.
	QueueSize, QueueDepth int
	TimeInQueue           time.Duration
}

// QueueValue is a runner's X-GitLab-Last-Update: it changes when a job comes
// that the runner could take, or the runner itself is changed.
func (w *World) QueueValue(now time.Time, token string) (string, error) {
	w.advance(now)
	r, err := w.runnerOf(token)
	if err != nil {
		return "", err
	}
	return w.queueValue(r), nil
}

func (w *World) queueValue(r *runner) string {
	if r.queue == "" {
		r.queue = w.id(32)
	}
	return r.queue
}

// tick makes the value another when somebody asks for it.
func (r *runner) tick() { r.queue = "" }

// RequestJob is POST /jobs/request: the oldest job that waits and that the
// runner may take becomes its own. Once handed out it runs, whether the client
// still listens or not.
func (w *World) RequestJob(now time.Time, q JobRequest) (Handout, error) {
	w.advance(now)
	r, err := w.runnerOf(q.Token)
	if err != nil {
		return Handout{}, err
	}
	if err := w.contact(r, q.SystemID, q.Info); err != nil {
		return Handout{}, err
	}
	h := Handout{LastUpdate: w.queueValue(r), RunnerID: r.id}
	if r.Paused || (q.LastUpdate != "" && q.LastUpdate == h.LastUpdate) {
		return h, nil
	}
	j, waiting := w.waitingFor(r)
	if j == nil {
		return h, nil
	}
	w.handOut(j, r, q)
	v := j.view()
	h.Job, h.Token = &v, j.token
	h.QueueSize, h.QueueDepth, h.TimeInQueue = waiting, 1, w.now.Sub(j.QueuedAt)
	return h, nil
}

func (w *World) handOut(j *job, r *runner, q JobRequest) {
	j.RunnerID, j.SystemID, j.token = r.id, q.SystemID, "glcbt-64_"+w.id(20)
	orString(&j.SystemID, noSystemID)
	w.unqueue(j)
	if r.MaximumTimeout > 0 {
		j.Timeout = min(j.Timeout, r.MaximumTimeout)
	}
	if !w.opt.TwoPhase || !q.TwoPhase {
		w.run(j)
		return
	}
	j.waiting = true
	j.expiry.stop()
	j.expiry = w.after(ackTimeout, func() { w.enqueue(j) }) // nobody acknowledged it: the next one may
}

// waitingFor is the oldest job that a runner could take, and how many there are.
func (w *World) waitingFor(r *runner) (oldest *job, n int) {
	for _, j := range w.lab.waiting {
		if !r.takes(j) {
			continue
		}
		if n++; oldest == nil {
			oldest = j
		}
	}
	return oldest, n
}

func (r *runner) takes(j *job) bool {
	if r.Type == TypeProject && r.ProjectID != j.ProjectID {
		return false
	}
	if len(j.Tags) == 0 {
		return r.RunUntagged
	}
	return subset(j.Tags, r.Tags)
}

// MarkHandedToGone notes that the client had gone when it was handed a job.
func (w *World) MarkHandedToGone(id int64) {
	if j := w.lab.byJob[id]; j != nil {
		j.HandedToGone = true
	}
}
