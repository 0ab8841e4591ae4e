package capacity

// queue holds the jobs that wait, the oldest first, as GitLab hands them out.
type queue struct {
	ring []int32 // as long as a power of two
	head int
	n    int
}

func (q *queue) len() int { return q.n }

func (q *queue) push(j int32) {
	if q.n == len(q.ring) {
		bigger := make([]int32, max(64, 2*len(q.ring)))
		for i := range q.n {
			bigger[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = bigger, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = j
	q.n++
}

func (q *queue) pop() int32 {
	j := q.ring[q.head]
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return j
}

// last is the job that joined last.
func (q *queue) last() int32 { return q.ring[(q.head+q.n-1)&(len(q.ring)-1)] }
