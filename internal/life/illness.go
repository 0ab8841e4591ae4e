package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// illness is the part of Monitor that finds out whether this instance can run
// jobs, and for whose reason not.
type illness struct {
	why     fleet.Reason  // why it cannot run jobs; empty while it can
	own     bool          // the reason is this instance's own
	lasted  time.Duration // so far
	after   time.Duration // how long an own reason is borne; 0 until it is one
	turns   turns         // when it may be replaced
	section string        // the section whose polls are refused; empty when none are
	mute    bool          // every slot is busy, so nobody polls, or GitLab does not answer
	failing bool          // the last poll that came to anything failed
	marked  bool          // reported Unhealthy, and not replaced yet
	late    bool          // said that nothing comes of it
}

const (
	// sharedAfter is how long a shared illness lasts before it is said: shorter
	// ones are hiccups.
	sharedAfter = time.Minute
	// unreadableAfter is how long a runner may be silent before it is said.
	unreadableAfter = 20 * time.Second
	// asksWithin is within what time every section has asked GitLab once a slot is
	// free: with one slot they take turns, and GitLab holds each poll for 50 s.
	asksWithin = 2 * time.Minute
	// reviveAgain is how often a runner that does not run is started. systemd
	// restarts one that crashed, but not one that was stopped: by a leave that was
	// cut short, or by hand.
	reviveAgain = time.Minute
)

const (
	illLook       phase = "ill: look"
	illActivities phase = "ill: activities"
	illAgain      phase = "ill: look at init again"
	illMark       phase = "ill: report"
)

func (i illness) due(now time.Time) bool {
	return i.own && i.after > 0 && i.lasted >= i.after && !now.Before(i.turns.next)
}

// judge tells from two readings whether the runner can get jobs. GitLab's
// refusals are this instance's own where the runner is its own (it was
// deleted), and shared where the token is; failures of any other kind are
// GitLab's or the network's, which all share.
func (s *Monitor) judge(o fleet.Observation, passed time.Duration) {
	last := s.last // what was forgotten else still tells which refusals are old
	if o.StartedAt != last.StartedAt {
		last = fleet.Observation{}
	}
	s.listen(last, o, passed)
	refused := refusedSection(last, o)
	still := s.ill.section != "" && !answeredAgain(last, o, s.ill.section) // what other sections hear says nothing of it
	switch {
	case s.isDeaf(): // whatever kept it from asking before
		s.sickOfSilence(passed)
	case refused != "" || still:
		s.sickOfRefusals()
		s.ill.failing = failing(last, o, s.ill.failing)
		s.ill.mute = o.Slots() > 0 && o.Free() == 0 || s.ill.failing
		if !still {
			s.ill.section = refused
		}
	case o.PollsAnswered() > last.PollsAnswered() || o.Running() > last.Running():
		s.well()
	case o.PollsFailed() > last.PollsFailed():
		s.sick(reasonUnanswered, false)
	case s.ill.why == reasonInit && s.flags.Unable: // init tries again, and its runner may fail again: only an answer tells
	case s.ill.why == reasonUnreadable || s.ill.why == reasonInit || s.ill.why == reasonInitBroken || s.ill.why == reasonDeaf: // it can be read again, or asks
		s.well()
	}
	s.ails(passed)
}

// refusedSection is a section whose polls have been refused since last; empty when
// there is none. What one that was taken out had been refused stands on the page for as
// long as the runner lives. An answer in the same time may have come before the refusals, and
// after three of those the runner is silent for an hour: only a later one counts.
func refusedSection(last, o fleet.Observation) string {
	for _, r := range o.Runners {
		if !r.Removed && r.PollsRefused > section(last, r.Name).PollsRefused {
			return r.Name
		}
	}
	return ""
}

// failing tells whether polls come to nothing. One may take longer than readings are
// apart: where no poll has ended since the last reading, it is as it was.
func failing(last, o fleet.Observation, was bool) bool {
	switch {
	case o.PollsFailed() > last.PollsFailed():
		return true
	case o.PollsAnswered() > last.PollsAnswered() || refusedSection(last, o) != "":
		return false
	}
	return was
}

// answeredAgain tells whether a section's polls are answered, or it is no more.
func answeredAgain(last, o fleet.Observation, name string) bool {
	now := section(o, name)
	return now.Name == "" || now.Removed || now.PollsAnswered > section(last, name).PollsAnswered
}

// section is the reading of a name: one that is taken out only where none is in.
func section(o fleet.Observation, name string) fleet.RunnerReading {
	var found fleet.RunnerReading
	for _, r := range o.Runners {
		if r.Name == name && (found.Name == "" || !r.Removed) {
			found = r
		}
	}
	return found
}

// asksAnew tells whether GitLab holds a poll of the section that it refused: it was
// registered anew a moment ago, and the answer will tell. A refusal comes at once.
func (s *Monitor) asksAnew() bool {
	return s.ill.section != "" && section(s.last, s.ill.section).InFlight > 0
}

// refused tells whether GitLab refuses the runner's polls.
func (i illness) refused() bool {
	return i.why == reasonRefused || i.why == reasonRefusedAll || i.why == reasonUnmended
}

// sickOfRefusals: the token is the fleet's, or this runner's alone. Where init, run
// again, was refused as well, another instance would be, too.
func (s *Monitor) sickOfRefusals() {
	if s.init.broken { // another instance's could take the new token up
		s.sick(reasonUnmended, true)
		return
	}
	if s.flags.Refused && s.set.Mode != fleet.ModeToken {
		s.sick(reasonRefusedAll, false)
		return
	}
	s.sick(reasonRefused, s.set.Mode != fleet.ModeToken)
}

const (
	reasonRefused    fleet.Reason = "GitLab refuses the runner's token"
	reasonRefusedAll fleet.Reason = "GitLab refuses the runner's token, and to register it anew"
	reasonUnanswered fleet.Reason = "GitLab does not answer the runner's polls"
	reasonUnreadable fleet.Reason = "gitlab-runner's metrics cannot be read"
	reasonInit       fleet.Reason = "init failed for a reason of this instance's own"
	reasonInitBroken fleet.Reason = UnitInit + " ends as soon as it is started"
	reasonUnmended   fleet.Reason = "GitLab refuses the runner's token, and " + UnitInit + ", which would take a new one up, ends as soon as it is started"
)

// unreadable is a reading that failed: the runner is dead, or cannot be watched.
func (s *Monitor) unreadable(f *fleet.Failure) {
	passed := s.lookedAt()
	level := Debug // a runner that starts, or is restarted, is no news
	if s.ill.lasted >= unreadableAfter {
		level = Warn
	}
	s.fails(level, "cannot read gitlab-runner's metrics, trying again", f)
	s.sick(reasonUnreadable, true)
	s.ails(passed)
	s.saturated, s.pace = false, 0
	switch {
	case s.ill.due(s.now):
		s.goTo(s.known(illLook))
	case s.check.due(s.now):
		s.goTo(s.check.begins(s.now, &s.find))
	case s.now.Sub(s.revived) >= reviveAgain:
		s.goTo(monUnit)
	default:
		s.rest()
	}
}

// gotUnit starts a runner that nobody else will start. The unit's own condition
// keeps it down where the drain has just begun.
func (s *Monitor) gotUnit(u fleet.UnitState) {
	if u.Running() {
		s.rest()
		return
	}
	s.goTo(monRevive)
}

func (s *Monitor) well() {
	if s.ill.why != "" && s.ill.lasted > sharedAfter {
		s.say(Info, "the runner can get jobs again", fleet.Reason(fmt.Sprintf("it could not for %s: %s", s.ill.lasted.Round(time.Second), s.ill.why)))
	}
	if s.ill.why != "" {
		s.unsaid()
	}
	s.ill, s.init = illness{}, reinit{needless: true}
}

func (s *Monitor) sick(why fleet.Reason, own bool) {
	if s.ill.why == why {
		return
	}
	if own && !s.ill.own { // an hour without GitLab is no part of an illness of one's own
		s.ill.lasted = 0
	}
	s.init.needless = false
	s.ill.why, s.ill.own, s.ill.after = why, own, s.set.UnhealthyAfter
}

// ails counts the illness on, and says a shared one once.
func (s *Monitor) ails(passed time.Duration) {
	if s.ill.why == "" {
		return
	}
	before := s.ill.lasted
	s.ill.lasted += passed
	if s.ill.mute { // a section that was mended has no way to show it
		s.ill.lasted = min(s.ill.lasted, max(before, sharedAfter))
		s.ill.mute = false
		if asks := s.now.Add(asksWithin); s.ill.turns.next.Before(asks) { // nor had it, when a slot has become free
			s.ill.turns.next = asks
		}
	}
	if !s.ill.own && before < sharedAfter && s.ill.lasted >= sharedAfter {
		level := Error
		if s.flags.Refused { // init, or an earlier run of this machine, has said it
			level = Warn
		}
		s.say(level, "no job can come, and no replacement would help", s.ill.why, "the whole fleet shares this reason: mend GitLab, the way to it, or the token")
	}
}

func (s *Monitor) askIll() Action {
	switch s.phase {
	case illLook:
		return DescribeGroup{s.find.who.Group}
	case illActivities:
		return DescribeActivities{s.find.who.Group}
	case illAgain:
		return ReadUnit{UnitInit}
	}
	return SetUnhealthy{s.find.who.Identity.InstanceID}
}

func (s *Monitor) gotIll(r Result) {
	switch s.phase {
	case illLook:
		s.gotIllListing(value[fleet.Group](r))
	case illActivities:
		s.gotActivities(value[[]fleet.Activity](r))
	case illAgain:
		s.gotInitAgain(value[fleet.UnitState](r))
	case illMark:
		s.gotMarked()
	}
}

// gotMarked says it once; the group may be kept from replacing anything, and is
// told again meanwhile.
func (s *Monitor) gotMarked() {
	level := Error
	if s.ill.marked {
		level = Info
	}
	s.ill.marked, s.ill.turns.next = true, s.now.Add(markedPause)
	s.say(level, "reported this instance Unhealthy, to be replaced", s.ill.why, fleet.Reason(fmt.Sprintf("for %s", s.ill.lasted.Round(time.Second))))
	s.late(unheeded)
	s.check.reported(s.now)
	s.rest()
}

// late ends the line of last resorts: an instance that cannot be had replaced for
// long is said once, as an error.
func (s *Monitor) late(why fleet.Reason) {
	if s.ill.late || s.ill.lasted < s.ill.after+illLate {
		return
	}
	s.ill.late = true
	s.say(Error, "this instance cannot run jobs, and is still not replaced", s.ill.why, fleet.Reason(fmt.Sprintf("for %s", s.ill.lasted.Round(time.Second))), why,
		"find out what ails so many instances, or terminate this one by hand")
}

// gotIllListing waits for this instance's turn.
func (s *Monitor) gotIllListing(g fleet.Group) {
	first, mine := s.ill.turns.listed(g, s.find.who.Identity.InstanceID, s.now)
	switch {
	case first != "":
		s.late(notReplaced(first))
	case mine:
		s.goTo(illActivities)
		return
	}
	s.rest()
}

// gotActivities gives way where the fleet has just replaced an instance for a
// reason of health: at most one in ten minutes.
func (s *Monitor) gotActivities(all []fleet.Activity) {
	if a, yes := s.ill.turns.justReplaced(all, s.find.who.Identity.InstanceID, s.now); yes {
		s.say(Info, "not replaced yet", s.ill.why, insteadReplaced(a, s.now))
		s.late(othersWere)
		s.rest()
		return
	}
	if s.init.broken {
		s.goTo(illAgain)
		return
	}
	s.goTo(illMark)
}

func (s *Monitor) failedIll(f *fleet.Failure) {
	s.fails(levelOf(f), "cannot have this instance replaced, trying again", f)
	pause := max(time.Minute, f.RetryAfter)
	if f.Final() { // an operator mends it: not a call a minute for as long as that takes
		pause = illPause
	}
	if s.late(fleet.Reason(f.Error())); s.ill.late { // what fails for so long does not come right within a minute
		pause = max(illPause, f.RetryAfter)
	}
	s.ill.turns.fails(s.now, pause)
	s.rest()
}
