package capacity

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// witness is Shoal, and somebody who sees what becomes of each instance.
type witness struct {
	*shoal
	t     *testing.T
	seed  uint64
	left  int // instances that have left by themselves
	names int // that an instance at work was looked at among idle ones
}

// due: nothing that an instance decides ends one with a job, or takes it from its runner.
func (w *witness) due(e *engine, due *event) {
	busy := -1
	if n := due.a; due.kind < hookActs && n >= 0 && e.instances[n].state == inService && len(e.instances[n].jobs) > 0 {
		busy = int(n)
	}
	w.shoal.due(e, due)
	if busy >= 0 && e.instances[busy].state != inService {
		w.t.Fatalf("seed %d, at %s: instance %d, busy with %d jobs, has begun to leave", w.seed, e.now, busy, len(e.instances[busy].jobs))
	}
	w.named(e)
}

func (w *witness) gone(e *engine, n int32) {
	if i := &e.instances[n]; !i.doomed {
		w.left++
		if i.state != gone || i.ended != i.total {
			w.t.Fatalf("seed %d, at %s: instance %d left with %d of %d jobs ended", w.seed, e.now, n, i.ended, i.total)
		}
	}
	w.shoal.gone(e, n)
}

// named: those who leave by this moment's listing are none that the group shows protected,
// and none that has had a job for longer than two readings, while calls are answered.
func (w *witness) named(e *engine) {
	for _, id := range scaling.LeavingOrder(w.listing, "") {
		at := slices.IndexFunc(w.listing.Instances, func(i fleet.Instance) bool { return i.ID == id })
		n := w.who[at]
		if w.listing.Instances[at].Protected {
			w.t.Fatalf("seed %d, at %s: instance %d is protected and named a leaver", w.seed, e.now, n)
		}
		for _, j := range e.instances[n].jobs {
			w.names++
			if since := e.now - e.score.begin[j]; e.opt.APIRate == 0 && since > 2*w.period {
				w.t.Fatalf("seed %d, at %s: instance %d is busy since %s and named a leaver", w.seed, e.now, n, since)
			}
		}
	}
}

// TestNoBusyInstanceLeaves, whatever comes: jobs that begin at any moment of a leave,
// polls that are held, interruptions, throttled calls.
func TestNoBusyInstanceLeaves(t *testing.T) {
	var left, names int
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 12))
		var jobs []trace.Job
		created := 0.0
		for range 400 {
			if r.IntN(4) == 0 { // often right where others are about to go
				created += 150 + r.Float64()*120
			}
			jobs = append(jobs, at(created+r.Float64()*5, r.ExpFloat64()*200))
		}
		slices.SortFunc(jobs, func(a, b trace.Job) int { return cmp.Compare(a.Created, b.Created) })
		o := golden()
		o.Idle, o.Max = time.Duration(60+r.IntN(180))*time.Second, 5+r.IntN(30)
		if r.IntN(3) == 0 {
			o.SpotMTBF = time.Hour
		}
		if r.IntN(3) == 0 {
			o.APIRate, o.APIBurst = 0.05+r.Float64()/4, 20
		}
		p := newShoal()
		if r.IntN(2) == 0 {
			p.pollHold = 50 * time.Second
		}
		w := &witness{shoal: p, t: t, seed: seed}
		e := newEngine(NewPlan(trace.New(trace.Monday, jobs)), o, seed, w)
		e.run(nil)
		if e.score.lost > 0 {
			t.Errorf("seed %d: %d jobs lost", seed, e.score.lost)
		}
		left, names = left+w.left, names+w.names
	}
	if left < 500 || names == 0 {
		t.Fatalf("%d instances left, %d were busy and not yet protected: nothing was tried", left, names)
	}
}
