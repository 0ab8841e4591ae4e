package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// runner is gitlab-runner with its unit: Restart=always, RestartSec=120, and
// Shoal's drop-in, by which a stop is SIGQUIT and waits for ever.
type runner struct {
	in        *instance
	state     runnerState
	gen       uint32 // of the process: what an earlier one planned is void
	starts    uint64
	serial    uint64 // of its draws
	sections  []*section
	jobs      []*job
	asked     bool // systemctl stop
	again     bool // a start job waits for the stop
	quitting  bool
	termed    bool
	startAt   float64
	ended     time.Duration // when the process last ended
	busySince time.Duration // when its first job of a busy spell came; 0 while idle
	idleSince time.Duration // when its last job ended

	deaf *Fault // it does not poll: until a reload (1), a restart (2), or for good (3)

	page any // the metrics as a result, until they change
}

type runnerState int

const (
	runnerDown    runnerState = iota
	runnerActive              // and deactivating, where it was asked to stop
	runnerWaiting             // for its restart
)

const (
	runnerRestart = 120 * time.Second
	checkInterval = 3 * time.Second // where Live does not say
	configPoll    = 3 * time.Second
	strikesMost   = 3 // refused polls until it disables itself
	disabledFor   = time.Hour
	keepAlive     = 15 * time.Minute
)

// unitState is what systemctl show says.
func (r *runner) unitState() fleet.UnitState {
	switch {
	case r.state == runnerActive && (r.quitting || r.termed):
		return fleet.UnitState{Active: "deactivating", MainPID: 99}
	case r.state == runnerActive:
		return fleet.UnitState{Active: "active", MainPID: 99}
	case r.state == runnerWaiting:
		return fleet.UnitState{Active: "activating"}
	}
	return fleet.UnitState{Active: "inactive"}
}

// later does f after a drawn time, unless the process has ended by then.
func (r *runner) later(low, high time.Duration, f func()) {
	l, gen := r.in.l, r.gen
	r.serial++                                                                        // its own: what happens elsewhere draws nothing anew here
	l.after(within(of(l.seed, uint64(r.in.number), 7, r.serial), low, high), func() { //nolint:gosec // small
		if r.gen == gen {
			f()
		}
	})
}

// start is systemctl start, under the unit's condition.
func (r *runner) start() {
	i := r.in
	switch {
	case r.state == runnerActive:
		r.again = r.again || r.asked
		return
	case !i.up || i.down != fleet.NotGoingDown || !i.flags.Registered:
		if r.state == runnerWaiting {
			r.state = runnerDown
		}
		return
	}
	r.gen++
	r.starts++
	r.state, r.asked, r.again, r.quitting, r.termed = runnerActive, false, false, false, false
	r.hears(2)
	r.startAt = float64(i.l.now.UnixMilli())
	r.sections, r.jobs = nil, nil
	i.l.line(i.l.at, "i%02d gitlab-runner starts", i.number)
	r.load()
}

// load reads config.toml.
func (r *runner) load() {
	r.changed()
	for _, s := range r.sections {
		s.removed = true
	}
	for _, c := range r.in.disk {
		s := r.section(c.name)
		if s == nil {
			s = &section{r: r, name: c.name}
			r.sections = append(r.sections, s)
		}
		if token := c.token.Reveal(); s.token != token {
			s.token, s.strikes, s.disabledUntil = token, 0, 0
		}
		s.removed = false
	}
	for _, s := range r.sections {
		if s.removed {
			// Its feeder waits for a slot with the section in its hand: one more poll
			// follows when the one in flight has ended.
			s.extra = s.inFlight && r.taken() >= r.in.l.slots
			continue
		}
		s.pollIn(100*time.Millisecond, time.Second)
	}
}

func (r *runner) section(name string) *section {
	for _, s := range r.sections {
		if s.name == name {
			return s
		}
	}
	return nil
}

// configChanged is a new config.toml: the process looks every three seconds.
func (r *runner) configChanged() {
	if r.state == runnerActive {
		r.later(100*time.Millisecond, configPoll, r.load)
	}
}

// signal is systemctl kill --kill-whom=main.
func (r *runner) signal(name string) *fleet.Failure {
	if r.state != runnerActive {
		return &fleet.Failure{Kind: fleet.NotFound, Op: "signal " + life.UnitRunner, Message: "it is not running"}
	}
	switch name {
	case "HUP":
		if !r.quitting && !r.termed {
			r.hears(1)
			r.load()
		}
	case "TERM":
		r.term()
	}
	return nil
}

// stop is systemctl stop: SIGQUIT.
func (r *runner) stop() {
	r.again = false
	if r.state == runnerWaiting {
		r.state = runnerDown
		r.gen++
	}
	if r.state != runnerActive || r.asked {
		return
	}
	r.asked, r.quitting = true, true
	r.changed()
	r.cancelPolls()
	r.later(5*time.Millisecond, 20*time.Millisecond, r.maybeEnd)
}

// cancelPolls: a job that GitLab handed to one of them in that instant is not
// heard of.
func (r *runner) cancelPolls() {
	for _, s := range r.sections {
		if s.inFlight && s.handed != nil {
			r.in.l.gonePoll(s.handed)
		}
		s.inFlight, s.held, s.handed = false, false, nil
		s.gen++
	}
}

// term is SIGTERM: the jobs are killed and reported, if they let it.
func (r *runner) term() {
	if r.termed {
		return
	}
	r.termed = true
	r.changed()
	r.cancelPolls()
	for _, j := range r.jobs {
		if !j.stubborn {
			r.later(50*time.Millisecond, 500*time.Millisecond, func() { j.report("failed", "runner_system_failure") })
		}
	}
	r.later(shutdownTimeout, shutdownTimeout, func() { r.exit("shutdown timed out") })
	r.later(5*time.Millisecond, 20*time.Millisecond, r.maybeEnd)
}

// killJobs kills what ignores SIGTERM. A runner that was not told to end takes that
// for the end of a script that failed.
func (r *runner) killJobs() {
	for _, j := range r.jobs {
		if !r.termed {
			r.in.l.judgeKilled(j)
		}
		reason := map[bool]string{true: "runner_system_failure", false: "script_failure"}[r.termed]
		r.later(20*time.Millisecond, 200*time.Millisecond, func() { j.report("failed", reason) })
	}
}

// kill is SIGKILL.
func (r *runner) kill() { r.exit("SIGKILL") }

func (r *runner) maybeEnd() {
	if (r.quitting || r.termed) && len(r.jobs) == 0 {
		r.exit("")
	}
}

// exit is the end of the process; jobs that it has are lost.
func (r *runner) exit(why string) {
	i := r.in
	asked, again := r.asked, r.again
	r.vanish(why)
	if !asked && i.up && i.down == fleet.NotGoingDown {
		r.state = runnerWaiting
		r.later(runnerRestart, runnerRestart, r.start)
	}
	if again {
		r.start()
	}
	i.maybeOff()
}

// vanish ends the process and its unit.
func (r *runner) vanish(why string) {
	if r.state == runnerActive {
		r.cancelPolls()
		r.ended = r.in.l.at
		r.in.l.line(r.in.l.at, "i%02d gitlab-runner has ended%s", r.in.number, orEmpty(": ", why))
		for _, j := range r.jobs {
			r.in.l.lose(j, why)
		}
		r.idle()
	}
	r.gen++
	r.state, r.jobs, r.sections, r.again = runnerDown, nil, nil, false
	r.changed()
}

// idle: no job runs from now on.
func (r *runner) idle() {
	if r.busySince > 0 {
		r.busySince, r.idleSince = 0, r.in.l.at
	}
}

func (r *runner) changed() { r.page = nil }

// observe is the metrics page.
func (r *runner) observe() (any, *fleet.Failure) {
	if r.state != runnerActive {
		return nil, &fleet.Failure{Kind: fleet.Local, Op: "reach gitlab-runner's metrics", Message: "nothing listens there"}
	}
	if r.deaf != nil && r.taken() == 0 {
		r.in.l.counts(r.deaf)
	}
	if r.page == nil {
		r.page = r.observation(false)
	}
	return r.page, nil
}

// observation is what the page says; all: also of sections that are gone and never
// did anything.
func (r *runner) observation(all bool) fleet.Observation {
	o := fleet.Observation{At: r.in.l.now, Concurrent: r.in.l.slots, StartedAt: r.startAt, Draining: r.quitting, Runners: make([]fleet.RunnerReading, 0, len(r.sections))}
	for _, s := range r.sections {
		inFlight := 0
		if s.inFlight {
			inFlight = 1
		}
		if !all && s.removed && inFlight == 0 && s.running == 0 && s.answered+s.refused+s.failed == 0 {
			continue
		}
		o.Runners = append(o.Runners, fleet.RunnerReading{
			Name: s.name, Removed: s.removed, Running: s.running, InFlight: inFlight, JobsTotal: s.total, QueueSize: s.queue,
			QueueWaits: s.waits, QueueWaitSeconds: s.waited, JobsEnded: s.ended, JobSeconds: s.took, PollsAnswered: s.answered, PollsRefused: s.refused, PollsFailed: s.failed,
		})
	}
	return o
}

// deafen has the runner ask for nothing when its polls have ended.
func (r *runner) deafen(f *Fault) {
	if r.deaf == nil {
		r.deaf = f
	}
}

// hears ends the deafness where what was done is enough; a machine has seen it then.
func (r *runner) hears(cure int) {
	if r.deaf != nil && r.deaf.Count <= cure {
		r.deaf = nil
	}
}

// section is one [[runners]] section at work.
type section struct {
	r       *runner
	name    string
	token   string
	removed bool
	extra   bool // one more poll follows though it was taken out

	gen      uint32 // of the poll
	turn     uint32 // of the time at which it asks next
	inFlight bool
	held     bool // GitLab holds it
	until    time.Duration
	handed   *job // GitLab has answered, the answer is under way

	running       int
	total         int64
	queue         int
	waits         uint64
	waited        float64
	ended         uint64
	took          float64
	answered      int64
	refused       int64
	failed        int64
	strikes       int
	disabledUntil time.Duration
	refusedAt     time.Duration // its last poll was refused then; 0: it was not
	backoff       time.Duration
}

// pollIn has the section ask after a drawn time, and not when it else would have.
func (s *section) pollIn(low, high time.Duration) {
	s.turn++
	turn := s.turn
	s.r.later(low, high, func() {
		if s.turn == turn {
			s.poll()
		}
	})
}

// poll asks GitLab for a job where a slot is free.
func (s *section) poll() {
	r := s.r
	l := r.in.l
	if r.state != runnerActive || r.quitting || r.termed || r.deaf != nil || s.inFlight || s.removed && !s.extra || r.taken() >= l.slots {
		return
	}
	if s.disabledUntil > l.at {
		s.pollIn(s.disabledUntil-l.at, s.disabledUntil-l.at+l.interval)
		return
	}
	if s.removed {
		s.extra = false
	}
	s.inFlight = true
	s.gen++
	s.until = l.at + l.hold
	r.changed()
	s.ifPolling(10*time.Millisecond, 120*time.Millisecond, s.arrives)
}

// taken is how many slots jobs and polls have.
func (r *runner) taken() int {
	n := len(r.jobs)
	for _, s := range r.sections {
		if s.inFlight {
			n++
		}
	}
	return n
}

// ifPolling does f later, unless this very poll is over by then.
func (s *section) ifPolling(low, high time.Duration, f func()) {
	gen := s.gen
	s.r.later(low, high, func() {
		if s.gen == gen && s.inFlight {
			f()
		}
	})
}

// arrives is the poll at GitLab's door.
func (s *section) arrives() {
	l := s.r.in.l
	for _, w := range l.windows {
		if w.Kind == GitLabAway {
			s.r.in.toPage(w.Fault)
			s.failed++
			s.backoff = min(max(100*time.Millisecond, 2*s.backoff), time.Minute)
			s.over(s.backoff)
			return
		}
	}
	s.backoff = 0
	l.pollsGitLab++
	h, err := l.world.RequestJob(l.now, world.JobRequest{Token: s.token, SystemID: s.r.in.system, TwoPhase: true})
	switch {
	case err != nil:
		s.r.in.refusedPoll()
		s.refused++
		s.refusedAt = l.at
		if i := s.r.in; i.refusedSince == 0 {
			i.refusedSince = l.at
		}
		s.strikes++
		if s.strikes >= strikesMost {
			s.strikes, s.disabledUntil = 0, l.at+disabledFor
			l.line(l.at, "i%02d gitlab-runner disables section %s for an hour", s.r.in.number, s.name)
		}
		s.over(0)
	case h.Job != nil:
		s.strikes, s.refusedAt = 0, 0
		s.handOut(h)
	default:
		s.strikes, s.refusedAt = 0, 0
		s.hold()
	}
}

// hold: GitLab keeps the poll until a job comes or the time is up.
func (s *section) hold() {
	l := s.r.in.l
	if !s.held {
		s.held = true
		l.polls = append(l.polls, s)
		s.ifPolling(max(0, s.until-l.at), max(0, s.until-l.at), func() {
			if s.held {
				s.held = false
				s.counted()
				s.over(0)
			}
		})
	}
}

// over ends a poll; the next follows at the section's next turn.
func (s *section) over(pause time.Duration) {
	s.inFlight, s.held = false, false
	s.gen++
	s.r.changed()
	if s.removed && s.extra {
		s.pollIn(time.Millisecond, 10*time.Millisecond)
		return
	}
	interval := s.r.in.l.interval
	s.pollIn(max(pause, interval), max(pause, interval)+100*time.Millisecond)
	for _, o := range s.r.sections { // those that found no slot free come in turn
		if o != s && !o.inFlight && !o.removed {
			o.pollIn(50*time.Millisecond, interval)
		}
	}
}

// queued: a job waits; every poll that GitLab holds looks once more, in the
// order that the seed says.
func (l *loop) queued() {
	kept := l.polls[:0]
	for _, s := range l.polls {
		if !s.held || !s.inFlight {
			continue
		}
		kept = append(kept, s)
		s.ifPolling(time.Millisecond, 80*time.Millisecond, func() {
			if s.held && !l.lasts(GitLabAway) {
				s.arrives()
			}
		})
	}
	clear(l.polls[len(kept):])
	l.polls = kept
}

// handOut: the job is this runner's from now on, whether it hears of it or not.
func (s *section) handOut(h world.Handout) {
	l := s.r.in.l
	w := l.work[h.Job.ID]
	j := &job{id: h.Job.ID, token: h.Token, s: s, r: s.r, in: s.r.in, stubborn: w.stubborn, got: l.at}
	l.jobs[j.id] = j
	l.waiting--
	s.held, s.handed = false, j
	l.line(l.at, "i%02d is handed job %d, %d in the queue", j.in.number, j.id, h.QueueSize)
	s.ifPolling(5*time.Millisecond, 60*time.Millisecond, func() { s.receives(h, j, w) })
}

// counted: GitLab's answer shows in the metrics.
func (s *section) counted() {
	s.answered++
	s.r.in.answeredAt = s.r.in.l.at
}

// receives is the answer's arrival.
func (s *section) receives(h world.Handout, j *job, w work) {
	r := s.r
	s.inFlight, s.handed = false, nil
	s.gen++
	s.counted()
	s.total++
	s.running++
	s.queue = h.QueueSize
	s.waits++
	s.waited += h.TimeInQueue.Seconds()
	if len(r.jobs) == 0 {
		r.busySince = r.in.l.at
	}
	r.jobs = append(r.jobs, j)
	r.in.jobAt = r.in.l.at
	r.changed()
	j.fate = jobRuns
	j.acknowledge()
	state, reason := "success", ""
	if w.fails {
		state, reason = "failed", "script_failure"
	}
	r.later(w.takes, w.takes, func() { j.report(state, reason) })
	j.keep()
	s.pollIn(time.Millisecond, 20*time.Millisecond)
}
