package capacity

import "time"

// spotLead is how long before it takes an instance EC2 says so.
const spotLead = 2 * time.Minute

// spotMargin is how long before that the jobs are ended, so that they can be
// reported; every policy is given it, for each can have a daemon that does so.
const spotMargin = 15 * time.Second

// interrupt announces that EC2 will take an instance: it takes no further job,
// and a replacement is not waited for.
func (e *engine) interrupt(n int32) {
	i := &e.instances[n]
	if i.state == gone || i.doomed {
		return
	}
	i.doomed = true
	if i.state == inService {
		i.state = held
		e.inService--
		e.setPolling(n, false)
	}
	e.policy.noticed(e, n)
	e.at(e.now+spotLead-spotMargin, evTaken, n, 0)
}

// take ends an instance that EC2 takes. Its jobs are reported failed in time and
// tried again: they join the queue as new ones. The group replaces it.
func (e *engine) take(n int32) {
	i := &e.instances[n]
	if i.state == gone {
		return
	}
	again := i.jobs
	i.jobs = nil
	for _, j := range again {
		e.score.cut(e, j)
		e.told(j, jobCut)
		e.attempt[j]++ // its end is void
		e.score.retried++
	}
	e.terminate(n, false)
	for _, j := range again {
		e.enqueue(j)
	}
}
