package scaling

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// ForecastSettings bound what is raised ahead of the queue.
type ForecastSettings struct {
	// Most is the share of the group's maximum that may be raised ahead; 0: nothing is
	// forecast.
	Most float64
	// Confidence is how probable it has to be that a stage begins within a launch,
	// 0 to 1. Lower: jobs wait less, and instances wait for jobs.
	Confidence float64
	// Waste is how long slots may wait in vain for jobs that were forecast, as a share of
	// the time for which jobs run: beyond that a forecast has to be surer.
	Waste float64
	// Samples is how many jobs of a kind must have ended before anything is believed
	// about it.
	Samples int
	// Launch is how long an instance takes from its launch to its first job, as long as
	// none was seen to do so.
	Launch time.Duration
	// Stay is how long an instance without a job stays: by then what it was launched
	// for has come, or it was a waste.
	Stay time.Duration
}

// UsualForecast suits most fleets: docs/scaling.md has what comes of it.
func UsualForecast() ForecastSettings {
	return ForecastSettings{Most: 0.5, Confidence: 0.18, Waste: 0.03, Samples: 10, Launch: 2 * time.Minute, Stay: 3 * time.Minute}
}

// ForecastJob is one job as GitLab's job hook tells of it.
type ForecastJob struct {
	// ID is GitLab's. Within a pipeline they rise from stage to stage, which tells the
	// order of the stages: events name a stage, and not its place.
	ID                int64
	Project, Pipeline int64
	Stage, Name       string
}

// pooled is a job's name without what tells it from its like: "rspec 3/20" is one of
// twenty that are alike.
func (j ForecastJob) pooled() string {
	at := strings.LastIndexByte(j.Name, ' ')
	if at < 0 || !strings.Contains(j.Name[at:], "/") || strings.Trim(j.Name[at:], " /0123456789") != "" {
		return j.Name
	}
	return j.Name[:at]
}

// Forecast learns how long jobs take, and says which stages of the pipelines that it
// knows of begin within a launch. It begins with nothing learnt. Events may come
// twice, late, or not at all: what is known of a job only ever goes forward. Its memory
// is bounded: the oldest pipelines, and the kinds of jobs that were of no use for
// longest, are forgotten.
//
// Ask Ahead before each decision, and every few seconds while Watching; tell Raised
// when desired was raised for what it said, and take the Judgements when they are due.
type Forecast struct {
	set        ForecastSettings
	learnt     learnt
	launches   launches
	courses    []*course // the oldest first
	of         map[courseKey]*course
	gone       recent
	jobs       int // in all courses
	upcoming   int // courses with a stage to come
	trust      map[kind]*trust
	bets       []*bet
	worked     float64 // seconds for which jobs have run
	wasted     float64 // seconds for which slots have waited for what was forecast
	judgements []Judgement
	outlook    []*leg // the stages that the last forecast counts on
}

// NewForecast knows nothing yet.
func NewForecast(set ForecastSettings) *Forecast {
	return &Forecast{
		set: set, learnt: learnt{of: map[kind]*durations{}}, trust: map[kind]*trust{},
		of: map[courseKey]*course{}, gone: recent{ids: map[int64]struct{}{}},
	}
}

// Created takes in that a job exists, and waits for others.
func (f *Forecast) Created(j ForecastJob, now time.Time) { f.move(j, jobCreated, now) }

// Pending takes in that a job can run.
func (f *Forecast) Pending(j ForecastJob, now time.Time) { f.move(j, jobPending, now) }

// Started takes in that a job runs.
func (f *Forecast) Started(j ForecastJob, now time.Time) { f.move(j, jobRunning, now) }

// Found takes in that a job runs, where nobody was told when it began: nothing is learnt
// from its end.
func (f *Forecast) Found(j ForecastJob, now time.Time) {
	if e := f.job(j); e != nil && e.state == jobRunning {
		return
	}
	f.Started(j, now)
	if e := f.job(j); e != nil {
		e.found = true
	}
}

// Ended takes in that a job has done its work, well or not: its kind is known better.
func (f *Forecast) Ended(j ForecastJob, now time.Time) {
	if e := f.job(j); e != nil && e.state == jobRunning && !e.found {
		took := now.Sub(e.since)
		f.work(took)
		f.learnt.add(kind{j.Project, j.Stage, ""}, took)
		if j.Name != "" {
			f.learnt.add(kind{j.Project, j.Stage, j.pooled()}, took)
		}
	}
	f.move(j, jobGone, now)
}

// Dropped takes in that a job will not run (skipped, manual), or was cut short
// (cancelled, its instance taken).
func (f *Forecast) Dropped(j ForecastJob, now time.Time) { f.move(j, jobGone, now) }

// Launched takes in how long an instance took from its launch until it came into
// service.
func (f *Forecast) Launched(took time.Duration) { f.launches.add(took) }

// Watching tells whether there is a stage to come: then Ahead may say something new as
// time passes.
func (f *Forecast) Watching() bool { return f.set.Most > 0 && f.upcoming > 0 }

// Judging tells whether what was said is still to be judged, or a judgement to be taken:
// Ahead has to be asked for that, too.
func (f *Forecast) Judging() bool { return len(f.bets)+len(f.judgements) > 0 }

// Room is what there is of jobs and of the group.
type Room struct {
	Jobs      int // that wait or run, also those that no pipeline is known of
	Slots     int // of an instance
	InService int // instances
	Max       int // instances
}

// Ahead is how many slots will be needed a launch from now beyond those that jobs wait
// for or run on: those of the stages that probably begin by then, less what is free by
// then. One of the stages counts whole, which is what an instance is launched for in a
// small fleet, the others as far as they are probable: of many some come late. It never says more than the settings' share of the group's maximum, and leaves
// to the queue what would fill less than half of an instance.
func (f *Forecast) Ahead(r Room, now time.Time) (slots int, reasons []fleet.Reason) {
	f.settle(now)
	f.outlook = f.outlook[:0]
	if !f.Watching() {
		return 0, nil
	}
	r.Slots = max(r.Slots, 1)
	v := f.view(r, now)
	if slots = v.more(); slots > 0 {
		slots -= int(v.frees())
	}
	slots = min(slots, int(f.set.Most*float64(r.Max*r.Slots)))
	if rest := (r.Jobs + slots) % r.Slots; 2*rest < r.Slots {
		slots -= rest
	}
	if slots <= 0 {
		return 0, nil
	}
	return slots, v.reasons()
}

// view is one look ahead.
type view struct {
	*Forecast
	now    time.Time
	launch time.Duration
	queued bool    // more jobs than slots in service: those that are pending wait for a launch
	slots  int     // of an instance
	least  float64 // how probable it has to be
}

func (f *Forecast) view(r Room, now time.Time) view {
	return view{Forecast: f, now: now, launch: f.launch(), queued: r.Jobs > r.InService*r.Slots, slots: r.Slots, least: f.least(r)}
}

// more is how many slots more the stages need that probably begin within a launch.
func (v view) more() int {
	expected, whole := 0.0, 0.0
	for _, c := range v.courses {
		c.next, c.sure = v.next(c)
		if c.next == nil {
			continue
		}
		v.outlook = append(v.outlook, c.next)
		slots := float64(c.next.created - c.active)
		expected, whole = expected+c.sure*slots, max(whole, (1-c.sure)*slots)
	}
	return int(math.Round(expected + whole))
}

// reasons say which stages those are.
func (v view) reasons() (all []fleet.Reason) {
	for _, c := range v.courses {
		if c.next != nil {
			all = append(all, c.next.say(c.sure, v.launch))
		}
	}
	return all
}

// frees is how many jobs of the other pipelines probably end within a launch.
func (v view) frees() float64 {
	n := 0.0
	for _, c := range v.courses {
		if c.next != nil {
			continue
		}
		for _, l := range c.legs {
			for _, e := range l.active {
				n += v.ends(e, v.launch)
			}
		}
	}
	return n
}

// next is the stage of a pipeline that needs the most slots of those that probably
// begin within a launch; nil where none does, or nothing is known.
func (v view) next(c *course) (most *leg, probable float64) {
	if c.active == 0 || c.created == 0 {
		return nil, 0
	}
	span, from := v.launch, c.front()
	for at := from + 1; at < len(c.legs); at++ {
		before, l := c.legs[at-1], c.legs[at]
		if at > from+1 && before.created > 0 {
			d := v.known(before.any)
			if d == nil {
				break
			}
			span -= d.longest(before.created)
		}
		p := v.passes(c, from, span)
		if p == 0 {
			break
		}
		if l.created == 0 {
			continue
		}
		v.wager(l, p, v.now)
		if p *= v.trusted(l); p >= v.enough(l.created-c.active) && (most == nil || l.created > most.created) {
			most, probable = l, p
		}
	}
	return most, probable
}

// passes is how probable it is that all jobs up to a stage end within span.
func (v view) passes(c *course, upTo int, span time.Duration) float64 {
	p := 1.0
	for _, l := range c.legs[:upTo+1] {
		for _, e := range l.active {
			if p *= v.ends(e, span); p < v.least {
				return 0
			}
		}
	}
	return p
}

// enough is how probable a stage has to be that needs so many more slots: the more the
// fewer jobs an instance would have that is launched for it.
func (v view) enough(slots int) float64 {
	if slots <= 0 {
		return v.least
	}
	odds := v.least / (1 - v.least) * float64(instancesFor(slots, v.slots)*v.slots) / float64(slots)
	return odds / (1 + odds)
}

// ends is how probable it is that one job ends within span.
func (v view) ends(e *expected, span time.Duration) float64 {
	if e.takes == nil {
		e.takes = v.known(e.job)
	}
	d := e.takes
	if d == nil {
		return 0
	}
	if e.state == jobRunning {
		return d.within(v.now.Sub(e.since), span)
	}
	if v.queued {
		span -= max(0, e.since.Add(v.launch).Sub(v.now))
	}
	return d.within(0, span)
}

// known is what is known of a job's name, or else of its stage.
func (v view) known(j ForecastJob) *durations {
	if d := v.learnt.find(kind{j.Project, j.Stage, j.pooled()}, v.set.Samples); d != nil || j.Name == "" {
		return d
	}
	return v.learnt.find(kind{j.Project, j.Stage, ""}, v.set.Samples)
}

// launch is how long a launch takes.
func (f *Forecast) launch() time.Duration { return f.launches.mean(f.set.Launch) }

// launches is how long instances took to come into service of late.
type launches struct {
	took [8]time.Duration
	n    int
}

func (l *launches) add(took time.Duration) {
	l.took[l.n%len(l.took)] = took
	l.n++
}

func (l *launches) mean(unknown time.Duration) time.Duration {
	n := min(l.n, len(l.took))
	if n == 0 {
		return unknown
	}
	var sum time.Duration
	for _, t := range l.took[:n] {
		sum += t
	}
	return sum / time.Duration(n)
}

// say is why slots are needed for a stage.
func (l *leg) say(probable float64, launch time.Duration) fleet.Reason {
	return fleet.Reason(fmt.Sprintf("pipeline %d: %d jobs of stage %q begin within %s, %.0f %% sure", l.any.Pipeline, l.created, l.any.Stage, launch.Round(time.Second), 100*probable))
}
