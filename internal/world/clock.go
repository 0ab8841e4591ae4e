package world

import "time"

// timer is something that will happen by itself.
type timer struct {
	at   time.Time
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
	heap  []due // each has four children: shallow, and neighbours in memory
	seq   uint64
	start time.Time // of the first timer: the others' keys count from it
}

// due is a timer's place in the order.
type due struct {
	key time.Duration
	seq uint64 // of two at the same instant the older goes first
	*timer
}

func (d *due) before(o *due) bool { return d.key < o.key || d.key == o.key && d.seq < o.seq }

func (c *clock) add(at time.Time, do func()) *timer {
	if c.seq == 0 {
		c.start = at
	}
	c.seq++
	d := due{key: at.Sub(c.start), seq: c.seq, timer: &timer{at: at, do: do}}
	c.heap = append(c.heap, d)
	i := len(c.heap) - 1
	for ; i > 0 && d.before(&c.heap[(i-1)/4]); i = (i - 1) / 4 {
		c.heap[i] = c.heap[(i-1)/4]
	}
	c.heap[i] = d
	return d.timer
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
	t := c.heap[0].timer
	c.pop()
	t.idle = true
	return t
}

// drop takes out the first ones that were stopped.
func (c *clock) drop() {
	for len(c.heap) > 0 && c.heap[0].idle {
		c.pop()
	}
}

func (c *clock) pop() {
	last := len(c.heap) - 1
	d := c.heap[last]
	c.heap[last] = due{}
	c.heap = c.heap[:last]
	if last == 0 {
		return
	}
	i := 0
	for {
		least := i*4 + 1
		if least >= last {
			break
		}
		for child, end := least+1, min(least+4, last); child < end; child++ {
			if c.heap[child].before(&c.heap[least]) {
				least = child
			}
		}
		if d.before(&c.heap[least]) {
			break
		}
		c.heap[i] = c.heap[least]
		i = least
	}
	c.heap[i] = d
}
