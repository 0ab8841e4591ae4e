package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// ahead is what the job hook raises for before it is in the queue: the stages that
// begin while an instance is being launched. What begins when is scaling.Forecast's;
// here is what it is told, and when it is asked. The zero value foretells nothing.
type ahead struct {
	forecast *scaling.Forecast
	at       time.Time // when it is asked next; zero: no stage is to come
	seen     sighting
	coming   map[string]time.Time // instances on their way, since the first look that showed them
	slots    int                  // that the raise which is under way is ahead by
	why      []fleet.Reason
	expected int // slots, at the last question

	hits, wastes int // stages that instances were launched for
}

// sighting is what the last look at the group showed.
type sighting struct {
	at             time.Time
	inService, max int
	desired        int // after it
	need           int // slots, as it was decided on
}

const (
	// aheadEvery is how often the forecast is asked: that needs no call.
	aheadEvery = 5 * time.Second
	// aheadReasons is how many stages a line of the log names.
	aheadReasons = 3
)

func newAhead(set scaling.ForecastSettings) ahead {
	if set.Most <= 0 {
		return ahead{}
	}
	return ahead{forecast: scaling.NewForecast(set), coming: map[string]time.Time{}}
}

// hear tells the forecast of a job, as an event or GitLab's list has it: a list does not
// tell since when.
func (a *ahead) hear(j fleet.Job, listed bool, now time.Time) {
	if a.forecast == nil {
		return
	}
	job := scaling.ForecastJob{ID: j.ID, Project: j.Project, Pipeline: j.Pipeline, Stage: j.Stage, Name: j.Name}
	switch {
	case j.Pipeline == 0 || j.Stage == "": // nothing follows from it
	case j.Aside:
		a.forecast.Dropped(job, now)
	case j.State == fleet.JobCreated:
		a.forecast.Created(job, now)
	case j.State == fleet.JobPending:
		a.forecast.Pending(job, now)
	case j.State == fleet.JobRunning && listed:
		a.forecast.Found(job, now)
	case j.State == fleet.JobRunning:
		a.forecast.Started(job, now)
	case j.State == fleet.JobFinished:
		a.forecast.Ended(job, now)
	}
	a.later(now)
}

// later plans the next question.
func (a *ahead) later(now time.Time) {
	switch {
	case a.forecast == nil:
	case !a.forecast.Watching() && !a.forecast.Judging():
		a.at, a.expected = time.Time{}, 0
	case a.at.IsZero():
		a.at = now.Add(aheadEvery)
	}
}

// slotsAhead is how many slots the stages to come need beyond those of so many jobs.
func (s *JobHook) slotsAhead(jobs int) int {
	a := &s.ahead
	if a.forecast == nil {
		return 0
	}
	a.expected, a.why = a.forecast.Ahead(scaling.Room{Jobs: jobs, Slots: s.set.Slots, InService: a.seen.inService, Max: a.seen.max}, s.now)
	for _, j := range a.forecast.Judgements() {
		what := "began in time"
		if j.Hit {
			a.hits++
		} else {
			a.wastes++
			what = "did not begin while instances waited for it"
		}
		s.say(Debug, fmt.Sprintf("stage %q of pipeline %d, for which group %q was raised by %d slots, %s", j.Stage, j.Pipeline, s.set.Group, j.Slots, what),
			fleet.Reason(fmt.Sprintf("it was %.0f %% sure, %s ago", 100*j.Sure, j.After.Round(time.Second))))
	}
	return a.expected
}

// sees takes a look at the group in: what there is, and how long launches take. One is
// timed only where the looks before and after it lie close together.
func (a *ahead) sees(g fleet.Group, now time.Time) {
	if a.forecast == nil {
		return
	}
	last := a.seen.at
	soon := now.Sub(last) <= hookNear
	begun := now
	if soon { // by the raise that followed the look before, most often
		begun = last
	}
	a.seen = sighting{at: now, max: g.Max, desired: g.Desired}
	was := a.coming
	a.coming = map[string]time.Time{}
	for _, i := range g.Instances {
		since, known := was[i.ID]
		switch {
		case i.State == fleet.InService:
			a.seen.inService++
			if known && soon {
				a.forecast.Launched(now.Sub(since) - now.Sub(last)/2)
			}
		case i.State.IsPending() && known:
			a.coming[i.ID] = since
		case i.State.IsPending():
			a.coming[i.ID] = begun
		}
	}
}

// decides notes how much of a raise is for what is to come.
func (a *ahead) decides(d scaling.Demand, g fleet.Group, slots int, r *scaling.Raise) {
	a.slots = 0
	if d.Ahead == 0 || !r.Needed {
		return
	}
	d.Ahead = 0
	if more := r.Desired - d.Raise(g, slots).Desired; more > 0 {
		a.slots = more * slots
		r.Reasons = append(r.Reasons, a.why[:min(len(a.why), aheadReasons)]...)
		if more := len(a.why) - aheadReasons; more > 0 {
			r.Reasons = append(r.Reasons, fleet.Reason(fmt.Sprintf("and %d more stages", more)))
		}
	}
}

// raised tells the forecast that what it said was acted on: it is judged by it.
func (a *ahead) raised(desired int, now time.Time) {
	a.seen.desired = desired
	if a.slots > 0 {
		a.forecast.Raised(a.slots, now)
		a.slots = 0
	}
}

// foresee has the group looked at where the stages to come need more than it had at the
// last look, or it may have less by now.
func (s *JobHook) foresee() {
	s.ahead.at = time.Time{}
	s.ahead.later(s.now)
	d := s.demand()
	stale := s.now.Sub(s.ahead.seen.at) >= hookAgain
	// What the maximum forbade then it forbids now.
	had := max(s.ahead.seen.desired*s.set.Slots, s.ahead.seen.need)
	if d.Ahead > 0 && (stale || d.Pending+d.Running+d.Ahead > had) && (s.lookAt.IsZero() || s.now.Before(s.lookAt)) {
		s.lookAt = s.now
	}
}

// Expected is how many slots the stages to come are thought to need.
func (s *JobHook) Expected() int { return s.ahead.expected }

// Judged is how many stages that instances were launched for began in time, and how
// many did not.
func (s *JobHook) Judged() (hits, wastes int) { return s.ahead.hits, s.ahead.wastes }
