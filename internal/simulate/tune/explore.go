package tune

import (
	"cmp"
	"slices"
)

// Where the ladder of spares ends: at so many times the cost of the settings in force,
// or where what is asked was reached, and more spares only cost more.
const (
	farTooMuch  = 8
	muchDearer  = 1.3
	worthSeeing = 2.5 // of the whole trace the frontier is shown up to there
)

// climb tries more and more spares, as long as that may be worth it. Those in force come
// first.
func (s *search) climb(p Part, seeds int, share float64) ([]scored, error) {
	ends := s.done + share
	r := &s.regions[p]
	levels := append([]int{0}, r.levels...)
	all, err := s.scores([]Settings{s.in.InForce}, p, seeds, 0)
	if err != nil {
		return nil, err
	}
	for n, level := range levels {
		tried, err := s.scores(s.rung(level), p, seeds, share/float64(len(levels)))
		if err != nil {
			return nil, err
		}
		all = append(all, tried...)
		r.levels = levels[1 : n+1]
		if s.enough(tried, all, p) {
			break
		}
	}
	s.done = ends
	return all, nil
}

// enough tells whether a rung costs too much for a higher one to be of use.
func (s *search) enough(rung, all []scored, p Part) bool {
	least := slices.MinFunc(rung, func(a, b scored) int { return cmp.Compare(a.hours, b.hours) }).hours
	if s.in.Goal.Wait == 0 { // what is asked is a cost
		return !slices.ContainsFunc(rung, scored.kept)
	}
	best := bestOf(all)
	if p == Whole && least < all[0].hours*worthSeeing {
		return false
	}
	return least > all[0].hours*farTooMuch || best.kept() && least > best.hours*muchDearer
}

// rounds is how often every setting is turned.
const rounds = 3

// descend turns one setting at a time, from the best ones and from those in force, and
// returns all that it tried.
func (s *search) descend(from []scored, p Part, share float64) ([]scored, error) {
	var all []scored
	starts := []scored{bestOf(from)}
	if first := from[0]; first.kept() && first.settings.String() != starts[0].settings.String() {
		starts = append(starts, first)
	}
	ends := s.done + share
	const byRound = 7 // lists of alternatives, at most
	for _, at := range starts {
		for range rounds {
			was := at
			for n := range s.around(at.settings, s.regions[p]) {
				list := s.around(at.settings, s.regions[p])
				if n >= len(list) { // what was turned left fewer to turn
					break
				}
				tried, err := s.scores(list[n], p, s.exploring(), share/float64(len(starts)*rounds*byRound))
				if err != nil {
					return nil, err
				}
				all = append(all, tried...)
				if b := bestOf(tried); b.than(at, margin/2) {
					at = b
				}
			}
			if at.settings.String() == was.settings.String() {
				break
			}
		}
	}
	s.done = ends
	return all, nil
}
