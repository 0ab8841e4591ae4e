package life

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// silence is what Init knows of a runner that was refused by GitLab before, and has
// run since. Three refusals in a row have it ask nothing for an hour, also where the
// token is good again: only a new process asks at once.
type silence struct {
	since    time.Time // nothing was asked since
	started  float64   // of the process that was first read
	answered int64     // polls, then
}

// silentAfter is longer than the pause between two polls, and than gitlab-runner
// takes to read its configuration anew.
const silentAfter = 15 * time.Second

// silent tells whether a runner that was refused says nothing yet. One that polls, or
// runs jobs, is left alone: a later run of init looks again.
func (s *Init) silent(o fleet.Observation) bool {
	switch {
	case o.PollsRefused() == 0 || o.PollsAnswered() == 0 || o.InFlight() > 0 || o.Running() > 0:
		return false
	case s.silence.since.IsZero():
		s.silence = silence{s.now, o.StartedAt, o.PollsAnswered()}
	}
	return o.StartedAt == s.silence.started && o.PollsAnswered() == s.silence.answered
}

// waitForPoll starts the runner anew where it stays silent. It runs no job, so
// nothing is drained.
func (s *Init) waitForPoll() {
	if s.now.Sub(s.silence.since) < silentAfter {
		s.goToAfter(initWatch, watchPeriod)
		return
	}
	s.say(Info, "restart gitlab-runner", "GitLab has refused it before and accepts its token now; it would ask nothing for an hour")
	s.goTo(initStop)
}

// gotStopped starts the runner when it has ended.
func (s *Init) gotStopped(u fleet.UnitState) {
	if u.Running() && s.now.Before(s.watchEnd) {
		s.goToAfter(initStopped, watchPeriod)
		return
	}
	s.goTo(initStart)
}
