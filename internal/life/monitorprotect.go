package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// protectAgain is the pause after a failed change of the protection: it is a
	// hint, and promise 1 does not rest on it.
	protectAgain = time.Minute
	// protectSoon and protectTries are for the seconds in which a new instance runs
	// its first job but is not in service yet.
	protectSoon  = 2 * time.Second
	protectTries = 6
)

func (s *Monitor) setProtection(on bool) Action {
	return SetProtection{s.find.who.Group, s.find.who.Identity.InstanceID, on}
}

func (s *Monitor) gotProtected() {
	s.protected, s.unsure, s.protectTries = true, false, 0
	s.ready.works(s.now)
	s.say(Info, "set scale-in protection", fleet.Reason(fmt.Sprintf("%d of %d slots are busy", s.last.Running(), s.last.Slots())))
	s.goTo(monAct)
}

func (s *Monitor) gotUnprotected() {
	s.protected, s.unsure = false, false
	s.say(Info, "cleared scale-in protection", fleet.Reason(fmt.Sprintf("no job for %s", s.idle.Round(time.Second))))
	s.goTo(monUnmark)
}

// failedProtect: an instance that is not in service yet cannot be protected, and
// will be soon: that is worth a line only when it lasts.
func (s *Monitor) failedProtect(f *fleet.Failure) {
	if (s.phase == monProtect || s.phase == monUnprotect) && !f.Final() { // it may have taken effect: the other must be asked for, too
		s.protected, s.unsure = true, true
	}
	level, pause := levelOf(f), protectAgain
	if !f.Final() && s.protectTries < protectTries {
		level, pause = Debug, protectSoon
	}
	s.protectTries++
	s.fails(level, "cannot change the scale-in protection, trying again", f)
	s.protectAt = s.now.Add(max(pause, f.RetryAfter))
	s.goTo(monAct)
}
