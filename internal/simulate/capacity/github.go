package capacity

import "time"

// github is terraform-aws-github-runner: each job that still waits after a delay
// launches one instance that runs one job. Reconstructed from its documentation
// (FACTS §7). It launches by EC2 itself: no call goes to Auto Scaling.
type github struct {
	deaf
	delay   time.Duration // option delay_webhook_event
	minimum time.Duration // option minimum_running_time_in_minutes
	every   time.Duration // option scale_down_schedule: between its runs
	most    int           // option runners_maximum_count; 0: the comparison's maximum

	base time.Duration
	back []event // messages that were put back at the maximum
}

const (
	githubLaunches = evPolicy  // job a, if it still waits
	githubShrinks  = evPolicy2 // the scale-down
	githubAgain    = evPolicy3 // messages that were put back
)

func (p *github) begin(e *engine) {
	e.opt.Slots, e.single = []int{1}, true
	if p.most > 0 {
		e.opt.Max = p.most
	}
	e.opt.Min = min(e.opt.Min, e.opt.Max)
	p.base = e.now + e.within(p.every)
	e.beginAtMin()
	e.at(p.base, githubShrinks, 0, 0)
}

func (p *github) queued(e *engine) {
	j := e.queue.last()
	e.at(e.now+p.delay, githubLaunches, j, e.attempt[j])
}

// freed ends the instance with its job: it is never asked for a second one.
func (p *github) freed(e *engine, n int32) { e.terminate(n, true) }

func (p *github) due(e *engine, due *event) {
	switch due.kind {
	case githubLaunches:
		p.launch(e, due)
	case githubShrinks:
		p.shrink(e)
	case githubAgain:
		p.again(e)
	}
}

// launch makes an instance for a job that still waits; at the maximum the
// message is put back, and comes again after those that were put back before it.
func (p *github) launch(e *engine, due *event) {
	if len(p.back) > 0 || len(e.alive) >= e.opt.Max {
		p.back = append(p.back, *due)
		if len(p.back) == 1 {
			e.at(e.now+p.delay, githubAgain, 0, 0)
		}
		return
	}
	p.launchFor(e, due)
}

func (p *github) launchFor(e *engine, due *event) {
	if e.attempt[due.a] == due.b {
		e.setDesired(len(e.alive) + 1)
	}
}

// again takes the messages that were put back, the oldest first.
func (p *github) again(e *engine) {
	for len(p.back) > 0 && len(e.alive) < e.opt.Max {
		p.launchFor(e, &p.back[0])
		p.back = p.back[1:]
	}
	if len(p.back) > 0 {
		e.at(e.now+p.delay, githubAgain, 0, 0)
	}
}

// shrink ends the idle instances that are old enough.
func (p *github) shrink(e *engine) {
	for k := len(e.alive) - 1; k >= 0; k-- {
		n := e.alive[k]
		i := &e.instances[n]
		if i.state == inService && len(i.jobs) == 0 && e.now-i.launched >= p.minimum && len(e.alive) > e.opt.Min {
			e.terminate(n, true)
		}
	}
	e.at(e.now+p.every, githubShrinks, 0, 0)
}
