package tune

import (
	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

// search is a search under way: what was played so far, and how much of it is done.
type search struct {
	in          Input
	evaluate    Evaluate
	onlyWebhook bool
	stages      bool
	regions     []region // of each part
	played      map[play]capacity.Result
	done        float64
}

func newSearch(in Input, evaluate Evaluate) *search {
	s := &search{in: in, evaluate: evaluate, played: map[play]capacity.Result{}, stages: Look(in.Trace, 1).Stages}
	for p, t := range Parts(in.Trace) {
		r := regionOf(t, in.InForce.Slots)
		if p > int(Whole) { // the day on which a trace is cut is no day of both halves
			r.days = s.regions[(p-1)/2].days / 2
		}
		s.regions = append(s.regions, r)
	}
	return s
}

// exploring is how many seeds settings are played with until they are worth more. Where
// there are many jobs the dice hardly matter.
func (s *search) exploring() int {
	const many = 5000
	if len(s.in.Trace.Jobs) > many {
		return 1
	}
	return min(2, s.in.Seeds)
}

// choice is what was chosen on a part.
type choice struct {
	best      scored
	found     bool // it does what is asked
	finalists []scored
}

// choose looks for the best settings on a part: a ladder of spares and idle times, then
// from the best of it one setting at a time, then the best with every seed.
func (s *search) choose(p Part, share float64) (choice, error) {
	all, err := s.climb(p, s.exploring(), 0.4*share)
	if err != nil {
		return choice{}, err
	}
	more, err := s.descend(all, p, 0.4*share)
	if err != nil {
		return choice{}, err
	}
	return s.final(append(all, more...), p, 0.2*share)
}

// glance is choose with the ladder alone.
func (s *search) glance(p Part, share float64) (choice, error) {
	all, err := s.climb(p, 1, 0.6*share)
	if err != nil {
		return choice{}, err
	}
	return s.final(all, p, 0.4*share)
}
