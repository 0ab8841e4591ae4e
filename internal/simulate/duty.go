package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/world"
)

// duty is something that an instance owes its fleet within a time, whatever
// happens elsewhere: it is looked at once a minute, and a minute in which a fault
// hit what the duty needs does not count.
type duty struct {
	promise string
	says    string
	most    time.Duration
	owes    func(l *loop, i *instance, v view) bool
	needs   needs
}

// view is what the group knows of an instance.
type view struct {
	state     world.State
	protected bool
	target    world.State // as its metadata tell
	spot      bool
	advised   bool // EC2 advises to go, or announces an end, and the operator has it followed
	room      bool // desired is above the minimum and what is to stand ready
	over      bool // and below the number of members, as while one replaces another
}

// needs are what a duty rests on; a fault of another kind is no excuse.
type needs struct {
	classes []class
	kinds   []Kind // that last, or that change what the instance is
	grace   time.Duration
}

// hitSince tells whether a fault hit what is needed.
func (n needs) hitSince(i *instance, from time.Duration) bool {
	for k := len(i.hurts) - 1; k >= 0 && i.hurts[k].at >= from; k-- {
		h := i.hurts[k]
		for _, c := range n.classes {
			if h.class == c && h.kind.atAction() {
				return true
			}
		}
		for _, kind := range n.kinds {
			if h.kind == kind {
				return true
			}
		}
	}
	return false
}

var (
	// machineKinds strike the machine itself: what was under way starts again.
	machineKinds = []Kind{Reboot, SoftReboot, PowerOff, UnitRestart, UnitBroken, ClockJump, KillBefore, KillAfter, UnitBusy}
	needsAWS     = needs{classes: []class{aws, local, units, metadata, writes}, kinds: append([]Kind{AWSThrottles, AWSAway, AWSSlow, AWSStale, MetadataSick, DiskFull, RunnerMute, RunnerKill, Standby}, machineKinds...), grace: 3 * time.Minute}
	needsNotice  = needs{classes: []class{metadata, writes, local}, kinds: append([]Kind{MetadataSick, DiskFull}, machineKinds...), grace: 2 * time.Minute}
	needsFiles   = needs{classes: []class{metadata, writes, local, units}, kinds: append([]Kind{MetadataSick, DiskFull, RunnerKill}, machineKinds...), grace: 2 * time.Minute}
	needsLaunch  = needs{classes: []class{aws, gitlab, local, units, metadata, writes}, kinds: append([]Kind{AWSThrottles, AWSAway, AWSSlow, GitLabAway, GitLabSlow, DiskFull, RunnerMute}, machineKinds...), grace: 3 * time.Minute}
	needsEnd     = needs{classes: []class{aws, gitlab, local, units, metadata, writes}, kinds: append([]Kind{AWSThrottles, AWSAway, AWSSlow, GitLabAway, GitLabSlow, DiskFull}, machineKinds...), grace: 3 * time.Minute}
)

var (
	// needsMachine is for what a process can do by itself.
	needsMachine = needs{classes: []class{local, units, metadata, writes}, kinds: append([]Kind{MetadataSick, DiskFull}, machineKinds...)}
	// needsHold is for letting polls end: their end is seen on the metrics' page.
	needsHold = needs{classes: []class{local, units, writes}, kinds: append([]Kind{DiskFull, RunnerMute}, machineKinds...)}
	// needsReport is for the jobs of an instance that EC2 takes: the notice must be
	// read and written, the runner told, GitLab there to hear of it. Auto Scaling
	// being away is no excuse.
	needsReport = needs{classes: []class{local, units, metadata, writes}, kinds: append([]Kind{MetadataSick, DiskFull, GitLabAway, RunnerKill}, machineKinds...)}
	// needsHook is for a hook's time-out: it takes calls to Auto Scaling, and what
	// must be known for them. GitLab being away is no excuse: heartbeats go on.
	needsHook = needs{classes: []class{aws, local, units, metadata, writes}, kinds: append([]Kind{AWSThrottles, AWSAway, AWSSlow, HeartbeatsLost, MetadataSick, DiskFull}, machineKinds...), grace: 2 * time.Minute}
)

// duties are looked at in this order.
var duties = []duty{
	{"notice", "is to go and has not written it down", 90 * time.Second, owesNotice, needsNotice},
	{"notice", "has written down that it is to go, and nothing drains it", 90 * time.Second, owesDrain, needsEnd},
	{"leak", "has put its runner away, and nothing takes it", 9 * time.Minute, owesGoing, needsAWS},
	{"hook", "has ended its runner and does not complete its termination hook", 4 * time.Minute, owesEnd, needsEnd},
	{"hook", "has ended its runner and waits for GitLab instead of completing its termination hook", 8 * time.Minute, owesEndAlone, needsHook},
	{"hook", "has a runner that is answered and does not complete its launch hook", 4 * time.Minute, owesLaunch, needsLaunch},
	{"protection", "runs jobs and is not protected", 3 * time.Minute, owesProtection, needsAWS},
	{"protection", "has no job and is still protected", 5 * time.Minute, owesClearing, needsAWS},
	{"leave", "neither runs its runner nor leaves", 9 * time.Minute, owesRunner, needsAWS},
	{"leave", "keeps its runner held and does not leave", 6 * time.Minute, owesSections, needsAWS},
	{"standby", "is in Standby and its runner polls", 3 * time.Minute, owesStandby, needsFiles},
	{"standby", "is back from Standby and keeps to it", 3 * time.Minute, owesService, needsFiles},
	{"shrink", "has had no job for long, is above the minimum and stays", 45 * time.Minute, owesLeaving, needsAWS},
}

// stays tells whether an instance is in service and nothing is about to take it.
func (i *instance) stays() bool {
	return i.inService && i.up && !i.dead && i.down == fleet.NotGoingDown && i.flags.Notice == nil && i.spotDeadline == 0
}

func owesNotice(_ *loop, i *instance, v view) bool {
	return i.up && i.down == fleet.NotGoingDown && i.flags.Notice == nil && (v.target == world.Terminated || v.target == world.Detached || v.spot || v.advised)
}

// advised tells whether an instance is to go by what EC2 lets it choose.
func (l *loop) advised(d world.Metadata) bool {
	return !d.Rebalance.IsZero() && l.leavesOnRebalance() || len(d.Maintenance) > 0
}

// leavesOnRebalance is an operator's choice; every end that is announced is followed.
func (l *loop) leavesOnRebalance() bool { return l.number()%2 == 0 }

func owesDrain(_ *loop, i *instance, _ view) bool {
	u := &i.units[unitUnregister]
	return i.up && i.down == fleet.NotGoingDown && i.flags.Notice != nil && (i.reg != nil || i.runner.state == runnerActive) &&
		(u.state == unitDown || u.state == unitFailed) && !i.drainRefused
}

func owesEnd(_ *loop, i *instance, v view) bool {
	return v.state == world.TerminatingWait && i.up && i.down == fleet.NotGoingDown && i.flags.Notice != nil && i.runner.state != runnerActive && !i.drainRefused
}

// owesEndAlone: without GitLab, too, after the five minutes for which each process of the
// drain tries to reach it.
func owesEndAlone(l *loop, i *instance, v view) bool {
	drain := i.units[unitUnregister].main
	return owesEnd(l, i, v) && (drain == nil || l.at-drain.begun > 5*time.Minute)
}

func owesLaunch(l *loop, i *instance, v view) bool {
	return v.state == world.PendingWait && i.up && i.down == fleet.NotGoingDown && i.runner.state == runnerActive && i.flags.Registered && l.works(i) && l.canPoll(i, true) && l.reachedGitLab(i) && !i.refused
}

func owesProtection(_ *loop, i *instance, v view) bool {
	return i.stays() && v.state == world.InService && !v.protected && i.runner.state == runnerActive && i.runner.busySince > 0 && i.l.at-i.runner.busySince > lookPeriod && !i.runner.quitting && !i.flags.Standby
}

func owesClearing(l *loop, i *instance, v view) bool {
	return i.stays() && v.state == world.InService && v.protected && i.runner.state == runnerActive && l.at-i.jobAt > lookPeriod && len(i.runner.jobs) == 0 && l.canPoll(i, false) && i.runner.deaf == nil
}

func owesRunner(_ *loop, i *instance, v view) bool {
	return i.stays() && v.state == world.InService && i.flags.Registered && i.runner.state == runnerDown && !i.flags.Standby
}

func owesSections(_ *loop, i *instance, v view) bool {
	return i.stays() && v.state == world.InService && v.target == world.InService && i.flags.Registered && i.isHeld()
}

func owesStandby(_ *loop, i *instance, v view) bool {
	return v.state == world.Standby && i.up && i.down == fleet.NotGoingDown && i.flags.Notice == nil && i.flags.Registered && !i.isHeld()
}

func owesService(_ *loop, i *instance, v view) bool {
	return i.stays() && v.state == world.InService && v.target == world.InService && i.flags.Standby
}

// owesLeaving leaves out those that may have found the group at its minimum: they
// do not ask again before they have run a job. One whose monitor was struck waits
// for those before it once more. In a group above its desired capacity the group chooses.
// An init at work is let be: while GitLab is away it waits.
func owesLeaving(l *loop, i *instance, v view) bool {
	if i.hurtSince(l.at-lookPeriod, machineKinds...) > 0 || v.over {
		return false
	}
	if i.units[unitInit].main != nil && i.hurtSince(l.at-2*lookPeriod, GitLabAway, GitLabSlow) > 0 {
		return false
	}
	if i.jobAt > 0 && l.at-i.jobAt < lookPeriod {
		return false // it had one since the last look
	}
	if l.schedule.Webhook && l.lasts(GitLabAway) {
		return false // raised for jobs that wait, which nobody is handed: it is there for them
	}
	free := i.stays() && v.state == world.InService && len(i.runner.jobs) == 0
	if i.jobAt > i.kept { // and not because its runner was restarted
		i.kept = 0
	}
	if free && !v.room && l.at-max(i.jobAt, i.serviceAt) >= 2*time.Minute {
		i.kept = l.at
	}
	return free && l.works(i) && v.room && i.kept == 0 && len(l.suspends) == 0
}

// lookAtDuties counts the minutes in which each instance owed something.
func (l *loop) lookAtDuties() {
	g := l.world.Groups(l.now, groupName)[0]
	members, busy := 0, 0
	for _, m := range g.Instances {
		switch m.State {
		case world.Pending, world.PendingWait, world.PendingProceed, world.InService:
			members++
		}
		if m.Protected && m.State == world.InService {
			busy++
		}
	}
	l.lookAtSpares(g, members, busy)
	for _, m := range g.Instances {
		i := l.byID[m.ID]
		v := view{state: m.State, protected: m.Protected, room: g.Desired > max(g.Min, busy+l.sparesAt(l.now)), over: g.Desired < members}
		if d, ok := l.world.Metadata(l.now, m.ID); ok {
			v.target, v.spot, v.advised = d.Target, d.Spot != nil, l.advised(d)
		}
		l.lookAtDutiesOf(i, v)
	}
	for _, i := range l.instances { // no member any longer
		if i.detachedAt > 0 && !i.dead {
			if d, ok := l.world.Metadata(l.now, i.id); ok {
				l.lookAtDutiesOf(i, view{target: d.Target, spot: d.Spot != nil})
			}
		}
	}
}

// sparesWithin is within what time somebody goes to work who has the spares looked
// after, in a fleet of which a few are at work.
const sparesWithin = 10 * time.Minute

// lookAtSpares: spares that are wanted, and that nobody brings the group to. A desired
// capacity that was lowered stays.
func (l *loop) lookAtSpares(g world.GroupView, members, busy int) {
	want := min(g.Max, busy+l.sparesAt(l.now))
	if l.sparesAt(l.now) == 0 || busy < 3 || g.Desired >= want || g.Desired < members || l.troubled() {
		l.spareless = 0
		return
	}
	if l.spareless += lookPeriod; l.spareless > sparesWithin && l.wentToWork(l.at-l.spareless, l.at-2*lookPeriod) {
		l.breaks("target", "desired is %d for %s: %d are busy, and %d more are to stand ready, of at most %d", g.Desired, l.spareless, busy, l.sparesAt(l.now), g.Max)
		l.spareless = 0
	}
}

// wentToWork tells whether an idle instance was given a job between two times: where jobs
// come in spells, nobody may be for long.
func (l *loop) wentToWork(from, to time.Duration) bool {
	return slices.ContainsFunc(l.instances, func(i *instance) bool {
		return i.inService && !i.dead && i.runner.busySince > from && i.runner.busySince < to
	})
}

func (l *loop) lookAtDutiesOf(i *instance, v view) {
	for n := range duties {
		d := &duties[n]
		switch {
		case !d.owes(l, i, v):
			i.owed[n] = 0
			continue
		case i.owed[n] < 0 || d.needs.hitSince(i, l.at-d.needs.grace): // said, or excused for now
			continue
		}
		i.owed[n] += lookPeriod
		if i.owed[n] > d.most+lookPeriod {
			l.breaks(d.promise, "i%02d %s for %s", i.number, d.says, d.most)
			i.owed[n] = -1
		}
	}
}

// lookAtCalls holds an instance with nothing to do to promise 5: it asks neither
// AWS nor GitLab for anything, but for whether it may leave, ever more seldom. One
// of whose runners was deleted makes it anew, which is something.
func (l *loop) lookAtCalls(i *instance) {
	calls := i.callsAWS + i.callsGitLab
	busy := len(i.runner.jobs) > 0 || l.at-max(i.jobAt, i.targetAt) <= lookPeriod || !i.stays() || !l.works(i) || !l.canPoll(i, true) || !i.flags.Registered || i.refusedAt > 0 && l.at-i.refusedAt <= 2*lookPeriod
	if busy || len(l.windows) > 0 || i.hurtSince(l.at-lookPeriod) > 0 || l.troubled() {
		i.restAt, i.restCalls = l.at, calls
		return
	}
	rest := l.at - i.restAt - 12*time.Minute
	if rest < 0 {
		i.restCalls = calls
		return
	}
	if n := calls - i.restCalls; n > 6+int(rest/(5*time.Minute)) {
		l.breaks("quiet", "i%02d has made %d calls in %s with nothing happening", i.number, n, rest)
		i.restAt = l.at + 10*time.Hour
	}
}
