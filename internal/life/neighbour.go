package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// neighbour is the eye that monitor and lifecycle-check keep on each other: one
// that crashes at each start, was refused for good, is masked or was stopped would
// else be missed only when it is needed. While the other runs it costs no call to
// anyone outside.
//
// Where the other is broken for a reason of this instance's own, a chain of last
// resorts follows: say so, start it, and report the instance Unhealthy, in turn. Its
// jobs end in the drain that follows, or, where no hook would wait for them, before.
// While lifecycle-check does not run, for whatever reason, monitor sees in its place
// what the group does.
type neighbour struct {
	unit    string
	without string        // what does not happen while it does not run
	after   time.Duration // broken for this long: the instance is replaced; 0: never
	eyes    bool          // it sees what the group does: while it does not run this one looks at the group
	next    time.Time     // when something is due
	step    phase         // of the last resort, which is due then; empty: look at the unit
	said    bool          // that it does not run
	wants   phase         // what comes once it is known who this instance is
	health  unitHealth
	watch   groupWatch
	resort  lastResort
}

const (
	neighbourPeriod = 5 * time.Minute
	// neighbourFirst is the first look: who was killed while it stood in for the other
	// is needed again at once.
	neighbourFirst = 30 * time.Second
	// neighbourAgain is the second look at one that seems broken.
	neighbourAgain = 20 * time.Second
	// neighbourMissing is how many looks in a row must miss it: an upgrade, or a
	// crash, starts it again within seconds.
	neighbourMissing = 2
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
	resortRunner     phase = "last resort: look at the runner"
	resortReport     phase = "last resort: report"
	watchGroup       phase = "look at the group in the neighbour's place"
)

// watching makes the eye on a unit.
func watching(unit, without string, after time.Duration, eyes bool) neighbour {
	return neighbour{unit: unit, without: without, after: after, eyes: eyes}
}

// period is the time between looks: several fall into what is borne.
func (n *neighbour) period() time.Duration {
	if n.after > 0 {
		return min(neighbourPeriod, n.after/3)
	}
	return neighbourPeriod
}

// due tells whether there is something to do, for the first time soon after the start.
func (n *neighbour) due(now time.Time) bool {
	if n.next.IsZero() {
		n.next = now.Add(min(neighbourFirst, n.period()))
	}
	return !now.Before(n.next) || n.watch.due(now)
}

// begins is the phase of what is due.
func (n *neighbour) begins(now time.Time, find *finder) phase {
	switch {
	case n.watch.due(now):
		return n.known(find, watchGroup)
	case n.step != "":
		return n.step
	}
	return resortUnit
}

// has tells whether a phase is this eye's.
func (n *neighbour) has(p phase) bool {
	switch p {
	case resortUnit, resortStart, resortFind, resortLook, resortActivities, resortHooks, resortJobs, resortRunner, resortAgain, resortReport, watchGroup:
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
	case resortLook, watchGroup:
		return DescribeGroup{find.who.Group}
	case resortActivities:
		return DescribeActivities{find.who.Group}
	case resortHooks:
		return DescribeHooks{find.who.Group}
	case resortJobs:
		return ScrapeMetrics{}
	case resortRunner:
		return ReadUnit{UnitRunner}
	}
	return SetUnhealthy{find.who.Identity.InstanceID}
}

// got takes an answer in and plans the next step, which its owner asks for when it
// is due.
func (n *neighbour) got(f *flow, find *finder, r Result) {
	n.watch.gone = ""
	if !n.watches(f) { // which is beside all else
		n.step, n.next = "", f.now.Add(n.period())
	}
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
		if n.wants != watchGroup { // which is due still
			n.then(f, n.known(find, n.wants))
		}
	case resortLook:
		n.gotListing(f, self, value[fleet.Group](r))
	case resortActivities:
		n.gotActivities(f, self, value[[]fleet.Activity](r))
	case resortHooks:
		n.gotHooks(f, value[[]fleet.Hook](r))
	case resortJobs:
		n.gotJobs(f, value[fleet.Observation](r))
	case resortRunner:
		n.gotRunner(f, value[fleet.UnitState](r))
	case resortAgain:
		n.gotAgain(f, find, value[fleet.UnitState](r))
	case resortReport:
		n.gotReported(f)
	case watchGroup:
		n.watch.sees(value[fleet.Group](r), self, f.now)
	}
}

// watches tells whether it looks at the group in the other's place, or asks for which.
func (n *neighbour) watches(f *flow) bool {
	return f.phase == watchGroup || f.phase == resortFind && n.wants == watchGroup
}

// then makes a phase the next, at once.
func (n *neighbour) then(f *flow, p phase) { n.step, n.next = p, f.now }

// gotUnit starts a unit that has failed, once. One that was stopped by hand stays so.
func (n *neighbour) gotUnit(f *flow, find *finder, u fleet.UnitState) {
	well := n.health.saw(u, f.now, n.period())
	if n.eyes && n.health.missing >= neighbourMissing {
		n.watch.begin(f.now)
	}
	switch {
	case well:
		n.well(f)
	case n.health.missing < neighbourMissing && isBroken(u):
		n.next = f.now.Add(min(neighbourAgain, n.period()))
	case n.health.missing < neighbourMissing:
	case !n.said:
		n.says(f, u)
	case n.health.dies: // it has been started again: look whether it stays
		n.next = f.now.Add(min(neighbourAgain, n.period()))
	case !n.health.broken || n.after == 0 || n.health.lasted < n.after:
	case n.health.stillBroken(u, f.now):
		n.goOn(f, find)
	default: // it runs: look whether it hangs still
		n.next = f.now.Add(min(hangLasts, n.period()))
	}
}

// well forgets what was: it runs.
func (n *neighbour) well(f *flow) {
	switch {
	case !n.resort.told.IsZero():
		f.say(Warn, n.unit+" runs again", "this instance was reported Unhealthy, and the group replaces it all the same: aws autoscaling set-instance-health --health-status Healthy keeps it")
	case n.said:
		f.say(Info, n.unit+" runs again")
	}
	n.said, n.watch, n.resort = false, groupWatch{}, lastResort{}
}

func (n *neighbour) says(f *flow, u fleet.UnitState) {
	n.said = true
	why := fleet.Reason(u.Active)
	if n.health.broken {
		why = n.health.why
	} else if u.Active == "activating" { // it is started again and again
		why = "it ends as soon as it is started"
	}
	reasons := []fleet.Reason{why, fleet.Reason(n.without), fleet.Reason(fmt.Sprintf("see journalctl -u %s, mend what it says, and systemctl restart %s", n.unit, n.unit))}
	if n.health.broken && n.after > 0 {
		reasons = append(reasons, fleet.Reason(fmt.Sprintf("this instance is replaced if that lasts for %s", n.after)))
	}
	what := " does not run"
	if n.health.hangs && !isBroken(u) {
		what = " does not stay up"
	}
	f.say(Error, n.unit+what, reasons...)
	if u.Active == "failed" {
		n.then(f, resortStart)
	}
}

func (n *neighbour) failed(f *flow, cause *fleet.Failure) {
	if n.watches(f) {
		f.say(Debug, "cannot look at the group in "+n.unit+"'s place, trying again", fleet.Reason(cause.Error()))
		n.watch.on(f.now, cause.RetryAfter)
		return
	}
	switch f.phase {
	case resortUnit, resortAgain, resortStart:
		f.out = append(f.out, Say{Level: Debug, Decision: fleet.Decision{Verb: f.verb, Action: "cannot look after " + n.unit + ", trying again"}, Err: cause})
		return
	case resortRunner:
		n.waitForJobs(f)
		return
	case resortJobs:
		n.then(f, resortRunner)
		return
	}
	n.cannotReplace(f, cause)
}
