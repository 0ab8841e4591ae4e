package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/shoal-ci/shoal/internal/page"
	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/tune"
)

// page is what tune draws: every point that was played to the end, and over time
// the settings in force beside those that are better, or nearest.
func (t *tunedText) page(in tune.Input) *page.Page {
	o := t.o
	p := &page.Page{
		Title: "Shoal tune: " + traceName(t.f.trace),
		Lead: fmt.Sprintf("%s in %.1f days, played to the end under %s. Asked: %s.",
			howMany(o.Trace.Jobs, "job", "jobs"), o.Trace.Days, howMany(len(o.Points), "setting", "settings"), t.asked()),
		Facts: fleetFacts(o.InForce.Settings.Options(in.Fleet)),
		Start: in.Trace.Start, Clock: o.Trace.Dated, WaitGrid: capacity.WaitGrid(),
		Cost: page.Axis{Label: "instance hours a month"}, Wait: o.Goal.Figure,
		Limits: page.Limits{Measure: o.Goal.Figure, Wait: o.Goal.Wait, Cost: o.Goal.MaxHours * t.unit()},
		Maker:  "shoal " + thisBuild().title(),
		Notes: []string{
			"Each figure is the median of the seeds, on the whole trace; the charts over time show the run of the first seed. A wait is the time from when a job could run until it did.",
			"A promise has to hold in the worse half of the trace, too: points below the line of what is asked may be left out for that.",
		},
		Recommendation: t.advice(),
	}
	if t.f.price > 0 {
		p.Cost = page.Axis{Label: "cost a month"}
	}
	for _, col := range comparison {
		if col.head != "calls" { // tune does not count them
			p.Columns = append(p.Columns, page.Column{Head: col.head, About: col.about})
		}
	}
	runs := t.runs()
	for _, pt := range runs {
		p.Runs = append(p.Runs, t.run(in, pt, runs))
	}
	t.past(p, in)
	for _, pt := range append(runs, o.Points...) { // what is marked first: it is never beyond the most
		if !slices.ContainsFunc(p.Points, func(had page.Point) bool { return had.Name == pt.Brief }) {
			p.Points = append(p.Points, t.point(pt, runs))
		}
	}
	p.Points = p.Points[:min(len(p.Points), page.MostPoints)]
	return p
}

// unit is what an instance hour counts on the cost's axis.
func (t *tunedText) unit() float64 {
	if t.f.price > 0 {
		return t.f.price
	}
	return 1
}

// runs are the points to show over time, those in force last: what is better lies on top.
func (t *tunedText) runs() []tune.Point {
	var all []tune.Point
	for _, p := range []*tune.Point{t.o.Recommended, t.o.Closest, t.o.WithWebhook, &t.o.InForce} {
		if p != nil && (p == &t.o.InForce || p.Flags != t.o.InForce.Flags) {
			all = append(all, *p)
		}
	}
	return all
}

// name is what a run is called: by what it is, and for people by what makes it.
func (t *tunedText) name(p tune.Point) string {
	switch o := t.o; {
	case p.Flags == o.InForce.Flags:
		return "in force"
	case o.Recommended != nil && p.Flags == o.Recommended.Flags:
		return "recommended"
	case o.Closest != nil && p.Flags == o.Closest.Flags:
		return "closest"
	}
	return "with a webhook"
}

func (t *tunedText) run(in tune.Input, p tune.Point, all []tune.Point) page.Run {
	r := page.Run{Name: t.name(p), Settings: changed(p)}
	for _, col := range comparison {
		if col.head == "calls" {
			continue
		}
		results := make([]capacity.Result, len(all))
		for i, other := range all {
			results[i] = figuresOf(other)
		}
		mine := figuresOf(p)
		r.Cells = append(r.Cells, page.Cell{Text: col.text(mine), Value: col.figure(mine), Best: bestOf(col, results)(mine)})
	}
	if policy, err := capacity.Parse(p.Settings.Policy()); err == nil { // it was played before
		_, record := capacity.RunRecorded(capacity.NewPlan(in.Trace), policy, p.Settings.Options(in.Fleet), 0, nil)
		r.Timeline, r.Waits = timelineOf(record.Timeline), record.Waits
	}
	return r
}

// past adds what really happened, where the trace knows.
func (t *tunedText) past(p *page.Page, in tune.Input) {
	r, record, ok := capacity.NewPlan(in.Trace).Happened()
	if !ok {
		return
	}
	cells := pastCells(r)
	run := page.Run{Name: reality, Role: page.Real, Timeline: timelineOf(record.Timeline), Waits: record.Waits}
	for i, col := range comparison {
		if col.head != "calls" {
			run.Cells = append(run.Cells, cells[i])
		}
	}
	p.Runs = append(p.Runs, run)
	p.Points = append(p.Points, page.Point{Name: reality, Run: reality, Cost: math.NaN(), Waits: waitsOf(r.Wait), Bound: true})
}

func (t *tunedText) point(p tune.Point, runs []tune.Point) page.Point {
	to := page.Point{Name: p.Brief, Settings: changed(p), Cost: p.HoursAMonth * t.unit(), Waits: waitsOf(p.Wait)}
	for _, r := range runs {
		if r.Flags == p.Flags {
			to.Run, to.Mark = t.name(p), t.name(p)
		}
	}
	return to
}

// changed are the settings that are not those in force.
func changed(p tune.Point) []page.Fact {
	var all []page.Fact
	for _, c := range p.Changes {
		all = append(all, page.Fact{Name: c.Key, Text: c.To})
	}
	return all
}

// figuresOf are a point's figures as the table has them.
func figuresOf(p tune.Point) capacity.Result {
	return capacity.Result{
		Policy: p.Flags, Wait: p.Wait, InstanceHours: p.Hours, Utilisation: p.Utilisation, Launches: p.Launches, LaunchesUnused: p.Unused, JobsLost: p.Lost,
	}
}

// advice is what the page begins with.
func (t *tunedText) advice() *page.Recommendation {
	o, best := t.o, t.o.Recommended
	a := &page.Recommendation{Sure: t.sure()}
	switch o.Verdict {
	case tune.Keep:
		a.Title, best = "Keep the settings in force", &o.InForce
		a.Lead = "Nothing that was tried is clearly better: that is, by 2 % and in both halves of the trace."
	case tune.OutOfReach:
		a.Title, best = "Nothing that was tried does what is asked", o.Closest
		a.Lead = "The closest is " + best.Brief + "."
	default:
		a.Title = "Recommended: " + best.Brief
	}
	a.Figures = []page.Figure{
		{Label: waitName(o.Goal.Figure), Text: waitText(o.Goal.Of(best.Wait)), About: "in force " + waitText(o.Goal.Of(o.InForce.Wait))},
		{Label: "in the worse half of the trace", Text: waitText(best.Sure), About: "in force " + waitText(o.InForce.Sure)},
		{Label: "a month", Text: t.cost(best.HoursAMonth), About: "in force " + t.cost(o.InForce.HoursAMonth)},
	}
	if o.Verdict != tune.Keep {
		a.Figures = append(a.Figures, page.Figure{Label: "to now", Text: fmt.Sprintf("%+.1f %%", -100*o.Saved)})
		a.Snippet, a.SnippetName = t.snippet(best.Changes), "What to change"
	}
	return a
}

// snippet is the changes as text to copy, each under where it goes.
func (t *tunedText) snippet(changes []tune.Change) string {
	inner := &tunedText{o: t.o, f: t.f}
	inner.changes(changes)
	return strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll("\n"+inner.String(), "\n    ", "\n"), "\nIn ", "\n# In "))
}

// sure is what sureness says, a line each.
func (t *tunedText) sure() []string {
	inner := &tunedText{o: t.o, f: t.f}
	inner.sureness()
	var all []string
	for line := range strings.Lines(inner.String()) {
		if text, ok := strings.CutPrefix(line, "  "); ok {
			all = append(all, strings.TrimSpace(text))
		}
	}
	return all
}
