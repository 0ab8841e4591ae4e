package capacity

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// MaxMoments is how many moments a timeline has at most, whatever the trace.
const MaxMoments = 4096

// Timeline is a run over time, in moments of one length. Of each it keeps the
// least, the most and the mean over time: a queue that was long for a second is
// not lost in a moment of minutes.
type Timeline struct {
	From time.Duration // the first moment's beginning, since the trace's Start
	Step time.Duration // a moment's length; the last one may be cut short

	// Course of each, nil where nobody knows.
	Launched  []Moment // instances that are paid for: from launch to termination
	InService []Moment // those of them that have come into service
	Busy      []Moment // jobs that run: slots in use
	Queue     []Moment // jobs that could run, and wait
}

// Moment is what a number was in a stretch of time.
type Moment struct {
	Min, Max int32
	Mean     float64
}

// Record is what a run leaves beside its result.
type Record struct {
	Timeline Timeline
	// Waits is the share of jobs, of those that ever began, that waited no longer
	// than each of WaitGrid's.
	Waits []float64
}

// What a recorder watches, in the order of its numbers.
const (
	watchLaunched = iota
	watchInService
	watchBusy
	watchQueue
	watched
)

// levels are the numbers that a recorder watches.
type levels [watched]int32

// recorder puts a run's numbers together as it goes: in moments that double in
// length where time goes beyond the last one, so that it never holds more than
// MaxMoments.
type recorder struct {
	from, step time.Duration
	now        time.Duration // until when held is counted in
	held       levels
	moments    []sum
}

// sum is a moment that is not over.
type sum struct {
	least, most levels
	area        [watched]float64 // level × seconds
}

// newRecorder begins at a time. span is how long it will probably take.
func newRecorder(from, span time.Duration) *recorder {
	const spare = MaxMoments * 7 / 8 // a fleet is watched for a while after its last job
	step := (span/spare + time.Second).Truncate(time.Second)
	return &recorder{from: from, step: step, now: from}
}

// observe takes in what is so from now on.
func (r *recorder) observe(now time.Duration, is levels) {
	if is == r.held && len(r.moments) > 0 {
		return
	}
	r.advance(now)
	r.held = is
	r.touch(int((r.now - r.from) / r.step))
}

// advance lets time pass in which nothing changed.
func (r *recorder) advance(to time.Duration) {
	for (to-r.from)/r.step >= MaxMoments {
		r.fold()
	}
	for r.now < to {
		at := int((r.now - r.from) / r.step)
		m := r.touch(at)
		until := min(to, r.from+time.Duration(at+1)*r.step)
		for k, level := range r.held {
			m.area[k] += float64(level) * (until - r.now).Seconds()
		}
		r.now = until
	}
}

// touch has what is held count in a moment.
func (r *recorder) touch(at int) *sum {
	for len(r.moments) <= at {
		r.moments = append(r.moments, sum{least: r.held, most: r.held})
	}
	m := &r.moments[at]
	for k, level := range r.held {
		m.least[k], m.most[k] = min(m.least[k], level), max(m.most[k], level)
	}
	return m
}

// fold makes moments twice as long.
func (r *recorder) fold() {
	n := 0
	for i := 0; i < len(r.moments); i += 2 {
		m := r.moments[i]
		if i+1 < len(r.moments) {
			o := &r.moments[i+1]
			for k := range m.area {
				m.least[k], m.most[k] = min(m.least[k], o.least[k]), max(m.most[k], o.most[k])
				m.area[k] += o.area[k]
			}
		}
		r.moments[n] = m
		n++
	}
	r.moments, r.step = r.moments[:n], 2*r.step
}

// timeline ends the record.
func (r *recorder) timeline(known ...int) Timeline {
	t := Timeline{From: r.from, Step: r.step}
	for what, course := range map[int]*[]Moment{watchLaunched: &t.Launched, watchInService: &t.InService, watchBusy: &t.Busy, watchQueue: &t.Queue} {
		if slices.Contains(known, what) {
			*course = r.course(what)
		}
	}
	return t
}

func (r *recorder) course(what int) []Moment {
	out := make([]Moment, len(r.moments))
	for i, m := range r.moments {
		begins := r.from + time.Duration(i)*r.step
		length := min(r.step, r.now-begins).Seconds()
		out[i] = Moment{Min: m.least[what], Max: m.most[what], Mean: float64(m.most[what])}
		if length > 0 {
			out[i].Mean = m.area[what] / length
		}
	}
	return out
}

// levels are the engine's numbers now.
func (e *engine) levels() levels {
	return levels{
		watchLaunched: int32(len(e.alive)), watchInService: int32(len(e.alive) - e.pending), //nolint:gosec // at most MaxInstances
		watchBusy: int32(e.running), watchQueue: int32(e.queue.len()), //nolint:gosec // at most trace.MaxJobs
	}
}

// change is one number that rises or falls.
type change struct {
	at   time.Duration
	what int
	by   int32
}

// play has a recorder see changes that are known already.
func (r *recorder) play(changes []change) {
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	var is levels
	for n, c := range changes {
		is[c.what] += c.by
		if n+1 == len(changes) || changes[n+1].at > c.at { // what is so when the instant is over
			r.observe(c.at, is)
		}
	}
	if n := len(changes); n > 0 {
		r.advance(changes[n-1].at)
	}
}

// span is from a plan's first job to its last one.
func (p *Plan) span() time.Duration {
	if p.Jobs() == 0 {
		return 0
	}
	return p.trace.Jobs[p.Jobs()-1].Created - p.first
}

// Happened is what really happened, where the trace knows how long jobs waited;
// ok is false where it does not. Nobody recorded the instances: the result holds
// the jobs and their waits alone. That a job could run is as in a run: since it
// was created, and its pipeline's lower stages were done.
func (p *Plan) Happened() (r Result, rec Record, ok bool) {
	if !p.trace.Real {
		return Result{}, Record{}, false
	}
	ready := make([]time.Duration, p.Jobs())
	for j, job := range p.trace.Jobs {
		ready[j] = job.Created
	}
	for s := range p.stages { // in the order of each pipeline's
		over := time.Duration(0)
		for _, j := range p.stages[s].jobs {
			over = max(over, ready[j]+p.trace.Jobs[j].Waited+p.trace.Jobs[j].Duration)
		}
		if next := p.stages[s].next; next >= 0 {
			for _, j := range p.stages[next].jobs {
				ready[j] = max(ready[j], over)
			}
		}
	}
	changes := make([]change, 0, 4*p.Jobs())
	waits := make([]time.Duration, p.Jobs())
	for j, job := range p.trace.Jobs {
		began := ready[j] + job.Waited
		waits[j] = job.Waited
		changes = append(changes,
			change{ready[j], watchQueue, 1}, change{began, watchQueue, -1},
			change{began, watchBusy, 1}, change{began + job.Duration, watchBusy, -1})
	}
	rc := newRecorder(p.first, p.span())
	rc.play(changes)
	slices.Sort(waits)
	r = Result{Jobs: p.Jobs(), Wait: waitOf(waits)}
	return r, Record{Timeline: rc.timeline(watchBusy, watchQueue), Waits: distribution(waits)}, true
}

// WaitGrid is the waits that Record.Waits is about, rising: none, then a twentieth
// of a decade apart from a tenth of a second to ten days.
func WaitGrid() []time.Duration { return slices.Clone(waitGrid) }

var waitGrid = func() []time.Duration {
	const perDecade = 20
	grid := []time.Duration{0}
	step := func(n int) float64 { return math.Pow(10, float64(n)/perDecade) }
	for n := -perDecade; ; n++ {
		d := time.Duration(step(n) * float64(time.Second)).Round(time.Millisecond)
		grid = append(grid, d)
		if d > 10*24*time.Hour {
			return grid
		}
	}
}()

// distribution is the share of sorted waits up to each of the grid.
func distribution(waits []time.Duration) []float64 {
	out := make([]float64, len(waitGrid))
	n := 0
	for i, upTo := range waitGrid {
		for n < len(waits) && waits[n] <= upTo {
			n++
		}
		out[i] = 1
		if len(waits) > 0 {
			out[i] = float64(n) / float64(len(waits))
		}
	}
	return out
}
