package world

import (
	"testing"
	"time"
)

// TestRebalanceZones: one more first, above the maximum, then one less; a protected
// one is not chosen, and nothing is when the processes are suspended.
func TestRebalanceZones(t *testing.T) {
	s := plain("ci", 0, 4, 4)
	s.Zones = []string{"a", "b"}
	r := newRig(t, Options{Boot: time.Minute}, s)
	r.pass(2 * time.Minute)
	old := r.ids() // in a, b, a, b
	for _, id := range []string{old[1], old[3]} {
		_, err := r.Terminate(r.now, id, true)
		r.must(err)
	}
	r.must(r.UpdateGroup(r.now, "ci", GroupUpdate{Max: ptr(2)}))
	r.must(r.Protect(r.now, "ci", true, old[0]))
	r.must(r.RebalanceZones(r.now, "ci"))
	r.pass(30 * time.Second)
	if g := r.group("ci"); len(g.Instances) != 3 || g.Desired != 2 || g.Instances[2].Zone != "b" {
		t.Fatalf("the first half: %+v", g)
	}
	r.pass(2 * time.Minute)
	g := r.group("ci")
	if len(g.Instances) != 2 || g.Instances[0].ID != old[0] || g.Instances[1].Zone != "b" {
		t.Errorf("the second half: %+v, before %v", g, old)
	}
	r.must(r.Suspend(r.now, "ci", "Launch"))
	r.must(r.RebalanceZones(r.now, "ci"))
	r.pass(0)
	if got := len(r.ids()); got != 2 {
		t.Errorf("%d instances with Launch suspended", got)
	}
	r.refused(r.RebalanceZones(r.now, "none"), "ValidationError", "AutoScalingGroup name not found - AutoScalingGroup none not found")
}
