package world

import (
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
