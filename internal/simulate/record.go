package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// record is what the loop itself saw, for the judge.
type record struct {
	struck      map[*Fault]bool // those that began
	broken      []Broken
	finished    int
	interrupted int
	lost        int
	gone        int
	callsAWS    int // of the machines
	callsGitLab int
	pollsGitLab int // of the runners

	waiting      int // jobs
	queuedJobs   []queuedJob
	starves      int           // looks in a row that found a queue which nobody follows
	emptyAt      time.Duration // when nobody was in service last
	spareless    time.Duration // for how long spares have been wanted that nobody holds
	calmAt       time.Duration // the last fault that lasts ended
	tokenTrouble bool
	tokenBy      *Fault // the trouble's
	tokenEver    bool
	template     int
	alive, peak  int // instances
	condemned    []condemnation
}

type queuedJob struct {
	id int64
	at time.Duration
}

type condemnation struct {
	at time.Duration
	in *instance
}

// instanceRecord is what the loop saw of one instance.
type instanceRecord struct {
	downAt       time.Duration // the operating system began to shut down
	death        world.Reason
	poweredOff   bool
	noticeAt     time.Duration // a notice was written
	noticeBy     string        // by this verb
	answeredAt   time.Duration // GitLab's last answer to its runner
	noticeKind   fleet.NoticeKind
	spotAt       time.Duration
	spotDeadline time.Duration
	detachedAt   time.Duration

	launchWait   time.Duration // since when its launch hook waits
	endWait      time.Duration // since when its termination hook waits
	inService    bool
	serviceAt    time.Duration
	workedAt     time.Duration // shared trouble does not count
	trulyAt      time.Duration // it worked
	refusedSince time.Duration // GitLab refuses its polls
	refusedAt    time.Duration // it refused one

	callsAWS     int
	heartbeats   int // among them
	inits        int // runs of init
	callsGitLab  int
	failedAWS    int // calls, among them those that came to nothing on the way; not heartbeats
	failedGitLab int
	warnedAt     time.Duration // a line told of a failure, by what completes hooks
	erred        bool          // one told that someone must act
	hurts        []hurt
	orphans      int // runners made whose answer no process was told
	starts       map[string]uint64
	reaped       int  // its runners that the reaper deleted
	laid         bool // it is gone, and no runner of its is left
	completing   bool
	refused      bool // init was, for good
	hookOver     bool // its termination hook timed out, and that is excused

	brokenFor    time.Duration     // its neighbour could have had it replaced, so far
	owed         [16]time.Duration // by duty; below 0: said
	drainRefused bool              // unregister was, for good
	jobAt        time.Duration     // a job came or ended
	kept         time.Duration     // it was idle while the group was at its minimum
	targetAt     time.Duration     // its lifecycle changed
	beatAt       time.Duration     // a heartbeat was asked for
	soughtAt     time.Duration     // what a heartbeat needs was asked for in vain
	heldAt       time.Duration     // the sections were taken out
	orphanAt     time.Duration     // a runner was made whose answer no process was told
	searchedAt   time.Duration     // for such a one
	restAt       time.Duration     // since when nothing happens
	restCalls    int               // until then
}

type hurt struct {
	at    time.Duration
	class class
	kind  Kind
}

// breaks notes a promise that does not hold.
func (l *loop) breaks(promise, format string, args ...any) {
	l.line(l.at, "BROKEN "+promise+": "+format, args...)
	if len(l.broken) < 50 {
		l.broken = append(l.broken, Broken{Promise: promise, At: l.at, What: sprintf(format, args...)})
	}
	l.ended = l.ended || promise == l.stop
}

// hurt notes that a fault hit this instance.
func (i *instance) hurt(at time.Duration, c class, k Kind) {
	if n := len(i.hurts); n > 0 && i.hurts[n-1].kind == k && i.hurts[n-1].class == c && at-i.hurts[n-1].at < time.Second {
		i.hurts[n-1].at = at
		return
	}
	i.hurts = append(i.hurts, hurt{at, c, k})
}

// hurtSince counts the faults since a time, of these kinds where some are given.
func (i *instance) hurtSince(from time.Duration, kinds ...Kind) int {
	n := 0
	for _, h := range i.hurts {
		if h.at < from {
			continue
		}
		for _, k := range kinds {
			if k == h.kind {
				n++
			}
		}
		if len(kinds) == 0 {
			n++
		}
	}
	return n
}

// lasting are the faults that can keep a machine from its work for longer than
// its patience.
var lasting = []Kind{AWSThrottles, AWSAway, AWSSlow, HeartbeatsLost, GitLabAway, GitLabSlow, MetadataSick, DiskFull, RunnerMute}

// runs counts the starts of a verb.
func (i *instance) runs(verb string) uint64 {
	if i.starts == nil {
		i.starts = map[string]uint64{}
	}
	i.starts[verb]++
	return i.starts[verb]
}

func (i *instance) noticed(at, deadline time.Duration) {
	i.spotAt, i.spotDeadline = at, deadline
}

// moved takes a lifecycle change in.
func (i *instance) moved(e world.InstanceChanged) {
	l := i.l
	i.targetAt = l.at
	switch e.To {
	case world.PendingWait:
		i.launchWait = l.at
	case world.InService:
		i.inService, i.serviceAt, i.workedAt = true, l.at, l.at
		if i.runner.deaf == nil { // one that is, was so before Standby too
			i.trulyAt = l.at
		}
	case world.TerminatingWait:
		i.endWait = l.at
	case world.TerminatingProceed:
		if e.From == world.TerminatingWait && !i.completing && !i.dead {
			i.hookTimedOut("termination", i.endWait, l.endHook)
		}
	case world.Terminating:
		if r, ok := l.world.Instance(l.now, i.id); ok && r.Reason == world.ReasonLaunchTimeout && !i.dead {
			i.hookTimedOut("launch", i.launchWait, l.launchHook)
		}
	}
	if e.To != world.InService {
		i.inService = false
	}
}

// exits takes the end of a command in. An init that is refused for good is not
// run again by systemd: where the token was to blame, which the fleet shares, the
// instance waits for its operator.
func (i *instance) exits(p *process, x life.Exit) {
	if p.verb == "init" {
		i.refused = x.Code == life.Refused
	}
}

// heard is what one process was told: the ground of what it decides.
type heard struct {
	listed   fleet.Group
	listedAt time.Duration
	obs      fleet.Observation
	obsAt    time.Duration
	heldAt   time.Duration
	before   fleet.Observation // the reading before obs
	readings int
	fresh    bool          // obs tells the queue's length anew
	actsAt   time.Duration // activities were read
	setAt    time.Duration // desired was last set, or tried to be
	leftAt   time.Duration // the same of leaving

	owesLine   string         // what was done and must be said
	owesRaise  int            // desired is to be raised to this now
	owesMax    bool           // that the maximum forbids it is to be said
	toGo       bool           // a notice was read
	complained bool           // a line told of a failure
	erred      bool           // and that someone must act
	replaced   bool           // it has terminated itself without decrement
	lines      map[string]int // within this hour
	linesHour  time.Duration
	failures   int // within this minute
	failedIn   time.Duration
}

func (p *process) hear(v any) {
	switch v := v.(type) {
	case fleet.Flags:
		p.toGo = v.Notice != nil
	case fleet.Group:
		p.listed, p.listedAt = v, p.in.l.at
		if p.verb == "scale-up" {
			p.owesRaise, p.owesMax = p.wants()
		}
	case []fleet.Activity:
		p.actsAt = p.in.l.at
	case fleet.RegisteredRunner:
		p.unsaved++
	case fleet.Observation:
		p.before, p.obs, p.obsAt = p.obs, v, p.in.l.at
		p.readings++
		p.fresh = p.readings > 1 && newsOfQueue(p.before, v)
	case nil:
		switch p.action.(type) {
		case life.HoldRunner:
			p.heldAt = p.in.l.at
		case life.WriteRegistration:
			p.unsaved = 0
		}
	}
}

// capacity holds desired within its bounds.
func (l *loop) capacity(e world.CapacityChanged) {
	g := l.world.Groups(l.now, groupName)[0]
	if e.To < g.Min || e.To > g.Max {
		l.breaks("bounds", "desired %d by %s is outside of %d..%d", e.To, e.By, g.Min, g.Max)
	}
	if l.webhook != nil && e.To < e.From {
		l.webhook.loweredAt = l.at
	}
}
