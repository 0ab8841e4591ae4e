package scaling_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// anyListing draws a group: members in any state, protected or not, in whatever state
// they are; desired and the bounds need not fit them.
func anyListing(r *rand.Rand) fleet.Group {
	states := []fleet.LifecycleState{
		fleet.InService, fleet.InService, fleet.InService, fleet.Pending, fleet.PendingWait, fleet.Terminating, fleet.TerminatingWait, fleet.Standby,
	}
	g := fleet.Group{Name: "ci", Min: r.IntN(4)}
	for n := range r.IntN(12) {
		i := instance(fmt.Sprintf("i-%d", n), "idle", string(rune('a'+r.IntN(3))), fmt.Sprint(r.IntN(3)))
		i.State, i.Protected, i.Healthy = states[r.IntN(len(states))], r.IntN(2) == 0, r.IntN(5) > 0
		g.Instances = append(g.Instances, i)
	}
	r.Shuffle(len(g.Instances), func(a, b int) { g.Instances[a], g.Instances[b] = g.Instances[b], g.Instances[a] })
	g.Desired = max(0, len(g.Instances)+r.IntN(5)-2)
	g.Max = max(g.Min, g.Desired+r.IntN(3)-1)
	return g
}

// TestNobodyNamesABusyInstance: whoever reads a listing, protected or not, in service or
// not, counts no other one among those that leave before it but the idle in service: a
// protected one is at work for all that anybody else can know. And asked about itself one
// that is not in service goes never, a protected one, whose flag may be late, only as one
// of as many as there is room for behind those that are idle for all to see.
func TestNobodyNamesABusyInstance(t *testing.T) {
	const seed = 11
	r := rand.New(rand.NewPCG(seed, 0))
	asked, went := 0, 0 // protected ones
	for n := range 20_000 {
		g := anyListing(r)
		idle := func(id string) bool {
			i, ok := g.Find(id)
			return ok && i.State == fleet.InService && !i.Protected
		}
		if order := scaling.LeavingOrder(g, ""); slices.ContainsFunc(order, func(id string) bool { return !idle(id) }) {
			t.Fatalf("seed %d, listing %d %+v: an observer names %v", seed, n, g, order)
		}
		terms := scaling.Terms{InTurn: r.IntN(3) > 0, Spare: r.IntN(3), Release: r.IntN(2) == 0}
		for _, self := range g.Instances {
			order := scaling.LeavingOrder(g, self.ID)
			if slices.ContainsFunc(order, func(id string) bool { return id != self.ID && !idle(id) }) {
				t.Fatalf("seed %d, listing %d %+v: %s names %v", seed, n, g, self.ID, order)
			}
			l := scaling.MayLeaveWith(g, self.ID, terms)
			switch {
			case self.State != fleet.InService && l.Verdict == scaling.Go:
				t.Fatalf("seed %d, listing %d %+v: %s goes, and is %s", seed, n, g, self.ID, self.State)
			case self.State != fleet.InService:
				continue
			case (l.Verdict == scaling.Go || l.Verdict == scaling.Wait) && l.Rank != slices.Index(order, self.ID):
				t.Fatalf("seed %d, listing %d %+v: %s is number %d, by the idle ones it sees %v", seed, n, g, self.ID, l.Rank, order)
			case l.Verdict == scaling.Go && g.Desired <= g.Min, l.Verdict == scaling.Go && terms.InTurn && l.Rank >= g.Desired-g.Min:
				t.Fatalf("seed %d, listing %d %+v: %s goes as number %d", seed, n, g, self.ID, l.Rank)
			}
			if self.Protected {
				asked++
				if l.Verdict == scaling.Go {
					went++
				}
			}
		}
	}
	if asked < 1000 || went == 0 {
		t.Fatalf("seed %d: %d protected ones were asked, %d may go: the listings say nothing about them", seed, asked, went)
	}
}
