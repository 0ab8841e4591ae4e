package standin

import (
	"os"
	"time"
)

// feedRunners gives each runner its turn to poll. It waits while every worker
// is busy, with the runner in its hand: this is why one more poll may follow
// after a section was taken out of config.toml.
func (p *Process) feedRunners() {
	for p.stopping.Err() == nil {
		c := p.configuration()
		interval := c.checkInterval(p.options.Timing.Second)
		if len(c.Sections) == 0 {
			sleep(p.stopping, interval)
			continue
		}
		for _, s := range c.Sections {
			p.feedRunner(s, c.systemID)
			sleep(p.stopping, interval/time.Duration(len(c.Sections)))
		}
	}
}

func (p *Process) feedRunner(s section, systemID string) {
	l := workerLabels(runnerLabels{p.flavour.short(s.Token), s.Name, systemID})
	if !p.health.ok(s) {
		p.metrics.feedFailures.With(l).Inc()
		return
	}
	select {
	case p.feed <- s:
		p.metrics.feeds.With(l).Inc()
	case <-p.stopping.Done():
	}
}

// followConfiguration keeps as many workers as concurrent says and loads the
// configuration when it has changed.
func (p *Process) followConfiguration() {
	workers := 0
	for p.stopping.Err() == nil {
		c := p.configuration()
		if err := c.validate(); err != nil {
			p.fatal <- err
			return
		}
		if !p.adjustWorkers(&workers, c.Concurrent) {
			return
		}
		t := time.NewTimer(p.options.Timing.ConfigPoll)
		select {
		case <-t.C:
			p.loadIfNewer()
		case <-p.reload:
			p.load()
		case <-p.stopping.Done():
		}
		t.Stop()
	}
}

// adjustWorkers starts or ends workers. Ending one waits until one is idle:
// lowering concurrent lets running jobs finish. False when the process stops.
func (p *Process) adjustWorkers(have *int, want int) bool {
	for *have > want {
		select {
		case p.stopWorker <- struct{}{}:
			p.metrics.slotOperations.WithLabelValues("stopped").Inc()
		case <-p.stopping.Done():
			return false
		}
		*have--
	}
	for ; *have < want; *have++ {
		p.workers.Go(p.work)
		p.metrics.slotOperations.WithLabelValues("started").Inc()
	}
	p.metrics.slots.Set(float64(*have))
	return true
}

// loadIfNewer loads a file that was written since the last look.
func (p *Process) loadIfNewer() {
	info, err := os.Stat(p.options.Config)
	if err != nil {
		p.log.error("Failed to load config "+err.Error(), nil)
		return
	}
	if p.configuration().modified.Before(info.ModTime()) {
		p.load()
		p.mu.Lock()
		p.config.modified = info.ModTime() // a broken file is not read twice
		p.mu.Unlock()
	}
}

// load replaces the configuration; a broken file leaves the old one in force.
func (p *Process) load() {
	c, err := loadConfiguration(p.options.Config)
	if err != nil {
		p.metrics.loadErrors.Inc()
		p.log.error("Failed to load config "+err.Error(), nil)
		return
	}
	p.mu.Lock()
	p.config = c
	p.mu.Unlock()
	p.metrics.configure(c)
	p.log.info("Configuration loaded", fields{"max_builds": c.Concurrent})
}

// work is one slot: it polls for whatever runner it is given and runs what the
// poll brings.
func (p *Process) work() {
	for p.stopping.Err() == nil {
		select {
		case s := <-p.feed:
			p.process(s)
		case <-p.stopWorker:
			return
		case <-p.stopping.Done():
		}
	}
}

// process takes the section's slot, polls, and runs the job.
func (p *Process) process(s section) {
	c, err := p.client(s, p.configuration().systemID)
	if err != nil {
		p.log.error("Failed to process runner", fields{"error": err.Error()})
		p.metrics.processingFailures.With(workerLabels(runnerLabels{p.flavour.short(s.Token), s.Name, ""}, "failure_type", "other")).Inc()
		return
	}
	if !take(p, p.builds, s, s.Limit) {
		return
	}
	defer give(p, p.builds, s)
	if !take(p, p.polls, s, s.requestConcurrency()) {
		p.metrics.exceeded.With(requestLabels(c.labels())).Inc()
		return
	}
	inFlight := p.metrics.inFlight.With(requestLabels(c.labels()))
	inFlight.Inc()
	j := p.request(c, s)
	give(p, p.polls, s)
	if j != nil {
		p.add(c, s, j)
	}
	inFlight.Dec()
	if j == nil {
		return
	}
	if !s.StrictInterval {
		p.requeue(s)
	}
	p.run(c, s, j)
}

// requeue has an idle worker poll for the same runner at once, so that a queue
// is emptied faster than check_interval.
func (p *Process) requeue(s section) {
	select {
	case p.feed <- s:
	default:
	}
}

// request polls, and accepts the job where the version does.
func (p *Process) request(c *client, s section) *job {
	j, healthy := c.requestJob(p.stopping, p.log)
	if p.stopping.Err() == nil {
		p.health.mark(s, c.labels(), healthy)
	}
	if j == nil || !p.flavour.acknowledges {
		return j
	}
	a := c.update(noCancel(), j.ID, jobUpdate{Token: j.Token, State: stateRunning})
	if refusesJob(a) {
		return nil
	}
	return j
}

// take counts one more use by the section, unless it has as many as allowed
// (0: any number).
func take(p *Process, uses map[string]int, s section, allowed int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if allowed > 0 && uses[s.key()] >= allowed {
		return false
	}
	uses[s.key()]++
	return true
}

func give(p *Process, uses map[string]int, s section) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	uses[s.key()]--
	return uses[s.key()]
}
