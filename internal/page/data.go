package page

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// maxData is what is left for the data: the rest is the library, and the tables.
const maxData = 1_000_000

// data is what the script draws, in as few letters as can be.
type data struct {
	Start  int64       `json:"start"` // seconds from the first day's midnight to Page.Start
	Day    int64       `json:"day"`   // that midnight, seconds since 1970; what is shown is this and no zone
	Clock  bool        `json:"clock"`
	Runs   []dataRun   `json:"runs"`
	Grid   []float64   `json:"grid"` // seconds
	Points []dataPoint `json:"points"`
	Cost   dataAxis    `json:"cost"`
	Wait   string      `json:"wait"`
	Names  []string    `json:"measures"`
	Limits dataLimits  `json:"limits"`
}

type dataRun struct {
	Name  string    `json:"name"`
	Role  Role      `json:"role"`
	From  float64   `json:"from"` // seconds since Page.Start
	Step  float64   `json:"step"`
	Lines dataLines `json:"lines"`
	Waits []float64 `json:"waits"` // percent
}

type dataLines struct {
	Launched *dataLine `json:"launched,omitempty"`
	Service  *dataLine `json:"service,omitempty"`
	Busy     *dataLine `json:"busy,omitempty"`
	Queue    *dataLine `json:"queue,omitempty"`
}

// dataLine is a course by columns. Low and high are left out where they are not drawn.
type dataLine struct {
	Mean []float64 `json:"mean"`
	Low  []float64 `json:"low,omitempty"`
	High []float64 `json:"high,omitempty"`
}

type dataPoint struct {
	Name     string             `json:"name"`
	Settings [][2]string        `json:"settings"`
	Run      int                `json:"run"` // -1: none
	Cost     *float64           `json:"cost"`
	Waits    map[string]float64 `json:"waits"`
	Bound    bool               `json:"bound,omitempty"`
	Mark     string             `json:"mark,omitempty"`
}

type dataAxis struct {
	Label string `json:"label"`
	Unit  string `json:"unit"`
}

type dataLimits struct {
	Measure string  `json:"measure"`
	Wait    float64 `json:"wait"`
	Cost    float64 `json:"cost"`
}

// encode is the data in JSON, of which nothing can end a script: moments are put
// together, two and two, until it is short enough.
func (p *Page) encode() ([]byte, error) {
	runs := slices.Clone(p.Runs)
	for {
		text, err := json.Marshal(p.data(runs))
		if err != nil {
			return nil, fmt.Errorf("encode the page's data: %w", err)
		}
		if len(text) <= maxData {
			return text, nil
		}
		shorter := false
		for i := range runs {
			shorter = runs[i].Timeline.halve() || shorter
		}
		if !shorter {
			return nil, fmt.Errorf("the page's data are %d bytes, at most %d: fewer runs, or fewer points", len(text), maxData)
		}
	}
}

func (p *Page) data(runs []Run) data {
	midnight := time.Date(p.Start.Year(), p.Start.Month(), p.Start.Day(), 0, 0, 0, 0, time.UTC)
	clock := time.Date(p.Start.Year(), p.Start.Month(), p.Start.Day(), p.Start.Hour(), p.Start.Minute(), p.Start.Second(), 0, time.UTC)
	d := data{
		Start: int64(clock.Sub(midnight).Seconds()), Day: midnight.Unix(), Clock: p.Clock,
		Cost: dataAxis(p.Cost), Wait: p.Wait, Names: Measures, Limits: dataLimits(p.Limits),
		Runs: []dataRun{}, Points: []dataPoint{}, Grid: []float64{},
	}
	if d.Wait == "" {
		d.Wait = Measures[0]
	}
	shown := p.gridShown()
	for _, w := range p.WaitGrid[:shown] {
		d.Grid = append(d.Grid, round(w.Seconds(), 3))
	}
	for _, r := range runs {
		d.Runs = append(d.Runs, r.data(shown))
	}
	for _, pt := range p.Points {
		d.Points = append(d.Points, p.point(pt))
	}
	return d
}

// gridShown is how much of the grid tells anything: up to where nobody waited longer.
func (p *Page) gridShown() int {
	shown := 0
	for _, r := range p.Runs {
		all := slices.IndexFunc(r.Waits, func(share float64) bool { return share >= 1 })
		if all < 0 {
			all = len(r.Waits) - 1
		}
		shown = max(shown, all+1)
	}
	return min(shown, len(p.WaitGrid))
}

func (r Run) data(shown int) dataRun {
	t := r.Timeline
	d := dataRun{Name: r.Name, Role: r.Role, From: round(t.From.Seconds(), 3), Step: round(t.Step.Seconds(), 3), Waits: []float64{}}
	d.Lines = dataLines{lineOf(t.Launched, true), lineOf(t.InService, false), lineOf(t.Busy, true), lineOf(t.Queue, true)}
	for _, share := range r.Waits[:min(shown, len(r.Waits))] {
		d.Waits = append(d.Waits, round(100*share, 2))
	}
	return d
}

func lineOf(course []Moment, bounds bool) *dataLine {
	if course == nil {
		return nil
	}
	l := &dataLine{}
	for _, m := range course {
		digits := 1
		if m.Mean >= 1000 {
			digits = 0
		}
		l.Mean = append(l.Mean, round(m.Mean, digits))
		if bounds {
			l.Low, l.High = append(l.Low, round(m.Min, 1)), append(l.High, round(m.Max, 1))
		}
	}
	return l
}

func (p *Page) point(from Point) dataPoint {
	to := dataPoint{Name: from.Name, Settings: [][2]string{}, Waits: map[string]float64{}, Bound: from.Bound, Mark: from.Mark}
	if !math.IsNaN(from.Cost) {
		cost := round(from.Cost, 4)
		to.Cost = &cost
	}
	to.Run = slices.IndexFunc(p.Runs, func(r Run) bool { return from.Run != "" && r.Name == from.Run })
	for _, s := range from.Settings {
		to.Settings = append(to.Settings, [2]string{s.Name, s.Text})
	}
	for name, w := range from.Waits {
		to.Waits[name] = round(w, 3)
	}
	return to
}

// halve makes each moment twice as long; false where there is but one.
func (t *Timeline) halve() bool {
	if max(len(t.Launched), len(t.InService), len(t.Busy), len(t.Queue)) < 2 {
		return false
	}
	t.Step *= 2
	for _, course := range []*[]Moment{&t.Launched, &t.InService, &t.Busy, &t.Queue} {
		*course = halved(*course)
	}
	return true
}

func halved(course []Moment) []Moment {
	if course == nil {
		return nil
	}
	out := make([]Moment, 0, (len(course)+1)/2)
	for i := 0; i < len(course); i += 2 {
		m := course[i]
		if i+1 < len(course) {
			o := course[i+1]
			m = Moment{Min: min(m.Min, o.Min), Max: max(m.Max, o.Max), Mean: (m.Mean + o.Mean) / 2}
		}
		out = append(out, m)
	}
	return out
}

// round keeps so many digits behind the point: what is drawn shows no more.
func round(v float64, digits int) float64 {
	f := math.Pow10(digits)
	return math.Round(v*f) / f
}
