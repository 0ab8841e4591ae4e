package tune

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

// Goal is what is asked for: a promise about waits at the least cost, or the least
// waits at a cost, or both.
type Goal struct {
	// Figure is which figure of the waits counts: mean, p50, p90, p95, p99 or max.
	Figure string `json:"figure"`
	// Wait is what it is to be at most, in seconds; 0: as little as MaxHours buys.
	Wait float64 `json:"wait_seconds,omitempty"`
	// MaxHours is how many instance hours a month it may cost; 0: any number.
	MaxHours float64 `json:"max_hours_a_month,omitempty"`
	// MaxShare is the same as a share of what the settings in force cost; 0: any.
	MaxShare float64 `json:"max_share,omitempty"`
}

// waits are the figures of waits by their names.
var waits = map[string]func(capacity.Wait) float64{
	"mean": func(w capacity.Wait) float64 { return w.Mean },
	"p50":  func(w capacity.Wait) float64 { return w.P50 },
	"p90":  func(w capacity.Wait) float64 { return w.P90 },
	"p95":  func(w capacity.Wait) float64 { return w.P95 },
	"p99":  func(w capacity.Wait) float64 { return w.P99 },
	"max":  func(w capacity.Wait) float64 { return w.Max },
}

// Figures are the names of the figures that can be promised.
var Figures = []string{"mean", "p50", "p90", "p95", "p99", "max"}

// ParseWait reads a promise as "p95=60s"; a bare number is seconds.
func ParseWait(text string) (Goal, error) {
	name, value, _ := strings.Cut(text, "=")
	if !slices.Contains(Figures, name) {
		return Goal{}, fmt.Errorf("%q; allowed: one of %s, with a time, as in p95=60s", text, strings.Join(Figures, ", "))
	}
	d, err := time.ParseDuration(value)
	if n, e := strconv.ParseFloat(value, 64); e == nil && n > 0 && n <= longestWait.Seconds() {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < shortestWait || d > longestWait {
		return Goal{}, fmt.Errorf("%q; allowed is a time from %s to %s, as in p95=60s", text, shortestWait, longestWait)
	}
	return Goal{Figure: name, Wait: d.Seconds()}, nil
}

const (
	shortestWait = 100 * time.Millisecond
	longestWait  = 24 * time.Hour
)

// Of is the figure that counts.
func (g Goal) Of(w capacity.Wait) float64 { return waits[g.Figure](w) }

// tolerance is by how much a promise may be missed where it is judged on jobs that the
// choice never saw.
const tolerance = 0.10

// missed is how far settings are from what is asked, as a share: 1 and less is kept.
// The median over the seeds has to keep a promise, and no seed may be beyond the
// tolerance. What costs too much is further away than anything that does not.
func (g Goal) missed(f, inForce Result) float64 {
	miss := 0.0
	if g.Wait > 0 {
		miss = max(g.Of(f.Wait)/g.Wait, f.Most/(g.Wait*(1+tolerance)))
	}
	over := 0.0
	if g.MaxHours > 0 {
		over = f.HoursAMonth / g.MaxHours
	}
	if g.MaxShare > 0 {
		over = max(over, ratio(f.Hours, inForce.Hours)/g.MaxShare)
	}
	if over > 1 {
		miss = max(miss, tooDear*over)
	}
	if f.Lost > 0 {
		miss = max(miss, 2)
	}
	return miss
}

// tooDear is further away than any wait.
const tooDear = 1e6

// keptWithin tells whether the promise was kept within a tolerance.
func (g Goal) keptWithin(f, inForce Result, within float64) bool {
	f.Most = 0 // the median counts: the tolerance is for the rest
	return g.missed(f, inForce) <= 1+within
}

// price is what is to be as little as possible: hours, or where a cost is given and
// no wait the wait.
func (g Goal) price(hours, wait float64) float64 {
	if g.Wait > 0 {
		return hours
	}
	return wait
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 1
	}
	return a / b
}
