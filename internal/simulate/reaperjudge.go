package simulate

import (
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// instanceOf is the instance of a runner of the group's; else the whole text, which
// is none's.
func instanceOf(description string) string { return strings.TrimPrefix(description, groupName+"/") }

// judgeReaped judges a deletion before it takes place.
func (l *loop) judgeReaped(r world.Runner) {
	x := l.reaper
	i := l.byID[instanceOf(r.Description)]
	switch {
	case l.mode == fleet.ModeToken:
		l.breaks("reap", "i00 deletes runner %d (%s), and instances share theirs", r.ID, r.Description)
	case i == nil && !x.early[r.Description]:
		l.breaks("reap", "i00 deletes runner %d (%s), which is not an instance's of its group", r.ID, r.Description)
	case x.looked != r.ID:
		l.breaks("reap", "i00 deletes runner %d (%s) without having looked at it", r.ID, r.Description)
	case i != nil:
		l.judgeGone("deletes a runner of", i)
	}
}

// judgeFreed judges a completion before it takes place.
func (l *loop) judgeFreed(a life.CompleteHook) {
	i := l.byID[a.Hook.InstanceID]
	if want := map[string]fleet.HookResult{"stop": fleet.Continue, "start": fleet.Abandon}[a.Hook.Hook]; i == nil || a.Result != want {
		l.breaks("reap", "i00 completes hook %q of %s with %s", a.Hook.Hook, a.Hook.InstanceID, a.Result)
		return
	}
	l.judgeGone("completes the hook of", i)
}

// judgeGone: nothing is done about an instance that is there, nor before it was seen
// gone twice.
func (l *loop) judgeGone(what string, i *instance) {
	switch {
	case !i.dead:
		l.breaks("reap", "i00 %s i%02d, which lives", what, i.number)
	case l.at-i.diedAt < reapApart:
		l.breaks("reap", "i00 %s i%02d %s after it died: it cannot have looked twice", what, i.number, l.at-i.diedAt)
	}
}

// saysReaped: who says that a runner was deleted has seen to it.
func (l *loop) saysReaped(line string) {
	text, ok := strings.CutPrefix(line, "deleted runner ")
	if !ok {
		return
	}
	for _, r := range l.world.AllRunners(l.now) {
		if strings.HasPrefix(text, sprintf("%d of ", r.ID)) {
			l.breaks("truth", "i00 says %q, and GitLab has it", line)
		}
	}
}

// reapExcuses are the faults after which it may have to begin anew. What hits one
// request is tried again within the round, what is old is so for seconds: the fifteen
// minutes have room for both.
var reapExcuses = []Kind{KillBefore, KillAfter, UnitRestart, AWSThrottles, AWSAway, AWSSlow, GitLabAway, GitLabSlow, TokenRevoked, TokenRotated}

// freeSince is since when nothing keeps the reaper from its work.
func (x *reaper) freeSince() time.Duration {
	for n := len(x.host.hurts) - 1; n >= 0; n-- {
		for _, k := range reapExcuses {
			if x.host.hurts[n].kind == k {
				return max(x.host.hurts[n].at, x.unit.begunAt())
			}
		}
	}
	return x.unit.begunAt()
}

// begunAt is when the main process began; now, where there is none.
func (u *unit) begunAt() time.Duration {
	if u.main == nil {
		return u.in.l.at
	}
	return u.main.begun
}

// lookAtGhosts looks once a minute for what the reaper should have cleared away.
func (l *loop) lookAtGhosts() {
	x := l.reaper
	if x == nil {
		return
	}
	free := x.freeSince()
	if l.at-free <= reapedWithin {
		return
	}
	if l.mode != fleet.ModeToken && l.anyUnlaid(free) {
		l.lookAtGhostRunners(free)
	}
	for _, m := range l.pictures[len(l.pictures)-1].view.Instances {
		i := l.byID[m.ID]
		if i.dead && (m.State == fleet.TerminatingWait || m.State == fleet.PendingWait) && l.at-max(i.diedAt, free) > reapedWithin {
			l.haunts(m.ID, "hook", "i%02d has died %s ago, and its group waits for it in %s", i.number, l.at-i.diedAt, m.State)
		}
	}
}

// anyUnlaid tells whether somebody is gone for so long that nothing of it may be left,
// and was not looked for since: the list need not be read each minute.
func (l *loop) anyUnlaid(free time.Duration) bool {
	any := !l.reaper.earlyLaid
	l.reaper.earlyLaid = true
	for _, i := range l.instances {
		if i.dead && !i.laid && l.at-max(i.diedAt, free) > reapedWithin {
			i.laid, any = true, true // unless a runner is found
		}
	}
	return any
}

// lookAtGhostRunners: a clock that is behind makes the last contact later than the
// reaper's first look, until it has caught up.
func (l *loop) lookAtGhostRunners(free time.Duration) {
	behind := max(0, -l.reaper.host.offset)
	for _, r := range l.world.AllRunners(l.now) {
		i, gone := l.byID[instanceOf(r.Description)], strangersCome
		switch {
		case i != nil && i.dead:
			i.laid, gone = false, i.diedAt+behind
		case l.reaper.early[r.Description]:
			l.reaper.earlyLaid = false
		default:
			continue
		}
		if l.at-max(gone, free) > reapedWithin {
			l.haunts(r.Description, "ghost", "%s is gone for %s, and its runner %d is still in GitLab", r.Description, l.at-gone, r.ID)
		}
	}
}

// haunts says it once.
func (l *loop) haunts(who, promise, format string, args ...any) {
	if !l.reaper.said[who] {
		l.reaper.said[who] = true
		l.breaks(promise, format, args...)
	}
}

// judgeReaper is at the end: what stays behind, and what it has asked for. A round
// is a look at the group, a list, a question to EC2, and the hooks where somebody
// died in one; a runner is looked at and deleted.
func (l *loop) judgeReaper() {
	x := l.reaper
	if x == nil {
		return
	}
	l.lookAtGhosts()
	rounds := int(x.host.starts[verbReap]) + int(l.at/reapEvery) + 1 //nolint:gosec // small
	pages := 1 + x.most/l.reap.perPage
	if x.host.hurtSince(0, ClockJump) > 0 { // a runner that was used after its instance was gone, by that clock, is looked at each time
		pages++
	}
	deeds := x.reaped + x.freed + x.host.hurtSince(0)
	switch {
	case x.lists > rounds:
		l.breaks("budget", "i00 has listed the runners %d times in %d rounds", x.lists, rounds)
	case x.host.callsAWS > 3*rounds+2*deeds:
		l.breaks("budget", "i00 made %d calls to AWS in %d rounds", x.host.callsAWS, rounds)
	case x.host.callsGitLab > pages*rounds+4*deeds:
		l.breaks("budget", "i00 made %d calls to GitLab in %d rounds", x.host.callsGitLab, rounds)
	}
	l.line(l.at, "i00 has deleted %d runners and completed %d hooks in %d lists", x.reaped, x.freed, x.lists)
}
