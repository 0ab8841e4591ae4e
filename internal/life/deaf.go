package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// deafness is the part of Monitor that finds a runner which lives, has its
// sections and a free slot, and asks GitLab for nothing: no poll is in flight, none
// is answered, refused or failed. systemd takes it for healthy. One whose polls were
// refused is silent as it should be, for an hour. A page without the count of polls is
// one that has made none: init lets no other runner into service.
type deafness struct {
	silent time.Duration // so far
	step   int           // of the last resorts that were tried in this silence
}

// The last resorts, in their order; the one after them is to be replaced.
const (
	deafReloaded = iota + 1
	deafRestarted
)

// deafLeast is the shortest silence that is acted on. GitLab holds a poll for
// less than a minute, and one that is held is no silence.
const deafLeast = 5 * time.Minute

// deafRefused is how long a runner whose polls were refused may be silent: it
// disables itself for an hour. Should it be silent for longer, or for another
// reason that all share, then its restart shows: it is refused again, or fails.
const deafRefused = time.Hour

const reasonDeaf fleet.Reason = "gitlab-runner runs and does not ask GitLab for jobs"

const (
	deafReload  phase = "deaf: reload"
	deafStop    phase = "deaf: stop runner"
	deafStopped phase = "deaf: stopped"
)

// listen counts the silence between two readings.
func (s *Monitor) listen(last, o fleet.Observation, passed time.Duration) {
	asks := polls(o) > polls(last) || o.InFlight() > 0 || o.Running() > 0 || o.JobsTotal() > last.JobsTotal()
	switch {
	case o.PollsRefused() > last.PollsRefused():
		s.deaf.silent, s.deaf.step = -deafRefused, 0
	case asks || !loaded(o):
		s.deaf.silent, s.deaf.step = 0, 0
	default:
		s.deaf.silent += passed
	}
}

func polls(o fleet.Observation) int64 { return o.PollsAnswered() + o.PollsRefused() + o.PollsFailed() }

// loaded tells whether the runner has a section to ask with.
func loaded(o fleet.Observation) bool {
	for _, r := range o.Runners {
		if !r.Removed {
			return true
		}
	}
	return false
}

// deafAfter is the silence after which a step is taken, the replacement the third:
// that is when the patience with any illness ends.
func (s *Monitor) deafAfter(step int) time.Duration {
	return time.Duration(step) * max(s.set.UnhealthyAfter/3, deafLeast)
}

// isDeaf tells whether the runner is silent for longer than any poll takes.
func (s *Monitor) isDeaf() bool { return s.deaf.silent >= s.deafAfter(deafReloaded) }

// sickOfSilence: the illness is as old as the silence, whatever was tried meanwhile.
func (s *Monitor) sickOfSilence(passed time.Duration) {
	s.sick(reasonDeaf, true)
	s.ill.section = ""
	s.ill.lasted, s.ill.after = s.deaf.silent-passed, s.set.UnhealthyAfter
	if s.ill.after > 0 {
		s.ill.after = max(s.ill.after, s.deafAfter(deafRestarted+1))
	}
}

// resort is the next of the last resorts, empty where none is due. No job runs:
// the silence says so.
func (s *Monitor) resort() phase {
	switch {
	case s.deaf.step < deafReloaded && s.deaf.silent >= s.deafAfter(deafReloaded):
		return deafReload
	case s.deaf.step < deafRestarted && s.deaf.silent >= s.deafAfter(deafRestarted):
		return deafStop
	}
	return ""
}

func (s *Monitor) askDeaf() Action {
	switch s.phase {
	case deafReload:
		return SignalUnit{UnitRunner, "HUP"}
	case deafStop:
		return StopUnit{UnitRunner}
	}
	return ReadUnit{UnitRunner}
}

func (s *Monitor) gotDeaf(r Result) {
	silent := fleet.Reason(fmt.Sprintf("no poll for %s, and a slot is free", s.deaf.silent.Round(time.Second)))
	switch s.phase {
	case deafReload:
		s.deaf.step = deafReloaded
		s.say(Warn, "had gitlab-runner read its configuration again", reasonDeaf, silent)
		s.rest()
	case deafStop:
		s.deaf.step = deafRestarted
		s.say(Warn, "restart gitlab-runner", reasonDeaf, silent, "reading its configuration again has not helped")
		s.leave.until = s.now.Add(stopTimeout)
		s.goTo(deafStopped)
	case deafStopped:
		s.gotDeafStopped(value[fleet.UnitState](r))
	}
}

// gotDeafStopped starts the runner as one that did not leave after all: a notice
// may have come meanwhile. One that does not stop is started by nobody, and is
// replaced when its time has come.
func (s *Monitor) gotDeafStopped(u fleet.UnitState) {
	switch {
	case !u.Running():
		s.goTo(backFlags)
	case s.now.After(s.leave.until):
		s.say(Warn, "gitlab-runner does not stop", reasonDeaf, fleet.Reason(fmt.Sprintf("not within %s, though it has no job", stopTimeout)))
		s.rest()
	default:
		s.goToAfter(deafStopped, holdPeriod/5)
	}
}

// failedDeaf goes on to the next resort in its time. Whether the stop has taken
// place nobody knows then: it is looked at, and one that has stopped is started.
func (s *Monitor) failedDeaf(f *fleet.Failure) {
	s.fails(Warn, "cannot bring gitlab-runner to ask for jobs", f)
	switch {
	case s.phase == deafReload:
		s.deaf.step = deafReloaded
		s.rest()
	case s.phase == deafStopped && s.now.Before(s.leave.until):
		s.goToAfter(deafStopped, holdPeriod)
	default: // it may be stopped or not; one that runs and stays silent is stopped again
		s.goTo(backFlags)
	}
}
