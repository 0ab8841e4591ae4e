package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/scaling"
)

// hookSetup is what is drawn for a fleet with a webhook beside it.
type hookSetup struct {
	forecast  scaling.ForecastSettings
	pipelines []pipeline
	spells    []time.Duration // when jobs come to a fleet that has had none for a while
}

// setupOf is the fleet of a schedule.
func setupOf(s Schedule) setup {
	fleet := fleetOf(s.Seed)
	if s.Webhook {
		fleet.drawHook(s.Seed)
	}
	return fleet
}

// drawHook draws from a source of its own what a webhook makes another: jobs come in
// pipelines, and most of its fleets begin with nobody and come back to that.
func (s *setup) drawHook(seed uint64) {
	d := &dice{state: mix(seed ^ 0xb00c)}
	s.hook = &hookSetup{}
	if d.chance(0.5) {
		s.hook.forecast = scaling.UsualForecast()
	}
	empty := d.chance(0.65)
	if d.chance(0.5) || empty && d.chance(0.5) {
		s.grace = 20 * time.Minute
	}
	if empty {
		s.low, s.desired, s.spares.Slots = 0, 0, nil
		s.drawSpells(d)
	} else {
		s.drawPipelines(d, s.work)
	}
	s.work = nil
}

// drawPipelines makes pipelines of jobs that come one after the other: stages with some
// jobs each, most of them with one.
func (s *setup) drawPipelines(d *dice, list []work) {
	projects := d.from(1, 5)
	for len(list) > 0 {
		n := min(len(list), pick(d, 1, 1, 2, 4, 8, 20))
		s.addPipeline(d, int64(d.from(1, projects)), list[0].at, list[:n])
		list = list[n:]
	}
}

func (s *setup) addPipeline(d *dice, project int64, at time.Duration, jobs []work) {
	p := pipeline{at: at, project: project, stages: make([][]task, min(len(jobs), pick(d, 1, 1, 2, 3)))}
	for n, w := range jobs {
		w.at = at
		stage := n % len(p.stages)
		p.stages[stage] = append(p.stages[stage], task{work: w})
	}
	for n := range p.stages {
		switch {
		case d.chance(0.05):
			p.stages[n] = append(p.stages[n], task{manual: true})
		case d.chance(0.05):
			p.stages[n] = append(p.stages[n], task{foreign: true, work: work{takes: d.span(10*time.Second, 5*time.Minute)}})
		}
	}
	s.hook.pipelines = append(s.hook.pipelines, p)
}

// drawSpells draws pipelines that come in spells, with pauses in which everybody leaves.
// The first spell, and one later, need most of the fleet at once; some are one job.
func (s *setup) drawSpells(d *dice) {
	projects := d.from(1, 5)
	typical := pick(d, 20*time.Second, time.Minute, 3*time.Minute)
	job := func() work {
		w := work{takes: max(time.Second, d.span(0, 2*typical)), fails: d.chance(0.05), stubborn: d.chance(0.05)}
		if d.chance(0.01) {
			w.takes = d.span(20*time.Minute, 70*time.Minute)
		}
		return w
	}
	add := func(at time.Duration, n int) {
		jobs := make([]work, n)
		for i := range jobs {
			jobs[i] = job()
		}
		s.addPipeline(d, int64(d.from(1, projects)), at, jobs)
	}
	for at, n := d.span(30*time.Second, 4*time.Minute), 0; at < s.quietAt+15*time.Minute; n++ {
		s.hook.spells = append(s.hook.spells, at)
		switch {
		case n == 0 || n == 4:
			for range 3 {
				add(at+d.span(0, 20*time.Second), s.slots*s.high/2)
			}
		case d.chance(0.4):
			add(at, pick(d, 1, 1, 2, 5))
		default:
			for end := at + d.span(time.Minute, 12*time.Minute); at < end; at += d.span(0, 2*time.Minute) {
				add(at, pick(d, 1, 2, 4, 8, 20))
			}
		}
		at += 3*typical + d.span(5*time.Minute, 20*time.Minute)
	}
	slices.SortStableFunc(s.hook.pipelines, func(a, b pipeline) int { return cmp.Compare(a.at, b.at) })
}

// hookAims are the webhook's actions worth hitting: the rare ones would else never be.
var hookAims = []struct {
	only string
	most int // occurrence
}{
	{"", 400},
	{"DescribeGroup", 200},
	{"SetDesired", 30},
	{"SetDesired", 4},
	{"ListJobs", 60},
	{"ListJobs", 6},
	{"SaveBacklog", 200},
	{"LoadBacklog", 2},
}

// drawHookFaults draws what hits the webhook alone, from a source of its own: its
// actions, GitLab's events, and its host. What lasts and hits all that ask AWS or GitLab
// hits it as well.
func drawHookFaults(seed uint64, s setup) []Fault {
	d := &dice{state: mix(seed ^ 0xb00f)}
	var list []Fault
	for range d.from(6, 20) {
		aim := hookAims[d.n(len(hookAims))]
		f := Fault{Kind: pick(d, KillBefore, KillAfter, KillBefore, KillAfter, Throttled, Unavailable, AnswerLost, Slow, Hang, StaleListing, WriteFails), Verb: verbHook, Only: aim.only, N: d.from(1, aim.most)}
		switch f.Kind {
		case Slow:
			f.Amount = d.span(2*time.Second, 14*time.Second)
		case StaleListing:
			f.Only, f.Amount = pick(d, "DescribeGroup", "ListJobs"), d.span(5*time.Second, 30*time.Second)
		case Throttled:
			f.Amount = pick(d, 0, time.Second, 10*time.Second, 30*time.Second)
		case WriteFails:
			f.Only = "SaveBacklog"
		}
		list = append(list, f)
	}
	for range d.from(6, 20) {
		f := Fault{Kind: pick(d, EventLost, EventLost, EventTwice, EventLate), Verb: verbHook, Only: pick(d, "", "created", "pending", "pending", "running", "finished"), N: d.from(1, pick(d, 10, 300))}
		if f.Kind == EventLate {
			f.Amount = d.span(5*time.Second, 5*time.Minute)
		}
		list = append(list, f)
	}
	for range d.from(3, 9) {
		list = append(list, hookAtTime(d, d.span(time.Minute, s.quietAt)))
	}
	for _, at := range s.hook.spells { // where nobody but the webhook could see the jobs
		if d.chance(0.35) && at < s.quietAt {
			list = append(list, hookAtSpell(d, at))
		}
	}
	return list
}

// hookAtTime draws what befalls the webhook's host, and GitLab's events.
func hookAtTime(d *dice, at time.Duration) Fault {
	f := Fault{Kind: pick(d, EventsLost, EventsLost, EventsTwice, EventsTwice, EventsLate, EventsLate, AWSAway, AWSThrottles, AWSSlow, GitLabAway, GitLabSlow, DiskFull, UnitRestart, UnitBroken, ClockJump), Verb: verbHook, At: at}
	switch f.Kind {
	case EventsLost, EventsTwice, EventsLate:
		f.For, f.Count = d.span(10*time.Second, pick(d, time.Minute, 20*time.Minute)), pick(d, 10, 50, 100)
	case AWSAway, AWSThrottles, AWSSlow, GitLabAway, GitLabSlow, DiskFull:
		f.For, f.Count = d.span(10*time.Second, pick(d, time.Minute, 15*time.Minute)), pick(d, 30, 100)
	case UnitBroken:
		f.For = pick(d, 0, 10*time.Second, 2*time.Minute, 20*time.Minute)
	}
	switch f.Kind {
	case AWSSlow, GitLabSlow:
		f.Amount = d.span(time.Second, 10*time.Second)
	case EventsLate:
		f.Amount = d.span(5*time.Second, 2*time.Minute)
	case ClockJump:
		f.Amount = d.span(-2*time.Hour, 2*time.Hour)
	}
	return f
}

// hookAtSpell draws what befalls it when jobs come and nobody is there.
func hookAtSpell(d *dice, at time.Duration) Fault {
	f := Fault{Kind: pick(d, EventsLost, EventsLost, EventsTwice, EventsLate, UnitRestart, UnitBroken), Verb: verbHook, At: at - d.span(0, time.Second)}
	switch f.Kind {
	case EventsLost, EventsTwice, EventsLate:
		f.For, f.Count = pick(d, 2*time.Second, 30*time.Second, 3*time.Minute), pick(d, 50, 80, 100)
	case UnitBroken:
		f.For = pick(d, 0, 10*time.Second, 2*time.Minute)
	case UnitRestart:
		f.At += d.span(0, 5*time.Second)
	}
	if f.Kind == EventsLate {
		f.Amount = d.span(5*time.Second, 2*time.Minute)
	}
	return f
}

// ofHook is a fault of the webhook's in one line.
func (f Fault) ofHook() string {
	switch {
	case f.Kind.atEvent():
		s := fmt.Sprintf("%s at event %d%s of the webhook", f.Kind, f.N, orEmpty(" ", f.Only))
		if f.Amount != 0 {
			s += fmt.Sprintf(", by %s", f.Amount)
		}
		return s
	case f.Kind.atAction():
		return fmt.Sprintf("%s at action %d%s of %s", f.Kind, f.N, orEmpty(" ", f.Only), f.Verb)
	}
	s := fmt.Sprintf("%s at %s on the webhook's host", f.Kind, f.At)
	if f.For > 0 {
		s += fmt.Sprintf(" for %s", f.For)
	}
	if f.Amount != 0 {
		s += fmt.Sprintf(", by %s", f.Amount)
	}
	if f.Count > 0 {
		s += fmt.Sprintf(", %d", f.Count)
	}
	return s
}
