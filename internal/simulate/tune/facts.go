package tune

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// Facts are what a trace can be known by before it is played.
type Facts struct {
	Jobs      int     `json:"jobs"`
	Days      float64 `json:"days"`       // from the first job's creation to the last one's
	BusyHours int     `json:"busy_hours"` // hours of the clock in which a job was created
	WorkHours float64 `json:"work_hours"` // of all jobs together
	Stages    bool    `json:"stages"`     // there are pipelines of several stages
	Dated     bool    `json:"dated"`      // created_at were times; else the first day is taken for a Monday
	// Peak is how many instances would run all jobs at once that can run, at most.
	Peak int `json:"peak_instances"`
}

// The least that says anything: two days, and a few hundred jobs that did not all
// come at once.
const (
	leastDays      = 2
	leastJobs      = 200
	leastBusyHours = 12
)

// Look takes a trace's measure, for instances of so many slots.
func Look(t trace.Trace, slots int) Facts {
	f := Facts{Jobs: len(t.Jobs), WorkHours: t.Work().Hours(), Dated: dated(t)}
	if len(t.Jobs) == 0 {
		return f
	}
	f.Days = span(t).Hours() / 24
	last := time.Duration(-1)
	for _, j := range t.Jobs {
		f.Stages = f.Stages || j.Stage > 0
		if hour := j.Created.Truncate(time.Hour); hour != last {
			f.BusyHours++
			last = hour
		}
	}
	f.Peak = (atOnce(t) + slots - 1) / slots
	return f
}

// dated tells a trace whose times are times from one in seconds, by its start on the
// clock of whatever zone it was put in.
func dated(t trace.Trace) bool {
	return t.Start.Format(time.DateTime) != trace.Monday.Format(time.DateTime)
}

func span(t trace.Trace) time.Duration {
	return t.Jobs[len(t.Jobs)-1].Created - t.Jobs[0].Created
}

// thin is why a trace is too thin to say anything, in words; none where it is not.
func (f Facts) thin() []string {
	var why []string
	if f.Days < leastDays {
		why = append(why, fmt.Sprintf("it covers %.1f days, and %d are the least: what happened once may never happen again", f.Days, leastDays))
	}
	if f.Jobs < leastJobs {
		why = append(why, fmt.Sprintf("it has %d jobs, and %d are the least: of fewer, five in a hundred are a handful", f.Jobs, leastJobs))
	}
	if f.BusyHours < leastBusyHours {
		why = append(why, fmt.Sprintf("jobs came in %d hours of it, and %d are the least", f.BusyHours, leastBusyHours))
	}
	return why
}

// unseen is what a trace that is long enough does not show all the same.
func (f Facts) unseen() []string {
	const week = 6.5 // days between the first and the last job of a week
	var all []string
	if f.Days < week {
		all = append(all, fmt.Sprintf("%.1f days: a whole week was not seen, so nothing is known of the days that are missing", f.Days))
	} else if f.Days < 2*week-1 {
		all = append(all, fmt.Sprintf("%.1f days: each day of the week was seen once or twice", f.Days))
	}
	return all
}

// atOnce is how many jobs would run at the same time at most, if none waited for an
// instance.
func atOnce(t trace.Trace) int {
	type change struct {
		at time.Duration
		by int
	}
	changes := make([]change, 0, 2*len(t.Jobs))
	for n, begins := range unhindered(t) {
		changes = append(changes, change{begins, 1}, change{begins + t.Jobs[n].Duration, -1})
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	now, most := 0, 0
	for _, c := range changes {
		now += c.by
		most = max(most, now)
	}
	return most
}

// unhindered is when each job would begin if none waited for an instance: when its
// pipeline's lower stages are done.
func unhindered(t trace.Trace) []time.Duration {
	begins := make([]time.Duration, len(t.Jobs))
	order := make([]int, len(t.Jobs))
	for n := range order {
		order[n] = n
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(t.Jobs[a].Pipeline, t.Jobs[b].Pipeline), cmp.Compare(t.Jobs[a].Stage, t.Jobs[b].Stage))
	})
	var below, done time.Duration // when the stages below are done, and this one
	pipeline, stage := 0, 0
	for _, n := range order {
		j := t.Jobs[n]
		switch {
		case j.Pipeline == 0 || j.Pipeline != pipeline:
			below, done = 0, 0
		case j.Stage != stage:
			below = done
		}
		pipeline, stage = j.Pipeline, j.Stage
		begins[n] = max(j.Created, below)
		done = max(done, begins[n]+j.Duration)
	}
	return begins
}
