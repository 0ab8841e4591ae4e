package life

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// An instance that goes by its own notice has itself replaced: EC2 takes it and the
// group does not know yet, or what looks after it is broken.

// replaces tells whether the group does not yet know that the instance goes:
// then terminating it now starts hook and replacement before EC2 takes it.
func (s *Unregister) replaces() bool {
	switch s.notice.Kind {
	case fleet.NoticeSpot, fleet.NoticeRebalance, fleet.NoticeMaintenance, fleet.NoticeUnhealthy:
		return true
	}
	return false
}

// replacing is said once the group knows.
func (s *Unregister) replacing() {
	level, how := Info, "start the replacement: terminate without decrement"
	if s.notice.Kind == fleet.NoticeUnhealthy {
		level, how = Error, "reported this instance Unhealthy, to be replaced"
		if s.replaced {
			level = Info
		}
	}
	s.replaced, s.repeatAt = true, s.now.Add(markedPause)
	s.say(level, how, fleet.Reason(s.notice.Source))
}

// awaitPeriod is how often a drained instance asks whether its hook has begun to wait.
const awaitPeriod = time.Minute

// awaitReplacement waits for a group that was told that this instance is Unhealthy and
// does not act: it is told again, and an hour later somebody is.
func (s *Unregister) awaitReplacement() {
	if !s.toldLate && s.now.Sub(s.notice.SeenAt) >= illLate {
		s.toldLate = true
		s.say(Error, "this instance is broken, and is still not replaced", fleet.Reason(s.notice.Source), unheeded, "terminate this instance by hand")
	}
	if s.now.Before(s.repeatAt) {
		s.goToAfter(unregComplete, awaitPeriod)
		return
	}
	s.goTo(unregReplace)
}
