package life_test

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// process is gitlab-runner on the instance: its unit, its config.toml and its
// polls, as FACTS have them: SIGQUIT cancels the poll in flight, a changed
// config.toml does not.
type process struct {
	s        *site
	state    string // of the unit
	sections int    // of the template
	slots    int
	longPoll time.Duration // how long GitLab holds a poll
	broken   bool          // it dies at its start
	mute     bool          // it runs, and serves no metrics
	hangs    time.Duration // how long a poll takes that comes to nothing
	stubborn bool          // its jobs ignore SIGTERM
	deaf     deaf          // it does not poll, until what cures it
	undying  bool          // SIGQUIT does not end it

	config int // sections in config.toml
	held   int // sections kept beside it
	loaded int // sections that the process has read

	gen      int // of the process: timers of an earlier one do nothing
	started  float64
	total    int64
	queueAt  int // queue gauge
	answered int64
	refused  int64
	failed   int64
	polling  bool
	disabled map[string]time.Time // tokens that were refused three times, until when
	strikes  int
	jobs     []*job
	waiting  []time.Duration // the queue: how long each job will take
	termed   bool

	took      []int // ids of the jobs it was given
	finished  []int
	reported  []int // ended by SIGTERM and reported
	cancelled int   // polls cut by SIGQUIT: GitLab may have handed out a job in that instant
	starts    int
}

// deaf is what makes a runner poll again.
type deaf int

const (
	hearing deaf = iota
	deafUntilReload
	deafUntilRestart
	deafForGood
)

type job struct {
	id  int
	end time.Time
}

// arrive puts a job that takes d into GitLab's queue.
func (p *process) arrive(d time.Duration) {
	p.waiting = append(p.waiting, d)
	p.give()
}

// give hands the queue's first job to a poll that is held.
func (p *process) give() {
	for p.polling && len(p.waiting) > 0 && len(p.jobs) < p.slots {
		p.queueAt = len(p.waiting)
		j := &job{id: len(p.took) + 1, end: p.s.now.Add(p.waiting[0])}
		p.waiting = p.waiting[1:]
		p.took, p.jobs = append(p.took, j.id), append(p.jobs, j)
		p.total++
		p.answered++
		p.polling = false
		p.s.at(j.end, func() { p.finish(j) })
		p.poll()
	}
}

func (p *process) finish(j *job) {
	i := slices.Index(p.jobs, j)
	if i < 0 {
		return
	}
	p.jobs = slices.Delete(p.jobs, i, i+1)
	p.finished = append(p.finished, j.id)
	if p.state == "deactivating" {
		p.maybeEnd()
		return
	}
	p.poll()
}

// poll asks GitLab for a job, as often as there is a free slot.
func (p *process) poll() {
	if p.polling || p.state != "active" || p.loaded == 0 || len(p.jobs) >= p.slots || p.s.dead || p.deaf != hearing {
		return
	}
	gen := p.gen
	switch f := p.verdict(); {
	case p.disabled[p.token()].After(p.s.now): // it is silent
	case f == nil:
		p.polling = true
		p.give()
		if p.polling {
			p.s.after(p.longPoll, func() { p.pollEnds(gen) })
		}
		return
	case f.Kind == fleet.BadToken:
		p.refused++
		p.strike()
	default:
		p.failed++
	}
	p.s.after(3*time.Second+p.hangs, func() {
		if gen == p.gen {
			p.poll()
		}
	})
}

// strike has the third refusal in a row silence the runner for an hour, whatever
// is done to its configuration; a section with another token is another runner.
func (p *process) strike() {
	if p.strikes++; p.strikes%3 == 0 {
		p.disabled[p.token()] = p.s.now.Add(time.Hour)
	}
}

func (p *process) token() string {
	if r := p.s.files.registration; r != nil && len(r.Runners) > 0 {
		return r.Runners[0].Token.Reveal()
	}
	return ""
}

// verdict is what GitLab thinks of a poll.
func (p *process) verdict() *fleet.Failure {
	if p.s.gitlab.down != nil {
		return p.s.gitlab.down
	}
	if r := p.s.files.registration; r == nil || len(r.Runners) == 0 || !p.s.gitlab.knows(r.Runners[0].Token.Reveal()) {
		return kind(fleet.BadToken)
	}
	return nil
}

func (p *process) pollEnds(gen int) {
	if gen != p.gen || !p.polling {
		return
	}
	p.polling = false
	p.answered++
	p.s.after(10*time.Millisecond, func() {
		if gen == p.gen {
			p.poll()
		}
	})
}

// start starts the unit, under the condition that its file names.
func (p *process) start() {
	switch {
	case p.state == "deactivating": // systemd keeps the job until the unit has stopped
		gen := p.gen
		p.s.after(100*time.Millisecond, func() {
			if gen == p.gen || p.state == "inactive" {
				p.start()
			}
		})
		return
	case p.state != "inactive" || !p.s.files.flags.Registered || p.s.dead:
		return
	}
	p.starts++
	p.gen++
	if p.broken {
		return
	}
	p.state, p.started = "active", float64(p.s.now.UnixMilli())
	p.total, p.queueAt, p.answered, p.refused, p.failed, p.strikes, p.termed, p.polling = 0, 0, 0, 0, 0, 0, false, false
	p.disabled = map[string]time.Time{}
	p.loaded = p.config
	if p.deaf == deafUntilRestart {
		p.deaf = hearing
	}
	gen := p.gen
	p.s.after(200*time.Millisecond, func() {
		if gen == p.gen {
			p.poll()
		}
	})
}

// quit is SIGQUIT: no further job, the running ones end.
func (p *process) quit() {
	if p.state != "active" {
		return
	}
	if p.polling {
		p.cancelled++
	}
	p.state, p.polling = "deactivating", false
	p.s.after(10*time.Millisecond, p.maybeEnd)
}

// term is SIGTERM: the jobs are killed and reported, if they let it.
func (p *process) term() {
	if p.state == "inactive" {
		return
	}
	p.termed, p.polling, p.state = true, false, "deactivating"
	if !p.stubborn {
		p.killJobs()
	}
}

func (p *process) killJobs() {
	for _, j := range p.jobs {
		p.reported = append(p.reported, j.id)
	}
	p.jobs = nil
	p.s.after(10*time.Millisecond, p.maybeEnd)
}

func (p *process) maybeEnd() {
	if p.state == "deactivating" && len(p.jobs) == 0 && !p.undying {
		p.state = "inactive"
		p.gen++
	}
}

// crash ends the process without a word.
func (p *process) crash() { p.state, p.polling, p.jobs = "inactive", false, nil; p.gen++ }

// changed is a new config.toml: read within three seconds.
func (p *process) changed() {
	p.s.after(3*time.Second, p.reload)
}

func (p *process) reload() {
	if p.state == "active" {
		p.loaded = p.config
		if p.deaf == deafUntilReload {
			p.deaf = hearing
		}
		p.poll()
	}
}

// hold and resume are the edge's.
func (p *process) hold() {
	if p.config > 0 {
		p.held, p.config = p.config, 0
		p.changed()
	}
}

func (p *process) resume() {
	if p.held > 0 {
		if p.config == 0 {
			p.config = p.held
		}
		p.held = 0
		p.changed()
	}
}

// observe is the metrics page.
func (p *process) observe() (fleet.Observation, *fleet.Failure) {
	if p.state == "inactive" || p.mute {
		return fleet.Observation{}, &fleet.Failure{Kind: fleet.Local, Op: "reach the metrics", Message: "connection refused"}
	}
	inFlight := 0
	if p.polling {
		inFlight = 1
	}
	return fleet.Observation{
		At: p.s.now, Concurrent: p.slots, StartedAt: p.started, Draining: p.state == "deactivating",
		Runners: []fleet.RunnerReading{{
			Name: "one", Removed: p.loaded == 0, Running: len(p.jobs), InFlight: inFlight, JobsTotal: p.total, QueueSize: p.queueAt,
			PollsAnswered: p.answered, PollsRefused: p.refused, PollsFailed: p.failed,
		}},
	}, nil
}

// signal is a signal to the main process.
func (p *process) signal(name string) *fleet.Failure {
	if p.state == "inactive" {
		return &fleet.Failure{Kind: fleet.Local, Op: "signal " + life.UnitRunner, Message: "no such process"}
	}
	switch name {
	case "HUP":
		p.reload()
	case "TERM":
		p.term()
	case "QUIT":
		p.quit()
	}
	return nil
}
