package life

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// TestMissedTurns: instances that all come too late for their turns, at the same
// instant, do not act together for that: a second lies between two.
func TestMissedTurns(t *testing.T) {
	g := fleet.Group{Name: "ci", Max: 9, Desired: 4}
	for n := range 4 {
		g.Instances = append(g.Instances, fleet.Instance{ID: fmt.Sprintf("i-%d", n), State: fleet.InService, Healthy: true, AvailabilityZone: "a"})
	}
	begin := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	late := begin.Add(time.Hour)
	acts := map[time.Duration]int{}
	for n := range 4 {
		var of turns
		of.listed(g, fmt.Sprintf("i-%d", n), begin)
		now := late
		for range 3 {
			if _, mine := of.listed(g, fmt.Sprintf("i-%d", n), now); mine {
				acts[now.Sub(late)]++
				break
			}
			if now = of.next; now.Before(late) {
				t.Fatalf("i-%d is to look in the past, at %s", n, now)
			}
		}
	}
	for n := range 4 {
		if at := time.Duration(n) * missedSpan; acts[at] != 1 {
			t.Errorf("%d act %s after they have come late, want one each: %v", acts[at], at, acts)
		}
	}
}
