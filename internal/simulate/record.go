package simulate

import (
	"slices"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// record is what the loop itself saw, for the judge.
type record struct {
	struck      map[*Fault]bool // those that began
	broken      []Broken
	finished    int
	interrupted int
	lost        int
	gone        int
	callsAWS    int // of the machines
	callsGitLab int
	pollsGitLab int // of the runners

	waiting      int // jobs
	queuedJobs   []queuedJob
	starves      int           // looks in a row that found a queue which nobody follows
	calmAt       time.Duration // the last fault that lasts ended
	tokenTrouble bool
	tokenBy      *Fault // the trouble's
	tokenEver    bool
	template     int
	alive, peak  int // instances
	condemned    []condemnation
}

type queuedJob struct {
	id int64
	at time.Duration
}

type condemnation struct {
	at time.Duration
	in *instance
}

// instanceRecord is what the loop saw of one instance.
type instanceRecord struct {
	downAt       time.Duration // the operating system began to shut down
	death        world.Reason
	poweredOff   bool
	noticeAt     time.Duration // a notice was written
	answeredAt   time.Duration // GitLab's last answer to its runner
	noticeKind   fleet.NoticeKind
	spotAt       time.Duration
	spotDeadline time.Duration
	detachedAt   time.Duration

	launchWait   time.Duration // since when its launch hook waits
	endWait      time.Duration // since when its termination hook waits
	inService    bool
	serviceAt    time.Duration
	workedAt     time.Duration // shared trouble does not count
	trulyAt      time.Duration // it worked
	refusedSince time.Duration // GitLab refuses its polls

	callsAWS     int
	heartbeats   int // among them
	callsGitLab  int
	failedAWS    int // calls, among them those that came to nothing on the way; not heartbeats
	failedGitLab int
	warnedAt     time.Duration // a line told of a failure, by what completes hooks
	erred        bool          // one told that someone must act
	hurts        []hurt
	orphans      int // runners made whose answer no process was told
	starts       map[string]uint64
	reaped       int  // its runners that the reaper deleted
	laid         bool // it is gone, and no runner of its is left
	completing   bool
	refused      bool // init was, for good
	hookOver     bool // its termination hook timed out, and that is excused

	owed         [16]time.Duration // by duty; below 0: said
	drainRefused bool              // unregister was, for good
	jobAt        time.Duration     // a job came or ended
	kept         time.Duration     // it was idle while the group was at its minimum
	targetAt     time.Duration     // its lifecycle changed
	beatAt       time.Duration     // a heartbeat was asked for
	soughtAt     time.Duration     // what a heartbeat needs was asked for in vain
	heldAt       time.Duration     // the sections were taken out
	orphanAt     time.Duration     // a runner was made whose answer no process was told
	searchedAt   time.Duration     // for such a one
	restAt       time.Duration     // since when nothing happens
	restCalls    int               // until then
}

type hurt struct {
	at    time.Duration
	class class
	kind  Kind
}

// breaks notes a promise that does not hold.
func (l *loop) breaks(promise, format string, args ...any) {
	l.line(l.at, "BROKEN "+promise+": "+format, args...)
	if len(l.broken) < 50 {
		l.broken = append(l.broken, Broken{Promise: promise, At: l.at, What: sprintf(format, args...)})
	}
	l.ended = l.ended || promise == l.stop
}

// hurt notes that a fault hit this instance.
func (i *instance) hurt(at time.Duration, c class, k Kind) {
	if n := len(i.hurts); n > 0 && i.hurts[n-1].kind == k && i.hurts[n-1].class == c && at-i.hurts[n-1].at < time.Second {
		i.hurts[n-1].at = at
		return
	}
	i.hurts = append(i.hurts, hurt{at, c, k})
}

// hurtSince counts the faults since a time, of these kinds where some are given.
func (i *instance) hurtSince(from time.Duration, kinds ...Kind) int {
	n := 0
	for _, h := range i.hurts {
		if h.at < from {
			continue
		}
		for _, k := range kinds {
			if k == h.kind {
				n++
			}
		}
		if len(kinds) == 0 {
			n++
		}
	}
	return n
}

// lasting are the faults that can keep a machine from its work for longer than
// its patience.
var lasting = []Kind{AWSThrottles, AWSAway, AWSSlow, HeartbeatsLost, GitLabAway, GitLabSlow, MetadataSick, DiskFull, RunnerMute}

// runs counts the starts of a verb.
func (i *instance) runs(verb string) uint64 {
	if i.starts == nil {
		i.starts = map[string]uint64{}
	}
	i.starts[verb]++
	return i.starts[verb]
}

func (i *instance) noticed(at, deadline time.Duration) {
	i.spotAt, i.spotDeadline = at, deadline
}

// moved takes a lifecycle change in.
func (i *instance) moved(e world.InstanceChanged) {
	l := i.l
	i.targetAt = l.at
	switch e.To {
	case world.PendingWait:
		i.launchWait = l.at
	case world.InService:
		i.inService, i.serviceAt, i.workedAt, i.trulyAt = true, l.at, l.at, l.at
	case world.TerminatingWait:
		i.endWait = l.at
	case world.TerminatingProceed:
		if e.From == world.TerminatingWait && !i.completing && !i.dead {
			i.hookTimedOut("termination", i.endWait, l.endHook)
		}
	case world.Terminating:
		if r, ok := l.world.Instance(l.now, i.id); ok && r.Reason == world.ReasonLaunchTimeout && !i.dead {
			i.hookTimedOut("launch", i.launchWait, l.launchHook)
		}
	}
	if e.To != world.InService {
		i.inService = false
	}
}

// exits takes the end of a command in. An init that is refused for good is not
// run again by systemd: where the token was to blame, which the fleet shares, the
// instance waits for its operator.
func (i *instance) exits(p *process, x life.Exit) {
	if p.verb == "init" {
		i.refused = x.Code == life.Refused
	}
}

// heard is what one process was told: the ground of what it decides.
type heard struct {
	listed   fleet.Group
	listedAt time.Duration
	obs      fleet.Observation
	obsAt    time.Duration
	heldAt   time.Duration
	before   fleet.Observation // the reading before obs
	readings int
	fresh    bool          // obs tells the queue's length anew
	actsAt   time.Duration // activities were read
	setAt    time.Duration // desired was last set, or tried to be
	leftAt   time.Duration // the same of leaving

	owesLine   string         // what was done and must be said
	owesRaise  int            // desired is to be raised to this now
	owesMax    bool           // that the maximum forbids it is to be said
	toGo       bool           // a notice was read
	complained bool           // a line told of a failure
	erred      bool           // and that someone must act
	replaced   bool           // it has terminated itself without decrement
	lines      map[string]int // within this hour
	linesHour  time.Duration
	failures   int // within this minute
	failedIn   time.Duration
}

func (p *process) hear(v any) {
	switch v := v.(type) {
	case fleet.Flags:
		p.toGo = v.Notice != nil
	case fleet.Group:
		p.listed, p.listedAt = v, p.in.l.at
		if p.verb == "scale-up" {
			p.owesRaise, p.owesMax = p.wants()
		}
	case []fleet.Activity:
		p.actsAt = p.in.l.at
	case fleet.RegisteredRunner:
		p.unsaved++
	case fleet.Observation:
		p.before, p.obs, p.obsAt = p.obs, v, p.in.l.at
		p.readings++
		p.fresh = p.readings > 1 && newsOfQueue(p.before, v)
	case nil:
		switch p.action.(type) {
		case life.HoldRunner:
			p.heldAt = p.in.l.at
		case life.WriteRegistration:
			p.unsaved = 0
		}
	}
}

// capacity holds desired within its bounds.
func (l *loop) capacity(e world.CapacityChanged) {
	g := l.world.Groups(l.now, groupName)[0]
	if e.To < g.Min || e.To > g.Max {
		l.breaks("bounds", "desired %d by %s is outside of %d..%d", e.To, e.By, g.Min, g.Max)
	}
}

func (l *loop) jobEnded(e world.JobFinished) {
	if j := l.jobs[e.Job]; j != nil && (e.FailureReason == world.FailedStuck || e.FailureReason == world.FailedTimeout) && j.fate == jobRuns {
		l.line(l.at, "i%02d job %d is given up by GitLab: %s", j.in.number, j.id, e.FailureReason)
	}
}

// isDue tells whether EC2, or a shutdown, is about to end the instance: then
// steps are left out, and jobs are ended.
func (i *instance) isDue(slack time.Duration) bool {
	at := i.l.at
	switch {
	case i.spotDeadline > 0 && at >= i.spotDeadline-margin-slack:
	case i.endWait > 0 && at >= i.endWait+i.l.hookCap()-margin-slack:
	case i.down != fleet.NotGoingDown:
	default:
		return false
	}
	return true
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

// wants is what the group needs by what this process has read, where that tells
// it; 0 where desired is to stay. above: the maximum forbids some of that.
func (p *process) wants() (desired int, above bool) {
	g := p.listed
	if !p.fresh || g.Weighted || p.obs.Free() > 0 {
		return 0, false
	}
	busy, _, _ := p.counts()
	queue := 0
	for n, r := range p.obs.Runners {
		if r.JobsTotal > p.before.Runners[n].JobsTotal {
			queue = max(queue, r.QueueSize-1)
		}
	}
	slots := max(1, p.obs.Slots())
	want := busy + (queue+slots-1)/slots
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
	most := max(g.Desired, min(g.Max, busy+(queue+slots-1)/slots))
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
	unseen := 0
	for _, c := range l.condemned {
		switch {
		case c.in == i || l.at-c.at >= 9*time.Minute || l.lasts(AWSStale) || i.hurtSince(l.at-time.Minute) > 0:
		case c.at >= p.listedAt && unseen == 0: // nobody could have told it; two that look in the same second are a race that no order of turns ends
			unseen++
		default:
			l.breaks("damping", "i%02d is reported Unhealthy %s after i%02d", i.number, l.at-c.at, c.in.number)
		}
	}
	if l.at-i.trulyAt < unhealthyAfter-2*time.Minute && i.hurtSince(l.at-20*time.Minute, RunnerMute) == 0 {
		l.breaks("damping", "i%02d is reported Unhealthy though it worked %s ago", i.number, l.at-i.trulyAt)
	}
	if l.mode == fleet.ModeToken && i.runner.state == runnerActive && i.runner.deaf == nil && i.hurtSince(l.at-20*time.Minute, RunnerMute) == 0 {
		l.breaks("damping", "i%02d is reported Unhealthy for a reason that all share", i.number)
	}
	if age := l.at - i.launchedAt; age < unhealthyAfter { // whatever it could see of itself, it was not ill for that long
		l.breaks("damping", "i%02d is reported Unhealthy %s after its launch", i.number, age)
	}
	if l.at-p.actsAt > actionTimeout+5*time.Second {
		l.breaks("damping", "i%02d is reported Unhealthy without a look at what the group has just done", i.number)
	}
	l.condemned = append(l.condemned, condemnation{l.at, i})
	err := p.through(func() error { return l.world.SetHealth(l.now, a.InstanceID, false, false) })
	l.moved = true
	return err
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
	if hook == "start" && a.Result == fleet.Continue && !l.reachedGitLab(i) && i.answeredAt < p.begun { // one that has died since was answered all the same
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
	return i.hurtSince(l.at-10*time.Minute, GitLabAway, GitLabSlow) > 0 || i.orphans > 0 || l.mode == fleet.ModeToken && l.tokenEver
}

func (l *loop) unregisters(p *process) {
	if i := p.in; i.runner.state == runnerActive && !i.isDue(5*time.Second) {
		l.breaks("hook", "i%02d unregisters its runner while it runs", i.number)
	}
}

func (l *loop) judgeInterrupted(j *job) {
	i := j.in
	misled := i.spotDeadline > 0 && i.hurtSince(0, ClockJump) > 0 // by its clock less time was left, and nobody on it knows better
	if !i.mayEndJobs() && i.death == "" && !misled {
		l.breaks("job", "i%02d job %d was killed, and nothing took the instance (%s)", i.number, j.id, i.noticeKind)
	}
}

// judgeKilled: a job whose processes are killed under a runner that runs on fails as
// if by its own doing. That is for the last moment alone, where the runner could
// not be told.
func (l *loop) judgeKilled(j *job) {
	if i := j.in; !i.mayEndJobs() {
		l.breaks("job", "i%02d the processes of job %d are killed, and its runner was not told to end", i.number, j.id)
	}
}

func (l *loop) judgeLost(j *job) {
	i := j.in
	excused := false
	switch {
	case j.why == "SIGKILL":
		excused = true
	case i.dead && (i.death == world.ReasonCrash && !i.poweredOff):
		excused = true
	case i.hookOver: // a plug that was pulled for a hook whose time-out is excused
		excused = true
	case i.spotDeadline > 0:
		excused = i.spotDeadline-i.spotAt < time.Minute || needsReport.hitSince(i, i.spotAt-10*time.Second)
	case strings.Contains(j.why, "shutdown timed out"):
		excused = needsReport.hitSince(i, l.at-45*time.Second)
	case i.down != fleet.NotGoingDown:
		excused = i.hurtSince(i.downAt-time.Second) > 1
	}
	if !excused {
		l.breaks("job", "i%02d job %d is lost: %s (%s)", i.number, j.id, j.why, i.death)
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
		l.at-since < min(100*timeout, 48*time.Hour)-time.Second {
		l.breaks("hook", "i%02d its %s hook timed out, and nobody has tried to extend it for %s", i.number, which, tried)
		return
	}
	i.hookOver = true
	if i.warnedAt < since && i.spotDeadline == 0 && i.hurtSince(from, AWSSlow, Slow) == 0 && // a slow answer is no failure to tell of
		l.at-since < min(100*timeout, 48*time.Hour)-time.Second && i.up && i.down == fleet.NotGoingDown {
		l.breaks("hook", "i%02d its %s hook timed out, and no line says why", i.number, which)
	}
}
