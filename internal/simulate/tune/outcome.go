package tune

import (
	"cmp"
	"slices"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

// Verdict is what became of a search, in a word.
type Verdict string

// The verdicts.
const (
	Better     Verdict = "change"       // other settings are clearly better, or do what those in force do not
	Keep       Verdict = "keep"         // the settings in force are as good as any
	OutOfReach Verdict = "out_of_reach" // nothing that was tried does what is asked
	TooThin    Verdict = "too_thin"     // the trace says too little
)

// Outcome is all that a search found. It is what --json prints, and what a page is
// drawn from. Waits are in seconds, costs in instance hours.
type Outcome struct {
	Verdict Verdict  `json:"verdict"`
	Goal    Goal     `json:"goal"`
	Trace   Facts    `json:"trace"`
	Thin    []string `json:"too_thin,omitempty"` // why, in words
	Unseen  []string `json:"unseen,omitempty"`   // what a trace that is long enough does not show all the same
	Fleet   Assumed  `json:"assumed"`
	Seeds   int      `json:"seeds"`

	// InForce are the settings to compare with; Recommended the better ones, or the same;
	// Closest what comes nearest where nothing does what is asked. There is none of them
	// where the trace is too thin: nothing was played.
	InForce     Point  `json:"in_force,omitzero"`
	Recommended *Point `json:"recommended,omitempty"`
	Closest     *Point `json:"closest,omitempty"`
	// WithWebhook is what a webhook would bring, where none may be recommended.
	WithWebhook *Point `json:"with_webhook,omitempty"`
	// Saved is by how much the recommended or closest settings are cheaper than those in
	// force, as a share: below 0 they cost more.
	Saved float64 `json:"saved"`
	// Points are the settings that were played to the end, by their cost.
	Points []Point `json:"points,omitempty"`
	// Halves is the choice made on each half of the trace alone, judged on the other.
	Halves []Half `json:"halves,omitempty"`
	// Obstacles are what the closest settings would do if the fleet were another.
	Obstacles []Obstacle `json:"obstacles,omitempty"`
}

// Assumed is what was supposed of the fleet.
type Assumed struct {
	Boot     float64 `json:"boot_seconds"`
	Init     float64 `json:"init_seconds"`
	SpotMTBF float64 `json:"spot_mtbf_seconds,omitempty"`
}

// Result is what settings did on a part of the trace: each figure the median over the
// seeds.
type Result struct {
	Wait        capacity.Wait `json:"wait_seconds"`
	Least       float64       `json:"least"` // the figure that counts, over the seeds
	Most        float64       `json:"most"`
	Hours       float64       `json:"instance_hours"`
	HoursAMonth float64       `json:"hours_a_month"`
	Utilisation float64       `json:"utilisation"`
	Launches    float64       `json:"launches"`
	Unused      float64       `json:"launches_unused"`
	Lost        int           `json:"jobs_lost"`
}

// Point is settings with what they did on the whole trace.
type Point struct {
	Flags string `json:"simulate_flags"`
	Brief string `json:"brief"` // the same for people

	Settings Settings `json:"settings"`
	Changes  []Change `json:"changes"` // from those in force
	Result
	// Sure is the figure that counts in the worse half, the median over the seeds: the
	// promise has to hold there, too.
	Sure float64 `json:"worse_half"`
	// Kept tells whether they do what is asked, in both halves.
	Kept bool `json:"kept"`
	// Frontier tells that no other point has jobs wait less for less.
	Frontier bool `json:"frontier"`
}

// Half is a choice made on a half of the trace, and judged on the other one.
type Half struct {
	Chosen   string   `json:"chosen_on"`
	Settings Settings `json:"settings"`
	Found    bool     `json:"found"`  // something did what is asked
	Judged   Result   `json:"judged"` // on the other half
	InForce  Result   `json:"in_force"`
	Kept     bool     `json:"kept"`  // within a tenth
	Saved    float64  `json:"saved"` // as a share of what the settings in force cost there
}

// Obstacle is what the closest settings would do if one thing about the fleet were
// another.
type Obstacle struct {
	If      string  `json:"if"` // in words
	Figure  float64 `json:"figure_seconds"`
	Enough  bool    `json:"enough"`
	Matters bool    `json:"matters"` // it is clearly less than without
}

func assumed(in Input) Assumed {
	return Assumed{Boot: in.Fleet.Boot.Seconds(), Init: in.Fleet.Init.Seconds(), SpotMTBF: in.Fleet.SpotMTBF.Seconds()}
}

// mark sorts points by their cost, and marks the frontier.
func mark(points []Point, g Goal) []Point {
	slices.SortStableFunc(points, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Hours, b.Hours), cmp.Compare(g.Of(a.Wait), g.Of(b.Wait)))
	})
	at := 0 // the last of the frontier
	for n := range points {
		w, least := g.Of(points[n].Wait), g.Of(points[at].Wait)
		points[n].Frontier = w < least || w == least && points[n].Hours == points[at].Hours
		if points[n].Frontier {
			at = n
		}
	}
	return points
}

func unique(list []Settings) []Settings {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s Settings) bool {
		key := s.String()
		was := seen[key]
		seen[key] = true
		return was
	})
}
