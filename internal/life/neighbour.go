package life

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// neighbour is the eye that monitor and lifecycle-check keep on each other: one
// that crashes at each start, was refused for good, is masked or was stopped would
// else be missed only when it is needed. It costs no call to anyone outside.
//
// Where the other is broken for a reason of this instance's own, a chain of last
// resorts follows: say so, start it, and report the instance Unhealthy, in turn. Its
// jobs end in the drain that follows, or, where no hook would wait for them, before.
type neighbour struct {
	unit     string
	without  string        // what does not happen while it does not run
	after    time.Duration // broken for this long: the instance is replaced; 0: never
	follows  bool          // it is what would see the group's answer, so this eye looks for that too
	next     time.Time
	looked   time.Time
	restarts int       // when they were last counted
	counted  time.Time // at that time
	hung     time.Time // it was last seen started again while it was looked at for that
	missing  int       // looks in a row
	said     bool
	broken   bool          // by the last look
	ran      bool          // by the last look
	hangs    bool          // by the last count: it runs, and was started again and again
	lasted   time.Duration // broken so far
	why      fleet.Reason  // how it ends
	step     phase         // of the last resort; empty: look at the unit
	turns    turns
	told     time.Time            // the instance was first reported Unhealthy
	toldLast time.Time            // and last
	late     bool                 // said that nothing comes of it
	absent   int                  // listings in a row that did not have this instance
	gone     fleet.LifecycleState // by the last listing the instance goes
}

const (
	neighbourPeriod = 5 * time.Minute
	// neighbourMissing is how many looks in a row must miss it: an upgrade, or a
	// crash, starts it again within seconds.
	neighbourMissing = 2
	// neighbourHang is longer than two watchdogs' times: one that hangs is started again
	// within it, before anything is done about one that runs.
	neighbourHang = 150 * time.Second
	// neighbourRestarts is how many starts between two looks are more than a crash: one
	// that hangs is killed by its watchdog, and runs most of the time.
	neighbourRestarts = 2
	// followSoon and followLate are the pauses between looks at a group that was told
	// to replace the instance, where nobody else sees what it does: a hook may time out
	// half a minute after it began to wait. After followFor it is late.
	followSoon = 15 * time.Second
	followLate = time.Minute
	followFor  = 2 * time.Minute
	// neighbourTurn is the distance between two instances of one fleet that act on the
	// same: within that time the one before is listed as Unhealthy.
	neighbourTurn = 20 * time.Second
)

const (
	resortUnit       phase = "look at the neighbour"
	resortStart      phase = "start the neighbour"
	resortFind       phase = "last resort: find group"
	resortLook       phase = "last resort: look"
	resortActivities phase = "last resort: activities"
	resortHooks      phase = "last resort: hooks"
	resortJobs       phase = "last resort: look for jobs"
	resortAgain      phase = "last resort: look at the neighbour again"
	resortReport     phase = "last resort: report"
	resortFollow     phase = "last resort: look what the group does"
)

// watching makes the eye on a unit.
func watching(unit, without string, after time.Duration, follows bool) neighbour {
	return neighbour{unit: unit, without: without, after: after, follows: follows, turns: turns{span: neighbourTurn}}
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
	case resortUnit, resortStart, resortFind, resortLook, resortActivities, resortHooks, resortJobs, resortAgain, resortReport, resortFollow:
		return true
	}
	return false
}

// ask is what its phases ask for, but for resortStart: what its owner starts stands in
// the owner's own words.
func (n *neighbour) ask(f *flow, find *finder) Action {
	switch f.phase {
	case resortUnit, resortAgain:
		return ReadUnit{n.unit}
	case resortFind:
		return find.ask()
	case resortLook, resortFollow:
		return DescribeGroup{find.who.Group}
	case resortActivities:
		return DescribeActivities{find.who.Group}
	case resortHooks:
		return DescribeHooks{find.who.Group}
	case resortJobs:
		return ScrapeMetrics{}
	}
	return SetUnhealthy{find.who.Identity.InstanceID}
}

// got takes an answer in and plans the next step, which its owner asks for when it
// is due.
func (n *neighbour) got(f *flow, find *finder, r Result) {
	n.step, n.next, n.gone = "", f.now.Add(n.period()), ""
	failure := r.Failure
	if f.phase == resortFind {
		failure = find.got(r)
	}
	if failure != nil {
		n.failed(f, failure)
		return
	}
	self := find.who.Identity.InstanceID
	switch f.phase {
	case resortUnit:
		n.gotUnit(f, find, value[fleet.UnitState](r))
	case resortFind:
		n.goOn(f, find)
	case resortLook:
		n.gotListing(f, self, value[fleet.Group](r))
	case resortActivities:
		n.gotActivities(f, self, value[[]fleet.Activity](r))
	case resortHooks:
		n.gotHooks(f, value[[]fleet.Hook](r))
	case resortJobs:
		n.gotJobs(f, value[fleet.Observation](r))
	case resortAgain:
		n.gotAgain(f, find, value[fleet.UnitState](r))
	case resortReport:
		n.gotReported(f)
	case resortFollow:
		n.gotFollowed(f, self, value[fleet.Group](r))
	}
}

// then makes a phase the next, at once.
func (n *neighbour) then(f *flow, p phase) { n.step, n.next = p, f.now }

// gotUnit starts a unit that has failed, once. One that was stopped by hand stays so.
func (n *neighbour) gotUnit(f *flow, find *finder, u fleet.UnitState) {
	passed := min(f.now.Sub(n.looked), illPause+n.period()) // the longest pause between two looks
	n.looked = f.now
	runs := u.Active == "active" || u.Active == "reloading" || u.Active == "deactivating"
	again := n.count(f.now, u, n.ran && runs)
	n.ran = runs
	if runs && !n.hangs {
		n.well(f)
		return
	}
	n.missing++
	was := n.broken
	n.broken = n.hangs || isBroken(u)
	switch {
	case !n.broken:
		n.lasted = 0
	case was:
		n.lasted += passed
	}
	switch {
	case isBroken(u):
		n.why = howItEnds(u)
	case again > 0:
		n.why = fleet.Reason(fmt.Sprintf("it was started again %d times within %s", again, n.period()))
	}
	switch {
	case n.missing < neighbourMissing:
	case !n.said:
		n.says(f, u)
	case !n.broken || n.after == 0 || n.lasted < n.after:
	case isBroken(u) || f.now.Sub(n.hung) < neighbourHang:
		n.goOn(f, find)
	default: // it runs: look whether it hangs still
		n.next = f.now.Add(min(neighbourHang, n.period()))
	}
}

// count tells how often the unit was started again since the last count, and by that
// whether it hangs; runs: it did at this look and at the one before. Looks may be
// seconds apart: a count takes a period.
func (n *neighbour) count(now time.Time, u fleet.UnitState, runs bool) int {
	again := u.Restarts - n.restarts
	passed := now.Sub(n.counted)
	if n.hangs && again > 0 && passed <= neighbourHang+time.Minute { // not of some time ago
		n.hung = now
	}
	switch {
	case n.counted.IsZero() || again < 0: // systemctl restart counts from nought
		n.hangs = false
	case n.hangs && passed < min(neighbourHang, n.period()), !n.hangs && passed < n.period():
		return 0
	default:
		n.hangs = runs && again >= neighbourRestarts || n.hangs && again > 0 // who ends at once does not hang
	}
	n.restarts, n.counted = u.Restarts, now
	return again
}

// well forgets what was: it runs.
func (n *neighbour) well(f *flow) {
	if n.said {
		f.say(Info, n.unit+" runs again")
	}
	was := *n
	*n = watching(n.unit, n.without, n.after, n.follows)
	n.next, n.looked, n.restarts, n.counted, n.ran = was.next, was.looked, was.restarts, was.counted, was.ran
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
	what := " does not run"
	if n.hangs && !isBroken(u) {
		what = " does not stay up"
	}
	f.say(Error, n.unit+what, reasons...)
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

// sees takes in what a listing says of the instance itself, and tells whether it is in
// service. Listings are eventually consistent: one that leaves it out may be old.
func (n *neighbour) sees(g fleet.Group, self string) bool {
	me, member := g.Find(self)
	if n.absent++; member {
		n.absent = 0
	}
	switch {
	case me.State.IsLeaving():
		n.gone = me.State
	case n.absent >= neighbourMissing:
		n.gone = fleet.Detached
	}
	return me.State == fleet.InService
}

// gotListing waits for this instance's turn. One that is not in service is not
// replaced: it is on its way in or out, or an operator has a look at it.
func (n *neighbour) gotListing(f *flow, self string, g fleet.Group) {
	if !n.sees(g, self) {
		n.next = f.now.Add(illPause)
		return
	}
	first, mine := n.turns.listed(g, self, f.now)
	switch {
	case first != "":
		n.isLate(f, notReplaced(first))
	case mine:
		n.then(f, resortActivities)
		return
	}
	n.next = n.turns.next
}

// gotActivities gives way where the fleet has just replaced an instance.
func (n *neighbour) gotActivities(f *flow, self string, all []fleet.Activity) {
	if a, yes := n.turns.justReplaced(all, self, f.now); yes {
		f.say(Info, "not replaced yet", n.reason(), insteadReplaced(a, f.now))
		n.isLate(f, othersWere)
		n.next = n.turns.next
		return
	}
	n.then(f, resortHooks)
}

// gotHooks has jobs end first where the group would not wait for them.
func (n *neighbour) gotHooks(f *flow, hooks []fleet.Hook) {
	if slices.ContainsFunc(hooks, func(h fleet.Hook) bool { return h.Transition == fleet.AtTermination }) {
		n.then(f, resortAgain)
		return
	}
	n.then(f, resortJobs)
}

func (n *neighbour) gotJobs(f *flow, o fleet.Observation) {
	if o.Running() == 0 {
		n.then(f, resortAgain)
		return
	}
	n.isLate(f, "jobs run, and the group has no termination hook that would wait for them")
	n.next = f.now.Add(time.Minute)
}

// gotAgain is the last look before what cannot be undone: it may be mended meanwhile.
func (n *neighbour) gotAgain(f *flow, find *finder, u fleet.UnitState) {
	if isBroken(u) || n.hangs && f.now.Sub(n.hung) < neighbourHang && u.Restarts >= n.restarts {
		n.then(f, resortReport)
		return
	}
	n.gotUnit(f, find, u)
}

// gotReported says it once; the group may be kept from replacing anything, and is told
// again meanwhile.
func (n *neighbour) gotReported(f *flow) {
	level := Info
	if n.told.IsZero() {
		level, n.told = Error, f.now
	}
	n.toldLast = f.now
	f.say(level, "reported this instance Unhealthy, to be replaced", n.reason(), fleet.Reason(n.without))
	n.isLate(f, unheeded)
	n.follow(f)
}

// follow plans the next look at a group that was told.
func (n *neighbour) follow(f *flow) {
	n.next = f.now.Add(markedPause)
	if !n.follows {
		return
	}
	pause := followSoon
	if f.now.Sub(n.told) >= followFor {
		pause = followLate
	}
	n.step, n.next = resortFollow, f.now.Add(pause)
}

func (n *neighbour) gotFollowed(f *flow, self string, g fleet.Group) {
	switch n.sees(g, self); {
	case n.gone != "":
	case f.now.Sub(n.toldLast) >= markedPause:
		n.then(f, resortUnit)
	default:
		n.follow(f)
	}
}

// reported is a report of the owner's, for another reason: it has the answer followed
// where nobody else would see it.
func (n *neighbour) reported(f *flow) {
	if n.broken {
		n.told, n.toldLast = f.now, f.now
		n.follow(f)
	}
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
	case resortJobs: // who cannot be looked at runs none, or none that could be waited for
		n.then(f, resortAgain)
		return
	case resortFollow:
		n.follow(f)
		return
	}
	f.fails(levelOf(cause), "cannot have this instance replaced, trying again", cause)
	n.isLate(f, fleet.Reason(cause.Error()))
	pause := max(time.Minute, cause.RetryAfter)
	if cause.Final() || n.late {
		pause = max(illPause, cause.RetryAfter)
	}
	n.turns.fails(f.now, pause)
	n.next = n.turns.next
}
