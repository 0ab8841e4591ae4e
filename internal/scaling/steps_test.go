package scaling_test

import (
	"testing"

	"github.com/shoal-ci/shoal/internal/scaling"
)

// TestStepsWithoutTheGauge: an instance that cannot know how many jobs wait raises by one,
// by twice what came of that where all of it is at work, and by one again where some of it
// was not needed.
func TestStepsWithoutTheGauge(t *testing.T) {
	full := page(4, 4, 0)
	g := scaling.NewGrowth(growthSettings)
	g.Read(full, at(0))
	now, desired := 0, 1
	for _, look := range []struct {
		name                string
		busy, idle, pending int
		want                int
	}{
		{"the first", 1, 0, 0, 2},
		{"it is on its way", 1, 0, 1, 2},
		{"it is at work", 2, 0, 0, 4},
		{"one of two is there", 3, 0, 1, 4},
		{"both are at work", 4, 0, 0, 8},
		{"all four are", 8, 0, 0, 16},
		{"one is not needed", 15, 1, 0, 16},
		{"it is now", 16, 0, 0, 17},
		{"a large step", 17, 0, 0, 19},
		{"but at most twice the group", 19, 0, 0, 23},
	} {
		for now++; g.Read(full, at(now)) != scaling.LookNow; now++ {
			if now > 3600 {
				t.Fatalf("%s: an hour without a look", look.name)
			}
		}
		states := make([]string, 0, look.busy+look.idle+look.pending)
		for n, state := range []string{"busy", "idle", "pending"} {
			for range []int{look.busy, look.idle, look.pending}[n] {
				states = append(states, state)
			}
		}
		r := g.Decide(group(0, 999, desired, states...), "i-0", 0, at(now))
		if desired = r.Desired; desired != look.want {
			t.Errorf("%s: raised to %d, want %d: %q", look.name, desired, look.want, r.Reasons)
		}
	}
	// With the gauge each step is by one: the newcomer tells.
	g = scaling.NewGrowth(growthSettings)
	g.Read(page(4, 4, 1), at(0))
	for _, busy := range []int{1, 2, 3} {
		for now++; g.Read(page(4, 4, 1), at(now)) != scaling.LookNow; now++ {
			if now > 7200 {
				t.Fatal("with the gauge: an hour without a look")
			}
		}
		states := make([]string, busy)
		for n := range states {
			states[n] = "busy"
		}
		if r := g.Decide(group(0, 999, busy, states...), "i-0", 0, at(now)); r.Desired != busy+1 {
			t.Errorf("with the gauge, %d busy: raised to %d, want %d", busy, r.Desired, busy+1)
		}
	}
}
