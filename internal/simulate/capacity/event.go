package capacity

import "time"

// event is something that is due. Of two at the same instant the one that was
// planned first comes first.
type event struct {
	at   time.Duration
	seq  uint32
	a, b int32 // whom it is about, by kind
	kind kind
}

type kind uint8

const (
	evDone    kind = iota // job a ends, its attempt b
	evPoll                // the poll of generation a is due
	evAsk                 // instance a, which was given a job, asks for the next one
	evUp                  // instance a comes into service
	evHook                // the webhook looks, generation a
	evSpot                // EC2 announces that it will take instance a
	evTaken               // EC2 takes instance a
	evPolicy              // of the policy's own: what b is about instance a
	evPolicy2             // another kind of these
	evPolicy3
	evPolicy4
	evPolicy5
	evPolicy6
	evPolicy7
	evPolicy8
	evPolicy9
)

// jobEvent is what GitLab's job hook tells of a job.
type jobEvent uint8

const (
	jobCreated jobEvent = iota
	jobPending
	jobStarted
	jobEnded
	jobCut // its instance was taken
)

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && int32(e.seq-o.seq) < 0 //nolint:gosec // wraps around on purpose
}

// events is a heap with four children each: shallow, and neighbours in memory.
type events []event

func (q *events) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
	*q = h
}

func (q *events) pop() event {
	h := *q
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= len(h) {
			break
		}
		for c, end := child+1, min(child+4, len(h)); c < end; c++ {
			if h[c].before(&h[child]) {
				child = c
			}
		}
		if !h[child].before(&last) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return first
}
