package capacity

import (
	"slices"
	"time"
)

// score is what is measured in a run.
type score struct {
	waits    []time.Duration // of the jobs that began, the first time that they did
	done     int
	lastDone time.Duration
	paidFor  float64 // seconds of instances; a large fleet's do not fit a Duration
	slotTime float64 // seconds of slots that were paid for
	busy     float64 // seconds of slots that ran a job
	begin    []time.Duration
	launches int
	unused   int
	calls    int
	lost     int
	// unfinished are the jobs whose instances EC2 took, each time that they were begun.
	unfinished int
	retried    int
}

func (s *score) init(jobs int) {
	s.waits = make([]time.Duration, 0, jobs)
	s.begin = make([]time.Duration, jobs)
}

func (s *score) begun(e *engine, j int32) {
	s.begin[j] = e.now
	if e.attempt[j] == 1 {
		s.waits = append(s.waits, e.now-e.ready[j])
	}
}

func (s *score) finished(e *engine, j int32) {
	s.done++
	s.lastDone = e.now
	s.busy += (e.now - s.begin[j]).Seconds()
}

// cut ends a job before its end.
func (s *score) cut(e *engine, j int32) {
	s.busy += (e.now - s.begin[j]).Seconds()
	e.running--
}

// paid counts an instance's time.
func (s *score) paid(e *engine, i *instance) {
	d := max(0, e.now-i.launched).Seconds()
	s.paidFor += d
	s.slotTime += d * float64(i.slots)
	s.launches++
	if i.total == 0 {
		s.unused++
	}
}

// end counts those that are still there: a run that is watched for longer is no dearer.
func (s *score) end(e *engine) {
	for _, n := range e.alive {
		s.paid(e, &e.instances[n])
	}
	left := e.plan.Jobs() - s.done - s.lost
	for j := range e.attempt {
		if e.attempt[j] == 0 && !e.here[j] { // never begun, though it could
			s.lost++
			left--
		}
	}
	s.unfinished = left // interrupted each time, or behind those that were
	slices.Sort(s.waits)
}
