// Package page makes one HTML file of a comparison: the fleet over time, how
// long jobs waited, cost against wait, and what made each.
//
// It guarantees that the file is whole (it loads nothing, and a policy in it
// forbids that it ever does), that nothing which is put in can become markup or
// script, and that it stays below MaxBytes whatever is put in: courses are made
// coarser until it does. What is compared, and what is better, is left to who
// fills in a Page.
package page

import "time"

// The bounds of a page.
const (
	MaxBytes = 1_500_000
	// MostRuns is how many runs are drawn; MostPoints how many points. More is an
	// error: nobody could tell them apart.
	MostRuns   = 128
	MostPoints = 2000
)

// Page is what is drawn. Only Title is needed; what is empty is left out.
type Page struct {
	Title string
	Lead  string   // a sentence or two under the title
	Facts []Fact   // what all runs share: the trace, the fleet
	Notes []string // how to read it, a paragraph each
	Maker string   // the program and its version

	// Recommendation comes first where there is one.
	Recommendation *Recommendation

	// Runs are drawn over time, and are the rows of the table, in one colour each.
	Runs    []Run
	Columns []Column // of the table

	// Start is the moment that timelines count from, in the zone to show. Clock is
	// false where it says nothing: then days are counted, not named.
	Start time.Time
	Clock bool

	// WaitGrid is what Run.Waits is about: waits, rising.
	WaitGrid []time.Duration

	// Points are drawn cost against wait.
	Points []Point
	Cost   Axis
	Wait   string // the wait to begin with: one of Measures; "" is the first
	Limits Limits
}

// Measures are the names of what a Point's waits are.
var Measures = []string{"mean", "p50", "p90", "p95", "p99", "max"}

// Fact is a name and what goes with it.
type Fact struct{ Name, Text string }

// Axis is what the cost is counted in.
type Axis struct {
	Label string // "instance hours"
	Unit  string // before or after a figure: "h", "$"
}

// Run is one policy with its settings, or what really happened.
type Run struct {
	Name     string // unique
	Settings []Fact // what made it
	Role     Role
	Cells    []Cell // of the table, one for each of Columns
	Timeline Timeline
	Waits    []float64 // the share of jobs that waited no longer than each of Page.WaitGrid
}

// Role is how a run is drawn.
type Role string

// The roles.
const (
	Contender Role = ""      // in a colour of its own
	Bound     Role = "bound" // what nobody can pass: no part of the frontier
	Real      Role = "real"  // what really happened: grey
)

// Column is one of the table's.
type Column struct {
	Head  string
	About string // what it is, for who does not know
}

// Cell is one figure of the table.
type Cell struct {
	Text  string
	Value float64 // as long as the bar is; NaN: nobody knows, and no bar
	Best  bool
}

// Timeline is a run over time, in moments of one length.
type Timeline struct {
	From, Step time.Duration // since Page.Start
	// Courses, nil where nobody knows.
	Launched, InService, Busy, Queue []Moment
}

// Moment is what a number was in a stretch of time.
type Moment struct{ Min, Max, Mean float64 }

// Point is one set of settings, and what came of it.
type Point struct {
	Name     string
	Settings []Fact
	Run      string  // the run that it is: in its colour; "" for one that is not drawn over time
	Cost     float64 // in Page.Cost; NaN where nobody knows: then it is a line at its wait
	// Waits are in seconds, by name (Measures).
	Waits map[string]float64
	Bound bool // no part of the frontier
	// Mark is a word or two that are written beside it: "recommended", "in force".
	Mark string
}

// Limits are lines that must not be passed: 0 for none.
type Limits struct {
	Measure string  // whose wait
	Wait    float64 // seconds
	Cost    float64
}

// Recommendation is what is advised.
type Recommendation struct {
	Title string
	Lead  string
	// Figures are what it comes to, the most important first.
	Figures []Figure
	// Snippet is the configuration to copy, SnippetName where it goes.
	Snippet, SnippetName string
	// Sure tells how sure it is, a paragraph each.
	Sure []string
}

// Figure is a number that is told large.
type Figure struct {
	Label string
	Text  string
	About string // beside what: "in force 612"
}
