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

func reading(started float64, sections ...[2]int64) fleet.Observation {
	o := fleet.Observation{StartedAt: started, Concurrent: 4}
	for i, s := range sections {
		o.Runners = append(o.Runners, fleet.RunnerReading{Name: fmt.Sprint(i), JobsTotal: s[0], QueueSize: int(s[1])})
	}
	return o
}

func TestReadQueue(t *testing.T) {
	for _, c := range []struct {
		name      string
		prev, cur fleet.Observation
		want      scaling.Waiting
	}{
		{"no gauge", reading(1, [2]int64{3, 0}), reading(1, [2]int64{4, 0}), scaling.Waiting{}},
		{"nothing new", reading(1, [2]int64{4, 9}), reading(1, [2]int64{4, 9}), scaling.Waiting{}},
		{"a job was taken", reading(1, [2]int64{4, 9}), reading(1, [2]int64{5, 8}), scaling.Waiting{Jobs: 7, Fresh: true}},
		{"the last of the queue", reading(1, [2]int64{4, 9}), reading(1, [2]int64{5, 1}), scaling.Waiting{Jobs: 0, Fresh: true}},
		{"one section's is stale", reading(1, [2]int64{4, 500}, [2]int64{7, 3}), reading(1, [2]int64{4, 500}, [2]int64{8, 3}), scaling.Waiting{Jobs: 2, Fresh: true}},
		{"both fresh: the longest, not the sum", reading(1, [2]int64{4, 5}, [2]int64{7, 3}), reading(1, [2]int64{5, 5}, [2]int64{8, 3}), scaling.Waiting{Jobs: 4, Fresh: true}},
		{"the runner was restarted", reading(1, [2]int64{40, 9}), reading(2, [2]int64{1, 6}), scaling.Waiting{Jobs: 5, Fresh: true}},
		{"no reading before", fleet.Observation{}, reading(1, [2]int64{4, 9}), scaling.Waiting{Jobs: 8, Fresh: true}},
		{"no reading before, one may be hours old", fleet.Observation{}, reading(1, [2]int64{4, 500}, [2]int64{7, 3}), scaling.Waiting{Jobs: 2, Fresh: true}},
	} {
		if got := scaling.ReadQueue(c.prev, c.cur); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// instance parses "i-1 busy", "i-2 idle zone-b v2", "i-3 pending".
func instance(id, what, zone, version string) fleet.Instance {
	i := fleet.Instance{ID: id, AvailabilityZone: zone, TemplateVersion: version, Healthy: true, State: fleet.InService}
	switch what {
	case "busy":
		i.Protected = true
	case "pending":
		i.State = fleet.PendingWait
	case "leaving":
		i.State = fleet.TerminatingWait
	case "standby":
		i.State = fleet.Standby
	}
	return i
}

func group(minimum, most, desired int, what ...string) fleet.Group {
	g := fleet.Group{Name: "ci", Min: minimum, Max: most, Desired: desired}
	for n, w := range what {
		g.Instances = append(g.Instances, instance(fmt.Sprintf("i-%d", n), w, "a", "1"))
	}
	return g
}

func TestRaiseTo(t *testing.T) {
	for _, c := range []struct {
		name           string
		g              fleet.Group
		slots, waiting int
		want           int
		needed, atMax  bool
	}{
		{"nothing waits", group(0, 9, 1, "busy"), 2, 0, 1, false, false},
		{"self counts as busy whatever its flag says", group(0, 9, 1, "idle"), 2, 1, 2, true, false},
		{"rounded up", group(0, 9, 1, "busy"), 6, 7, 3, true, false},
		{"one slot at least", group(0, 9, 1, "busy"), 0, 2, 3, true, false},
		{"idle ones take it", group(0, 9, 3, "busy", "idle", "idle"), 2, 4, 3, false, false},
		{"pending ones are in desired", group(0, 9, 3, "busy", "pending", "pending"), 2, 4, 3, false, false},
		{"leaving and standby do not count", group(0, 9, 1, "busy", "leaving", "standby"), 1, 2, 3, true, false},
		{"at the maximum", group(0, 2, 2, "busy", "busy"), 1, 5, 2, false, true},
		{"up to the maximum", group(0, 4, 2, "busy", "busy"), 1, 5, 4, true, true},
		{"desired above the maximum stays", group(0, 4, 6, "busy"), 1, 50, 6, false, true},
	} {
		r := scaling.RaiseTo(c.g, "i-0", c.slots, c.waiting)
		if r.Desired != c.want || r.Needed != c.needed || r.AtMax != c.atMax || len(r.Reasons) == 0 {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// TestBears: with so many jobs waiting nothing is raised, with one more it is.
func TestBears(t *testing.T) {
	for _, g := range []fleet.Group{
		group(0, 9, 1, "busy"), group(0, 9, 3, "busy", "pending", "pending"), group(0, 9, 5, "busy", "idle"), group(0, 9, 0, "busy", "busy"),
	} {
		for _, slots := range []int{0, 1, 3} {
			n := scaling.Bears(g, "i-0", slots, g.Desired)
			if r := scaling.RaiseTo(g, "i-0", slots, n); r.Needed && n > 0 {
				t.Errorf("%+v, %d slots: %d jobs want %d", g, slots, n, r.Desired)
			}
			if r := scaling.RaiseTo(g, "i-0", slots, n+1); !r.Needed {
				t.Errorf("%+v, %d slots: %d jobs want nothing", g, slots, n+1)
			}
		}
	}
	if full := group(0, 2, 2, "busy", "busy"); scaling.Bears(full, "i-0", 1, 2) < 1_000_000 {
		t.Error("a group at its maximum can do no more")
	}
}

func TestStep(t *testing.T) {
	for _, c := range []struct {
		name   string
		g      fleet.Group
		want   int
		needed bool
		atMax  bool
	}{
		{"all busy", group(0, 9, 2, "idle", "busy"), 3, true, false},
		{"all busy, desired lowered by hand", group(0, 9, 1, "busy", "busy"), 2, true, false},
		{"an idle one", group(0, 9, 2, "busy", "idle"), 2, false, false},
		{"one pending", group(0, 9, 2, "busy", "pending"), 2, false, false},
		{"one not listed yet", group(0, 9, 2, "busy"), 2, false, false},
		{"at the maximum", group(0, 1, 1, "busy"), 1, false, true},
	} {
		if r := scaling.Step(c.g, "i-0", false); r.Desired != c.want || r.Needed != c.needed || r.AtMax != c.atMax {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	if r := scaling.Step(group(0, 9, 1, "busy", "busy"), "i-0", true); r.Needed || r.Desired != 1 {
		t.Errorf("lowered by hand, and the runner tells of the queue: %+v", r)
	}
}

func TestMayLeave(t *testing.T) {
	for _, c := range []struct {
		name   string
		g      fleet.Group
		inTurn bool
		want   scaling.Verdict
	}{
		{"alone, minimum 0", group(0, 9, 1, "idle"), true, scaling.Go},
		{"at the minimum", group(1, 9, 1, "idle"), true, scaling.Stay},
		{"first in order", group(1, 9, 2, "idle", "idle"), true, scaling.Go},
		{"busy ones do not go", group(1, 9, 2, "idle", "busy"), true, scaling.Go},
		{"desired below the instances", group(0, 9, 1, "idle", "idle"), true, scaling.Yield},
		{"desired below, one pending", group(0, 9, 1, "idle", "pending"), true, scaling.Yield},
		{"leaving ones do not count", group(0, 9, 1, "idle", "leaving"), true, scaling.Go},
		{"not in service", group(0, 9, 1, "pending"), true, scaling.Wait},
		{"not listed", group(0, 9, 1), true, scaling.Wait},
	} {
		if got := scaling.MayLeave(c.g, "i-0", c.inTurn); got.Verdict != c.want || len(got.Reasons) == 0 {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	g := group(1, 9, 3, "idle", "idle", "idle")
	if got := scaling.MayLeave(g, "i-2", true); got.Verdict != scaling.Wait || got.Rank != 2 {
		t.Errorf("third of two: %+v", got)
	}
	if got := scaling.MayLeave(g, "i-2", false); got.Verdict != scaling.Go {
		t.Errorf("out of turn: %+v", got)
	}
	g.Weighted = true
	if got := scaling.MayLeave(g, "i-0", true); got.Verdict != scaling.Stay {
		t.Errorf("weighted: %+v", got)
	}
}

// TestSpares: as many idle instances stay as are to stand ready, and are told so once;
// where they are released they go, unless one of the group is busy.
func TestSpares(t *testing.T) {
	two := scaling.Terms{InTurn: true, Spare: 2}
	released := scaling.Terms{InTurn: true, Spare: 2, Release: true}
	for _, c := range []struct {
		name string
		g    fleet.Group
		self string
		t    scaling.Terms
		want scaling.Verdict
	}{
		{"no more than those", group(0, 9, 2, "idle", "idle"), "i-0", two, scaling.Stay},
		{"one more, the first", group(0, 9, 3, "idle", "idle", "idle"), "i-0", two, scaling.Go},
		{"one more, not the first", group(0, 9, 3, "idle", "idle", "idle"), "i-1", two, scaling.Wait},
		{"one on its way is one", group(0, 9, 3, "idle", "idle", "pending"), "i-0", two, scaling.Go},
		{"busy ones are none", group(0, 9, 3, "idle", "idle", "busy"), "i-0", two, scaling.Stay},
		{"the maximum leaves room for one", group(0, 3, 4, "idle", "idle", "busy", "busy"), "i-0", two, scaling.Go},
		{"idle itself, whatever the listing shows", group(0, 3, 3, "busy", "busy", "busy"), "i-0", two, scaling.Stay},
		{"released", group(0, 9, 2, "idle", "idle"), "i-0", released, scaling.Go},
		{"released, one is busy", group(0, 9, 3, "idle", "idle", "busy"), "i-0", released, scaling.Wait},
		{"released, at the minimum", group(2, 9, 2, "idle", "idle"), "i-0", released, scaling.Stay},
	} {
		if got := scaling.MayLeaveWith(c.g, c.self, c.t); got.Verdict != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	for _, c := range []struct {
		g      fleet.Group
		self   string
		spares int
		want   int
	}{
		{group(0, 9, 1, "busy"), "i-0", 4, 2},
		{group(0, 9, 1, "busy"), "i-0", 5, 3},
		{group(0, 9, 1, "idle"), "", 4, 1},
		{group(0, 9, 2, "busy", "pending"), "i-0", 4, 2},
		{group(0, 9, 0), "", 4, 1},
		{group(0, 2, 2, "busy", "busy"), "i-0", 4, 2},
		{group(0, 9, 5, "busy"), "i-0", 4, 5},
	} {
		if got := scaling.HoldReady(c.g, c.self, 4, c.spares); got.Desired != c.want || got.Needed != (c.want > c.g.Desired) {
			t.Errorf("%d slots beside %+v: %+v, want %d", c.spares, c.g, got, c.want)
		}
	}
	for looks, want := range map[[2]int]scaling.Terms{
		{5, 0}: {InTurn: true}, {6, 0}: {}, {1, 4}: {InTurn: true, Spare: 4}, {2, 4}: {Spare: 4}, {5, 4}: {Spare: 4, Widen: 3},
	} {
		if got := scaling.OnTerms(looks[0], looks[1], false); got != want {
			t.Errorf("after %d looks with %d spares: %+v", looks[0], looks[1], got)
		}
	}
}

// TestSparesBelowTheMinimum: where the minimum holds more than the spares do, out of turn
// is out of turn.
func TestSparesBelowTheMinimum(t *testing.T) {
	g := group(16, 25, 17, slices.Repeat([]string{"idle"}, 17)...)
	if got := scaling.MayLeaveWith(g, "i-9", scaling.OnTerms(2, 2, false)); got.Verdict != scaling.Go {
		t.Errorf("one beyond the minimum, whose others are quiet: %+v", got)
	}
}

// TestSparesDoNotUndoWhatWasLowered: who lowers desired below the number of instances
// means it, until jobs wait.
func TestSparesDoNotUndoWhatWasLowered(t *testing.T) {
	lowered := group(0, 9, 0, "busy", "busy")
	if r := scaling.HoldReady(lowered, "i-0", 4, 4); r.Needed {
		t.Errorf("spares alone: %+v", r)
	}
	for queue, want := range map[int]int{1: 0, 5: 4} { // four wait: one instance, and one for the spares
		g := scaling.NewGrowth(scaling.GrowthSettings{BlindAfter: time.Minute})
		g.Read(page(4, 4, 1), at(0))
		desired := lowered.Desired
		if g.Read(page(4, 5, queue), at(3)) == scaling.LookNow {
			desired = g.Decide(lowered, "i-0", 4, at(3)).Desired
		}
		if desired != want {
			t.Errorf("%d wait: %d, want %d", queue-1, desired, want)
		}
	}
}

// TestOutOfTurnSpares: of those that wait beside spares, and look at the same listing, no
// more go than there is room for, and with every look one more.
func TestOutOfTurnSpares(t *testing.T) {
	const seed = 9
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range 5000 {
		spare := 1 + r.IntN(4)
		idle := spare + r.IntN(6)
		g := group(0, 99, idle, slices.Repeat([]string{"idle"}, idle)...)
		for range r.IntN(4) {
			g.Instances = append(g.Instances, instance(fmt.Sprintf("i-b%d", len(g.Instances)), "busy", "a", "1"))
			g.Desired++
		}
		quiet := r.Perm(idle)[:spare] // which were told to stay, whatever their rank
		for looks := 2; looks < 2+spare+1; looks++ {
			goes := 0
			for i := range idle {
				if !slices.Contains(quiet, i) && scaling.MayLeaveWith(g, fmt.Sprintf("i-%d", i), scaling.OnTerms(looks, spare, false)).Verdict == scaling.Go {
					goes++
				}
			}
			if room := idle - spare; goes > room || looks == 2+spare && goes < room {
				t.Fatalf("seed %d, group %d: %d of %d idle go after %d looks, %d are to stay: %v", seed, n, goes, idle, looks, spare, quiet)
			}
		}
	}
}

func TestLeavingOrder(t *testing.T) {
	g := fleet.Group{Instances: []fleet.Instance{
		instance("i-9", "idle", "a", "10"), instance("i-2", "idle", "b", "10"), instance("i-5", "idle", "a", "9"),
		instance("i-3", "busy", "a", "10"), instance("i-4", "pending", "b", "10"), instance("i-7", "idle", "b", "10"),
	}}
	for self, want := range map[string][]string{
		"i-9": {"i-5", "i-9", "i-2", "i-7"}, // outdated first, then the fullest zone, then by id
		"i-3": {"i-5", "i-3", "i-9", "i-2", "i-7"},
	} {
		if got := scaling.LeavingOrder(g, self); !slices.Equal(got, want) {
			t.Errorf("for %s: %v, want %v", self, got, want)
		}
	}
	g.TemplateVersion = "9" // rolled back: the group names it
	if got := scaling.LeavingOrder(g, "i-9"); got[len(got)-1] != "i-5" {
		t.Errorf("rolled back: %v", got)
	}
	for i := range g.Instances {
		g.Instances[i].TemplateVersion = "launch-configuration"
	}
	g.TemplateVersion = ""
	if got := scaling.LeavingOrder(g, "i-9"); len(got) != 4 {
		t.Errorf("no versions: %v", got)
	}
}

// TestProperties holds what the package promises, on groups of every shape.
func TestProperties(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, 0))
	states := []string{"busy", "idle", "pending", "leaving", "standby"}
	for n := range 20000 {
		g := group(r.IntN(4), 0, r.IntN(12))
		g.Max = g.Min + r.IntN(10)
		for i := range r.IntN(8) {
			g.Instances = append(g.Instances, instance(fmt.Sprintf("i-%d", i), states[r.IntN(len(states))], string(rune('a'+r.IntN(3))), fmt.Sprint(r.IntN(3))))
		}
		slots, waiting := r.IntN(5), r.IntN(30)
		one := scaling.RaiseTo(g, "i-0", slots, waiting)
		for _, raise := range []scaling.Raise{one, scaling.Step(g, "i-0", false)} {
			if raise.Desired < g.Desired || raise.Desired > max(g.Max, g.Desired) || raise.Needed != (raise.Desired > g.Desired) {
				t.Fatalf("seed %d, group %d %+v: %+v", seed, n, g, raise)
			}
		}
		g2 := g
		g2.Desired = one.Desired
		if again := scaling.RaiseTo(g2, "i-0", slots, waiting); again.Needed {
			t.Fatalf("seed %d, group %d %+v: raised twice: %+v", seed, n, g, again)
		}
		if l := scaling.MayLeave(g, "i-0", n%2 == 0); l.Verdict == scaling.Go && g.Desired-1 < g.Min {
			t.Fatalf("seed %d, group %d %+v: below the minimum", seed, n, g)
		}
		goes := 0
		for _, i := range g.Instances {
			if !i.Protected && i.State == fleet.InService && scaling.MayLeave(g, i.ID, true).Verdict == scaling.Go {
				goes++
			}
		}
		if goes > max(0, g.Desired-g.Min) {
			t.Fatalf("seed %d, group %d %+v: %d go at once", seed, n, g, goes)
		}
	}
}
