package standin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// aborted is why a job ends when the process is told to stop.
type aborted struct{ cause error }

func (a *aborted) Error() string { return a.cause.Error() }

// errCanceled is why a job ends when GitLab says so.
var errCanceled = errors.New("canceled")

// errTimeout is why a job ends when its time is over.
var errTimeout = errors.New("execution took longer than the job's timeout")

// build is one job that runs here.
type build struct {
	process *Process
	client  *client
	section section
	job     *job
	trace   *trace
	ctx     context.Context
	abort   context.CancelCauseFunc
	started time.Time
}

// noCancel is the context of what must reach GitLab even while the process
// shuts down; each request has its own time-out.
func noCancel() context.Context { return context.Background() }

// add shows the job in the metrics.
func (p *Process) add(c *client, s section, j *job) {
	take(p, p.running, s, 0)
	p.metrics.added(c.labels(), j)
	p.log.info("Added job to processing list", fields{
		"job": j.ID, "runner": c.short(),
		"queue_size": j.Info.QueueSize, "time_in_queue_seconds": j.Info.TimeInQueueSeconds,
	})
}

// run runs a job and reports how it ended.
func (p *Process) run(c *client, s section, j *job) {
	b := &build{process: p, client: c, section: s, job: j, started: time.Now()}
	b.ctx, b.abort = context.WithCancelCause(context.Background())
	b.trace = newTrace(p.flavour)
	p.register(b)
	sender := newSender(b)
	b.header()
	code, err := b.execute()
	state, reason := b.verdict(code, err)
	sender.finish(state, reason, code)
	p.unregister(b)
	b.abort(nil)
	still := give(p, p.running, s)
	p.metrics.removed(c.labels(), time.Since(b.started), reason, still)
	p.log.info("Removed job from processing list", fields{"job": j.ID, "runner": c.short()})
}

// register lets a stop signal reach the job, also one that came while the job
// was on its way here.
func (p *Process) register(b *build) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aborts[b] = b.abort
	if p.aborting {
		b.abort(&aborted{errors.New("aborted: terminated")})
	}
}

func (p *Process) unregister(b *build) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.aborts, b)
}

func (b *build) header() {
	f := b.process.flavour
	b.trace.runner("\x1b[0KRunning with gitlab-runner %s (%s)\x1b[0;m\n", f.version, f.revision)
	b.trace.runner("\x1b[0K  on %s %s, system ID: %s\x1b[0;m\n", b.section.Name, b.client.short(), b.client.systemID)
	b.trace.runner("\x1b[0K\x1b[36;1mPreparing the \"shell\" executor\x1b[0;m\x1b[0;m\n")
	b.trace.runner("\x1b[0KUsing Shell (bash) executor...\x1b[0;m\n")
}

// verdict says how the job ended, to GitLab, to the trace and to the log.
func (b *build) verdict(code int, err error) (state, reason string) {
	cause := context.Cause(b.ctx)
	var abort *aborted
	switch {
	case cause == nil && err == nil && code == 0:
		b.trace.runner("\x1b[32;1mJob succeeded\x1b[0;m\n")
		b.process.log.info("Job succeeded", fields{"job": b.job.ID, "duration_s": time.Since(b.started).Seconds()})
		return stateSuccess, ""
	case errors.As(cause, &abort):
		err, reason = abort, b.process.flavour.abortReason
	case errors.Is(cause, errCanceled):
		err, reason = errCanceled, reasonCanceled
	case errors.Is(cause, errTimeout):
		err, reason = errTimeout, reasonTimeout
	case err != nil:
		reason = reasonSystem
	default:
		err, reason = fmt.Errorf("exit status %d", code), reasonScript
	}
	kind := ""
	if reason == reasonSystem {
		kind = " (system failure)"
	}
	b.trace.runner("\x1b[31;1mERROR: Job failed%s: %v\x1b[0;m\n", kind, err)
	b.process.log.warn(fmt.Sprintf("Job failed%s: %v", kind, err), fields{"job": b.job.ID, "failure_reason": reason})
	return stateFailed, b.job.reason(reason)
}

// refusesJob tells whether an answer about a job says that it is this runner's
// no longer.
func refusesJob(a answer) bool {
	switch a.status {
	case http.StatusForbidden, http.StatusNotFound:
		return true
	case failed:
		return false
	}
	switch a.header.Get("Job-Status") {
	case "canceled", "failed", "canceling":
		return true
	}
	return false
}
