package world

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestClockOrder: by time, and what is due at the same instant as it was asked
// for: replays depend on it.
func TestClockOrder(t *testing.T) {
	var c clock
	var got []int
	add := func(n int, after time.Duration) *timer {
		return c.add(epoch.Add(after), func() { got = append(got, n) })
	}
	add(5, 2*time.Second)
	for n := range 5 {
		add(n, time.Second)
	}
	add(9, 0).stop()
	if !c.next().Equal(epoch.Add(time.Second)) {
		t.Errorf("next %v", c.next())
	}
	if c.due(epoch) != nil {
		t.Error("a stopped timer is due")
	}
	for d := c.due(epoch.Add(time.Minute)); d != nil; d = c.due(epoch.Add(time.Minute)) {
		d.do()
	}
	if !slices.Equal(got, []int{0, 1, 2, 3, 4, 5}) {
		t.Errorf("order %v", got)
	}
	if !c.next().IsZero() {
		t.Error("something is left")
	}
}

// TestClockKeepsTheOrderOfMany: timers come and go while others wait, and none is late.
func TestClockKeepsTheOrderOfMany(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // replayed by its seed
		var c clock
		now := epoch
		for range 5000 {
			for range r.IntN(4) {
				at := now.Add(time.Duration(r.IntN(100_000)) * time.Millisecond)
				x := c.add(at, func() {})
				if r.IntN(5) == 0 {
					x.stop()
				}
			}
			first := time.Time{}
			for _, d := range c.heap {
				if !d.idle && (first.IsZero() || d.at.Before(first)) {
					first = d.at
				}
			}
			if next := c.next(); !next.Equal(first) {
				t.Fatalf("seed %d: next is %s, and the first is due at %s", seed, next, first)
			}
			if d := c.due(now.Add(time.Duration(r.IntN(60)) * time.Second)); d != nil && d.at.After(now) {
				now = d.at
			}
		}
	}
}
