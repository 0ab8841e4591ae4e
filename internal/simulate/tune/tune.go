// Package tune finds settings for a fleet in its own past: those that keep a promise
// about waits for the least money, or have jobs wait least for a given amount.
//
// It guarantees that the same trace, fleet and goal give the same outcome, however
// the runs that it asks for are shared out; that what it recommends kept the promise
// in both halves of what it was shown; and that settings in force which are not
// clearly worse are left alone. It is a search and nothing else: who plays the runs,
// and on how many processors, is the caller's business.
package tune

import (
	"slices"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// Input is what a search starts from.
type Input struct {
	Trace   trace.Trace
	Fleet   capacity.Options // what is not turned: launch times, interruptions
	InForce Settings
	Goal    Goal
	Webhook bool  // whether a webhook may be recommended; else it is shown beside
	Slots   []int // of an instance, to choose from; none: as in force
	Seeds   int   // how often what matters is played, with other dice
}

// Play is one run that the search wants to see.
type Play struct {
	Settings Settings
	Options  capacity.Options
	Part     Part
	Seed     uint64
}

// Batch is runs that do not depend on each other. From and To are which share of the
// whole search they are, from 0 to 1, as far as that can be told beforehand.
type Batch struct {
	Plays    []Play
	From, To float64
}

// Evaluate plays a batch and returns what came of each run, in its order. Its error
// ends the search.
type Evaluate func(Batch) ([]capacity.Result, error)

// The shares of a search, in the order of its steps: they add up to 1.
const (
	shareWhole  = 0.42
	shareHalves = 0.21 // each
	shareBeside = 0.10
	shareShown  = 0.06
)

// margin is by how much settings have to be better, as a share, before they are worth
// a change: within it the dice decide.
const margin = 0.02

// Search looks for the settings. Its error is Evaluate's.
func Search(in Input, evaluate Evaluate) (Outcome, error) {
	o := begin(in)
	if o.Verdict == TooThin {
		return o, nil
	}
	s := newSearch(in, evaluate)
	whole, err := s.choose(Whole, shareWhole)
	if err != nil {
		return o, err
	}
	if o.Halves, err = s.crossCheck(); err != nil {
		return o, err
	}
	if err := s.beside(&o, whole); err != nil {
		return o, err
	}
	return o, s.show(&o, whole)
}

// begin is what can be said before anything is played.
func begin(in Input) Outcome {
	o := Outcome{Goal: in.Goal, Trace: Look(in.Trace, in.InForce.Slots), Fleet: assumed(in), Seeds: in.Seeds}
	if o.Thin = o.Trace.thin(); len(o.Thin) > 0 {
		o.Verdict = TooThin
		return o
	}
	o.Unseen = o.Trace.unseen()
	return o
}

// crossCheck makes the choice on each half alone, and plays what was chosen on the
// other one.
func (s *search) crossCheck() ([]Half, error) {
	var all []Half
	first, second := Whole.halves()
	for _, p := range [][2]Part{{first, second}, {second, first}} {
		c, err := s.choose(p[0], shareHalves)
		if err != nil {
			return nil, err
		}
		f, err := s.figures([]Settings{c.best.settings, s.in.InForce}, p[1], s.in.Seeds, 0)
		if err != nil {
			return nil, err
		}
		h := Half{Chosen: p[0].String(), Settings: c.best.settings, Found: c.found, Judged: f[0], InForce: f[1]}
		h.Kept = s.in.Goal.keptWithin(f[0], f[1], tolerance)
		h.Saved = 1 - ratio(f[0].Hours, f[1].Hours)
		all = append(all, h)
	}
	return all, nil
}

// beside looks at what a webhook would bring where none may be recommended, and at
// what stands in the way where the goal is out of reach.
func (s *search) beside(o *Outcome, c choice) error {
	if !s.in.Webhook && !s.in.InForce.Webhook {
		with := newSearch(s.in, s.evaluate)
		with.in.InForce, with.in.Webhook = s.in.InForce.withWebhook(s.in.Fleet, o.Trace.Stages), true
		with.onlyWebhook, with.done = true, s.done
		best, err := with.glance(Whole, shareBeside)
		if err != nil {
			return err
		}
		s.done = with.done
		p, err := s.points([]Settings{best.best.settings}, 0)
		if err != nil {
			return err
		}
		p[0].Kept = best.found
		o.WithWebhook = &p[0]
	}
	s.done = 1 - shareShown
	if c.found {
		return nil
	}
	return s.obstacles(o, c)
}

// show plays on the whole trace what is to be shown, and sums up.
func (s *search) show(o *Outcome, c choice) error {
	settings := []Settings{s.in.InForce, c.best.settings}
	for _, x := range c.finalists {
		settings = append(settings, x.settings)
	}
	points, err := s.points(unique(settings), shareShown)
	if err != nil {
		return err
	}
	o.Points = mark(points, s.in.Goal)
	find := func(x Settings) Point {
		return o.Points[slices.IndexFunc(o.Points, func(p Point) bool { return p.Flags == x.String() })]
	}
	o.InForce = find(s.in.InForce)
	best := find(c.best.settings)
	switch {
	case !c.found:
		o.Verdict, o.Closest = OutOfReach, &best
	case c.best.settings.String() == s.in.InForce.String():
		o.Verdict, o.Recommended = Keep, &best
	default:
		o.Verdict, o.Recommended = Better, &best
	}
	o.Saved = 1 - ratio(best.Hours, o.InForce.Hours)
	return nil
}
