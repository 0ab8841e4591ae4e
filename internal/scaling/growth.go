package scaling

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// GrowthSettings are what an operator can set.
type GrowthSettings struct {
	// BlindAfter is how long an instance is full without news of the queue until it
	// is its turn to find out. Shorter: instances that nobody needed; longer: jobs
	// that nobody knows of wait longer.
	BlindAfter time.Duration
	// Grace is how long the jobs had waited that are taken, before an instance raises by
	// itself where a job hook is at work; 0: none is. Longer than a launch: for that
	// long jobs wait while the hook sees to them, too.
	Grace time.Duration
}

const (
	// blindMost bounds the time without news after which any instance finds out.
	// With two launches of up to three minutes, the one that finds out and the one that
	// helps, no job waits longer than a quarter of an hour.
	blindMost = 8 * time.Minute
	// blindGaugeless is the same for runners that do not tell how many jobs wait:
	// that every slot is taken is all there is to know.
	blindGaugeless = 10 * time.Second
	// blindGaugelessMost is how often such an instance looks for those that it launched:
	// as they come and are full at once, more is needed.
	blindGaugelessMost = 20 * time.Second
	// blindBesideHook is the same where a job hook is at work: it knows of every job, so
	// to find out is a launch for nothing, unless the hook is down.
	blindBesideHook = time.Hour
	// againFirst and againMost bound how often a fresh queue that needs no more than
	// was provided for has the group looked at: what was on its way may be busy by
	// then, and the same queue needs more.
	againFirst = 10 * time.Second
	againMost  = time.Minute
	// lookForgotten is when a look says nothing more of how often to look.
	lookForgotten = time.Hour
)

// Look is what is kept of a look at the group, also by a process for the next.
type Look struct {
	At   time.Time     `json:"at"`
	Wait time.Duration `json:"wait"` // until the next one, where no more is needed; nanoseconds
	// Bears is how many waiting jobs the desired capacity of then provides for.
	Bears int `json:"bears"`
	// Other tells that another busy instance came first by id.
	Other bool `json:"other"`
}

// Growth is what one instance knows of the queue, and decides when to look at
// the group and how far to raise it. It is fed every reading of the runner;
// between two readings that show the same it changes its mind at Due alone.
//
// What it knows, the surest first: the queue's length, from a gauge that is
// fresh when a job was just taken; that jobs waited, from the time that they had
// waited; and that no slot is free.
type Growth struct {
	set    GrowthSettings
	last   fleet.Observation
	queue  Waiting
	before int       // slots that were free at the reading before the news
	handed int       // the same, as another process saw it
	news   time.Time // full since, or full and with news of the queue
	wait   time.Duration
	gauge  bool      // the runner tells the queue's length
	basis  basis     // what Look is about
	full   time.Time // since then
	taken  int64     // jobs since then: each took the place of one that had ended
	busy   int       // instances at the last look
	look   Look      // the last one
	guess  float64   // jobs that wait, for each busy instance, without the gauge
	steps  steps
	left   int  // jobs that wait for those that run to end, as was supposed
	owed   bool // nothing was decided on the last reading's news
}

// Resume takes up what an earlier process knew. A look of the future is of a clock
// that was set meanwhile.
func (g *Growth) Resume(l Look, now time.Time) {
	if since := now.Sub(l.At); since >= 0 && since < lookForgotten {
		g.look = l
	}
}

// Believed has an earlier process have acted on a reading: it is no news.
func (g *Growth) Believed(o fleet.Observation) { g.last = o }

// Before has another process tell how many slots were free at the reading before the
// first one.
func (g *Growth) Before(free int) { g.handed = free }

// Looked is the last look, for a later process.
func (g *Growth) Looked() Look { return g.look }

// Forget forgets the last look: nobody knows what came of raising desired.
func (g *Growth) Forget() { g.look = Look{} }

// Owes has the next reading be acted on, too: nobody could look at the group, and
// what the last one told is news still.
func (g *Growth) Owes() { g.owed = true }

// basis is what a decision goes by, the surest first.
type basis int

const (
	byGauge basis = iota
	byWaits
	blindly
)

// NewGrowth knows nothing yet.
func NewGrowth(set GrowthSettings) Growth { return Growth{set: set} }

// Urge is what follows from a reading.
type Urge string

// The urges.
const (
	// Free: a slot is free here, so no job waits, or one that waits is taken within
	// a poll.
	Free Urge = "free"
	// Rest: full, and nothing to decide on until the next news, or Due.
	Rest Urge = "rest"
	// LookNow: look at the group, then Decide.
	LookNow Urge = "look"
)

// Read takes a reading in.
func (g *Growth) Read(o fleet.Observation, now time.Time) Urge {
	last := g.last
	g.last = o
	if o.Free() > 0 || o.Slots() == 0 {
		g.news, g.owed = time.Time{}, false
		return Free
	}
	g.before, g.handed = g.handed, 0
	if last.StartedAt == o.StartedAt {
		g.before = last.Free()
	}
	if g.news.IsZero() {
		g.full, g.taken, g.guess, g.left, g.steps = now, 0, 0, 0, steps{}
		g.heard(now)
	}
	if g.before == 0 && last.StartedAt == o.StartedAt {
		g.taken += o.JobsTotal() - last.JobsTotal()
	}
	owed := g.owed
	g.owed = false
	if q := ReadQueue(last, o); q.Fresh || !owed {
		g.queue = q
	}
	g.gauge = g.gauge || hasGauge(o)
	switch {
	case g.queue.Fresh:
		g.basis = byGauge
		g.left = min(g.left, g.queue.Jobs)
		g.heard(now)
		return g.lookIf(g.unseen(last, o) && float64(g.queue.Jobs) > g.absorbed(now) && (g.queue.Jobs > g.look.Bears || g.lookedLongAgo(now)))
	case !g.gauge && g.readWaits(last, o, now):
		return g.lookIf(g.basis == byWaits && g.unseen(last, o) && g.lookedLongAgo(now))
	case owed: // by what it went by
		return LookNow
	case !now.Before(g.Due()):
		g.basis = blindly
		return LookNow
	}
	return Rest
}

// unseen tells whether nobody else can be at work on the queue: with a job hook the
// jobs that were taken have waited for longer than it needs.
func (g *Growth) unseen(last, o fleet.Observation) bool {
	if g.set.Grace <= 0 {
		return true
	}
	jobs, seconds := waitsBetween(last, o)
	return jobs > 0 && seconds >= float64(jobs)*g.set.Grace.Seconds()
}

// readWaits goes by how long the jobs had waited that were taken since the last
// reading; false where none was. By Little's law as many wait as are taken in
// that time: of what filled slots that had been free it tells nothing.
func (g *Growth) readWaits(last, o fleet.Observation, now time.Time) bool {
	jobs, seconds := waitsBetween(last, o)
	if jobs <= 0 {
		return false
	}
	g.heard(now)
	g.basis, g.guess = blindly, 0
	if seconds < noWait*float64(jobs) {
		return true
	}
	g.basis = byWaits
	if g.before == 0 {
		g.guess = g.rate(now) * seconds / float64(jobs)
	}
	return true
}

// rate is how many jobs a second find a place here, as others end.
func (g *Growth) rate(now time.Time) float64 {
	const least = 20 // seconds: two jobs that ended together make no rate
	return float64(g.taken) / max(least, now.Sub(g.full).Seconds())
}

// absorbed is how many waiting jobs the fleet has a place for within moments, by
// jobs that end: those are not worth a launch, which takes far longer. In a small fleet
// of long jobs it is none, in one of thousands, or of jobs that take seconds, there are
// always a few in the queue.
func (g *Growth) absorbed(now time.Time) float64 {
	return moments.Seconds() * float64(max(g.busy, 1)*g.last.Slots()) * g.endRate(0, now)
}

func (g *Growth) lookIf(yes bool) Urge {
	if yes {
		return LookNow
	}
	return Rest
}

// lookedLongAgo tells whether the last look is too old to go by.
func (g *Growth) lookedLongAgo(now time.Time) bool { return now.Sub(g.look.At) >= g.look.Wait }

// hasGauge tells whether the runner shows the queue's length, fresh or not.
func hasGauge(o fleet.Observation) bool {
	for _, r := range o.Runners {
		if r.QueueSize > 0 {
			return true
		}
	}
	return false
}

// heard begins the time without news anew.
func (g *Growth) heard(now time.Time) {
	g.news, g.wait = now, g.set.BlindAfter
	if !g.gauge {
		g.wait = min(g.wait, blindGaugeless)
	}
	if g.set.Grace > 0 {
		g.wait = blindBesideHook
	}
	if g.look.Other {
		g.wait = max(g.wait, blindMost)
	}
}

// Due is when Read wants to look though a reading shows nothing new; meaningless
// while a slot is free.
func (g *Growth) Due() time.Time { return g.news.Add(g.wait) }

// Decide is the decision on a listing that was read right after Read said LookNow.
// spares is how many free slots are to stand ready beyond what waits.
func (g *Growth) Decide(group fleet.Group, self string, spares int, now time.Time) Raise {
	var r Raise
	c := take(group, self)
	g.busy, g.look.Other = c.busy, !c.first
	switch g.basis {
	case byGauge:
		r = g.raise(group, c, spares, now)
	case byWaits:
		r = g.estimate(group, c)
	default:
		r = g.findOut(group, c, now)
	}
	wait := min(max(2*g.look.Wait, againFirst), againMost)
	if r.Needed {
		wait = againFirst
	}
	g.look = Look{At: now, Wait: wait, Bears: bears(group, c, g.last.Slots(), r.Desired), Other: !c.first}
	return r
}

// raise goes by the queue's length, less what finds a place in a large fleet as it is.
func (g *Growth) raise(group fleet.Group, c census, spares int, now time.Time) Raise {
	waiting := g.unplaced(c, g.queue.Jobs, spares, now)
	g.left = g.queue.Jobs - waiting
	r := raiseBeside(group, c, g.last.Slots(), waiting, spares)
	if g.left > 0 {
		r.Reasons = append(r.Reasons, sayPlaced(g.queue.Jobs, g.left))
	}
	return r
}

// estimate goes by how long jobs had waited. It is a guess: the group at most
// doubles on it, and where it comes to nothing jobs wait all the same.
func (g *Growth) estimate(group fleet.Group, c census) Raise {
	waiting := min(int(g.guess*float64(c.busy)), c.busy*g.last.Slots())
	if waiting == 0 {
		return g.steps.next(group, c, g.gauge)
	}
	r := raiseTo(group, c, g.last.Slots(), waiting)
	r.Reasons = append(r.Reasons, "an estimate: from how long the jobs had waited that came of late")
	return r
}

// findOut raises by one, or goes on in steps, where nobody knows whether jobs wait: the new instance
// takes them, and its gauge tells how many more there are. Where jobs were left to
// find a place, and none was taken since, it raises for those. One instance of a
// fleet does so, the first by id: where that one has a slot free it would be
// given what waits, so nothing does, and the others need not find out. They do
// when nothing has been heard for long: the first may be ill.
func (g *Growth) findOut(group fleet.Group, c census, now time.Time) Raise {
	if g.wait < blindMost && g.look.Other && !g.steps.going() {
		g.wait = blindMost
		return Raise{Desired: group.Desired, Reasons: []fleet.Reason{"full without news of the queue", "another instance finds out whether jobs wait"}}
	}
	r := g.steps.next(group, c, g.gauge)
	if r.Needed && g.left > 0 {
		r = raiseTo(group, c, g.last.Slots(), g.left)
		r.Reasons = append(r.Reasons, "those were to find a place, and no job has ended here since")
		g.left = 0
	}
	g.news = now
	most := blindMost
	switch {
	case g.set.Grace > 0:
		most = blindBesideHook
	case c.pending > 0 && !r.Needed: // the newcomer will tell more within a launch: ask again soon
		most = max(g.set.BlindAfter, againMost)
		if !g.gauge { // it will not
			most = blindGaugelessMost
		}
	}
	g.wait = min(max(2*g.wait, againFirst), most)
	return r
}
