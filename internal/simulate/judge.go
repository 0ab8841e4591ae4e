package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/world"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// look is a look at the fleet once a minute: does each instance that is in
// service work, and does capacity follow the queue?
func (l *loop) look() {
	l.after(lookPeriod, func() {
		l.lookAtInstances()
		l.lookAtDuties()
		l.lookAtQueue()
		l.lookAtGhosts()
		l.look()
	})
}

const (
	lookPeriod = time.Minute
	// leakSlack is what a replacement may take beyond its patience.
	leakSlack = 12 * time.Minute
	// starved is how long a job may wait while the group could grow.
	starved = 25 * time.Minute
	// starvedLooks is how many looks in a row find all saturated: what an operator
	// changed, or a launch, a moment ago is followed within minutes.
	starvedLooks = 4
)

// troubled tells whether something that all share keeps the fleet from mending
// itself.
func (l *loop) troubled() bool {
	if len(l.suspends) > 0 || l.tokenTrouble {
		return true
	}
	for _, w := range l.windows {
		switch w.Kind {
		case AWSThrottles, AWSAway, GitLabAway, MetadataSick:
			if !w.ofHook() {
				return true
			}
		}
	}
	return false
}

func (l *loop) lookAtInstances() {
	troubled := l.troubled()
	l.lookAtBroken(troubled)
	ill := 0
	for _, i := range l.instances {
		if !i.inService || i.dead {
			continue
		}
		if r := &i.runner; l.canPoll(i, true) && r.deaf == nil && r.state == runnerActive && !r.quitting {
			i.trulyAt = l.at
			i.refusedSince = 0
		}
		if l.works(i) {
			i.workedAt = l.at
			continue
		}
		if troubled || i.flags.Notice != nil || i.down != fleet.NotGoingDown || !i.up || i.units[unitMonitor].broken != nil || l.sharedIllness(i) || i.deafAfterRefusals() || i.hurtSince(l.at-2*lookPeriod, DiskFull) > 0 {
			i.workedAt += lookPeriod
			continue
		}
		ill++
	}
	for _, i := range l.instances {
		if !i.dead {
			l.lookAtCalls(i)
		}
		most := unhealthyAfter + leakSlack + l.turnsSince(i.workedAt, ill)
		if l.mode == fleet.ModeToken && i.refusedSince > 0 && i.units[unitInit].broken == nil && i.units[unitCheck].broken == nil { // nobody waits for a turn to be replaced: init is to mend it
			most = unhealthyAfter + leakSlack
		}
		if i.inService && !i.dead && l.at-i.workedAt > most {
			l.breaks("leak", "i%02d has not worked for %s: %s", i.number, l.at-i.workedAt, l.whyNot(i))
			i.workedAt = l.at + 10*time.Hour
		}
	}
}

// deafAfterRefusals: for an hour after GitLab's refusals a deaf runner looks like one
// that waits as it should.
func (i *instance) deafAfterRefusals() bool {
	return i.l.tokenEver && i.runner.deaf != nil && i.l.at-max(i.trulyAt, i.l.calmAt) < 2*time.Hour
}

// turnPause is what one instance that is replaced may cost the next: ten minutes, and
// its turn.
const turnPause = 12 * time.Minute

// turnsSince is for how long an instance that is ill since a time may have had to give
// way: to those replaced meanwhile, and to others that are ill now.
func (l *loop) turnsSince(since time.Duration, ill int) time.Duration {
	since -= 10 * time.Minute
	n := ill + l.crashedSince(since)
	for _, c := range l.condemned {
		if c.at >= since {
			n++
		}
	}
	return time.Duration(n) * turnPause
}

// crashedSince counts the instances that EC2's health checks had replaced: these take
// turns with the replacements that instances ask for.
func (l *loop) crashedSince(at time.Duration) int {
	n := 0
	for _, i := range l.instances {
		if i.dead && i.death == world.ReasonCrash && i.diedAt >= at {
			n++
		}
	}
	return n
}

// works tells whether a runner could get jobs.
func (l *loop) works(i *instance) bool { return l.whyNot(i) == "" }

func (l *loop) whyNot(i *instance) string {
	r := &i.runner
	switch {
	case r.state != runnerActive:
		return "its runner does not run"
	case r.quitting:
		if len(r.jobs) > 0 {
			return "" // it ends its jobs
		}
		return "its runner is stopping"
	case len(r.jobs) > 0:
		return ""
	}
	if r.deaf != nil && r.taken() == 0 {
		return "its runner does not ask for jobs"
	}
	if !l.canPoll(i, false) {
		return "none of its sections can poll"
	}
	return ""
}

// canPoll tells whether GitLab would answer one of its sections, or all of them.
func (l *loop) canPoll(i *instance, all bool) bool {
	able := 0
	for _, s := range i.runner.sections {
		if !s.removed && s.disabledUntil <= l.at && l.knows(s.token) {
			able++
		}
	}
	return able > 0 && (!all || able == len(i.runner.sections))
}

// mendedWithin is how long after a token is good again, or a runner was deleted, its
// instance may take to be at work: init is run again within ten minutes, and then
// restarts a runner that is silent, when it runs no job.
const mendedWithin = 30 * time.Minute

// sharedIllness tells whether the reason is GitLab's.
func (l *loop) sharedIllness(i *instance) bool {
	if l.at-max(i.refusedSince, l.calmAt) > mendedWithin {
		return false
	}
	for _, s := range i.runner.sections { // disabled for an hour, and its token is good
		if s.disabledUntil > l.at && l.knows(s.token) {
			return true
		}
		if s.refusedAt > 0 && l.at-s.refusedAt < disabledFor { // as silent as one that has disabled itself: nobody can tell
			return true
		}
	}
	return false
}

func (l *loop) knows(token string) bool {
	_, err := l.world.QueueValue(l.now, token)
	return err == nil
}

// lookAtQueue: a job that waits for long while all are busy and the group could
// grow is a queue that nobody follows. Where nobody is in service nobody sees it: what the
// webhook was told of there is judged by itself.
func (l *loop) lookAtQueue() {
	if !slices.ContainsFunc(l.instances, func(i *instance) bool { return i.inService && !i.dead }) {
		l.emptyAt = l.at
	}
	for len(l.queuedJobs) > 0 {
		q := l.queuedJobs[0]
		if j := l.jobs[q.id]; j == nil || j.got < q.at {
			break
		}
		l.queuedJobs = l.queuedJobs[1:]
	}
	starves := l.starves
	l.starves = 0
	if len(l.queuedJobs) == 0 || l.at-max(l.queuedJobs[0].at, l.emptyAt) < starved || l.troubled() || l.at-l.calmAt < starved {
		return
	}
	g := l.world.Groups(l.now, groupName)[0]
	if g.Desired >= g.Max {
		return
	}
	saturated, members := 0, 0
	for _, i := range l.instances {
		if i.inService && !i.dead {
			members++
		}
	}
	if g.Desired < members { // an operator lowered it, and since this job came no other was taken that could tell of it
		return
	}
	for _, i := range l.instances {
		switch {
		case !i.inService || i.dead || !l.works(i) || i.runner.quitting:
		case len(i.runner.jobs) < l.slots:
			return
		case i.flags.Notice == nil:
			saturated++
		}
	}
	if saturated == 0 {
		return
	}
	if l.starves = starves + 1; l.starves > starvedLooks {
		q := l.queuedJobs[0]
		l.breaks("queue", "job %d waits for %s, %d instances are saturated, desired is %d of %d", q.id, l.at-q.at, saturated, g.Desired, g.Max)
		l.queuedJobs = l.queuedJobs[1:]
	}
}

// judge is at the end of a run.
func (l *loop) judge() {
	if l.ended {
		return
	}
	r := l.world.Records(l.now)
	l.judgeRunners(r)
	l.judgeJobs(r)
	l.judgeBudget()
	l.judgeReaper()
	l.line(l.at, "end: digest %016x", l.digest)
}

// judgeRunners looks for what stays behind in GitLab.
func (l *loop) judgeRunners(r world.Records) {
	runners := map[string]int{}
	for _, x := range r.Runners {
		if id, ours := strings.CutPrefix(x.Description, groupName+"/"); ours {
			runners[id]++
		}
	}
	managed := map[string]bool{}
	for _, x := range r.Runners {
		for _, m := range x.Managers {
			managed[m.SystemID] = true
		}
	}
	for _, i := range l.instances {
		n := runners[i.id] + i.reaped // what the reaper took away had stayed behind as well
		switch {
		case l.mode == fleet.ModeToken && i.endedCleanly() && managed[i.system] && !l.tokenEver && !i.gitlabHurt():
			l.breaks("ghost", "i%02d has ended cleanly (%s) and its manager record stays", i.number, i.death)
		case l.mode == fleet.ModeCreate && i.endedCleanly() && n > 0 && !i.gitlabHurt() && (i.orphans == 0 || l.mayList && !l.tokenEver && i.couldLook()):
			l.breaks("ghost", "i%02d has ended cleanly (%s) and %d runners stay", i.number, i.death, n)
		case l.mode == fleet.ModeCreate && n > l.sections && !l.tokenEver && l.mayList:
			l.breaks("ghost", "i%02d has %d runners for %d sections", i.number, n, l.sections)
		}
	}
}

// endedCleanly tells whether the instance had the time to unregister.
func (i *instance) endedCleanly() bool {
	switch {
	case i.detachedAt > 0 && !i.dead:
		return i.units[unitCheck].broken == nil && i.units[unitCheck].mendedAt < i.detachedAt && i.l.at-i.detachedAt > 90*time.Minute
	case !i.dead || i.hookOver:
		return false
	case i.death == world.ReasonCrash:
		return i.poweredOff && i.hurtSince(i.downAt-time.Second) <= 1
	case i.spotDeadline > 0:
		return i.spotDeadline-i.spotAt >= time.Minute && i.hurtSince(i.spotAt-lookPeriod, UnitBroken) == 0 && i.hurtSince(i.spotAt-time.Minute, lasting...) == 0 && i.hurtSince(i.diedAt-45*time.Second) == 0
	case i.death == world.ReasonLaunchTimeout:
		return false
	}
	return true
}

// initAgain is how long init takes at most to run again after a kill, and to look for
// what the one before made.
const initAgain = 45 * time.Second

// couldLook tells whether init could run again after one that was killed before it heard
// of the runner that it made: once the instance goes, none does, and it is the reaper's.
func (i *instance) couldLook() bool {
	if init := &i.units[unitInit]; init.broken != nil || init.mendedAt > i.orphanAt {
		return false
	}
	for _, end := range []time.Duration{i.noticeAt, i.downAt} {
		if end > 0 && end >= i.orphanAt && end < i.orphanAt+initAgain {
			return false
		}
	}
	return true
}

// gitlabHurt tells whether GitLab was not to be had in the instance's last minutes, or
// its clock said that there were none.
func (i *instance) gitlabHurt() bool {
	return i.jumpedAhead() || i.hurtSince(i.diedAt-10*time.Minute, GitLabAway, GitLabSlow) > 0
}

// judgeJobs holds GitLab's records against what the loop saw.
func (l *loop) judgeJobs(r world.Records) {
	for _, j := range r.Jobs {
		k := l.jobs[j.ID]
		switch {
		case k == nil:
		case k.refused && j.Status == world.JobPending: // the runner could not say in time that it had it, and GitLab took it back
		case j.Status == world.JobRunning && k.fate != jobRuns && k.fate != jobLost && k.fate != jobGone && k.fate != jobHanded:
			l.breaks("job", "job %d hangs in GitLab though its runner reported it", j.ID)
		case (k.fate == jobFinished || k.fate == jobInterrupted) && !j.Status.Finished():
			l.breaks("job", "job %d is %s in GitLab though it has ended", j.ID, j.Status)
		}
	}
}

// What the machines of one instance may ask for: so much for a life, and so much
// an hour, troubles among it: a look a minute while it is saturated, and as many
// calls for what else it does.
const (
	callsALife  = 200
	callsAnHour = 120
	// heartbeatsOfInit are of a run that finds no hook.
	heartbeatsOfInit = 8
)

func (l *loop) judgeBudget() {
	for _, i := range l.instances {
		end := l.at
		if i.dead {
			end = i.diedAt
		}
		hours := (end - i.launchedAt).Hours()
		aws, gitlab := i.callsAWS-i.heartbeats, i.callsGitLab
		if most := callsALife + int(callsAnHour*hours); max(aws, i.failedAWS) > most || max(gitlab, i.failedGitLab) > most {
			l.breaks("budget", "i%02d made %d calls to AWS beside heartbeats and %d to GitLab in %.1f hours, and %d and %d failed", i.number, aws, gitlab, hours, i.failedAWS, i.failedGitLab)
		}
		shortest := l.endHook
		if l.launchHook > 0 {
			shortest = min(shortest, l.launchHook)
		}
		// One in a third of the time-out; a failed one is tried again four times as soon. Each
		// run of init asks for half a minute whether a launch hook begins to wait.
		if most := 60 + heartbeatsOfInit*i.inits + int(2*hours*3*time.Hour.Seconds()/shortest.Seconds()); i.heartbeats > most {
			l.breaks("budget", "i%02d made %d heartbeats in %.1f hours", i.number, i.heartbeats, hours)
		}
	}
}
