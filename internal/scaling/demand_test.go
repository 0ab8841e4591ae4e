package scaling_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

func TestDemandRaises(t *testing.T) {
	weighted := group(0, 9, 1, "busy")
	weighted.Weighted = true
	for _, c := range []struct {
		name          string
		d             scaling.Demand
		g             fleet.Group
		slots, want   int
		needed, atMax bool
	}{
		{"nothing to do", scaling.Demand{}, group(0, 9, 2, "idle", "idle"), 6, 2, false, false},
		{"one job, and nobody there", scaling.Demand{Pending: 1}, group(0, 9, 0), 6, 1, true, false},
		{"rounded up", scaling.Demand{Pending: 13}, group(0, 9, 0), 6, 3, true, false},
		{"those that run count", scaling.Demand{Pending: 1, Running: 6}, group(0, 9, 1, "busy"), 6, 2, true, false},
		{"a free slot takes it", scaling.Demand{Pending: 1, Running: 5}, group(0, 9, 1, "busy"), 6, 1, false, false},
		{"those on their way are in desired", scaling.Demand{Pending: 12}, group(0, 9, 2, "pending", "pending"), 6, 2, false, false},
		{"in place of leaving and standby ones the group launches others", scaling.Demand{Pending: 6}, group(0, 9, 1, "leaving", "standby", "pending"), 6, 1, false, false},
		{"what is expected counts", scaling.Demand{Running: 6, Ahead: 7}, group(0, 9, 1, "busy"), 6, 3, true, false},
		{"those that run alone raise nothing", scaling.Demand{Running: 12}, group(0, 9, 1, "busy", "leaving"), 6, 1, false, false},
		{"what waits undoes that desired was lowered", scaling.Demand{Pending: 1, Running: 12}, group(0, 9, 0, "busy", "busy"), 6, 3, true, false},
		{"what is expected does not", scaling.Demand{Running: 12, Ahead: 6}, group(0, 9, 0, "busy", "busy"), 6, 0, false, false},
		{"up to the maximum", scaling.Demand{Pending: 500}, group(0, 9, 2, "busy", "busy"), 6, 9, true, true},
		{"at the maximum", scaling.Demand{Pending: 500}, group(0, 2, 2, "busy", "busy"), 6, 2, false, true},
		{"one slot at least", scaling.Demand{Pending: 3}, group(0, 9, 0), 0, 3, true, false},
		{"weights are refused", scaling.Demand{Pending: 50}, weighted, 6, 1, false, false},
	} {
		r := c.d.Raise(c.g, c.slots)
		if r.Desired != c.want || r.Needed != c.needed || r.AtMax != c.atMax || len(r.Reasons) == 0 {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// TestDemandProperties: on groups of every shape a raise stays within the bounds, is
// done once, and a greater demand never asks for less.
func TestDemandProperties(t *testing.T) {
	const seed = 11
	r := rand.New(rand.NewPCG(seed, 0))
	states := []string{"busy", "idle", "pending", "leaving", "standby"}
	for n := range 20000 {
		g := group(r.IntN(4), 0, r.IntN(12))
		g.Max = g.Min + r.IntN(10)
		g.Desired = max(g.Desired, g.Min)
		for i := range r.IntN(8) {
			g.Instances = append(g.Instances, instance(fmt.Sprintf("i-%d", i), states[r.IntN(len(states))], "a", "1"))
		}
		slots := r.IntN(5)
		d := scaling.Demand{Pending: r.IntN(20), Running: r.IntN(20), Ahead: r.IntN(20)}
		one := d.Raise(g, slots)
		if one.Desired < max(g.Desired, g.Min) || one.Desired > max(g.Max, g.Desired) || one.Needed != (one.Desired > g.Desired) {
			t.Fatalf("seed %d, group %d %+v, %+v: %+v", seed, n, g, d, one)
		}
		for _, more := range []scaling.Demand{{d.Pending + 1, d.Running, d.Ahead}, {d.Pending, d.Running + 1, d.Ahead}, {d.Pending, d.Running, d.Ahead + 1}} {
			if m := more.Raise(g, slots); m.Desired < one.Desired {
				t.Fatalf("seed %d, group %d %+v: %+v raises to %d, %+v to %d", seed, n, g, d, one.Desired, more, m.Desired)
			}
		}
		g.Desired = one.Desired
		if again := d.Raise(g, slots); again.Needed {
			t.Fatalf("seed %d, group %d %+v, %+v: raised twice: %+v", seed, n, g, d, again)
		}
	}
}

// TestRunningOnTheirWayOut: jobs that run on instances which drain need no place in the
// group: what somebody lowered stays low.
func TestRunningOnTheirWayOut(t *testing.T) {
	g := fleet.Group{Name: "ci", Max: 50}
	for n := range 30 {
		g.Instances = append(g.Instances, fleet.Instance{ID: fmt.Sprintf("i-%d", n), State: fleet.TerminatingWait, Protected: true})
	}
	if r := (scaling.Demand{Pending: 1, Running: 180}).Raise(g, 6); r.Desired != 1 {
		t.Errorf("%+v, want 1", r)
	}
}
