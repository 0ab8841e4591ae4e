package simulate

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/world"
)

// scene is a fleet of six with one slot each. The work of a scene is its own, its
// first jobs come when all are in service.
func scene(low, high int, jobs []work, faults ...Fault) *loop {
	return newLoopOf(sceneOf(low, high, jobs), Schedule{Seed: 6, Faults: faults}, Options{Log: true}, nil, 0)
}

func sceneOf(low, high int, jobs []work) setup {
	return setup{
		mode: fleet.ModeCreate, sections: 1, slots: 1, mayList: true, low: low, high: high, desired: 6,
		launchHook: 10 * time.Minute, endHook: 2 * time.Minute, hold: 50 * time.Second,
		length: 4 * time.Hour, quietAt: 3 * time.Hour, work: jobs,
		world: world.Options{Boot: 30 * time.Second, React: 3 * time.Second, HealthCheck: time.Minute, Shutdown: 5 * time.Second, TwoPhase: true, JobTimeout: 3 * time.Hour},
	}
}

// jobsOf are n jobs that come together.
func jobsOf(n int, at, takes time.Duration) []work {
	jobs := make([]work, n)
	for i := range jobs {
		jobs[i] = work{at: at, takes: takes}
	}
	return jobs
}

// steadily are jobs that come one after the other for as long as the scene lasts.
func steadily(every, takes time.Duration) []work {
	var jobs []work
	for at := 3 * time.Minute; at < 3*time.Hour; at += every {
		jobs = append(jobs, work{at: at, takes: takes})
	}
	return jobs
}

// play lives a scene until a time, and what is left of it at the end of the test.
func play(t *testing.T, l *loop, until time.Duration) {
	t.Helper()
	l.pump()
	for l.at < until && l.step() { //nolint:revive // step does it
	}
}

// mustEndWell lives the rest of a scene: no promise was broken, no job suffered.
func mustEndWell(t *testing.T, l *loop, kind Kind) {
	t.Helper()
	l.run()
	l.judge()
	for _, b := range l.broken {
		t.Errorf("at %s: %s: %s", clock(b.At), b.Promise, b.What)
	}
	if l.interrupted+l.lost+l.gone > 0 || l.finished != len(l.setup.work) {
		t.Errorf("%d of %d jobs finished, %d were interrupted, %d lost", l.finished, len(l.setup.work), l.interrupted, l.lost)
	}
	if l.hits[kind] == 0 {
		t.Errorf("%s was seen by nobody: this proves nothing", kind)
	}
}

// split tells the instances that run a job from those that do not.
func split(l *loop) (busy, idle []*instance) {
	for _, i := range l.instances {
		switch {
		case i.dead || !i.inService:
		case len(i.runner.jobs) > 0:
			busy = append(busy, i)
		default:
			idle = append(idle, i)
		}
	}
	return busy, idle
}

// strikeBusy has a fault strike the instance whose job came last.
func strikeBusy(t *testing.T, l *loop, f *Fault) *instance {
	t.Helper()
	alive := slices.DeleteFunc(slices.Clone(l.instances), func(i *instance) bool { return i.dead || !i.up })
	best := -1
	for n, i := range alive {
		if i.inService && len(i.runner.jobs) > 0 && (best < 0 || i.runner.jobs[0].got > alive[best].runner.jobs[0].got) {
			best = n
		}
	}
	if best < 0 {
		t.Fatal("no instance is busy")
	}
	f.Instance = best + len(alive) // 0 would be the whole fleet
	l.strike(f)
	return alive[best]
}

// lastJob is when the last of an instance's jobs ended.
func lastJob(l *loop, i *instance) (ended time.Duration) {
	for _, j := range l.jobs {
		if j != nil && j.in == i {
			ended = max(ended, j.over)
		}
	}
	return ended
}

// gotJobs counts the jobs that an instance was handed in a time.
func gotJobs(l *loop, i *instance, from, to time.Duration) (n int) {
	for _, j := range l.jobs {
		if j != nil && j.in == i && j.got >= from && j.got < to {
			n++
		}
	}
	return n
}

// TestStandby: the jobs that run end, no new ones come, and back in service it works
// as before.
func TestStandby(t *testing.T) {
	t.Parallel()
	const begins, lasts = 30 * time.Minute, 40 * time.Minute
	jobs := steadily(3*time.Minute, 25*time.Minute)
	jobs = append(jobs, jobsOf(8, begins+lasts+time.Minute, 25*time.Minute)...) // more than the others have slots for
	slices.SortStableFunc(jobs, func(a, b work) int { return cmp.Compare(a.at, b.at) })
	l := scene(6, 14, jobs)
	play(t, l, begins)
	i := strikeBusy(t, l, &Fault{Kind: Standby, For: lasts})
	play(t, l, begins+time.Minute)
	if !i.flags.Standby || !i.isHeld() || len(i.runner.jobs) != 1 {
		t.Fatalf("a minute after: standby %v, held %v, %d jobs", i.flags.Standby, i.isHeld(), len(i.runner.jobs))
	}
	play(t, l, begins+lasts-time.Second)
	if i.runner.state != runnerActive || len(i.runner.jobs) > 0 || gotJobs(l, i, begins+time.Minute, begins+lasts) > 0 {
		t.Errorf("in Standby its runner is %v, has %d jobs, got %d", i.runner.state, len(i.runner.jobs), gotJobs(l, i, begins+time.Minute, begins+lasts))
	}
	play(t, l, begins+lasts+time.Minute)
	if i.flags.Standby || i.isHeld() || !l.works(i) {
		t.Errorf("a minute after: standby %v, held %v, %s", i.flags.Standby, i.isHeld(), l.whyNot(i))
	}
	mustEndWell(t, l, Standby)
	if gotJobs(l, i, begins+lasts, l.length) == 0 {
		t.Error("back in service it got no job")
	}
}

// TestDetached: its job ends, it is unregistered, and the machine is left alone.
func TestDetached(t *testing.T) {
	t.Parallel()
	const begins = 30 * time.Minute
	l := scene(6, 14, steadily(3*time.Minute, 25*time.Minute))
	play(t, l, begins)
	i := strikeBusy(t, l, &Fault{Kind: Detach, For: time.Hour})
	play(t, l, begins+time.Minute)
	if i.noticeKind != fleet.NoticeDetached || len(i.runner.jobs) != 1 || !l.registered(i) {
		t.Fatalf("a minute after: notice %q, %d jobs, registered %v", i.noticeKind, len(i.runner.jobs), l.registered(i))
	}
	mustEndWell(t, l, Detach)
	if i.dead || i.runner.state != runnerDown || i.reg != nil || l.registered(i) || gotJobs(l, i, begins+2*time.Minute, l.length) > 0 {
		t.Errorf("dead %v, runner %v, registered %v", i.dead, i.runner.state, l.registered(i))
	}
	if i.runner.ended < lastJob(l, i) {
		t.Error("its runner ended before its job")
	}
}

// TestRefreshSparesBusyInstances: idle ones are replaced at once, busy ones when
// their job has ended, and one whose job lasts longer than the refresh waits stays.
func TestRefreshSparesBusyInstances(t *testing.T) {
	t.Parallel()
	const begins = 10 * time.Minute
	jobs := append(jobsOf(2, 3*time.Minute, 40*time.Minute), jobsOf(1, 3*time.Minute, 2*time.Hour)...)
	l := scene(6, 8, jobs, Fault{Kind: Refresh, At: begins, For: time.Hour})
	play(t, l, begins-time.Second)
	busy, idle := split(l)
	if len(busy) != 3 || len(idle) != 3 {
		t.Fatalf("%d busy and %d idle before", len(busy), len(idle))
	}
	play(t, l, begins+10*time.Minute)
	for _, i := range idle {
		if !i.dead {
			t.Errorf("i%02d was idle and is still there", i.number)
		}
	}
	play(t, l, begins+75*time.Minute)
	long := 0
	for _, i := range busy {
		switch {
		case len(i.runner.jobs) > 0:
			long++
		case !i.dead || i.diedAt < lastJob(l, i):
			t.Errorf("i%02d: dead %v at %s, its job ended at %s", i.number, i.dead, clock(i.diedAt), clock(lastJob(l, i)))
		}
	}
	if long != 1 {
		t.Errorf("%d instances have outlived the refresh with their job", long)
	}
	mustEndWell(t, l, Refresh)
}

// TestRebalancingSparesBusyInstances: the group launches in one zone and takes an
// idle one of another.
func TestRebalancingSparesBusyInstances(t *testing.T) {
	t.Parallel()
	const begins = 10 * time.Minute
	l := scene(6, 6, jobsOf(4, 3*time.Minute, time.Hour), Fault{Kind: AZRebalance, At: begins, Count: 2})
	play(t, l, begins-time.Second)
	busy, idle := split(l)
	if len(busy) != 4 || len(idle) != 2 {
		t.Fatalf("%d busy and %d idle before", len(busy), len(idle))
	}
	play(t, l, begins+20*time.Minute)
	gone := 0
	for _, i := range l.instances {
		if i.dead {
			gone++
		}
	}
	for _, i := range busy {
		if i.dead || i.flags.Notice != nil || len(i.runner.jobs) != 1 {
			t.Errorf("i%02d was busy: dead %v, notice %v, %d jobs", i.number, i.dead, i.flags.Notice, len(i.runner.jobs))
		}
	}
	if len(l.instances) != 8 || gone != 2 {
		t.Errorf("%d instances there were, %d are gone", len(l.instances), gone)
	}
	mustEndWell(t, l, AZRebalance)
}

// TestDesiredZeroByHand: idle ones go at once, busy ones when their job has ended,
// though the group was told to have none.
func TestDesiredZeroByHand(t *testing.T) {
	t.Parallel()
	const begins = 10 * time.Minute
	l := scene(5, 8, jobsOf(4, 8*time.Minute, 40*time.Minute), Fault{Kind: DesiredZero, At: begins, For: 70 * time.Minute})
	play(t, l, begins-time.Second)
	busy, idle := split(l)
	if len(busy) != 4 || len(idle) == 0 {
		t.Fatalf("%d busy and %d idle before", len(busy), len(idle))
	}
	before := len(l.text)
	play(t, l, begins+10*time.Minute)
	for _, i := range idle {
		if !i.dead {
			t.Errorf("i%02d was idle and is still there", i.number)
		}
	}
	play(t, l, begins+60*time.Minute)
	for _, i := range busy {
		if !i.dead || i.diedAt < lastJob(l, i) {
			t.Errorf("i%02d was busy: dead %v at %s, its job ended at %s", i.number, i.dead, clock(i.diedAt), clock(lastJob(l, i)))
		}
	}
	if g := l.world.Groups(l.now, groupName)[0]; g.Desired != 0 || len(g.Instances) != 0 {
		t.Errorf("desired %d, %d instances", g.Desired, len(g.Instances))
	}
	mustEndWell(t, l, DesiredZero)
	if strings.Contains(string(l.text[before:]), "raised desired") {
		t.Error("somebody has raised desired, and no job waited")
	}
}

// TestDesiredZeroWithJobsWaiting: desired alone is the queue's, and a busy fleet
// raises it again to what waits. An operator who means it sets the maximum to 0.
func TestDesiredZeroWithJobsWaiting(t *testing.T) {
	t.Parallel()
	const begins = 10 * time.Minute
	l := scene(3, 8, steadily(30*time.Second, 4*time.Minute), Fault{Kind: DesiredZero, At: begins, For: 70 * time.Minute})
	play(t, l, begins+15*time.Minute)
	busy, _ := split(l)
	if len(busy) < 4 {
		t.Errorf("%d instances run jobs, and others wait", len(busy))
	}
	mustEndWell(t, l, DesiredZero)
}
