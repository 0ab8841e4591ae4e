package simulate

import (
	"slices"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// What changes the group is held against what that very process had read.

// newsOfQueue tells whether a section that tells the queue's length took a job
// between two readings of one process.
func newsOfQueue(before, now fleet.Observation) bool {
	for n, r := range now.Runners {
		if before.StartedAt == now.StartedAt && n < len(before.Runners) && before.Runners[n].Name == r.Name && r.QueueSize > 0 && r.JobsTotal > before.Runners[n].JobsTotal {
			return true
		}
	}
	return false
}

// largeFleet is up to how many instances a fleet gets all that its queue asks for.
// Beyond, some of the queue may be left to jobs that end; that none of it waits for
// long is judged by the queue itself.
const largeFleet = 20

// wants is what the group needs by what this process has read, where that tells
// it; 0 where desired is to stay, or the webhook is to raise it. above: the maximum
// forbids some of that.
func (p *process) wants() (desired int, above bool) {
	g := p.listed
	if p.in.l.grace > 0 || !p.fresh || g.Weighted || p.obs.Free() > 0 || p.before.Free() > 0 { // slots were free here, and may be elsewhere
		return 0, false
	}
	busy, idle, pending := p.counts()
	// With spares it may have looked for those alone, which do not undo that desired was
	// lowered, and are content where they have a place: the queue is left to jobs that end.
	if spares := p.in.l.sparesAt(p.clock()); spares > 0 && (g.Desired < busy+idle+pending || g.Desired >= busy+spares) {
		return 0, false
	}
	queue := 0
	for n, r := range p.obs.Runners {
		if r.JobsTotal > p.before.Runners[n].JobsTotal {
			queue = max(queue, r.QueueSize-1)
		}
	}
	slots := max(1, p.obs.Slots())
	want := min(busy+(queue+slots-1)/slots, max(busy, largeFleet))
	if above = want > g.Max; min(g.Max, want) > g.Desired {
		return min(g.Max, want), above
	}
	return 0, above
}

// counts sorts the members that were listed; this instance is saturated.
func (p *process) counts() (busy, idle, pending int) {
	for _, m := range p.listed.Instances {
		switch {
		case m.ID == p.in.id && !m.State.IsLeaving():
			busy++
		case m.State.IsPending():
			pending++
		case m.State == fleet.InService && m.Protected:
			busy++
		case m.State == fleet.InService:
			idle++
		}
	}
	return busy, idle, pending
}

func (l *loop) raises(p *process, a life.SetDesired) error {
	g, i := p.listed, p.in
	if i.isHook() {
		l.webhook.judgeRaise(p, a)
		return l.world.SetDesired(l.now, a.Group, a.Desired)
	}
	if p.listedAt <= p.setAt || l.at-p.listedAt > actionTimeout+5*time.Second {
		l.breaks("target", "i%02d sets desired to %d without having looked at the group", i.number, a.Desired)
	}
	p.setAt = l.at
	busy, idle, pending := p.counts()
	queue := 0
	for _, r := range p.obs.Runners {
		queue = max(queue, r.QueueSize-1)
	}
	slots := max(1, p.obs.Slots())
	most := max(g.Desired, min(g.Max, busy+(queue+slots-1)/slots+p.in.l.sparesAt(p.clock())))
	if idle == 0 && pending == 0 && g.Desired == busy {
		most = max(most, g.Desired+1)
	}
	if a.Desired > most || a.Desired <= g.Desired || a.Desired > g.Max {
		l.breaks("target", "i%02d sets desired to %d: it had read desired %d of at most %d, %d busy, %d idle, %d pending, %d waiting, %d slots",
			i.number, a.Desired, g.Desired, g.Max, busy, idle, pending, queue, slots)
	}
	return p.through(func() error { return l.world.SetDesired(l.now, a.Group, a.Desired) })
}

func (l *loop) protects(p *process, a life.SetProtection) error {
	r := &p.in.runner
	if !a.Protected && p.verb == "monitor" {
		switch {
		case r.busySince > 0 && r.busySince < p.obsAt:
			l.breaks("protection", "i%02d clears its protection while a job runs", p.in.number)
		case r.idleSince > 0 && r.idleSince < p.obsAt && p.obsAt-r.idleSince < unprotectAfter-p.in.uncounted():
			l.breaks("protection", "i%02d clears its protection %s after its last job", p.in.number, p.obsAt-r.idleSince)
		}
	}
	err := p.through(func() error { return l.world.Protect(l.now, a.Group, a.Protected, a.InstanceID) })
	l.moved = true
	return err
}

// leavesTooFew tells whether by what this process has read fewer would be idle, or on
// their way, than are to stand ready.
func (p *process) leavesTooFew(g fleet.Group) bool {
	busy, _, _ := p.counts()
	busy-- // this one, which has no job
	l := p.in.l
	if hold := l.spares.Hold; hold > 0 && busy == 0 && l.at-max(p.in.jobAt, p.begun) >= hold-p.in.uncounted() {
		return false
	}
	return l.sparesAt(p.clock()) > 0 && g.Desired-1-busy < min(l.sparesAt(p.clock()), g.Max-busy)
}

func (l *loop) terminates(p *process, a life.TerminateSelf) error {
	i := p.in
	if !a.Decrement {
		l.replaces(p)
	}
	if a.Decrement {
		g, members := p.listed, 0
		for _, m := range g.Instances {
			if m.State.IsPending() || m.State == fleet.InService {
				members++
			}
		}
		switch {
		case p.heldAt == 0:
			l.breaks("leave", "i%02d leaves without having held its runner", i.number)
		case p.listedAt <= p.heldAt:
			l.breaks("leave", "i%02d leaves without having looked at the group again", i.number)
		case i.runner.state == runnerActive:
			l.breaks("leave", "i%02d leaves while its runner runs", i.number)
		case p.listedAt <= p.leftAt:
			l.breaks("leave", "i%02d leaves once more without having looked what became of it", i.number)
		case g.Desired <= g.Min:
			l.breaks("leave", "i%02d leaves though it has read desired %d, minimum %d", i.number, g.Desired, g.Min)
		case g.Desired < members:
			l.breaks("leave", "i%02d leaves though it has read desired %d of %d members: the group is to choose", i.number, g.Desired, members)
		case p.leavesTooFew(g):
			l.breaks("leave", "i%02d leaves though %d instances are to stand ready", i.number, l.sparesAt(p.clock()))
		case i.jobAt > 0 && p.heldAt-i.jobAt < idleThreshold-i.uncounted():
			l.breaks("leave", "i%02d leaves, and held its runner %s after its last job", i.number, p.heldAt-i.jobAt)
		case i.flags.Notice != nil && l.at-i.noticeAt > 20*time.Second:
			l.breaks("leave", "i%02d leaves though it is to go by a notice", i.number)
		}
		p.leftAt = l.at
	}
	err := p.through(func() error {
		_, err := l.world.Terminate(l.now, a.InstanceID, a.Decrement)
		return err
	})
	l.moved = true
	return err
}

// uncounted is how much of what a monitor counts as idle may lie before the end of
// the last job: one look and its answer, or, where looks were slow, as many as it
// counts at most.
func (i *instance) uncounted() time.Duration {
	if i.hurtSince(i.l.at-5*time.Minute) > 0 {
		return 35 * time.Second
	}
	return 15 * time.Second
}

// replaces: terminating without decrement is for an instance that EC2 takes, and
// once is enough.
func (l *loop) replaces(p *process) {
	i := p.in
	n := i.flags.Notice
	switch {
	case i.spotDeadline > 0 && !p.replaced:
	case n == nil || n.Kind != fleet.NoticeSpot && n.Kind != fleet.NoticeRebalance && n.Kind != fleet.NoticeMaintenance:
		l.breaks("leave", "i%02d has itself replaced, and nothing takes it", i.number)
	case p.replaced:
		l.breaks("leave", "i%02d has itself replaced a second time", i.number)
	}
}

func (l *loop) condemns(p *process, a life.SetUnhealthy) error {
	i := p.in
	if !i.inService { // it goes already, or is not in service yet: nothing follows
		return p.through(func() error { return l.world.SetHealth(l.now, a.InstanceID, false, false) })
	}
	l.takesTurns(p)
	if i.seemsBroken(p.unit) {
		return l.condemn(p)
	}
	if l.at-i.trulyAt < unhealthyAfter-2*time.Minute && i.hurtSince(l.at-20*time.Minute, RunnerMute) == 0 {
		l.breaks("damping", "i%02d is reported Unhealthy though it worked %s ago", i.number, l.at-i.trulyAt)
	}
	if l.mode == fleet.ModeToken && i.runner.state == runnerActive && !i.runner.quitting && i.runner.deaf == nil && i.units[unitInit].broken == nil && l.at-i.units[unitInit].mendedAt > actionTimeout && i.hurtSince(l.at-20*time.Minute, RunnerMute) == 0 {
		l.breaks("damping", "i%02d is reported Unhealthy for a reason that all share", i.number)
	}
	if age := l.at - i.launchedAt; age < unhealthyAfter { // whatever it could see of itself, it was not ill for that long
		l.breaks("damping", "i%02d is reported Unhealthy %s after its launch", i.number, age)
	}
	return l.condemn(p)
}

// condemn carries a report out.
func (l *loop) condemn(p *process) error {
	i := p.in
	if l.at-p.actsAt > 2*actionTimeout+5*time.Second { // one call lies between
		l.breaks("damping", "i%02d is reported Unhealthy without a look at what the group has just done", i.number)
	}
	l.condemned = append(l.condemned, condemnation{l.at, i})
	l.moved = true
	return p.through(func() error { return l.world.SetHealth(l.now, i.id, false, false) })
}

// takesTurns: one in ten minutes, by what a process has read of the others.
func (l *loop) takesTurns(p *process) {
	i := p.in
	if l.lasts(AWSStale) || i.hurtSince(l.at-time.Minute, allBut(UnitBroken)...) > 0 {
		return
	}
	unseen := 0
	for _, c := range l.condemned {
		switch {
		case c.in == i || l.at-c.at >= 9*time.Minute || l.tookOtherwise(c.in):
		case c.at >= p.listedAt-time.Second && unseen == 0: // the answer was under way; nobody could have told it; two that look in the same second are a race that no order of turns ends
			unseen++
		default:
			l.breaks("damping", "i%02d is reported Unhealthy %s after i%02d", i.number, l.at-c.at, c.in.number)
		}
	}
}

// tookOtherwise tells whether the group has taken an instance, and not for its health:
// that was no replacement, whatever it had reported before.
func (l *loop) tookOtherwise(i *instance) bool {
	if i.inService {
		return false
	}
	list, _ := l.world.Activities(l.now, groupName)
	return !slices.ContainsFunc(list, func(a world.Activity) bool {
		return a.InstanceID == i.id && strings.Contains(a.Cause, "health")
	})
}

// stopsRunner: a job that GitLab hands to a poll that is cancelled would hang. So
// one that leaves, or is drained with time, lets its polls in flight end first.
func (i *instance) stopsRunner(p *process) {
	l := i.l
	inFlight := slices.ContainsFunc(i.runner.sections, func(s *section) bool { return s.inFlight })
	switch {
	case i.runner.state != runnerActive || i.runner.quitting || !inFlight:
	case p.verb == "monitor":
		l.breaks("leave", "i%02d stops its runner with a poll in flight, to leave", i.number)
	case p.verb == "unregister" && i.down == fleet.NotGoingDown && i.spotDeadline == 0 && l.at-i.noticeAt < time.Hour &&
		(i.heldAt < i.noticeAt-holdTimeout || l.at-i.heldAt < holdTimeout-5*time.Second) && !needsHold.hitSince(i, i.noticeAt-time.Minute):
		l.breaks("notice", "i%02d has the time, and stops its runner with a poll in flight", i.number)
	}
}

// resumes: a notice leaves the runner to the drain.
func (i *instance) resumes(p *process) {
	if l := i.l; p.verb == "monitor" && i.flags.Notice != nil && l.at-i.noticeAt > actionTimeout+5*time.Second {
		l.breaks("notice", "i%02d is to go, and its monitor puts the runner's sections back", i.number)
	}
}
