package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// fate is what became of a job that was handed out.
type fate int

const (
	jobHanded      fate = iota // GitLab says that it runs; the runner has not heard of it
	jobRuns                    //
	jobFinished                // and GitLab knows
	jobInterrupted             // killed and reported
	jobLost                    // nobody reports it
	jobGone                    // handed to a poll that was cancelled in that instant
)

// job is a job on a runner.
type job struct {
	id       int64
	token    string
	s        *section
	r        *runner
	in       *instance
	stubborn bool
	got      time.Duration
	over     time.Duration
	fate     fate
	why      string
	reports  bool
	refused  bool // GitLab would not hear how it ended
}

// acknowledge tells GitLab that the runner has the job.
func (j *job) acknowledge() {
	l := j.in.l
	if l.lasts(GitLabAway) {
		j.r.later(time.Second, 5*time.Second, j.acknowledge)
		return
	}
	_ = l.world.UpdateJob(l.now, j.id, j.token, world.JobUpdate{State: "running"})
}

// keep tells GitLab now and then that the job still runs.
func (j *job) keep() {
	j.r.later(keepAlive, keepAlive+time.Second, func() {
		if j.fate == jobRuns && !j.reports {
			j.acknowledge()
			j.keep()
		}
	})
}

// report tells GitLab how the job ended, again and again until it hears.
func (j *job) report(state, reason string) {
	if j.reports || j.fate != jobRuns {
		return
	}
	j.reports = true
	j.tryReport(state, reason)
}

func (j *job) tryReport(state, reason string) {
	l := j.in.l
	j.r.later(10*time.Millisecond, 150*time.Millisecond, func() {
		if l.lasts(GitLabAway) {
			j.in.hurt(l.at, gitlab, GitLabAway)
			j.r.later(time.Second, 3*time.Second, func() { j.tryReport(state, reason) })
			return
		}
		j.refused = l.world.UpdateJob(l.now, j.id, j.token, world.JobUpdate{State: state, FailureReason: reason}) != nil // which ends it as well
		j.done(reason == "runner_system_failure")
	})
}

// done frees the job's slot.
func (j *job) done(interrupted bool) {
	l, r := j.in.l, j.r
	j.fate, j.over, j.in.jobAt = jobFinished, l.at, l.at
	l.finished++
	if interrupted {
		j.fate = jobInterrupted
		l.finished--
		l.interrupted++
		l.line(l.at, "i%02d job %d is interrupted and reported", j.in.number, j.id)
		l.judgeInterrupted(j)
	}
	if n := slices.Index(r.jobs, j); n >= 0 {
		r.jobs = slices.Delete(r.jobs, n, n+1)
	}
	j.s.running--
	j.s.ended++
	j.s.took += (l.at - j.got).Seconds()
	if len(r.jobs) == 0 {
		r.idle()
	}
	r.changed()
	r.maybeEnd()
	if r.taken()+1 < l.slots { // else the feeder waits for this very slot
		return
	}
	for _, s := range r.sections {
		if !s.inFlight && !s.removed {
			s.pollIn(time.Millisecond, 20*time.Millisecond)
		}
	}
}

// lose is a job that nobody will report.
func (l *loop) lose(j *job, why string) {
	if j.fate != jobRuns && j.fate != jobHanded {
		return
	}
	j.fate, j.why, j.over, j.in.jobAt = jobLost, why, l.at, l.at
	l.lost++
	l.line(l.at, "i%02d job %d is lost: %s", j.in.number, j.id, why)
	l.judgeLost(j)
}

// gonePoll is a job that was handed to a poll that is cancelled now.
func (l *loop) gonePoll(j *job) {
	j.fate, j.over = jobGone, l.at
	l.gone++
	l.world.MarkHandedToGone(j.id)
	l.line(l.at, "i%02d job %d was handed to a poll that is cancelled", j.in.number, j.id)
}

// anyWaits tells whether a job waits for a runner.
func (l *loop) anyWaits() bool { return l.waiting > 0 }
