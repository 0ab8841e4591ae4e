package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// Options are what a caller wants of a run. They change nothing that happens
// until it ends.
type Options struct {
	Log  bool          // one line per event
	Stop string        // end where this promise breaks
	At   time.Duration // end then, unjudged; 0: at the end
}

// Result is what came of a run.
type Result struct {
	Schedule Schedule
	Broken   []Broken // promises that did not hold
	Log      []byte   // where it was wanted
	Digest   uint64   // of all that happened, polls among it: two runs are alike where it is

	Length        time.Duration // of fleet time
	InstanceHours float64
	Instances     int // that there ever were
	Peak          int // that lived at once
	Jobs          int // submitted
	Finished      int // by their own end
	Interrupted   int // ended by the drain and reported, because EC2 or a shutdown took the instance
	Lost          int // with an instance or a runner that a fault took without notice
	Gone          int // handed to a poll that was cancelled in that instant
	CallsAWS      int // of the machines
	CallsGitLab   int // of the machines; not the runners' polls
	Reaped        int // runners that the reaper deleted
	Freed         int // dead instances whose hook it completed
	Steps         int // of machines
	Hits          map[Kind]int
	Struck        []bool // by fault: it began
}

// Broken is one promise that did not hold.
type Broken struct {
	Promise string // its name: what Shrink holds on to
	At      time.Duration
	What    string
}

// Epoch is when every run begins.
var Epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var epoch = Epoch

// Run lives a schedule and judges it.
func Run(s Schedule, o Options) Result {
	l := newLoop(s, o, nil, 0)
	l.run()
	l.judge()
	return l.result()
}

// loop is one run.
type loop struct {
	setup
	journal
	host      Host // nil: the loop itself runs the processes
	seed      uint64
	schedule  Schedule
	world     *world.World
	at        time.Duration
	now       time.Time
	turns     turns
	serial    uint64 // of turns
	instances []*instance
	byID      map[string]*instance
	bySystem  map[string]*instance
	windows   []*window
	armed     map[int][]*armed // faults at actions, by instance
	waits     map[int][]*Fault // those that wait for a moment of it
	pictures  []picture        // of the group, oldest first
	moved     bool             // it has changed since the last one
	polls     []*section       // held by GitLab
	jobs      []*job           // by id, from 1: those that were handed out
	work      []work           // by job id
	tokens    tokens
	suspends  []*Fault // of the group's processes, now
	reaper    *reaper  // nil: the fleet has none
	webhook   *webhook // the same
	steps     int
	ended     bool          // before its time
	stop      string        // where this promise breaks
	end       time.Duration // of what is lived

	record
	sight
}

// newLoop makes the world of a schedule.
func newLoop(s Schedule, o Options, h Host, length time.Duration) *loop {
	return newLoopOf(setupOf(s), s, o, h, length)
}

// newLoopOf makes the world of a schedule for another fleet than its seed's.
func newLoopOf(fleet setup, s Schedule, o Options, h Host, length time.Duration) *loop {
	l := &loop{
		host:  h,
		setup: fleet, seed: mix(s.Seed), schedule: s, now: epoch,
		byID: map[string]*instance{}, bySystem: map[string]*instance{}, armed: map[int][]*armed{}, waits: map[int][]*Fault{},
		work: make([]work, 1), jobs: make([]*job, 1),
	}
	l.wanted, l.stop = o.Log, o.Stop
	l.sight = sight{hits: map[Kind]int{}, counted: map[*Fault]bool{}}
	l.struck = map[*Fault]bool{}
	l.cut(s.Seed, length)
	if l.end = l.length; o.At > 0 {
		l.end = min(o.At, l.length)
	}
	opt := l.setup.world
	opt.Rand = worldDice(s.Seed)
	if h != nil {
		opt.Staleness = oldest
	}
	l.world = world.New(opt, epoch)
	l.world.SetStaleness(0)
	l.makeTokens()
	l.line(0, "seed %d: mode %s, %d..%d instances, %d slots, %d sections, hooks %s and %s, %d jobs", s.Seed, l.mode, l.low, l.high, l.slots, l.sections, l.launchHook, l.endHook, l.setup.jobs())
	must(l.world.CreateGroup(epoch, world.GroupSpec{
		Name: groupName, Min: l.low, Max: l.high, Desired: l.desired, NoTagsInMetadata: l.noTags, Hooks: l.hooks(),
	}))
	l.submitNext(0)
	for i := range s.Faults {
		l.plan(&s.Faults[i])
	}
	if l.hook == nil {
		l.lookForDemand()
	}
	if l.traced == nil { // the judge
		l.look()
	}
	l.picture()
	l.startReaper()
	l.startWebhook()
	return l
}

func must(err error) {
	if err != nil {
		panic("simulate: " + err.Error())
	}
}

// run lets time pass until the end.
func (l *loop) run() {
	l.pump()
	for !l.ended {
		if !l.step() {
			return
		}
	}
}

// step does what is due next, of the loop's or of the world's; false at the end.
func (l *loop) step() bool {
	own, any := l.turns.next()
	if !any {
		own = l.end + 1
	}
	if at := l.world.Next(); !at.IsZero() {
		// Of two at the same instant the world's goes first: it says what was so.
		if d := at.Sub(epoch); d <= own && d <= l.end {
			l.clockTo(d)
			l.pump()
			return true
		}
	}
	if own > l.end {
		l.clockTo(l.end)
		l.ended = l.end < l.length
		return false
	}
	due := l.turns.pop()
	l.clockTo(due.at)
	l.take(&due)
	l.pump()
	return true
}

func (l *loop) clockTo(at time.Duration) {
	if at > l.at {
		l.at, l.now = at, epoch.Add(at)
	}
}

// take has a turn.
func (l *loop) take(t *turn) {
	if t.kind == turnDo {
		t.do()
		return
	}
	if t.p.gen != t.gen {
		return
	}
	switch t.kind {
	case turnWake:
		l.feed(t.p, woke)
	case turnEffect:
		l.effect(t.p)
	case turnResult:
		l.tell(t.p)
	}
}

// after does f when d has passed.
func (l *loop) after(d time.Duration, f func()) {
	l.serial++
	l.turns.push(turn{at: l.at + d, order: mix(l.seed + l.serial*odd), kind: turnDo, do: f})
}

// turnOf puts a process's next turn in.
func (l *loop) turnOf(p *process, at time.Duration, k turnKind) {
	l.turns.push(turn{at: max(at, l.at), order: p.drawn(uint64(k)), kind: k, gen: p.gen, p: p})
}

// pump takes the world's events in.
func (l *loop) pump() {
	for {
		events := l.world.Advance(l.now)
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			l.happened(e)
		}
	}
	if l.moved {
		l.moved = false
		l.picture()
	}
}

// happened takes one event of the world in.
func (l *loop) happened(e world.Event) {
	l.tellOf(l.at, e)
	l.webhook.gitlab(e)
	switch e := e.(type) {
	case world.InstanceLaunched:
		l.launched(e)
	case world.InstanceBooted:
		l.byID[e.ID].boot()
	case world.InstanceDead:
		l.byID[e.ID].die(e.Reason)
	case world.InstanceChanged:
		l.moved = true
		l.changed(e)
	case world.CapacityChanged:
		l.moved = true
		l.capacity(e)
	case world.Withheld:
		l.withheld(e.Process)
	case world.InterruptionNoticed:
		l.byID[e.ID].noticed(l.at, e.Deadline.Sub(epoch))
	case world.JobQueued:
		l.waiting++
		l.queuedJobs = append(l.queuedJobs, queuedJob{e.Job, l.at})
		l.queued()
	case world.JobFinished:
		l.jobEnded(e)
		for _, w := range l.traced.done(l.work[e.Job]) {
			l.submit(w)
		}
	}
}

// submitNext submits the i-th job of the plan when it is due.
func (l *loop) submitNext(i int) {
	if i >= len(l.setup.work) {
		return
	}
	w := l.setup.work[i]
	l.after(max(0, w.at-l.at), func() {
		if !l.traced.waits(w) {
			l.submit(w)
		}
		l.submitNext(i + 1)
	})
}

func (l *loop) submit(w work) int64 {
	id := l.world.SubmitJob(l.now, world.JobSpec{Name: "job"})
	for int64(len(l.work)) <= id {
		l.work, l.jobs = append(l.work, work{}), append(l.jobs, nil)
	}
	l.work[id] = w
	return id
}

// lookForDemand is what stands beside every fleet that may be empty: a job that
// waits while desired is 0 makes it 1.
func (l *loop) lookForDemand() {
	l.after(20*time.Second, func() {
		g := l.world.Groups(l.now, groupName)[0]
		if g.Desired == 0 && g.Max > 0 && l.anyWaits() {
			l.line(l.at, "webhook: a job waits and desired is 0")
			l.world.CountCall("autoscaling", "DescribeGroup")
			l.world.CountCall("autoscaling", "SetDesired")
			_ = l.world.SetDesired(l.now, groupName, 1)
		}
		l.lookForDemand()
	})
}

func (l *loop) result() Result {
	r := Result{
		Schedule: l.schedule, Broken: l.broken, Log: l.text, Digest: l.digest, Length: l.length, Instances: len(l.instances), Peak: l.peak,
		Jobs: len(l.work) - 1, Finished: l.finished, Interrupted: l.interrupted, Lost: l.lost, Gone: l.gone,
		CallsAWS: l.callsAWS, CallsGitLab: l.callsGitLab, Steps: l.steps, Hits: l.hits,
	}
	if x := l.reaper; x != nil {
		r.Reaped, r.Freed = x.reaped, x.freed
	}
	for n := range l.schedule.Faults {
		r.Struck = append(r.Struck, l.struck[&l.schedule.Faults[n]])
	}
	for _, i := range l.instances {
		end := l.length
		if i.dead {
			end = i.diedAt
		}
		r.InstanceHours += (end - i.launchedAt).Hours()
	}
	return r
}
