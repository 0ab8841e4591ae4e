package simulate

import (
	"testing"
	"time"
)

// TestMoments: a fault that waits for a moment of an instance strikes that instance,
// then, and one whose instance never comes to it strikes nobody.
func TestMoments(t *testing.T) {
	t.Parallel()
	s := Schedule{Seed: 4, Faults: []Fault{
		{Kind: SoftReboot, Since: Boot, At: 10 * time.Minute, Instance: 3},
		{Kind: Spot, At: time.Hour, Instance: 1},
		{Kind: Crash, Since: Boot, At: time.Second, Instance: 999},
	}}
	r := Run(s, Options{})
	if r.Hits[SoftReboot] != 1 || r.Hits[Spot] != 1 || r.Hits[Crash] != 0 || !r.Struck[0] || r.Struck[2] {
		t.Errorf("counted %v, struck %v", r.Hits, r.Struck)
	}
	drains := 0
	for n := 1; n <= 30; n++ { // whichever is interrupted
		s.Faults = append(s.Faults, Fault{Kind: Reboot, Since: Notice, At: 5 * time.Second, Instance: n})
	}
	for n, struck := range Run(s, Options{}).Struck[3:] {
		if struck {
			drains++
			t.Logf("instance %d reboots in its drain", n+1)
		}
	}
	if drains == 0 {
		t.Error("no instance reboots in the middle of its drain")
	}
}
