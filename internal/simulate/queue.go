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

func (t *turn) before(o *turn) bool {
	return t.at < o.at || t.at == o.at && t.order < o.order
}

// turns holds what is due. The first one is kept apart: most often what is put
// in is what comes out next, and then nothing is sorted.
type turns struct {
	first turn
	has   bool
	heap  []turn // four children each: shallow, and neighbours in memory
}

func (q *turns) push(t turn) {
	switch {
	case !q.has && (len(q.heap) == 0 || t.before(&q.heap[0])):
		q.first, q.has = t, true
	case q.has && t.before(&q.first):
		q.up(q.first)
		q.first = t
	default:
		q.up(t)
	}
}

// next is the first one; nil when there is none.
func (q *turns) next() *turn {
	if q.has {
		return &q.first
	}
	if len(q.heap) == 0 {
		return nil
	}
	return &q.heap[0]
}

func (q *turns) pop() turn {
	if q.has {
		t := q.first
		q.has, q.first.p, q.first.do = false, nil, nil
		return t
	}
	t := q.heap[0]
	last := len(q.heap) - 1
	moved := q.heap[last]
	q.heap[last] = turn{}
	q.heap = q.heap[:last]
	if last > 0 {
		q.down(moved)
	}
	return t
}

func (q *turns) up(t turn) {
	q.heap = append(q.heap, t)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !t.before(&q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = t
}

func (q *turns) down(t turn) {
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
		if !q.heap[child].before(&t) {
			break
		}
		q.heap[i] = q.heap[child]
		i = child
	}
	q.heap[i] = t
}
