package simulate

import "time"

// turn is something that is due. Of two at the same instant the seed says which
// goes first.
type turn struct {
	at    time.Duration // since the run began
	order uint64        // drawn; then the older first
	kind  turnKind
	gen   uint32   // of the process: what an earlier step of it wanted is void
	p     *process // for the kinds that have one
	do    func()   // for turnDo
}

type turnKind uint8

const (
	turnDo turnKind = iota
	turnWake
	turnEffect
	turnResult
)

func (t *turn) before(o *place) bool {
	return t.at < o.at || t.at == o.at && t.order < o.order
}

// turns holds what is due. The first one is kept apart: most often what is put
// in is what comes out next, and then nothing is sorted.
type turns struct {
	first turn
	has   bool
	heap  []place // four children each: shallow, and neighbours in memory
	slots []turn  // what the places stand for
	free  []uint32
}

// place is a turn's place in the order: what is sorted holds no pointer.
type place struct {
	at    time.Duration
	order uint64
	slot  uint32
}

func (p *place) before(o *place) bool {
	return p.at < o.at || p.at == o.at && p.order < o.order
}

func (q *turns) push(t turn) {
	switch {
	case !q.has && (len(q.heap) == 0 || t.before(&q.heap[0])):
		q.first, q.has = t, true
	case q.has && t.before(&place{at: q.first.at, order: q.first.order}):
		q.up(&q.first)
		q.first = t
	default:
		q.up(&t)
	}
}

// next is when the first one is due; false when there is none.
func (q *turns) next() (time.Duration, bool) {
	switch {
	case q.has:
		return q.first.at, true
	case len(q.heap) > 0:
		return q.heap[0].at, true
	}
	return 0, false
}

func (q *turns) pop() turn {
	if q.has {
		t := q.first
		q.has, q.first.p, q.first.do = false, nil, nil
		return t
	}
	slot := q.heap[0].slot
	t := q.slots[slot]
	q.slots[slot].p, q.slots[slot].do = nil, nil
	q.free = append(q.free, slot)
	last := len(q.heap) - 1
	moved := q.heap[last]
	q.heap = q.heap[:last]
	if last > 0 {
		q.down(moved)
	}
	return t
}

// keep finds a slot for a turn.
func (q *turns) keep(t *turn) uint32 {
	if n := len(q.free); n > 0 {
		slot := q.free[n-1]
		q.free = q.free[:n-1]
		q.slots[slot] = *t
		return slot
	}
	q.slots = append(q.slots, *t)
	return uint32(len(q.slots) - 1) //nolint:gosec // thousands
}

func (q *turns) up(t *turn) {
	p := place{at: t.at, order: t.order, slot: q.keep(t)}
	q.heap = append(q.heap, p)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !p.before(&q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = p
}

func (q *turns) down(p place) {
	i := 0
	for {
		child := 4*i + 1
		if child >= len(q.heap) {
			break
		}
		for c, end := child+1, min(child+4, len(q.heap)); c < end; c++ {
			if q.heap[c].before(&q.heap[child]) {
				child = c
			}
		}
		if !q.heap[child].before(&p) {
			break
		}
		q.heap[i] = q.heap[child]
		i = child
	}
	q.heap[i] = p
}
