package life

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// silence is what Init knows of a runner that was refused by GitLab and has run
// since. Three refusals in a row have it ask nothing for an hour, also where the
// token is good again: only a new process asks at once.
type silence struct {
	since    time.Time // it has asked nothing since
	started  float64   // the process
	answered int64     // polls, when the process was first read
	refused  int64
}

const (
	// silentAfter is longer than the pause between two polls, and than gitlab-runner
	// takes to read its configuration anew.
	silentAfter = 15 * time.Second
	// provedFor is how long GitLab's word for the token is good for a restart.
	provedFor = time.Minute
)

// silent tells whether a runner that was refused says nothing yet. One that polls, or
// runs jobs, is left alone: a later run of init looks again. One of this instance's
// own that never worked has its own end.
func (s *Init) silent(o fleet.Observation) bool {
	refused, answered := o.PollsRefused(), o.PollsAnswered()
	if refused == 0 || answered == 0 && s.set.Mode != fleet.ModeToken || o.InFlight() > 0 || o.Running() > 0 {
		return false
	}
	switch first := s.silence.since.IsZero(); {
	case first || o.StartedAt != s.silence.started:
		s.silence = silence{s.now, o.StartedAt, answered, refused}
		return first && answered > 0 // it may have been answered before it was refused
	case answered > s.silence.answered:
		return false
	case refused != s.silence.refused:
		s.silence.since, s.silence.refused = s.now, refused
	}
	return answered > 0 || s.now.Sub(s.silence.since) >= silentAfter
}

// waitForPoll starts the runner anew where it stays silent, and GitLab has just
// accepted its token. It runs no job, so nothing is drained.
func (s *Init) waitForPoll() {
	switch {
	case s.now.Sub(s.silence.since) < silentAfter:
		s.goToAfter(initWatch, watchPeriod)
	case s.now.Sub(s.proved) > provedFor:
		s.checked = 0
		s.goTo(initVerify)
	default:
		s.say(Info, "restart gitlab-runner", "GitLab has refused it before and accepts its token now; it would ask nothing for an hour")
		s.goTo(initStop)
	}
}

// gotStopped starts the runner when it has ended.
func (s *Init) gotStopped(u fleet.UnitState) {
	if u.Running() && s.now.Before(s.watchEnd) {
		s.goToAfter(initStopped, watchPeriod)
		return
	}
	s.silence = silence{}
	s.goTo(initStart)
}
