package simulate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/world"
)

// plan arms a fault, or has it begin at its time.
func (l *loop) plan(f *Fault) {
	if f.Kind.atEvent() {
		l.armed[atEvents] = append(l.armed[atEvents], &armed{Fault: f})
		return
	}
	if f.Kind.atAction() && f.Verb == verbHook {
		l.armed[hookHost] = append(l.armed[hookHost], &armed{Fault: f})
		return
	}
	if f.Kind.atAction() {
		l.armed[f.Instance] = append(l.armed[f.Instance], &armed{Fault: f})
		return
	}
	if f.Since != "" {
		l.waits[f.Instance] = append(l.waits[f.Instance], f)
		return
	}
	l.after(f.At, func() { l.strike(f) })
}

// strike is the beginning of a fault at a time.
func (l *loop) strike(f *Fault) {
	switch f.Verb {
	case verbReap:
		l.strikeReaper(f)
		return
	case verbHook:
		l.strikeHook(f)
		return
	}
	var i *instance
	if f.Instance > 0 {
		if i = l.pickAlive(f.Instance); i == nil {
			return
		}
	}
	l.strikeAt(f, i)
}

// strikeAt is strike where the instance is known; nil is the whole fleet.
func (l *loop) strikeAt(f *Fault, i *instance) {
	l.struck[f] = true
	switch f.Kind {
	case AWSThrottles, AWSAway, AWSSlow, AWSStale, HeartbeatsLost, GitLabAway, GitLabSlow, MetadataSick, DiskFull, RunnerMute:
		l.open(f, i)
	case TokenRevoked, TokenRotated:
		l.tokenFault(f)
	case DesiredZero, Refresh, Suspend, DeleteRunners, Standby, Detach, ScaleInByHand, BoundsChange, AZRebalance:
		l.byHand(f, i)
	default:
		l.strikeInstance(f, i)
	}
}

// open begins a fault that lasts. None outlives the troubled time: afterwards
// the fleet is to mend itself.
func (l *loop) open(f *Fault, i *instance) {
	w := &window{Fault: f, in: i, until: min(l.at+f.For, l.quietAt+5*time.Minute)}
	l.windows = append(l.windows, w)
	who := "everywhere"
	if i != nil {
		who = i.id
	}
	l.line(l.at, "fault begins: %s %s until %s", f.Kind, who, clock(w.until))
	l.after(max(0, w.until-l.at), func() {
		l.line(l.at, "fault ends: %s %s", f.Kind, who)
		l.windows = slices.DeleteFunc(l.windows, func(o *window) bool { return o == w })
		if w.ofHook() {
			return
		}
		l.calmAt = l.at
		if l.reaper != nil && f.Kind.ofFleet() { // from then on it can have all again
			l.reaper.host.hurt(l.at, local, f.Kind)
		}
	})
}

// strikeInstance is what happens to one instance.
func (l *loop) strikeInstance(f *Fault, i *instance) {
	l.hitBy(f, nil, i.id)
	i.hurt(l.at, local, f.Kind)
	switch f.Kind {
	case Reboot, SoftReboot, PowerOff:
		l.powerFault(f, i)
	case RunnerKill:
		if i.runner.state == runnerActive {
			i.runner.kill()
			i.toPage(f)
		}
	case RunnerDeaf:
		if i.runner.state == runnerActive && !i.runner.quitting {
			i.runner.deafen(f)
		}
	case ClockJump:
		i.offset += f.Amount
		i.changedFlags()
		i.unseen = append(i.unseen, f)
	case UnitRestart:
		l.restartUnits(f, i)
	case UnitBroken:
		l.breakUnits(f, i)
	default:
		if l.ec2Fault(f, i) {
			i.unseen = append(i.unseen, f)
		}
	}
}

// ec2Fault is what EC2 does to an instance, and whether that is news: it does
// not change its mind about an interruption.
func (l *loop) ec2Fault(f *Fault, i *instance) bool {
	w := l.world
	m, _ := w.Metadata(l.now, i.id)
	switch f.Kind {
	case Spot, SpotLate:
		return w.Interrupt(l.now, i.id, f.Amount) == nil && m.Spot == nil
	case SpotAgain:
		_ = w.RecommendRebalance(l.now, i.id)
		_ = w.Interrupt(l.now, i.id, 0)
		_, _ = w.Terminate(l.now, i.id, false)
		return m.Spot == nil || m.Rebalance.IsZero() || m.Target != world.Terminated
	case Rebalance:
		return w.RecommendRebalance(l.now, i.id) == nil && m.Rebalance.IsZero()
	case Maintenance:
		retires := world.Maintenance{Code: "instance-retirement", Description: "hardware", NotBefore: l.now.Add(24 * time.Hour)}
		return w.ScheduleMaintenance(l.now, i.id, retires) == nil
	}
	return w.Crash(l.now, i.id) == nil
}

// powerFault ends what the instance runs, unless it is going down already.
func (l *loop) powerFault(f *Fault, i *instance) {
	if i.up && !i.dead && i.down == fleet.NotGoingDown {
		l.counts(f)
	}
	if f.Kind == PowerOff {
		i.poweredOff = i.poweredOff || i.down == fleet.NotGoingDown // a reboot goes on as one
		i.goDown(fleet.PowerOff)
		return
	}
	i.soft = f.Kind == SoftReboot
	i.goDown(fleet.Reboot)
}

// restartUnits is an upgrade of the package.
func (l *loop) restartUnits(f *Fault, i *instance) {
	for _, u := range []unitID{unitCheck, unitMonitor} {
		if u := &i.units[u]; u.state == unitRunning {
			l.counts(f)
			u.stop()
			u.start()
		}
	}
}

// tokenFault takes the fleet's token away, for a while.
func (l *loop) tokenFault(f *Fault) {
	if l.tokenTrouble || l.at+f.For > l.quietAt {
		return
	}
	l.tokenTrouble, l.tokenEver = true, true
	l.tokenBy = f
	l.hitBy(f, nil, "")
	mend := l.revoke(f.Kind == TokenRotated)
	l.after(f.For, func() {
		l.line(l.at, "fault ends: %s", f.Kind)
		mend()
		l.tokenTrouble, l.tokenBy = false, nil
		l.calmAt = l.at
	})
}

// revoke makes the token worthless, and returns what mends it: the same token
// is taken again, or, where it was rotated, the new one stands in the store.
func (l *loop) revoke(rotated bool) func() {
	l.tokens.serial++
	if l.mode != fleet.ModeToken {
		l.world.RevokeAccessToken(l.tokens.right)
		return func() {
			if rotated {
				l.tokens.right = "glpat-create-" + strconv.Itoa(l.tokens.serial)
				l.tokens.stored = l.tokens.right
			}
			l.allowToken()
		}
	}
	if rotated {
		t, err := l.world.ResetTokenByID(l.now, adminToken, l.tokens.shared)
		if err == nil {
			l.tokens.right = t.Token
		}
		return func() { l.tokens.stored = l.tokens.right }
	}
	_ = l.world.DeleteRunner(l.now, adminToken, l.tokens.shared)
	old := l.tokens.right
	return func() {
		t := l.world.AddRunner(l.now, l.sharedRunner(old))
		l.tokens.shared, l.tokens.right = t.ID, t.Token
	}
}

// byHand is what an operator does.
func (l *loop) byHand(f *Fault, i *instance) {
	w := l.world
	l.moved = true
	g := w.Groups(l.now, groupName)[0]
	id := ""
	if i != nil {
		id = i.id
	}
	switch f.Kind {
	case DesiredZero, BoundsChange, ScaleInByHand:
		l.calmAt = l.at
	}
	switch f.Kind {
	case DesiredZero:
		zero := 0
		if w.UpdateGroup(l.now, groupName, world.GroupUpdate{Min: &zero, Desired: &zero}) == nil {
			l.hitGroup(f, g.Desired > 0)
			l.after(f.For, func() { l.setBounds(l.low, l.high) })
		}
	case BoundsChange:
		high := max(l.low, g.Max-f.Count)
		if w.UpdateGroup(l.now, groupName, world.GroupUpdate{Max: &high}) == nil {
			l.hitGroup(f, high != g.Max)
			l.after(f.For, func() { l.setBounds(l.low, l.high) })
		}
	case ScaleInByHand:
		if w.SetDesired(l.now, groupName, max(g.Min, g.Desired-f.Count)) == nil {
			l.hitGroup(f, g.Desired > g.Min)
		}
	case Suspend:
		l.suspend(f)
	case Refresh:
		l.hitGroup(f, true) // the template's version is another
		l.refresh(f)
	case AZRebalance:
		for range max(1, f.Count) {
			l.hitGroup(f, w.RebalanceZones(l.now, groupName) == nil)
		}
	case DeleteRunners:
		l.deleteRunners(f)
	case Standby:
		if _, err := w.EnterStandby(l.now, groupName, g.Desired > g.Min, id); err == nil {
			l.hitBy(f, nil, id)
			i.unseen = append(i.unseen, f)
			l.after(f.For, func() { _, _ = w.ExitStandby(l.now, groupName, id) })
		}
	case Detach:
		if _, err := w.Detach(l.now, groupName, g.Desired > g.Min, id); err == nil {
			l.hitBy(f, nil, id)
			i.unseen = append(i.unseen, f)
			i.detachedAt = l.at
		}
	}
}

// hitGroup tells of a fault that strikes the group, and whether that changed it.
func (l *loop) hitGroup(f *Fault, changed bool) {
	l.hitBy(f, nil, "")
	if changed {
		l.changesGroup(f)
	}
}

func (l *loop) setBounds(low, high int) {
	l.moved = true
	l.calmAt = l.at // until then nobody could grow the group, or it was too small to tell of its queue
	_ = l.world.UpdateGroup(l.now, groupName, world.GroupUpdate{Min: &low, Max: &high})
}

// suspend keeps the group from acting for a while.
func (l *loop) suspend(f *Fault) {
	if l.world.Suspend(l.now, groupName, f.suspends()...) != nil {
		return
	}
	l.hitBy(f, nil, "")
	l.suspends = append(l.suspends, f)
	l.after(f.For, func() {
		l.suspends = slices.DeleteFunc(l.suspends, func(o *Fault) bool { return o == f })
		l.calmAt = l.at
		if len(l.suspends) == 0 {
			_ = l.world.Resume(l.now, groupName)
		}
	})
}

// suspends are the group's processes that a fault suspends.
func (f *Fault) suspends() []string {
	var processes []string
	for n, p := range []string{"Launch", "Terminate", "ReplaceUnhealthy"} {
		if f.Count>>n&1 == 1 {
			processes = append(processes, p)
		}
	}
	return processes
}

// refresh replaces every instance that is idle, a few at a time, and waits at
// most an hour for the busy ones, as an instance refresh does.
func (l *loop) refresh(f *Fault) {
	end := l.at + f.For
	l.template++
	version := strconv.Itoa(1 + l.template)
	_ = l.world.UpdateGroup(l.now, groupName, world.GroupUpdate{TemplateVersion: &version})
	var round func()
	round = func() {
		if l.at >= end {
			return
		}
		left := 0
		for _, i := range l.world.Groups(l.now, groupName)[0].Instances {
			if i.TemplateVersion != version && i.State == world.InService && !i.Protected && left < 2 {
				_, _ = l.world.Terminate(l.now, i.ID, false)
				left++
			}
		}
		l.after(time.Minute, round)
	}
	round()
}

// deleteRunners deletes runners in GitLab by hand.
func (l *loop) deleteRunners(f *Fault) {
	if l.mode == fleet.ModeToken {
		return // that would be the token revoked
	}
	all := slices.DeleteFunc(l.world.AllRunners(l.now), func(r world.Runner) bool { return l.reaper.knows(r.Description) })
	for n := range min(f.Count, len(all)) {
		r := all[(f.Instance+n*7)%len(all)]
		if l.world.DeleteRunner(l.now, adminToken, r.ID) == nil {
			l.hitBy(f, nil, r.Description)
			if i := l.byID[strings.TrimPrefix(r.Description, groupName+"/")]; i != nil {
				i.unseen = append(i.unseen, f)
			}
		}
	}
}
