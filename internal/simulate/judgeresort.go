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

// unfollowed tells whether an instance that its monitor has reported was taken, and
// nobody drains it: lifecycle-check is broken, so monitor alone can see what the group does.
func (i *instance) unfollowed(since, timeout time.Duration) bool {
	l := i.l
	reported := slices.ContainsFunc(l.condemned, func(c condemnation) bool { return c.in == i && c.at > since-time.Minute })
	return i.units[unitCheck].broken != nil && reported && i.runner.state == runnerActive && !i.runner.quitting && timeout >= 2*time.Minute &&
		i.units[unitMonitor].broken == nil && !needsResort.hitSince(i, since-time.Minute) && i.hurtSince(since-time.Minute, anewKinds...) == 0
}

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
		if i.dead || !i.up {
			continue
		}
		for u := range i.units {
			if i.units[u].broken == nil {
				continue
			}
			broken++
			if unitID(u) != unitInit || !i.flags.Registered || !i.inService || l.at-i.refusedAt < time.Hour { // an init that nobody needs is no excuse
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
