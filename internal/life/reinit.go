package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// reinit is when Monitor runs init once more. What GitLab refuses may have been
// mended since: the token rotated and the new one stored, the secret's policy put
// right, or this runner deleted by hand, which a new one makes good. Init finds out,
// and changes nothing where it is refused again.
type reinit struct {
	at   time.Time // not before
	wait time.Duration
	// needless: GitLab answers the runner's polls. A refusal that init marked before
	// is over, and the next one is news.
	needless bool
	broken   bool      // it ends as soon as it is started, by the last looks
	missed   int       // looks in a row that found it so
	look     time.Time // when its unit is looked at, while nothing is registered
}

const (
	// reinitFirst and reinitMost bound the pauses between two runs of init: five
	// calls each, for as long as nobody mends it.
	reinitFirst = 5 * time.Minute
	reinitMost  = 10 * time.Minute
	// reinitTakes is how long one takes: it writes config.toml, and to leave takes
	// sections out of it.
	reinitTakes = time.Minute
)

// unableToInit is an instance that is not registered: init is at work, or has
// failed and left word that the reason is its own, or is broken and leaves none.
func (s *Monitor) unableToInit() {
	switch {
	case s.flags.Unable:
		s.sick(reasonInit, true)
	case !s.now.Before(s.init.look):
		s.goTo(monInitUnit)
		return
	case s.ill.why != reasonInitBroken:
		s.ill = illness{}
		s.refusedInit()
		return
	}
	s.ails(s.set.Period)
	if s.flags.Standby { // an operator has a look at it
		s.ill.lasted = 0
	}
	if s.ill.due(s.now) {
		s.goTo(s.known(illLook))
		return
	}
	s.rest()
}

// initPeriod is how often init's unit is looked at while nothing is registered.
const initPeriod = time.Minute

// gotInitUnit tells an init that is at work from one that cannot be run.
func (s *Monitor) gotInitUnit(u fleet.UnitState) {
	s.init.look = s.now.Add(initPeriod)
	was := s.init.broken
	if s.init.missed++; !isBroken(u) {
		s.init.missed = 0
	}
	s.init.broken = s.init.missed >= neighbourMissing
	switch {
	case s.init.missed == 1: // one that was killed once is started again within seconds
		s.init.look = s.now
	case s.flags.Registered && s.init.broken:
		if !was {
			s.say(Warn, "cannot have the runner registered anew", reasonInitBroken, howItEnds(u), s.unlessInitIsMended())
		}
		s.nextInit()
	case s.flags.Registered:
		s.goTo(monInit)
		return
	case s.init.broken && s.ill.why != reasonInitBroken:
		s.say(Warn, "no runner is registered", reasonInitBroken, howItEnds(u), s.unlessInitIsMended())
		s.sick(reasonInitBroken, true)
	case !s.init.broken && s.ill.why == reasonInitBroken:
		s.ill = illness{}
	}
	s.rest()
}

func (s *Monitor) unlessInitIsMended() fleet.Reason {
	return fleet.Reason(fmt.Sprintf("see journalctl -u %s; this instance is replaced if that lasts for %s", UnitInit, s.set.UnhealthyAfter))
}

// gotInitAgain is the last look before what cannot be undone: an init that was mended
// since may still mend the rest.
func (s *Monitor) gotInitAgain(u fleet.UnitState) {
	if s.init.broken = isBroken(u); s.init.broken {
		s.goTo(illMark)
		return
	}
	s.init.look, s.init.at = s.now, s.now
	s.rest()
}

// refusedInit is an instance that is not registered, and whose init has left word
// that it was refused.
func (s *Monitor) refusedInit() {
	switch {
	case !s.flags.Refused:
		s.init = reinit{look: s.init.look, missed: s.init.missed, broken: s.init.broken}
	case s.init.wait == 0: // it has just been refused
		s.nextInit()
	case !s.now.Before(s.init.at):
		s.goTo(monInit)
		return
	}
	s.rest()
}

func (s *Monitor) startedInit() {
	level := Info
	if s.init.wait > 0 {
		level = Debug
	}
	why := s.ill.why
	if why == "" {
		why = "it was refused, which may have been mended"
	}
	s.say(level, "start "+UnitInit+" again", why, fleet.Reason("it takes a new token up, or registers anew; nothing else is touched"))
	s.nextInit()
	s.leave.again = s.now.Add(reinitTakes)
	s.rest()
}

// failedToStartInit leaves said as it is: this fails again and again beside what
// else does.
func (s *Monitor) failedToStartInit(f *fleet.Failure) {
	if s.init.wait == 0 {
		s.out = append(s.out, Say{Level: Warn, Decision: fleet.Decision{Verb: s.verb, Action: "cannot start " + UnitInit + ", trying again"}, Err: f})
	}
	s.nextInit()
	s.rest()
}

// nextInit plans the next run, later each time.
func (s *Monitor) nextInit() {
	s.init.wait = min(max(2*s.init.wait, reinitFirst), reinitMost)
	s.init.at = s.now.Add(s.init.wait - s.backoff.draw(s.init.wait/8))
}
