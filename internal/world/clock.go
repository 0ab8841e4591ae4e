package world

import (
	"container/heap"
	"time"
)

// timer is something that will happen by itself.
type timer struct {
	at   time.Time
	seq  uint64 // of two at the same instant the older goes first
	do   func()
	idle bool // stopped or done
}

// stop keeps the timer from happening; nil and stopped ones are fine.
func (t *timer) stop() {
	if t != nil {
		t.idle = true
	}
}

// clock holds the timers in the order in which they are due.
type clock struct {
	heap timerHeap
	seq  uint64
}

func (c *clock) add(at time.Time, do func()) *timer {
	c.seq++
	t := &timer{at: at, seq: c.seq, do: do}
	heap.Push(&c.heap, t)
	return t
}

// next is when the first timer is due; zero when there is none.
func (c *clock) next() time.Time {
	c.drop()
	if len(c.heap) == 0 {
		return time.Time{}
	}
	return c.heap[0].at
}

// due takes out the first timer that is due at now; nil when none is.
func (c *clock) due(now time.Time) *timer {
	c.drop()
	if len(c.heap) == 0 || c.heap[0].at.After(now) {
		return nil
	}
	t := heap.Pop(&c.heap).(*timer)
	t.idle = true
	return t
}

func (c *clock) drop() {
	for len(c.heap) > 0 && c.heap[0].idle {
		heap.Pop(&c.heap)
	}
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(*timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}
