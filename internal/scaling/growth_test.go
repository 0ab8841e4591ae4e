package scaling_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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

// TestGrowthBesideAHook: where a job hook is at work, an instance raises by itself only
// when jobs had waited for longer than the hook needs, or nothing is heard for an hour.
func TestGrowthBesideAHook(t *testing.T) {
	type step struct {
		at   int // seconds
		o    fleet.Observation
		want scaling.Urge
	}
	for name, steps := range map[string][]step{
		"jobs wait, for a launch":             {{0, waits(page(3, 3, 1), 3, 0), scaling.Free}, {3, waits(page(4, 5, 9), 5, 200), scaling.Rest}},
		"jobs wait, and nobody sees to it":    {{0, waits(page(3, 3, 1), 3, 0), scaling.Free}, {3, waits(page(4, 5, 9), 5, 240), scaling.LookNow}},
		"the first reading tells of no waits": {{0, waits(page(4, 4, 9), 4, 9000), scaling.Rest}},
		"without a gauge, for a launch":       {{0, waits(page(3, 3, 0), 3, 0), scaling.Free}, {3, waits(page(4, 4, 0), 4, 90), scaling.Rest}},
		"without a gauge, nobody sees to it":  {{0, waits(page(3, 3, 0), 3, 0), scaling.Free}, {3, waits(page(4, 4, 0), 4, 120), scaling.LookNow}},
		"no news for an hour":                 {{0, page(4, 4, 1), scaling.Rest}, {3597, page(4, 4, 1), scaling.Rest}, {3600, page(4, 4, 1), scaling.LookNow}},
	} {
		g := scaling.NewGrowth(scaling.GrowthSettings{BlindAfter: time.Minute, Grace: 2 * time.Minute})
		for _, s := range steps {
			if got := g.Read(s.o, at(s.at)); got != s.want {
				t.Errorf("%s: after %d s %q, want %q", name, s.at, got, s.want)
			}
		}
	}
	g := scaling.NewGrowth(scaling.GrowthSettings{BlindAfter: time.Minute, Grace: 2 * time.Minute})
	g.Read(page(4, 4, 1), at(0))
	g.Read(page(4, 4, 1), at(3600))
	if r := g.Decide(group(0, 9, 1, "busy"), "i-0", 0, at(3600)); r.Desired != 2 || g.Due() != at(7200) {
		t.Errorf("finds out by %+v, and again at %s", r, g.Due())
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
		"a job meanwhile":     {two(50, 3, 61), 1 + 15},
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
	// Nine are busy, and had three slots free each before: this one sees 13 waiting, and
	// takes it that four others have three each in mind, or half of that.
	nine := slices.Repeat([]string{"busy"}, 9)
	g = scaling.NewGrowth(growthSettings)
	r = grown(t, &g, group(0, 99, 9, nine...), "i-0", 0, page(1, 1, 1), page(4, 4, 14))
	if r.Desired != 9+2 || len(r.Reasons) < 3 { // 13 − 4×3/2 = 7
		t.Errorf("others had slots free: %+v", r)
	}
	// Of a few nobody knows that.
	g = scaling.NewGrowth(growthSettings)
	r = grown(t, &g, group(0, 99, 3, "busy", "busy", "busy"), "i-0", 0, page(1, 1, 1), page(4, 4, 14))
	if r.Desired != 3+4 {
		t.Errorf("of a few instances: %+v", r)
	}
	// The same in the midst of a backlog: nobody had a slot free.
	g = scaling.NewGrowth(growthSettings)
	r = grown(t, &g, group(0, 99, 3, "busy", "busy", "busy"), "i-0", 0, page(4, 4, 1), page(4, 5, 14))
	if r.Desired != 3+4 {
		t.Errorf("in a backlog: %+v", r)
	}
}

// ended adds what the histogram of durations shows.
func ended(o fleet.Observation, jobs uint64, seconds float64) fleet.Observation {
	o.Runners = slices.Clone(o.Runners)
	o.Runners[0].JobsEnded, o.Runners[0].JobSeconds = jobs, seconds
	return o
}

// TestGrowthOfALargeFleet: what finds a place in slots that are free or become so gets
// no instance of its own, but for the first twenty.
func TestGrowthOfALargeFleet(t *testing.T) {
	for name, c := range map[string]struct {
		busy, pending int
		at            int // seconds, full from 0 on
		page          fleet.Observation
		first         fleet.Observation
		want          int
	}{
		"from one, nothing seen": {1, 0, 0, page(4, 4, 401), page(0, 0, 0), 1 + 100},
		// Others are on their way and will tell. By ten minutes for a job 0.275 of the
		// slots soon end one: (400 − 0.275×4) / 1.275 = 312.9, 79 instances.
		"nothing seen, others will tell": {1, 1, 0, page(4, 4, 401), page(0, 0, 0), 1 + 79},
		// 76 fill nineteen more; another four get no instance yet.
		"twenty get all":     {1, 1, 0, page(4, 4, 77), page(0, 0, 0), 20},
		"but not twenty-one": {1, 1, 0, page(4, 4, 81), page(0, 0, 0), 20},
		"nineteen and one":   {19, 0, 0, page(4, 8, 5), page(4, 7, 1), 20},
		// One of 40 s has ended: 1 in 640 s, 0.258. (400 − 1.0) / 1.258 = 317.2.
		"a short job has ended": {1, 0, 0, ended(page(4, 5, 401), 1, 40), page(0, 0, 0), 1 + 80},
		// Eighty of five minutes: 80 in 24,600 s, 0.537; (100 − 0.537×160) / 1.537 = 9.2.
		"jobs of five minutes":    {40, 0, 0, ended(page(4, 84, 101), 80, 24000), page(4, 83, 1), 40 + 3},
		"they make place for all": {40, 0, 0, ended(page(4, 84, 41), 80, 24000), page(4, 83, 1), 40},
		// But one alone in the ten minutes since: at most 2 in 2,400 s, 0.138; 78 / 1.138 = 68.6.
		"and now they are longer": {40, 0, 600, ended(page(4, 84, 101), 80, 24000), page(4, 83, 1), 40 + 18},
		"jobs that do not end":    {40, 0, 1800, page(4, 5, 101), page(4, 4, 1), 40 + 25},
		// Two of four slots were free: 78 on the others, too.
		"slots were free": {40, 0, 0, page(4, 9, 71), page(2, 7, 1), 40},
	} {
		g := scaling.NewGrowth(growthSettings)
		g.Read(c.first, at(0))
		if c.at > 0 {
			g.Read(c.first, at(c.at-3))
		}
		urge := g.Read(c.page, at(c.at))
		if urge != scaling.LookNow {
			t.Errorf("%s: %q", name, urge)
			continue
		}
		states := append(slices.Repeat([]string{"busy"}, c.busy), slices.Repeat([]string{"pending"}, c.pending)...)
		if r := g.Decide(group(0, 999, len(states), states...), "i-0", 0, at(c.at)); r.Desired != c.want {
			t.Errorf("%s: raised to %d, want %d: %q", name, r.Desired, c.want, r.Reasons)
		}
	}
}

// TestNoPlaceAfterAll: jobs that were left to find a place and did not, for nothing
// ended, are raised for at once when the first of the fleet finds out.
func TestNoPlaceAfterAll(t *testing.T) {
	g := scaling.NewGrowth(growthSettings)
	g.Read(page(4, 4, 1), at(0))
	fleet40 := group(0, 999, 40, slices.Repeat([]string{"busy"}, 40)...)
	told := ended(page(4, 5, 13), 40, 12000)
	if r := grown(t, &g, fleet40, "i-0", 0, told); r.Needed || len(r.Reasons) < 3 {
		t.Fatalf("twelve find a place among 160: %+v", r)
	}
	if r := grown(t, &g, fleet40, "i-0", 60, told); r.Desired != 40+3 {
		t.Errorf("they did not: %+v", r)
	}
	if u := g.Read(page(4, 6, 1), at(63)); u != scaling.Rest {
		t.Errorf("the last of them was taken: %q", u)
	}
	if r := grown(t, &g, fleet40, "i-0", 63+240, page(4, 6, 1)); r.Desired != 40+1 {
		t.Errorf("without news again, one step: %+v", r)
	}
}

// TestFewAreLeftWhenFewWait: jobs that were left to find a place and have found one are
// not raised for later.
func TestFewAreLeftWhenFewWait(t *testing.T) {
	g := scaling.NewGrowth(growthSettings)
	g.Read(page(4, 4, 1), at(0))
	fleet40 := group(0, 999, 40, slices.Repeat([]string{"busy"}, 40)...)
	if r := grown(t, &g, fleet40, "i-0", 0, ended(page(4, 5, 13), 40, 12000)); r.Needed {
		t.Fatalf("twelve find a place among 160: %+v", r)
	}
	g.Read(ended(page(4, 6, 2), 41, 12300), at(30)) // one waits still
	if r := grown(t, &g, fleet40, "i-0", 90, ended(page(4, 6, 2), 41, 12300)); r.Desired != 40+1 {
		t.Errorf("one is left: %+v", r)
	}
}

// TestWhoIsOnTheWayWillTell: one that finds out asks again as soon as before while
// another is on its way, and later and later where its steps found nothing.
func TestWhoIsOnTheWayWillTell(t *testing.T) {
	g := scaling.NewGrowth(growthSettings)
	g.Read(page(4, 4, 1), at(0))
	coming := group(0, 99, 2, "busy", "pending")
	for now := 60; now <= 300; now += 60 { // a minute each
		if r := grown(t, &g, coming, "i-0", now, page(4, 4, 1)); r.Needed {
			t.Errorf("after %d s: %+v", now, r)
		}
	}
	if r := grown(t, &g, group(0, 99, 1, "busy"), "i-0", 360, page(4, 4, 1)); r.Desired != 2 {
		t.Errorf("it came, was not needed, and went: %+v", r)
	}
	if u := g.Read(page(4, 4, 1), at(420)); u != scaling.Rest {
		t.Errorf("a minute after a step: %q", u)
	}
}

// TestFewInTheQueueOfManyAreNoNews: what jobs that end make place for within twenty
// seconds is not worth a look; more than that is.
func TestFewInTheQueueOfManyAreNoNews(t *testing.T) {
	for queue, want := range map[int]scaling.Urge{100: scaling.Rest, 130: scaling.LookNow} {
		g := scaling.NewGrowth(growthSettings)
		g.Read(page(4, 4, 1), at(0))
		g.Read(page(4, 5, 2), at(3)) // one waits: worth a look in a fleet of unknown size
		g.Decide(group(0, 999, 100, slices.Repeat([]string{"busy"}, 100)...), "i-0", 0, at(3))
		// A hundred of a minute: 100 in 600 + 6,000 + 4×63 s, 0.0146 a second and slot, of
		// 400 slots: 116.8 in twenty seconds.
		if u := g.Read(ended(page(4, 9, queue+1), 100, 6000), at(63)); u != want {
			t.Errorf("%d wait: %q, want %q", queue, u, want)
		}
	}
}

// TestShortJobsMakePlace: likewise on a single instance, that has not looked at the group.
func TestShortJobsMakePlace(t *testing.T) {
	for name, c := range map[string]struct {
		queue   int
		seconds float64 // of the hundred jobs that have ended
		want    scaling.Urge
	}{
		"one waits for ten seconds":  {1, 4000, scaling.Rest}, // 100 in 600 + 4,000 s: 1.7 in twenty seconds
		"two wait":                   {2, 4000, scaling.LookNow},
		"the jobs take five minutes": {1, 30_000, scaling.LookNow}, // 0.26
	} {
		g := scaling.NewGrowth(growthSettings)
		g.Read(ended(page(3, 103, 1), 100, c.seconds), at(0))
		if u := g.Read(ended(page(4, 104, c.queue+1), 100, c.seconds), at(3)); u != c.want {
			t.Errorf("%s: %q, want %q", name, u, c.want)
		}
	}
}

// TestTheOthersWaitLonger: one that is not the first by id finds out after eight minutes
// without news alone, also in its next spell.
func TestTheOthersWaitLonger(t *testing.T) {
	g := scaling.NewGrowth(growthSettings)
	g.Read(page(4, 4, 1), at(0))
	two := group(0, 99, 2, "busy", "busy")
	if r := grown(t, &g, two, "i-1", 60, page(4, 4, 1)); r.Needed {
		t.Fatalf("not the first: %+v", r)
	}
	g.Read(page(3, 4, 1), at(70))
	g.Read(page(4, 5, 1), at(73))
	if u := g.Read(page(4, 5, 1), at(73+7*60)); u != scaling.Rest {
		t.Errorf("seven minutes in the next spell: %q", u)
	}
	if r := grown(t, &g, two, "i-1", 73+8*60, page(4, 5, 1)); !r.Needed {
		t.Errorf("eight minutes: %+v", r)
	}
}

// TestFindingOutHasAFloor: whatever blind_after is, one that waits for another that is on
// its way does not look at every reading.
func TestFindingOutHasAFloor(t *testing.T) {
	for _, blind := range []time.Duration{0, 10 * time.Second, time.Minute} {
		g := scaling.NewGrowth(scaling.GrowthSettings{BlindAfter: blind})
		looks := 0
		for s := 0; s < 600; s += 3 {
			if g.Read(page(4, 4, 1), at(s)) == scaling.LookNow {
				g.Decide(group(0, 99, 2, "busy", "pending"), "i-0", 0, at(s))
				looks++
			}
		}
		if looks > 13 {
			t.Errorf("blind_after %s: %d looks in ten minutes", blind, looks)
		}
	}
}

// TestSparesAreRaisedForWithTheQueue: what is to stand ready comes on top.
func TestSparesAreRaisedForWithTheQueue(t *testing.T) {
	g := scaling.NewGrowth(growthSettings)
	g.Read(page(4, 4, 1), at(0))
	if u := g.Read(page(4, 5, 9), at(3)); u != scaling.LookNow {
		t.Fatalf("eight wait: %q", u)
	}
	r := g.Decide(group(0, 99, 1, "busy"), "i-0", 6, at(3))
	if r.Desired != 1+4 { // 14, four each
		t.Errorf("eight wait, six are to stand ready: %+v", r)
	}
	if !strings.Contains(string(r.Reasons[0]), "8 jobs wait and 6 slots are to stand ready") {
		t.Errorf("it says %q", r.Reasons)
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
		for i := range r.IntN(2) * r.IntN(60) {
			g.Instances = append(g.Instances, instance(fmt.Sprintf("i-1%d", i), "busy", "a", "1"))
			g.Desired, g.Max = g.Desired+1, g.Max+1
		}
		before, queue := r.IntN(5), r.IntN(400)
		took, seconds := uint64(r.IntN(100)), r.Float64()*1e5 //nolint:gosec // small
		decide := func(queue int, g fleet.Group) scaling.Raise {
			x := scaling.NewGrowth(growthSettings)
			x.Read(page(before, 10, 1), at(0))
			if x.Read(ended(page(4, 20, queue+1), took, seconds), at(3)) != scaling.LookNow {
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
