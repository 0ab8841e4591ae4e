package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// What a command says must be so: its exit code, the notice that it writes, and a
// line for each thing that it changed and for each failure that it ends with.

// ends holds the end of a command against what is so. One that was asked to stop
// promises nothing.
func (l *loop) ends(p *process, x life.Exit) {
	if !p.asked && !p.saidWhy(x.Code) {
		l.breaks("silence", "i%02d %s exits %d and no line said why: %s", p.in.number, p.verb, int(x.Code), x.Summary)
	}
	if p.asked || p.in.down != fleet.NotGoingDown {
		return
	}
	switch p.verb {
	case "unregister":
		l.endsUnregister(p, x)
	case "init":
		l.endsInit(p, x)
	case "lifecycle-check":
		if x.Code == life.Done && p.in.flags.Notice == nil {
			l.breaks("truth", "i%02d lifecycle-check exits 0 and there is no notice", p.in.number)
		}
	}
}

// saidWhy tells whether a line says why a command ends as it does. One that is not
// run again by itself needs someone who acts; a refusal that lasts is said once, and
// one that changes nothing is monitor's to tell of, for its runner is refused alike.
func (p *process) saidWhy(code life.ExitCode) bool {
	switch code {
	case life.Done:
		return true
	case life.TryAgain:
		return p.complained
	case life.Refused:
		return p.erred || p.in.erred || p.verb == "init" && p.in.flags.Registered
	}
	return p.erred
}

func (l *loop) endsUnregister(p *process, x life.Exit) {
	i := p.in
	i.drainRefused = x.Code == life.Refused || x.Code == life.BadUsage
	if x.Code != life.Done || i.flags.Notice == nil {
		return
	}
	switch {
	case i.runner.state == runnerActive:
		l.breaks("truth", "i%02d unregister exits 0 and its runner runs", i.number)
	case i.reg != nil:
		l.breaks("truth", "i%02d unregister exits 0 and its registration is still on disk", i.number)
	case i.orphans == 0 && !(l.mode == fleet.ModeToken && l.tokenEver) && l.registered(i):
		l.breaks("truth", "i%02d unregister exits 0 and GitLab still knows its runner", i.number)
	case i.flags.Registered:
		l.breaks("truth", "i%02d unregister exits 0 and systemd may still start its runner", i.number)
	case l.stateOf(i) == world.TerminatingWait && l.at-i.endWait > 45*time.Second:
		l.breaks("truth", "i%02d unregister exits 0 and its hook still waits", i.number)
	}
}

func (l *loop) endsInit(p *process, x life.Exit) {
	i := p.in
	waits := l.stateOf(i) == world.PendingWait
	switch {
	case x.Code == life.Done && (i.flags.Notice != nil || i.flags.Warmed || l.targetOf(i) != world.InService):
	case x.Code == life.Done && (!i.flags.Registered || i.runner.state == runnerDown):
		l.breaks("truth", "i%02d init exits 0 and its runner does not run", i.number)
	case x.Code == life.Done && waits && l.at-i.launchWait > 30*time.Second:
		l.breaks("truth", "i%02d init exits 0 and its launch hook still waits", i.number)
	case (x.Code == life.Failed || x.Code == life.Refused) && waits && !needsAWS.hitSince(i, l.at-3*time.Minute):
		l.breaks("hook", "i%02d init gives up and leaves its launch hook waiting", i.number)
	case x.Code == life.Failed && (i.flags.Registered || i.runner.state == runnerActive):
		l.breaks("truth", "i%02d init gives up and leaves its runner behind", i.number)
	}
}

func (l *loop) stateOf(i *instance) world.State {
	if list := l.world.Instances(l.now, i.id); len(list) > 0 {
		return list[0].State
	}
	return ""
}

func (l *loop) targetOf(i *instance) world.State {
	m, _ := l.world.Metadata(l.now, i.id)
	return m.Target
}

// clockSlack is how wrong a clock may be and yet be believed.
const clockSlack = 35 * time.Second

// writesNotice holds a notice against what the outside tells: what is not known
// is no notice.
func (i *instance) writesNotice(p *process, n fleet.Notice) {
	l, verb := i.l, p.verb
	m, ok := l.world.Metadata(l.now, i.id)
	i.noticeBy = verb
	detached := n.Kind == fleet.NoticeDetached && m.Target == world.Detached
	if verb == "monitor" && !detached && (n.Kind != fleet.NoticeScaleIn || m.Target != world.Terminated) {
		l.breaks("notice", "i%02d monitor writes a notice (%s) though its group does not take it", i.number, n.Kind)
	}
	if verb != "lifecycle-check" || !ok {
		return
	}
	so := true
	switch n.Kind {
	case fleet.NoticeScaleIn:
		so = m.Target == world.Terminated
	case fleet.NoticeDetached:
		so = m.Target == world.Detached
	case fleet.NoticeSpot:
		so = m.Spot != nil
	case fleet.NoticeRebalance:
		so = !m.Rebalance.IsZero() && l.leavesOnRebalance()
	case fleet.NoticeMaintenance:
		so = len(m.Maintenance) > 0
	}
	// A notice that comes late, or seems to, on a clock that was set: nobody can know how much is left.
	seemsLate := n.Deadline != nil && n.Deadline.Sub(p.clock()) >= 0 && n.Deadline.Sub(p.clock()) < 100*time.Second
	blind := (i.spotDeadline-i.spotAt < 100*time.Second || seemsLate) && i.hurtSince(0, ClockJump) > 0
	if d := n.Deadline; d != nil && n.Kind == fleet.NoticeSpot && so && !blind {
		given, left := d.Sub(p.clock()), i.spotDeadline-l.at
		if given > left+clockSlack || given < left-time.Minute {
			l.breaks("notice", "i%02d writes down %s until EC2 takes it, and it is %s", i.number, given, left)
		}
	}
	if !so && l.at-i.targetAt > 30*time.Second {
		l.breaks("notice", "i%02d writes a notice (%s) though nothing takes it", i.number, n.Kind)
	}
}

// has takes in what an action came to.
func (p *process) has(a life.Action, f *fleet.Failure) {
	if f != nil {
		p.fails(a)
		return
	}
	if worthALine(a) && !(p.verb == "init" && !p.in.flags.Registered && p.complained) { // what init undoes it has told of
		p.owesLine = nameOf(a)
	}
	if t, ok := a.(life.TerminateSelf); ok && !t.Decrement {
		p.replaced = true
	}
}

// failuresMost is how many calls of one process may fail within a minute: tried
// again after a pause that grows, or after three seconds, they are half as many.
const failuresMost = 40

// fails counts calls that failed. Heartbeats have a budget of their own.
func (p *process) fails(a life.Action) {
	switch a.(type) {
	case life.FindGroup, life.DescribeHooks, life.TerminateSelf, life.CompleteHook: // without these nobody knows what to extend, or it is over
		p.in.soughtAt = p.in.l.at
	}
	if _, heartbeat := a.(life.Heartbeat); heartbeat || classOf(a) < remote {
		return
	}
	l := p.in.l
	if classOf(a) == gitlab {
		p.in.failedGitLab++
	} else {
		p.in.failedAWS++
	}
	if minute := l.at / time.Minute; minute != p.failedIn {
		p.failedIn, p.failures = minute, 0
	}
	if p.failures++; p.failures == failuresMost {
		l.breaks("budget", "i%02d %s has %d calls fail within a minute, the last %s", p.in.number, p.verb, failuresMost, nameOf(a))
	}
}

// saidAll is after a step: what was done is told by then, and what was decided is
// asked for.
func (l *loop) saidAll(p *process, next life.Action) {
	_, exits := next.(life.Exit)
	if p.owesLine != "" && !exits {
		l.breaks("silence", "i%02d %s has done %s and does not say so", p.in.number, p.verb, p.owesLine)
	}
	p.owesLine = ""
	want := p.owesRaise
	if p.owesMax && want == 0 && !p.complained && !p.asked {
		l.breaks("silence", "i%02d leaves desired at its maximum of %d, which the queue needs more than, and does not say so", p.in.number, p.listed.Max)
	}
	p.owesRaise, p.owesMax = 0, false
	if want == 0 || p.asked {
		return
	}
	if set, ok := next.(life.SetDesired); !ok || set.Desired < want {
		l.breaks("target", "i%02d leaves desired at %d though %d instances are needed", p.in.number, p.listed.Desired, want)
	}
}

// worthALine tells whether an action changes what others see: it is worth a line.
func worthALine(a life.Action) bool {
	switch a.(type) {
	case life.SetDesired, life.SetProtection, life.TerminateSelf, life.SetUnhealthy, life.CompleteHook, life.CreateRunner, life.RegisterRunner, life.DeleteRunner, life.DeleteManager, life.DeleteRunnerByID:
		return true
	}
	return false
}

// sameLines is how often one process may say the same within an hour.
const sameLines = 30

// sameLinesOfHook is the same for the webhook's, which raises for a whole group: where
// nobody takes the jobs it may do so every few minutes for each of the instances that
// leave.
const sameLinesOfHook = 90

// hears takes a line of a machine in.
func (i *instance) hears(p *process, s life.Say) {
	loud := s.Level == life.Warn || s.Level == life.Error
	complains := loud || s.Err != nil && p.complained // a failure that goes on is said once, then at level debug
	p.complained = p.complained || loud
	if s.Level == life.Error {
		p.erred, i.erred = true, true
	}
	if complains && (p.verb != "monitor" || i.units[unitInit].broken != nil || i.units[unitCheck].broken != nil) && p.verb != "scale-up" { // who else could tell of those?
		i.warnedAt = i.l.at
	}
	if s.Level == life.Debug {
		return
	}
	if p.owesLine != "" && len(s.Decision.Reasons) == 0 && s.Err == nil {
		i.l.breaks("silence", "i%02d %s has done %s and does not say why: %s", i.number, p.verb, p.owesLine, s.Decision.Action)
	}
	if i.isReaper() {
		i.l.saysReaped(s.Decision.Action)
	}
	p.owesLine = ""
	hour := i.l.at / time.Hour
	if hour != p.linesHour || p.lines == nil {
		p.lines, p.linesHour = map[string]int{}, hour
	}
	most := sameLines
	if i.isHook() {
		most = sameLinesOfHook
	}
	if p.lines[s.Decision.Action]++; p.lines[s.Decision.Action] == most {
		i.l.breaks("noise", "i%02d %s says %d times within an hour: %s", i.number, p.verb, most, s.Decision.Action)
	}
}
