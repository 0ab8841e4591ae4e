package scaling_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

var t0 = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func at(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }

// page is a reading of a runner with four slots.
func page(running int, total int64, queue int) fleet.Observation {
	return fleet.Observation{
		StartedAt: 1, Concurrent: 4,
		Runners: []fleet.RunnerReading{{Name: "ci", Running: running, JobsTotal: total, QueueSize: queue}},
	}
}

// waits adds what the histogram of waits shows.
func waits(o fleet.Observation, jobs uint64, seconds float64) fleet.Observation {
	o.Runners = slices.Clone(o.Runners)
	o.Runners[0].QueueWaits, o.Runners[0].QueueWaitSeconds = jobs, seconds
	return o
}

var growthSettings = scaling.GrowthSettings{BlindAfter: time.Minute}

func TestGrowthReads(t *testing.T) {
	type step struct {
		at   int // seconds
		o    fleet.Observation
		want scaling.Urge
	}
	for name, steps := range map[string][]step{
		"a slot is free":                       {{0, page(3, 3, 9), scaling.Free}},
		"full, and jobs wait":                  {{0, page(3, 3, 1), scaling.Free}, {3, page(4, 5, 9), scaling.LookNow}},
		"full, and none waits":                 {{0, page(3, 3, 1), scaling.Free}, {3, page(4, 4, 1), scaling.Rest}},
		"the gauge is stale":                   {{0, page(4, 4, 9), scaling.LookNow}, {3, page(4, 4, 9), scaling.Rest}},
		"a job gave way to the next":           {{0, page(4, 4, 1), scaling.Rest}, {3, page(4, 5, 3), scaling.LookNow}},
		"no news for a minute":                 {{0, page(4, 4, 1), scaling.Rest}, {57, page(4, 4, 1), scaling.Rest}, {60, page(4, 4, 1), scaling.LookNow}},
		"news begins the minute anew":          {{0, page(4, 4, 1), scaling.Rest}, {50, page(4, 5, 1), scaling.Rest}, {100, page(4, 5, 1), scaling.Rest}, {110, page(4, 5, 1), scaling.LookNow}},
		"a slot was free meanwhile":            {{0, page(4, 4, 1), scaling.Rest}, {50, page(3, 4, 1), scaling.Free}, {60, page(4, 5, 1), scaling.Rest}},
		"without a gauge, ten seconds":         {{0, page(4, 4, 0), scaling.Rest}, {6, page(4, 4, 0), scaling.Rest}, {10, page(4, 4, 0), scaling.LookNow}},
		"without a gauge, jobs had waited":     {{0, waits(page(3, 3, 0), 3, 0), scaling.Free}, {3, waits(page(4, 4, 0), 4, 60), scaling.LookNow}},
		"without a gauge, jobs had not waited": {{0, waits(page(3, 3, 0), 3, 0), scaling.Free}, {3, waits(page(4, 4, 0), 4, 1), scaling.Rest}},
		"no slots at all":                      {{0, fleet.Observation{}, scaling.Free}},
	} {
		g := scaling.NewGrowth(growthSettings)
		for _, s := range steps {
			if got := g.Read(s.o, at(s.at)); got != s.want {
				t.Errorf("%s: after %d s %q, want %q", name, s.at, got, s.want)
			}
		}
	}
}

// TestGrowthOwes: what nobody could act on is news at the next reading, and a newer
// gauge counts in its place.
func TestGrowthOwes(t *testing.T) {
	two := func(other int, total int64, queue int) fleet.Observation {
		o := page(2, total, queue)
		o.Runners = append(o.Runners, fleet.RunnerReading{Name: "other", Running: 2, JobsTotal: 7, QueueSize: other})
		return o
	}
	g := scaling.NewGrowth(growthSettings)
	for name, c := range map[string]struct {
		next fleet.Observation
		want int // what desired is raised to, of one that is busy
	}{
		"nothing new":         {two(50, 2, 21), 1 + 5}, // whose gauge is how old nobody knew: the shorter
		"a job meanwhile":     {two(50, 3, 81), 1 + 20},
		"of the other queue":  {func() fleet.Observation { o := two(41, 2, 21); o.Runners[1].JobsTotal++; return o }(), 1 + 10},
		"none waits any more": {two(50, 3, 1), 0},
	} {
		g = scaling.NewGrowth(growthSettings)
		if u := g.Read(two(50, 2, 21), at(0)); u != scaling.LookNow {
			t.Fatalf("a full runner with a queue: %q", u)
		}
		g.Owes()
		switch u := g.Read(c.next, at(60)); {
		case c.want == 0 && u != scaling.Rest || c.want > 0 && u != scaling.LookNow:
			t.Errorf("%s: %q", name, u)
		case c.want > 0:
			if r := g.Decide(group(0, 99, 1, "busy"), "i-0", 0, at(60)); r.Desired != c.want {
				t.Errorf("%s: raised to %d, want %d: %s", name, r.Desired, c.want, r.Reasons)
			}
		}
	}
	g.Owes()
	g.Read(two(50, 3, 1), at(120))
	if u := g.Read(two(50, 3, 1), at(123)); u != scaling.Rest {
		t.Errorf("acted upon, it is owed still: %q", u)
	}
}

// grown feeds readings and returns the decision after the last, which asked for one.
func grown(t *testing.T, g *scaling.Growth, group fleet.Group, self string, now int, readings ...fleet.Observation) scaling.Raise {
	t.Helper()
	var last scaling.Urge
	for _, o := range readings {
		last = g.Read(o, at(now))
	}
	if last != scaling.LookNow {
		t.Fatalf("the last reading says %q", last)
	}
	return g.Decide(group, self, 0, at(now))
}

func TestGrowthRaises(t *testing.T) {
	g := scaling.NewGrowth(growthSettings)
	r := grown(t, &g, group(0, 99, 1, "busy"), "i-0", 0, page(0, 0, 0), page(4, 4, 10))
	if r.Desired != 1+3 || !r.Needed { // nine wait, four slots each
		t.Errorf("from one: %+v", r)
	}
	// Three are busy, and had three slots free each before: this one sees 13 waiting,
	// and takes it that the two others have three each in mind or half of that.
	g = scaling.NewGrowth(growthSettings)
	r = grown(t, &g, group(0, 99, 3, "busy", "busy", "busy"), "i-0", 0, page(1, 1, 1), page(4, 4, 14))
	if r.Desired != 3+3 || len(r.Reasons) < 3 { // 13 − 2×3/2 = 10
		t.Errorf("others had slots free: %+v", r)
	}
	// The same in the midst of a backlog: nobody had a slot free.
	g = scaling.NewGrowth(growthSettings)
	r = grown(t, &g, group(0, 99, 3, "busy", "busy", "busy"), "i-0", 0, page(4, 4, 1), page(4, 5, 14))
	if r.Desired != 3+4 {
		t.Errorf("in a backlog: %+v", r)
	}
}

func TestGrowthLeavesAGroupAtItsMaximumAlone(t *testing.T) {
	g := scaling.NewGrowth(growthSettings)
	full := group(0, 2, 2, "busy", "busy")
	if r := grown(t, &g, full, "i-0", 0, page(4, 4, 1), page(4, 5, 30)); r.Needed || !r.AtMax {
		t.Fatalf("%+v", r)
	}
	looks, total := 0, int64(5)
	for s := 3; s < 3600; s += 3 { // a job is taken every three seconds, for an hour
		total++
		if g.Read(page(4, total, 30), at(s)) == scaling.LookNow {
			g.Decide(full, "i-0", 0, at(s))
			looks++
		}
	}
	if looks < 50 || looks > 62 {
		t.Errorf("%d looks in an hour", looks)
	}
	bigger := full
	bigger.Max = 9
	g.Read(page(4, total+1, 30), at(3661))
	if r := g.Decide(bigger, "i-0", 0, at(3661)); r.Desired != 9 {
		t.Errorf("when the maximum was raised: %+v", r)
	}
}

// TestGrowthKeepsALook: what a process knew, the next one goes by.
func TestGrowthKeepsALook(t *testing.T) {
	g := scaling.NewGrowth(growthSettings)
	busy := group(0, 99, 1, "busy")
	if r := grown(t, &g, busy, "i-0", 0, page(0, 0, 0), page(4, 4, 10)); r.Desired != 4 {
		t.Fatalf("%+v", r)
	}
	for name, c := range map[string]struct {
		later, queue int
		resume       bool
		want         scaling.Urge
	}{
		"provided for":      {8, 10, true, scaling.Rest},
		"more":              {8, 14, true, scaling.LookNow},
		"the next look":     {11, 10, true, scaling.LookNow},
		"nothing was kept":  {8, 10, false, scaling.LookNow},
		"a clock that fell": {-60, 10, true, scaling.LookNow},
	} {
		next := scaling.NewGrowth(growthSettings)
		if c.resume {
			next.Resume(g.Looked(), at(c.later))
		}
		if got := next.Read(page(4, 5, c.queue), at(c.later)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	known := scaling.NewGrowth(growthSettings)
	known.Believed(page(4, 4, 10))
	if got := known.Read(page(4, 4, 10), at(5)); got != scaling.Rest {
		t.Errorf("a reading that was acted on: %q", got)
	}
	if known.Forget(); known.Looked() != (scaling.Look{}) {
		t.Errorf("forgotten: %+v", known.Looked())
	}
}

// TestOneFindsOut: of a full fleet without news the first by id raises by one,
// the others when nothing was heard for eight minutes.
func TestOneFindsOut(t *testing.T) {
	all := group(0, 99, 3, "busy", "busy", "busy")
	one, two := scaling.NewGrowth(growthSettings), scaling.NewGrowth(growthSettings)
	for _, g := range []*scaling.Growth{&one, &two} {
		g.Read(page(4, 4, 1), at(0))
		if got := g.Due(); !got.Equal(at(60)) {
			t.Fatalf("due at %s", got.Sub(t0))
		}
		g.Read(page(4, 4, 1), at(60))
	}
	if r := one.Decide(all, "i-0", 0, at(60)); r.Desired != 4 || !r.Needed {
		t.Errorf("the first: %+v", r)
	}
	if r := two.Decide(all, "i-1", 0, at(60)); r.Needed || len(r.Reasons) == 0 {
		t.Errorf("the second: %+v", r)
	}
	if got := one.Due(); !got.Equal(at(180)) { // twice as long
		t.Errorf("the first again at %s", got.Sub(t0))
	}
	if got := two.Due(); !got.Equal(at(480)) {
		t.Errorf("the second at %s", got.Sub(t0))
	}
	two.Read(page(4, 4, 1), at(480))
	if r := two.Decide(all, "i-1", 0, at(480)); r.Desired != 4 {
		t.Errorf("the second, when the first is ill: %+v", r)
	}
	if r := two.Decide(group(0, 99, 4, "busy", "busy", "busy", "pending"), "i-1", 0, at(480)); r.Needed {
		t.Errorf("one is on its way: %+v", r)
	}
}

// TestNoneStarves: however the readings fall, an instance that is full and hears
// nothing looks within the bound, and again within it.
func TestNoneStarves(t *testing.T) {
	const bound = 8 * time.Minute
	r := rand.New(rand.NewPCG(11, 0))
	for n := range 300 {
		self := fmt.Sprintf("i-%d", r.IntN(3))
		g := scaling.NewGrowth(scaling.GrowthSettings{BlindAfter: time.Duration(1+r.IntN(400)) * time.Second})
		g.Read(page(4, 4, 1), at(0))
		stepped := at(0)
		for s := 3; s < 7200; s += 3 {
			if g.Read(page(4, 4, 1), at(s)) != scaling.LookNow {
				if at(s).Sub(stepped) > bound+3*time.Second {
					t.Fatalf("case %d, %s: nothing for %s", n, self, at(s).Sub(stepped))
				}
				continue
			}
			if g.Decide(group(0, 99, 3, "busy", "busy", "busy"), self, 0, at(s)).Needed {
				stepped = at(s)
			}
		}
	}
}

// TestGrowthEstimates: a runner without the gauge tells how long jobs had waited.
func TestGrowthEstimates(t *testing.T) {
	g := scaling.NewGrowth(growthSettings)
	two := group(0, 99, 2, "busy", "busy")
	g.Read(waits(page(0, 0, 0), 0, 0), at(0))
	if r := grown(t, &g, two, "i-0", 3, waits(page(4, 4, 0), 4, 400)); r.Desired != 3 {
		t.Errorf("what filled free slots tells only that jobs wait: %+v", r)
	}
	// Two jobs in the 20 s since, which had waited 50 s: 0.1 a second here, twice that
	// in all, 10 wait. A reading later the same again.
	if r := grown(t, &g, two, "i-0", 23, waits(page(4, 6, 0), 6, 500)); r.Desired != 2+2 { // at most double
		t.Errorf("by Little's law: %+v", r)
	}
}

// TestGrowthProperties holds what the policy promises on fleets and readings of
// every shape.
func TestGrowthProperties(t *testing.T) {
	const seed = 5
	r := rand.New(rand.NewPCG(seed, 0))
	states := []string{"busy", "busy", "idle", "pending", "leaving", "standby"}
	for n := range 20000 {
		g := group(r.IntN(4), 0, r.IntN(12))
		g.Max = g.Min + r.IntN(12)
		for i := range 1 + r.IntN(8) {
			g.Instances = append(g.Instances, instance(fmt.Sprintf("i-%d", i), states[r.IntN(len(states))], string(rune('a'+r.IntN(3))), fmt.Sprint(r.IntN(3))))
		}
		before, queue := r.IntN(5), r.IntN(40)
		decide := func(queue int, g fleet.Group) scaling.Raise {
			x := scaling.NewGrowth(growthSettings)
			x.Read(page(before, 10, 1), at(0))
			if x.Read(page(4, 20, queue+1), at(3)) != scaling.LookNow {
				return scaling.Raise{Desired: g.Desired}
			}
			return x.Decide(g, "i-0", 0, at(3))
		}
		one, more := decide(queue, g), decide(queue+1+r.IntN(10), g)
		if one.Desired < g.Desired || one.Desired > max(g.Max, g.Desired) || one.Needed != (one.Desired > g.Desired) {
			t.Fatalf("seed %d, group %d %+v: %+v", seed, n, g, one)
		}
		if more.Desired < one.Desired {
			t.Fatalf("seed %d, group %d %+v: more jobs, less capacity: %+v, then %+v", seed, n, g, one, more)
		}
		g.Desired = one.Desired
		if again := decide(queue, g); again.Needed {
			t.Fatalf("seed %d, group %d %+v: raised twice: %+v", seed, n, g, again)
		}
	}
}

// TestLeaversAgree: all that read the same listing name the same leavers, none of
// them busy, never more than there is room for.
func TestLeaversAgree(t *testing.T) {
	const seed = 6
	r := rand.New(rand.NewPCG(seed, 0))
	states := []string{"busy", "idle", "idle", "pending", "leaving"}
	for n := range 5000 {
		g := group(r.IntN(4), 0, 0)
		g.Max = g.Min + 12
		for i := range r.IntN(10) {
			g.Instances = append(g.Instances, instance(fmt.Sprintf("i-%d", i), states[r.IntN(len(states))], string(rune('a'+r.IntN(3))), fmt.Sprint(r.IntN(3))))
			if s := g.Instances[i].State; s == fleet.InService || s.IsPending() {
				g.Desired++
			}
		}
		terms := scaling.Terms{InTurn: true, Spare: r.IntN(3)}
		order := scaling.LeavingOrder(g, "")
		idle, leavers, last := 0, 0, -1
		pending := 0
		for _, i := range g.Instances {
			if i.State.IsPending() {
				pending++
			}
			if i.Protected || i.State != fleet.InService {
				continue
			}
			idle++
			l := scaling.MayLeaveWith(g, i.ID, terms)
			if l.Verdict == scaling.Go {
				leavers++
				last = max(last, slices.Index(order, i.ID))
			}
			if want := slices.Index(order, i.ID); l.Verdict == scaling.Wait && l.Rank != want {
				t.Fatalf("seed %d, group %d: %s is %d, by the order %d", seed, n, i.ID, l.Rank, want)
			}
		}
		if last != leavers-1 {
			t.Fatalf("seed %d, group %d: %d leave, and number %d in the order is one", seed, n, leavers, last)
		}
		if leavers > max(0, g.Desired-g.Min) || idle+pending-leavers < min(idle+pending, terms.Spare) {
			t.Fatalf("seed %d, group %d %+v: %d of %d idle leave, %d are to stay", seed, n, g, leavers, idle, terms.Spare)
		}
	}
}
