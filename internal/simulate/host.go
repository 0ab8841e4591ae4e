package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// Host runs the processes of a fleet in the loop's stead, each with what carries
// out its actions. World, units, runners, jobs, faults and the judge stay the
// loop's. The Fleet calls these methods while its owner has it; they return at
// once and do not call it back.
type Host interface {
	// Begin has a process take its first step.
	Begin(p *Process)
	// Interrupt is SIGTERM.
	Interrupt(p *Process)
	// Gone tells of a process that is killed, or has ended: nothing of it may reach
	// the outside any longer.
	Gone(p *Process)
	// Wiped tells that an instance has rebooted: what was true of the boot is lost.
	Wiped(instance int)
}

// Fleet is a schedule that lives with its processes at a host. It is not safe for
// concurrent use: who calls its methods, or those of its processes, has it alone,
// and has told it the time with [Fleet.Advance] or [Fleet.Now].
type Fleet struct{ l *loop }

// NewFleet makes the fleet of a schedule. A run that is to be shorter than the
// schedule has the jobs of a part of it, and all of its faults, their times
// squeezed in proportion; it ends with a calm time in which the fleet can mend
// itself. 0 is the schedule's own length.
func NewFleet(s Schedule, o Options, h Host, length time.Duration) *Fleet {
	return &Fleet{newLoop(squeezed(s, length), o, h, length)}
}

// Begins is when every run does.
func Begins() time.Time { return epoch }

// cut makes a fleet's run shorter. The calm time is a third of it, or what is drawn
// where that is less. Where in the jobs it begins the seed says: some runs have a
// burst, others a lull.
func (s *setup) cut(seed uint64, length time.Duration) {
	if length <= 0 || length >= s.length {
		return
	}
	last := s.work[len(s.work)-1].at
	from := within(of(mix(seed), 10, 0, 0), 0, max(0, last-length))
	jobs := s.work[:0:0]
	for _, w := range s.work {
		if w.at -= from; w.at >= 0 && w.at < length {
			jobs = append(jobs, w)
		}
	}
	s.work = jobs
	s.quietAt = max(length*2/3, length-(s.length-s.quietAt))
	s.length = length
}

// squeezed is a schedule with the times of its faults as they are in a shorter run.
func squeezed(s Schedule, length time.Duration) Schedule {
	own := fleetOf(s.Seed)
	short := own
	short.cut(s.Seed, length)
	share := float64(short.quietAt) / float64(own.quietAt)
	s.Faults = slices.Clone(s.Faults)
	for n := range s.Faults {
		f := &s.Faults[n]
		f.At, f.For = time.Duration(float64(f.At)*share), time.Duration(float64(f.For)*share)
	}
	return s
}

// Advance does what is due by now, and tells when something will be next; false
// when the run has ended.
func (f *Fleet) Advance(now time.Time) (next time.Time, more bool) {
	l := f.l
	l.pump()
	for !l.ended {
		due := l.due()
		if at := now.Sub(epoch); due > at && at < l.length {
			l.clockTo(at)
			return epoch.Add(min(due, l.length)), true
		}
		if !l.step() {
			break
		}
	}
	return time.Time{}, false
}

// due is when something will happen unasked.
func (l *loop) due() time.Duration {
	due := l.length + 1
	if at, any := l.turns.next(); any {
		due = at
	}
	if at := l.world.Next(); !at.IsZero() {
		due = min(due, at.Sub(epoch))
	}
	return due
}

// Now tells the time; what is due by then is left to Advance.
func (f *Fleet) Now(now time.Time) { f.l.clockTo(now.Sub(epoch)) }

// Due is when something is due next.
func (f *Fleet) Due() time.Time { return epoch.Add(f.l.due()) }

// Judge ends the run and judges it.
func (f *Fleet) Judge() Result {
	f.l.judge()
	return f.l.result()
}

// World gives the world out, for what serves its faces.
func (f *Fleet) World(use func(w *world.World, now time.Time)) { use(f.l.world, f.l.now) }

// Breaks notes a promise that the host saw broken.
func (f *Fleet) Breaks(promise, format string, args ...any) { f.l.breaks(promise, format, args...) }

// Template is what the operator wrote: slots of each instance and how many
// [[runners]] sections.
func (f *Fleet) Template() (slots, sections int) { return f.l.slots, f.l.sections }

// StoredToken is what the secret store has, and Secret the reference to it. The
// reaper's is another, which nobody changes.
func (f *Fleet) StoredToken() string { return f.l.tokens.stored }

// What every fleet's instances are configured with.
const (
	Secret          = secretRef
	ReapSecret      = reapSecretRef
	ReapToken       = reapToken
	GitLabURL       = gitlabURL
	Margin          = margin
	KillJobsAfter   = killAfter
	ShutdownTimeout = shutdownTimeout
)

// Section is one [[runners]] section of an instance's config.toml.
type Section struct{ Name, Token string }

// Disk is what an instance's files say: systemd's conditions and gitlab-runner read
// them, and so does the judge. Moments are the wall clock's.
type Disk struct {
	Flags        fleet.Flags
	Registration *fleet.Registration
	Sections     []Section // of config.toml
	Held         []Section // of the copy beside it, when they were taken out
}

// Wrote tells what a process's instance has on its disk, after an action that may
// have changed it and when the process begins. A machine that is off tells nothing.
func (p *Process) Wrote(d Disk) {
	i := p.in
	if !i.up {
		return
	}
	if n := d.Flags.Notice; n != nil && i.flags.Notice == nil {
		i.noticeAt, i.noticeKind = i.l.at, n.Kind
		i.writesNotice(p, *p.ownNotice(n))
	}
	switch p.action.(type) {
	case life.HoldRunner:
		i.heldAt = i.l.at
	case life.ResumeRunner:
		i.resumes(p)
	}
	i.flags, i.reg, i.aside = d.Flags, d.Registration, configuredOf(d.Held)
	if disk := configuredOf(d.Sections); !slices.Equal(disk, i.disk) {
		i.disk = disk
		i.runner.configChanged()
	}
	i.changedFlags()
}

func configuredOf(list []Section) []configured {
	var out []configured
	for _, s := range list {
		out = append(out, configured{name: s.Name, token: fleet.NewToken(s.Token)})
	}
	return out
}

// Page is what gitlab-runner's metrics tell; Tokens are its sections' tokens, one
// for each of its readings.
type Page struct {
	fleet.Observation
	Tokens []string
}

// Metrics reads gitlab-runner's page: listens is false where it does not run, and
// answers where it says nothing.
func (p *Process) Metrics() (page Page, listens, answers bool) {
	r := &p.in.runner
	l := p.in.l
	if r.state != runnerActive {
		return page, false, false
	}
	for _, w := range l.windows {
		if l.strikes(w, p, local) {
			return page, true, false
		}
	}
	page.Observation = r.observation(true)
	for _, s := range r.sections {
		page.Tokens = append(page.Tokens, s.token)
	}
	return page, true, true
}

// Unit carries out the process's action on the units of its instance, as the loop
// does; wait is how long the answer takes.
func (p *Process) Unit() (value any, failure *fleet.Failure, wait time.Duration) {
	l := p.in.l
	wait = l.delay(p, units)
	if l.killedBefore(p) {
		return nil, nil, 0
	}
	value, failure = l.carryOut(p)
	l.pump()
	return value, failure, wait
}
