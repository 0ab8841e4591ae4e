package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// The chain of last resorts: an instance whose monitor or lifecycle-check is broken
// for good is replaced, by the other of the two. Where both are, nobody is left.

// neighbourLooks is how long it may take until a neighbour has seen it broken.
const neighbourLooks = 5 * time.Minute

// brokenUnit is the one of the two that is broken; nil where none is, or both are.
func (i *instance) brokenUnit() *unit {
	check, monitor := &i.units[unitCheck], &i.units[unitMonitor]
	switch {
	case (check.broken != nil) == (monitor.broken != nil):
		return nil
	case check.broken != nil:
		return check
	}
	return monitor
}

// explained tells whether a hook timed out since a time because what completes it is broken: of
// init systemd's own lines tell, of lifecycle-check its neighbour's, once it has seen it.
func (i *instance) explained(hook string, from time.Duration) bool {
	init, check := &i.units[unitInit], &i.units[unitCheck]
	switch {
	case hook == "launch":
		return init.broken != nil || init.mendedAt > from
	case check.broken == nil:
		return check.mendedAt > from
	}
	return i.warnedAt > check.brokenAt || i.l.at-max(check.brokenAt, i.units[unitMonitor].begunAt()) < 3*neighbourLooks+30*time.Second || i.units[unitMonitor].broken != nil
}

// hangSeen is for how long a unit that hung may be taken for one that does.
const hangSeen = 7 * time.Minute

// takenUnseen tells whether the group took an instance at a time, its lifecycle-check is
// broken, and its monitor, which must have known of both for long enough, has not had it
// drained. A group that was told to replace it a moment ago is looked at more often.
func (i *instance) takenUnseen(since, timeout time.Duration) bool {
	l, check, monitor := i.l, &i.units[unitCheck], &i.units[unitMonitor]
	drains := i.flags.Notice != nil && (i.runner.state != runnerActive || i.runner.quitting)
	if check.broken == nil || monitor.broken != nil || drains || !i.flags.Registered {
		return false
	}
	known := max(check.brokenAt+neighbourLooks+time.Minute, monitor.begunAt()+2*time.Minute)
	if check.broken.Amount > 0 { // it hangs
		known = max(check.brokenAt, monitor.begunAt()) + 4*neighbourLooks
	}
	enough := 100 * time.Second
	told := slices.ContainsFunc(l.condemned, func(c condemnation) bool {
		return c.in == i && c.at < since && since-c.at < 90*time.Second
	})
	if told {
		enough = 40 * time.Second
	}
	from := max(known, since)
	return l.at-from > enough && timeout > enough && !needsSeer.hitSince(i, from-time.Minute)
}

// needsSeer is what monitor needs to see that the group takes the instance, and to have
// it drained: the runner's metrics are none of it, nor is GitLab.
var needsSeer = needs{classes: []class{aws, units, writes}, kinds: []Kind{AWSThrottles, AWSAway, AWSSlow, AWSStale, DiskFull, UnitBusy, Standby, Reboot, SoftReboot, PowerOff}}

// seemsBroken tells whether the neighbour of a unit is broken for long, for all that
// anyone can know.
func (i *instance) seemsBroken(of *unit) bool {
	u := i.brokenUnit()
	if u == nil {
		for _, id := range []unitID{unitCheck, unitMonitor} {
			if o := &i.units[id]; o != of && o.mendedAt > 0 && (o.hung && i.l.at-o.mendedAt < hangSeen || i.l.at-o.mendedAt < actionTimeout) { // or it waits for its restart
				u = o
			}
		}
	}
	return u != nil && u != of && i.l.at-u.brokenAt >= unhealthyAfter
}

// needsResort is what the chain of last resorts rests on, beside the machine itself.
var needsResort = needs{classes: []class{aws, local, units, metadata, writes}, kinds: []Kind{AWSThrottles, AWSAway, AWSSlow, AWSStale, MetadataSick, DiskFull, RunnerMute, RunnerKill, RunnerDeaf, Standby, GitLabAway, DeleteRunners}}

// anewKinds have the neighbour that is not broken count anew.
var anewKinds = []Kind{Reboot, SoftReboot, PowerOff, UnitRestart, KillBefore, KillAfter}

// lookAtBroken counts the minutes in which an instance is in service and broken.
func (l *loop) lookAtBroken(troubled bool) {
	broken := 0
	for _, i := range l.instances {
		if i.dead {
			continue
		}
		for u := range i.units {
			if i.units[u].broken == nil {
				continue
			}
			// also of one that is off for a moment: its neighbour counts anew
			broken++
			if i.up && (unitID(u) != unitInit || !i.flags.Registered || !i.inService || l.at-i.refusedAt < time.Hour) { // an init that nobody needs is no excuse
				i.hurt(l.at, local, UnitBroken) // for as long as it is
			}
		}
	}
	if broken == 0 {
		return
	}
	for _, i := range l.instances {
		switch {
		case i.brokenUnit() == nil || i.dead || i.hurtSince(l.at-lookPeriod, anewKinds...) > 0:
			i.brokenFor = 0
		case troubled || !i.inService || !i.up || i.down != fleet.NotGoingDown || needsResort.hitSince(i, l.at-lookPeriod):
		default:
			i.brokenFor += lookPeriod
		}
		if i.brokenUnit() != nil && i.brokenFor > unhealthyAfter+2*neighbourLooks+leakSlack+l.turnsSince(i.brokenUnit().brokenAt, broken) {
			l.breaks("leak", "i%02d has a broken %s for %s, and is not replaced", i.number, unitNames[i.brokenUnit().id], i.brokenFor)
			i.brokenFor = -10 * time.Hour
		}
	}
}
