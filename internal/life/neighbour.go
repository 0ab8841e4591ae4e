package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// neighbour is the eye that monitor and lifecycle-check keep on each other: one
// that crashes at each start, was refused for good, is masked or was stopped would
// else be missed only when it is needed. It costs no call to anyone outside.
//
// Where the other is broken for a reason of this instance's own, a chain of last
// resorts follows: say so, start it, and have the group replace the instance, by a
// notice and a drain: jobs that run are run to their end.
type neighbour struct {
	unit    string
	without string        // what does not happen while it does not run
	after   time.Duration // broken for this long: the instance is replaced; 0: never
	next    time.Time
	looked  time.Time
	missing int // looks in a row
	said    bool
	broken  bool          // by the last look
	lasted  time.Duration // broken so far
	why     fleet.Reason  // how it ends
	step    phase         // of the last resort; empty: look at the unit
	notice  fleet.Notice  // that the last resort writes
	turns   turns
	late    bool // said that nothing comes of it
}

const (
	neighbourPeriod = 5 * time.Minute
	// neighbourMissing is how many looks in a row must miss it: an upgrade, or a
	// crash, starts it again within seconds.
	neighbourMissing = 2
	// neighbourTurn is the distance between two instances of one fleet that act on the
	// same: from its look at the group the one before takes a drain's first steps until
	// it is listed as Unhealthy.
	neighbourTurn = 20 * time.Second
)

const (
	resortUnit       phase = "look at the neighbour"
	resortStart      phase = "start the neighbour"
	resortFind       phase = "last resort: find group"
	resortLook       phase = "last resort: look"
	resortActivities phase = "last resort: activities"
	resortAgain      phase = "last resort: look at the neighbour again"
	resortNotice     phase = "last resort: write notice"
)

// watching makes the eye on a unit.
func watching(unit, without string, after time.Duration) neighbour {
	return neighbour{unit: unit, without: without, after: after, turns: turns{span: neighbourTurn}}
}

// period is the time between looks: several fall into what is borne.
func (n *neighbour) period() time.Duration {
	if n.after > 0 {
		return min(neighbourPeriod, n.after/3)
	}
	return neighbourPeriod
}

// isBroken tells whether a unit ends as soon as it is started, for a reason that it
// did not tell itself. One that was stopped by hand, that finds its configuration
// wrong, was refused, or asks for another try, is not broken: another instance would
// fare no better.
func isBroken(u fleet.UnitState) bool {
	if u.Active != "failed" && u.Active != "activating" || u.Result == "" || u.Result == "success" {
		return false
	}
	if u.Result != "exit-code" {
		return true
	}
	switch ExitCode(u.ExitStatus) {
	case BadUsage, Refused, TryAgain:
		return false
	}
	return true
}

// howItEnds says in systemd's words why a unit is broken.
func howItEnds(u fleet.UnitState) fleet.Reason {
	if u.Result == "exit-code" {
		return fleet.Reason(fmt.Sprintf("it ends with status %d", u.ExitStatus))
	}
	return fleet.Reason("it ends by " + u.Result)
}

// due tells whether there is something to do, for the first time a period after the
// start.
func (n *neighbour) due(now time.Time) bool {
	if n.next.IsZero() {
		n.next = now.Add(n.period())
	}
	return !now.Before(n.next)
}

// begins is the phase of what is due.
func (n *neighbour) begins() phase {
	if n.step != "" {
		return n.step
	}
	return resortUnit
}

// has tells whether a phase is this eye's.
func (n *neighbour) has(p phase) bool {
	switch p {
	case resortUnit, resortStart, resortFind, resortLook, resortActivities, resortAgain, resortNotice:
		return true
	}
	return false
}

// ask is what its phases ask for, but for resortStart and resortNotice: what its
// owner starts and writes stands in the owner's own words.
func (n *neighbour) ask(f *flow, find *finder) Action {
	switch f.phase {
	case resortUnit, resortAgain:
		return ReadUnit{n.unit}
	case resortFind:
		return find.ask()
	case resortLook:
		return DescribeGroup{find.who.Group}
	}
	return DescribeActivities{find.who.Group}
}

// got takes an answer in and plans the next step, which its owner asks for when it
// is due. true: the notice is written.
func (n *neighbour) got(f *flow, find *finder, r Result) bool {
	was := f.phase
	n.step, n.next = "", f.now.Add(n.period())
	if r.Failure != nil && was != resortFind {
		n.failed(f, r.Failure)
		return false
	}
	switch was {
	case resortUnit:
		n.gotUnit(f, find, value[fleet.UnitState](r))
	case resortFind:
		if failure := find.got(r); failure != nil {
			n.failed(f, failure)
			return false
		}
		n.goOn(f, find)
	case resortLook:
		n.gotListing(f, find.who.Identity.InstanceID, value[fleet.Group](r))
	case resortActivities:
		n.gotActivities(f, find.who.Identity.InstanceID, value[[]fleet.Activity](r))
	case resortAgain:
		n.gotAgain(f, find, value[fleet.UnitState](r))
	}
	return was == resortNotice
}

// then makes a phase the next, at once.
func (n *neighbour) then(f *flow, p phase) { n.step, n.next = p, f.now }

// gotUnit starts a unit that has failed, once. One that was stopped by hand stays so.
func (n *neighbour) gotUnit(f *flow, find *finder, u fleet.UnitState) {
	passed := min(f.now.Sub(n.looked), illPause+n.period()) // the longest pause between two looks
	n.looked = f.now
	switch u.Active {
	case "active", "reloading", "deactivating":
		if n.said {
			f.say(Info, n.unit+" runs again")
		}
		*n = neighbour{unit: n.unit, without: n.without, after: n.after, next: n.next, looked: n.looked, turns: turns{span: n.turns.span}}
		return
	}
	n.missing++
	was := n.broken
	if n.broken = isBroken(u); !n.broken {
		n.lasted = 0
	} else if n.why = howItEnds(u); was {
		n.lasted += passed
	}
	switch {
	case n.missing < neighbourMissing:
	case !n.said:
		n.says(f, u)
	case n.broken && n.after > 0 && n.lasted >= n.after:
		n.goOn(f, find)
	}
}

func (n *neighbour) says(f *flow, u fleet.UnitState) {
	n.said = true
	why := fleet.Reason(u.Active)
	if n.broken {
		why = n.why
	} else if u.Active == "activating" { // it is started again and again
		why = "it ends as soon as it is started"
	}
	reasons := []fleet.Reason{why, fleet.Reason(n.without), fleet.Reason(fmt.Sprintf("see journalctl -u %s, mend what it says, and systemctl restart %s", n.unit, n.unit))}
	if n.broken && n.after > 0 {
		reasons = append(reasons, fleet.Reason(fmt.Sprintf("this instance is replaced if that lasts for %s", n.after)))
	}
	f.say(Error, n.unit+" does not run", reasons...)
	if u.Active == "failed" {
		n.then(f, resortStart)
	}
}

// goOn asks who this instance is for as long as that is not known, then for the group.
func (n *neighbour) goOn(f *flow, find *finder) {
	if find.stage == found {
		n.then(f, resortLook)
		return
	}
	n.then(f, resortFind)
}

// gotListing waits for this instance's turn. One that is not in service is not
// replaced: it is on its way in or out, or an operator has a look at it.
func (n *neighbour) gotListing(f *flow, self string, g fleet.Group) {
	if me, _ := g.Find(self); me.State != fleet.InService {
		n.next = f.now.Add(illPause)
		return
	}
	first, mine := n.turns.listed(g, self, f.now, n.lasted-n.after)
	switch {
	case first != "":
		n.isLate(f, notReplaced(first))
	case mine:
		n.then(f, resortActivities)
		return
	}
	n.next = n.turns.next
}

// gotActivities has the instance replaced, unless the fleet has just replaced one.
func (n *neighbour) gotActivities(f *flow, self string, all []fleet.Activity) {
	if a, yes := n.turns.justReplaced(all, self, f.now); yes {
		f.say(Info, "not replaced yet", n.reason(), insteadReplaced(a, f.now))
		n.isLate(f, othersWere)
		n.next = n.turns.next
		return
	}
	n.then(f, resortAgain)
}

// gotAgain is the last look before what cannot be undone: it may be mended meanwhile.
func (n *neighbour) gotAgain(f *flow, find *finder, u fleet.UnitState) {
	if !isBroken(u) {
		n.gotUnit(f, find, u)
		return
	}
	n.notice = fleet.Notice{Kind: fleet.NoticeUnhealthy, SeenAt: f.now, Source: string(n.reason())}
	f.say(Error, "notice: this instance is to be replaced (unhealthy)", n.reason(), fleet.Reason(n.without))
	n.then(f, resortNotice)
}

func (n *neighbour) reason() fleet.Reason {
	return fleet.Reason(fmt.Sprintf("%s is broken, for %s: %s", n.unit, n.lasted.Round(time.Second), n.why))
}

// isLate ends the line of last resorts: it says once that nothing comes of them.
func (n *neighbour) isLate(f *flow, why fleet.Reason) {
	if n.late || n.lasted < n.after+illLate {
		return
	}
	n.late = true
	f.say(Error, "this instance is broken, and is still not replaced", n.reason(), why, "mend the unit, or terminate this instance by hand")
}

func (n *neighbour) failed(f *flow, cause *fleet.Failure) {
	switch f.phase {
	case resortUnit, resortAgain, resortStart:
		f.out = append(f.out, Say{Level: Debug, Decision: fleet.Decision{Verb: f.verb, Action: "cannot look after " + n.unit + ", trying again"}, Err: cause})
		return
	}
	f.fails(levelOf(cause), "cannot have this instance replaced, trying again", cause)
	n.isLate(f, fleet.Reason(cause.Error()))
	pause := max(time.Minute, cause.RetryAfter)
	if cause.Final() || n.late {
		pause = max(illPause, cause.RetryAfter)
	}
	n.next = f.now.Add(pause)
}
