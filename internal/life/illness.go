package life

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// illness is the part of Monitor that finds out whether this instance can run
// jobs, and for whose reason not.
type illness struct {
	why    fleet.Reason  // why it cannot run jobs; empty while it can
	own    bool          // the reason is this instance's own
	lasted time.Duration // so far
	after  time.Duration // how long an own reason is borne; 0 until it is one
	next   time.Time     // not before: have it replaced
	marked time.Time     // reported Unhealthy
}

const (
	// illTurn is the distance between two instances of one fleet that act on the
	// same illness: the one before is seen in the activities by then.
	illTurn = 30 * time.Second
	// illPause is the time in which one fleet replaces one instance for one reason.
	illPause = 10 * time.Minute
	// sharedAfter is how long a shared illness lasts before it is said: shorter
	// ones are hiccups.
	sharedAfter = time.Minute
	// markedPause is how long the group may take to act on an Unhealthy report.
	markedPause = 5 * time.Minute
	// unhealthyCause is how the group's activities word a replacement after
	// SetInstanceHealth.
	unhealthyCause = "health"
)

const (
	illLook       phase = "ill: look"
	illActivities phase = "ill: activities"
	illMark       phase = "ill: report"
)

func (i illness) due(now time.Time) bool {
	return i.own && i.after > 0 && i.lasted >= i.after && !now.Before(i.next)
}

// judge tells from two readings whether the runner can get jobs. GitLab's
// refusals are this instance's own where the runner is its own (it was
// deleted), and shared where the token is; failures of any other kind are
// GitLab's or the network's, which all share.
func (s *Monitor) judge(o fleet.Observation, passed time.Duration) {
	last := s.last
	if !s.seen || o.StartedAt != last.StartedAt {
		last = fleet.Observation{}
	}
	switch {
	case o.PollsAnswered() > last.PollsAnswered() || o.Running() > last.Running():
		s.well()
	case o.PollsRefused() > last.PollsRefused():
		s.sick("GitLab refuses the runner's token", s.set.Mode != fleet.ModeToken)
	case o.PollsFailed() > last.PollsFailed():
		s.sick("GitLab does not answer the runner's polls", false)
	case s.ill.why == reasonUnreadable || s.ill.why == reasonInit: // it can be read again
		s.well()
	}
	s.ails(passed)
}

const (
	reasonUnreadable fleet.Reason = "gitlab-runner's metrics cannot be read"
	reasonInit       fleet.Reason = "init failed for a reason of this instance's own"
)

// unreadable is a reading that failed: the runner is dead, or cannot be watched.
func (s *Monitor) unreadable(f *fleet.Failure) {
	passed := s.lookedAt()
	s.fails(Warn, "cannot read gitlab-runner's metrics, trying again", f)
	s.sick(reasonUnreadable, true)
	s.ails(passed)
	s.saturated = false
	if s.ill.due(s.now) {
		s.goTo(s.known(illLook))
		return
	}
	s.rest()
}

// unableToInit is an instance that is not registered: init is at work, or has
// failed and left word that the reason is its own.
func (s *Monitor) unableToInit() {
	if !s.flags.Unable {
		s.ill = illness{}
		s.rest()
		return
	}
	s.sick(reasonInit, true)
	s.ails(s.set.Period)
	if s.ill.due(s.now) {
		s.goTo(s.known(illLook))
		return
	}
	s.rest()
}

func (s *Monitor) well() {
	if s.ill.why != "" && s.ill.lasted > sharedAfter {
		s.say(Info, "the runner can get jobs again", fleet.Reason(fmt.Sprintf("it could not for %s: %s", s.ill.lasted.Round(time.Second), s.ill.why)))
	}
	if s.ill.why != "" {
		s.said = ""
	}
	s.ill = illness{}
}

func (s *Monitor) sick(why fleet.Reason, own bool) {
	if s.ill.why != why {
		s.ill = illness{why: why, own: own, after: s.set.UnhealthyAfter, next: s.ill.next, marked: s.ill.marked, lasted: s.ill.lasted}
	}
}

// ails counts the illness on, and says a shared one once.
func (s *Monitor) ails(passed time.Duration) {
	if s.ill.why == "" {
		return
	}
	before := s.ill.lasted
	s.ill.lasted += passed
	if !s.ill.own && before < sharedAfter && s.ill.lasted >= sharedAfter {
		s.say(Error, "no job can come, and no replacement would help", s.ill.why, "the whole fleet shares this reason: mend GitLab, the way to it, or the token")
	}
}

func (s *Monitor) askIll() Action {
	switch s.phase {
	case illLook:
		return DescribeGroup{s.find.who.Group}
	case illActivities:
		return DescribeActivities{s.find.who.Group}
	}
	return SetUnhealthy{s.find.who.Identity.InstanceID}
}

func (s *Monitor) gotIll(r Result) {
	switch s.phase {
	case illLook:
		s.gotIllListing(value[fleet.Group](r))
	case illActivities:
		s.gotActivities(value[[]fleet.Activity](r))
	case illMark:
		s.ill.marked, s.ill.next = s.now, s.now.Add(markedPause)
		s.say(Error, "reported this instance Unhealthy, to be replaced", s.ill.why, fleet.Reason(fmt.Sprintf("for %s", s.ill.lasted.Round(time.Second))))
		s.rest()
	}
}

// gotIllListing waits for this instance's turn: where several are ill at the
// same time, each leaves the one before it time to show in the activities.
func (s *Monitor) gotIllListing(g fleet.Group) {
	self := s.find.who.Identity.InstanceID
	rank := max(0, slices.Index(scaling.LeavingOrder(g, self), self))
	if wait := s.ill.after + time.Duration(rank)*illTurn - s.ill.lasted; wait > 0 {
		s.ill.next = s.now.Add(wait)
		s.rest()
		return
	}
	s.goTo(illActivities)
}

// gotActivities gives way where the fleet has just replaced an instance for a
// reason of health: at most one in ten minutes.
func (s *Monitor) gotActivities(all []fleet.Activity) {
	for _, a := range all {
		since := s.now.Sub(a.Start)
		if a.InstanceID != s.find.who.Identity.InstanceID && since < illPause && strings.Contains(strings.ToLower(a.Cause), unhealthyCause) {
			s.say(Info, "not replaced yet", s.ill.why, fleet.Reason(fmt.Sprintf("instance %s was replaced %s ago: one in %s", a.InstanceID, since.Round(time.Second), illPause)))
			s.ill.next = s.now.Add(illPause - max(0, since))
			s.rest()
			return
		}
	}
	s.goTo(illMark)
}

func (s *Monitor) failedIll(f *fleet.Failure) {
	s.fails(levelOf(f), "cannot have this instance replaced, trying again", f)
	s.ill.next = s.now.Add(max(2*illTurn, f.RetryAfter))
	s.rest()
}
