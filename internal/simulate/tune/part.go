package tune

import (
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// Part is a part of a trace: all of it, its halves, and theirs. What is chosen on a
// part has to hold in both of its halves.
type Part int

// Whole is all of the trace. Its halves are 1 and 2, and theirs 3 to 6.
const Whole Part = 0

const parts = 7

func (p Part) halves() (first, second Part) { return 2*p + 1, 2*p + 2 }

func (p Part) String() string {
	return [parts]string{"whole", "first half", "second half", "first quarter", "second quarter", "third quarter", "last quarter"}[p]
}

// Parts cuts a trace in the middle of its time, and the halves again. Pipelines are
// kept together; the time of day and the day of the week are kept.
func Parts(t trace.Trace) []trace.Trace {
	all := make([]trace.Trace, parts)
	all[Whole] = t
	for p := Whole; p <= 2; p++ {
		first, second := p.halves()
		all[first], all[second] = cut(all[p])
	}
	return all
}

func cut(t trace.Trace) (first, second trace.Trace) {
	first.Start, second.Start = t.Start, t.Start
	if len(t.Jobs) == 0 {
		return first, second
	}
	middle := t.Jobs[0].Created + (t.Jobs[len(t.Jobs)-1].Created-t.Jobs[0].Created)/2
	began := map[int]time.Duration{} // of each pipeline
	for _, j := range t.Jobs {
		at := j.Created
		if j.Pipeline > 0 {
			if b, ok := began[j.Pipeline]; ok {
				at = b
			} else {
				began[j.Pipeline] = at
			}
		}
		if at <= middle {
			first.Jobs = append(first.Jobs, j)
		} else {
			second.Jobs = append(second.Jobs, j)
		}
	}
	return first, second
}
