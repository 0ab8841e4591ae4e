package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// Hooks, and the registration that must stand or be gone when they are completed.

// isDue tells whether EC2, or a shutdown, is about to end the instance: then
// steps are left out, and jobs are ended.
func (i *instance) isDue(slack time.Duration) bool {
	at := i.l.at
	switch {
	case i.spotDeadline > 0 && at >= i.spotDeadline-margin-slack:
	case i.endWait > 0 && at >= i.endWait+i.l.hookCap()-margin-slack:
	case i.down != fleet.NotGoingDown || i.goesByAnotherClock():
	default:
		return false
	}
	return true
}

// goesByAnotherClock tells whether a drain is gone on with by another process, which has
// the notice's moments by the wall clock alone, and that was set since: nobody on the
// instance can know how much time is left.
func (i *instance) goesByAnotherClock() bool {
	return (i.down != fleet.NotGoingDown || i.starts["unregister"] > 1) && i.noticeAt > 0 && i.hurtSince(i.noticeAt, ClockJump) > 0
}

// mayEndJobs tells whether the jobs must be ended by now, or be lost: one margin
// before EC2, the hook's cap or the shutdown ends them, and not much earlier.
func (i *instance) mayEndJobs() bool {
	at := i.l.at
	slack := 5 * time.Second
	if i.hurtSince(0, ClockJump) > 0 { // a clock that nobody can believe: earlier, to be sure
		slack = time.Minute
	}
	bound := rebootTimeout
	if i.down == fleet.PowerOff {
		bound = powerOffTimeout
	}
	switch {
	case i.spotDeadline > 0 && at >= i.spotDeadline-margin-slack:
	case i.endWait > 0 && at >= i.waitSeen()+i.l.hookCap()-margin-45*time.Second:
	case i.down != fleet.NotGoingDown && at >= i.downAt+bound-margin-slack:
	default:
		return false
	}
	return true
}

// waitSeen is when the termination hook may have begun to wait, for all that the
// instance knows: from its notice on where AWS kept it from telling the group.
func (i *instance) waitSeen() time.Duration {
	if i.noticeAt > 0 && i.noticeAt < i.endWait && needsAWS.hitSince(i, i.noticeAt-time.Minute) {
		return i.noticeAt
	}
	return i.endWait
}

// hookCap is EC2's cap on the whole wait of the termination hook.
func (l *loop) hookCap() time.Duration { return min(100*l.endHook, 48*time.Hour) }

// operations whose ground is looked at

// asksForRunner: a runner is what the operator has configured, and is described so
// that others, the reaper first, can tell whose it is.
func (l *loop) asksForRunner(i *instance, n fleet.NewRunner) {
	want := l.initSettings(0).Runner
	if own := groupName + "/" + i.id; n.Description != own {
		l.breaks("ghost", "i%02d has a runner made that is described as %q, and nobody will find it by %q", i.number, n.Description, own)
	}
	if n.Type != want.Type || n.GroupID != want.GroupID || n.ProjectID != want.ProjectID || !slices.Equal(n.Tags, want.Tags) || n.RunUntagged != want.RunUntagged ||
		n.Locked != want.Locked || n.AccessLevel != want.AccessLevel || n.MaximumTimeout != want.MaximumTimeout {
		l.breaks("truth", "i%02d has a runner made that is not the one configured: %v", i.number, n)
	}
}

// registersOnce: what is on disk, and known to GitLab, is not made again.
func (l *loop) registersOnce(p *process) {
	i := p.in
	if i.orphanAt > 0 && i.orphanAt < l.at && i.searchedAt < i.orphanAt {
		l.breaks("ghost", "i%02d makes one more runner without having looked for the one that was lost", i.number)
	}
	if i.reg == nil || len(i.reg.Runners) < l.sections {
		return
	}
	for _, r := range i.reg.Runners {
		if !l.knows(r.Token.Reveal()) {
			return
		}
	}
	l.breaks("ghost", "i%02d makes one more runner though it has its %d on disk", i.number, l.sections)
}

func (l *loop) completes(p *process, a life.CompleteHook) error {
	i := p.in
	hook := a.Hook.Hook
	i.completing = true
	waiting := hook == "stop" && i.endWait > 0 || hook == "start" && i.launchWait > 0
	if waiting && hook == "stop" && i.runner.state == runnerActive && !i.isDue(5*time.Second) {
		l.breaks("hook", "i%02d completes its termination hook while its runner runs", i.number)
	}
	if waiting && hook == "stop" && l.registered(i) && !i.isDue(time.Minute) && !l.mayStay(i) {
		l.breaks("hook", "i%02d completes its termination hook before its runner is unregistered", i.number)
	}
	if hook == "start" && a.Result == fleet.Continue && !i.flags.Registered && !i.flags.Warmed {
		l.breaks("hook", "i%02d continues its launch though nothing is registered", i.number)
	}
	if hook == "start" && a.Result == fleet.Continue && l.mode == fleet.ModeCreate && i.flags.Registered && len(i.disk)+len(i.aside) < l.sections {
		l.breaks("hook", "i%02d continues its launch with %d of its %d sections", i.number, len(i.disk)+len(i.aside), l.sections)
	}
	if hook == "start" && a.Result == fleet.Abandon {
		l.abandons(p)
	}
	died := i.answeredAt >= p.begun || i.runner.ended >= p.begun && i.answeredAt > 0 // since it was answered
	if hook == "start" && a.Result == fleet.Continue && !l.reachedGitLab(i) && !died {
		l.breaks("hook", "i%02d completes its launch hook before its runner has reached GitLab", i.number)
	}
	err := p.through(func() error {
		return l.world.Complete(l.now, a.Hook.Group, hook, a.Hook.InstanceID, string(a.Result))
	})
	l.pump()
	i.completing = false
	return err
}

// beats: a heartbeat comes in a third of the time-out, so that two may be lost. What
// hangs may keep it for as long as an action takes, and EC2's deadline for longer.
func (l *loop) beats(p *process) {
	i := p.in
	timeout := l.endHook
	if p.verb == "init" {
		timeout = l.launchHook
	}
	waits := i.beatAt > max(p.begun, i.targetAt)
	if gap := l.at - i.beatAt; waits && gap > timeout/3+actionTimeout+10*time.Second && !i.isDue(2*time.Minute) && i.spotDeadline == 0 {
		l.breaks("hook", "i%02d sends a heartbeat %s after the last one, of a hook that times out in %s", i.number, gap, timeout)
	}
}

// abandons: a launch is given up for a reason that was said, and undone first.
func (l *loop) abandons(p *process) {
	i := p.in
	switch {
	case !p.erred:
		l.breaks("hook", "i%02d abandons its launch, and no line says that someone must act", i.number)
	case i.runner.state == runnerActive && i.hurtSince(l.at-3*time.Minute) == 0:
		l.breaks("hook", "i%02d abandons its launch while its runner runs", i.number)
	case l.registered(i) && !l.mayStay(i):
		l.breaks("hook", "i%02d abandons its launch before its runner is unregistered", i.number)
	case i.onlyGitLab(i.launchWait):
		l.breaks("damping", "i%02d abandons its launch for GitLab's sake, and its replacement would fare no better", i.number)
	}
}

// onlyGitLab tells whether GitLab, or the token that all share, is all that ailed
// the instance since a time: a runner of its own that is refused was deleted.
func (i *instance) onlyGitLab(since time.Duration) bool {
	if i.l.mode == fleet.ModeCreate && i.refusedSince > 0 {
		return false
	}
	n := i.hurtSince(since, GitLabAway, GitLabSlow)
	ails := n > 0 || i.l.lasts(GitLabAway) || i.l.tokenTrouble && i.l.mode == fleet.ModeToken
	return ails && n == i.hurtSince(since)
}

// reachedGitLab tells whether the runner of an instance was ever answered.
func (l *loop) reachedGitLab(i *instance) bool {
	for _, s := range i.runner.sections {
		if s.answered > 0 {
			return true
		}
	}
	return i.flags.Warmed
}

// registered tells whether GitLab still knows a runner of the instance's.
func (l *loop) registered(i *instance) bool {
	for _, r := range l.world.AllRunners(l.now) {
		if r.Description == groupName+"/"+i.id {
			return true
		}
		for _, m := range r.Managers {
			if m.SystemID == i.system {
				return true
			}
		}
	}
	return false
}

// mayStay tells whether a runner may stay behind in GitLab: GitLab was away, the
// answer that told of it was lost, or the token is not known any longer.
func (l *loop) mayStay(i *instance) bool {
	return i.jumpedAhead() || i.hurtSince(l.at-10*time.Minute, GitLabAway, GitLabSlow) > 0 || i.orphans > 0 || l.mode == fleet.ModeToken && l.tokenEver
}

func (l *loop) unregisters(p *process) {
	i := p.in
	if i.runner.state == runnerActive && !i.isDue(5*time.Second) {
		l.breaks("hook", "i%02d unregisters its runner while it runs", i.number)
	}
	if n := i.flags.Notice; p.verb == verbShutdown && i.down == fleet.Reboot && n != nil && n.Kind == fleet.NoticeShutdown && i.inService && i.spotDeadline == 0 { // nor did anyone take it meanwhile
		l.breaks("truth", "i%02d unregisters its runner for a reboot, and comes back", i.number)
	}
}

// hookTimedOut judges a hook that nobody completed on a machine that lives.
func (i *instance) hookTimedOut(which string, since, timeout time.Duration) {
	l := i.l
	l.line(l.at, "i%02d its %s hook timed out", i.number, which)
	from := l.at - timeout - 30*time.Second
	reason := needsHook.hitSince(i, from) || l.at-since >= min(100*timeout, 48*time.Hour)-time.Second ||
		!i.up || i.down != fleet.NotGoingDown ||
		i.spotDeadline > 0 && l.at > i.spotDeadline-30*time.Second // what could hang is left out then
	if !reason {
		l.breaks("hook", "i%02d its %s hook timed out, and nothing kept it from completing", i.number, which)
		return
	}
	// Whatever failed, it is to be tried again: a heartbeat in a third of the time-out.
	if tried := l.at - max(i.beatAt, i.soughtAt); i.beatAt >= since && tried > max(timeout*6/10, 25*time.Second) && !needsMachine.hitSince(i, from) && i.up && i.down == fleet.NotGoingDown && i.spotDeadline == 0 &&
		!i.isDue(5*time.Second) && // the jobs' end comes first then
		!(which == "launch" && i.erred && i.units[unitInit].main == nil) { // it gave up and has said so
		l.breaks("hook", "i%02d its %s hook timed out, and nobody has tried to extend it for %s", i.number, which, tried)
		return
	}
	i.hookOver = true
	if which == "termination" && i.takenUnseen(since, timeout) {
		l.breaks("hook", "i%02d was taken by its group, and monitor, which sees it in lifecycle-check's place, does not drain it", i.number)
		return
	}
	if i.explained(which, from) {
		return
	}
	if i.warnedAt < since && i.spotDeadline == 0 && i.hurtSince(from, AWSSlow, Slow, Hang) == 0 && // a slow answer, or one that is waited for, is no failure to tell of
		!i.isDue(5*time.Second) && i.up && i.hurtSince(from, Reboot, SoftReboot, PowerOff) == 0 { // who was off cannot tell
		l.breaks("hook", "i%02d its %s hook timed out, and no line says why", i.number, which)
	}
}

// jumpedAhead tells whether the clock was set forward, since the notice, by more than a
// hook may wait: to a drain that was killed and runs again all its time is over.
func (i *instance) jumpedAhead() bool {
	return i.flags.Notice != nil && i.offset > 50*time.Minute && i.hurtSince(i.noticeAt, ClockJump) > 0
}
