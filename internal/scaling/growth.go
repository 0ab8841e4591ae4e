package scaling

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// GrowthSettings are what an operator can set.
type GrowthSettings struct {
	BlindAfter time.Duration // full without news of the queue for this long: look whether to step
	BlindMost  time.Duration
}

// Growth decides for one instance when to look at the group and what to raise
// desired to.
type Growth struct {
	set   GrowthSettings
	last  fleet.Observation
	since time.Time     // full since then, or since the last news
	wait  time.Duration // until it steps blindly
	queue Waiting
	blind bool
}

// NewGrowth begins.
func NewGrowth(set GrowthSettings) Growth { return Growth{set: set} }

// Urge is what follows from a reading.
type Urge string

// The urges.
const (
	Free Urge = "free" // a slot is free here: nothing to raise
	Rest Urge = "rest" // nothing to decide on
	Look Urge = "look" // at the group, then Decide
)

// Read takes a reading in.
func (g *Growth) Read(o fleet.Observation, now time.Time) Urge {
	g.queue = ReadQueue(g.last, o)
	g.last = o
	switch {
	case o.Free() > 0 || o.Slots() == 0:
		g.since = time.Time{}
		return Free
	case g.queue.Fresh:
		g.since, g.wait, g.blind = now, g.set.BlindAfter, false
		if g.queue.Jobs > 0 {
			return Look
		}
		return Rest
	case g.since.IsZero():
		g.since, g.wait = now, g.set.BlindAfter
	case now.Sub(g.since) >= g.wait:
		g.blind = true
		return Look
	}
	return Rest
}

// Due is when a reading that shows nothing new leads to a look.
func (g *Growth) Due() time.Time { return g.since.Add(g.wait) }

// Decide is the decision on a listing read right after Read said Look.
func (g *Growth) Decide(group fleet.Group, self string, now time.Time) Raise {
	if !g.blind {
		return RaiseTo(group, self, g.last.Slots(), g.queue.Jobs)
	}
	g.since = now
	g.wait = min(2*g.wait, g.set.BlindMost)
	return Step(group, self, true)
}
