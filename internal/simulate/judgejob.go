package simulate

import (
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/world"
)

// Jobs that did not come to their own end.

func (l *loop) jobEnded(e world.JobFinished) {
	if j := l.jobs[e.Job]; j != nil && (e.FailureReason == world.FailedStuck || e.FailureReason == world.FailedTimeout) && j.fate == jobRuns {
		l.line(l.at, "i%02d job %d is given up by GitLab: %s", j.in.number, j.id, e.FailureReason)
	}
}

func (l *loop) judgeInterrupted(j *job) {
	i := j.in
	misled := i.spotDeadline > 0 && i.hurtSince(0, ClockJump) > 0 // by its clock less time was left, and nobody on it knows better
	if !i.mayEndJobs() && i.death == "" && !misled && !i.goesByAnotherClock() {
		l.breaks("job", "i%02d job %d was killed, and nothing took the instance (%s)", i.number, j.id, i.noticeKind)
	}
}

// judgeKilled: a job whose processes are killed under a runner that runs on fails as
// if by its own doing. That is for the last moment alone, where the runner could
// not be told.
func (l *loop) judgeKilled(j *job) {
	if i := j.in; !i.mayEndJobs() {
		l.breaks("job", "i%02d the processes of job %d are killed, and its runner was not told to end", i.number, j.id)
	}
}

func (l *loop) judgeLost(j *job) {
	i := j.in
	excused := false
	switch {
	case j.why == "SIGKILL":
		excused = true
	case i.dead && (i.death == world.ReasonCrash && !i.poweredOff):
		excused = true
	case i.hookOver: // a plug that was pulled for a hook whose time-out is excused
		excused = true
	case i.spotDeadline > 0:
		excused = i.spotDeadline-i.spotAt < time.Minute || needsReport.hitSince(i, i.spotAt-10*time.Second)
	case strings.Contains(j.why, "shutdown timed out"):
		excused = needsReport.hitSince(i, l.at-45*time.Second)
	case i.down != fleet.NotGoingDown:
		excused = i.hurtSince(i.downAt-time.Second) > 1
	}
	if !excused {
		l.breaks("job", "i%02d job %d is lost: %s (%s)", i.number, j.id, j.why, i.death)
	}
}
