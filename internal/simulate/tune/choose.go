package tune

import (
	"cmp"
	"slices"
)

// final plays what is worth it with every seed, and picks.
func (s *search) final(all []scored, p Part, share float64) (choice, error) {
	var settings []Settings
	for _, x := range shortList(all, p) {
		settings = append(settings, x.settings)
	}
	finalists, err := s.scores(unique(append([]Settings{all[0].settings}, settings...)), p, s.in.Seeds, 0.7*share)
	if err != nil {
		return choice{}, err
	}
	if finalists[0].miss, err = s.missedInForce(finalists[0], p); err != nil {
		return choice{}, err
	}
	best, err := s.simplify(s.pick(finalists), p, 0.3*share)
	return choice{best: best, found: best.kept(), finalists: finalists}, err
}

// The most that are played with every seed: of those that do what is asked the
// cheapest, and of the whole trace, which is shown, some of the frontier.
const (
	mostKept     = 6
	mostFrontier = 9
)

func shortList(all []scored, p Part) []scored {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.hours, b.hours), cmp.Compare(a.sure, b.sure), cmp.Compare(a.settings.String(), b.settings.String()))
	})
	all = slices.CompactFunc(all, func(a, b scored) bool { return a.settings.String() == b.settings.String() })
	var kept, frontier []scored
	for _, x := range all {
		if len(frontier) == 0 || x.sure < frontier[len(frontier)-1].sure {
			frontier = append(frontier, x)
		}
		if x.kept() {
			kept = append(kept, x)
		}
	}
	slices.SortStableFunc(kept, func(a, b scored) int { return cmp.Compare(a.price, b.price) })
	list := kept[:min(mostKept, len(kept))]
	if len(kept) == 0 {
		list = append(list, bestOf(all))
	}
	if p != Whole {
		return list
	}
	for n := range min(mostFrontier, len(frontier)) { // spread evenly, with both ends
		list = append(list, frontier[n*(len(frontier)-1)/max(1, min(mostFrontier, len(frontier))-1)])
	}
	return list
}

// missedInForce is how far the settings in force are from what is asked, by a milder
// measure: they have to do it on the whole of a part, and within the tolerance in its
// halves. To change them, and to pay for it, takes more than a half that is a little off.
func (s *search) missedInForce(x scored, p Part) (float64, error) {
	g := s.in.Goal
	whole, err := s.figures([]Settings{x.settings}, p, s.in.Seeds, 0)
	if err != nil || x.kept() || g.missed(whole[0], whole[0]) > 1 {
		return x.miss, err
	}
	for _, h := range x.halves {
		if !g.keptWithin(waitsOnly(h), waitsOnly(h), tolerance) {
			return x.miss, nil
		}
	}
	return 1, nil
}

// pick is the one to recommend: those in force, which come first, unless another is
// clearly better in both halves; of those that are hardly dearer than the cheapest the
// one that changes least.
func (s *search) pick(list []scored) scored {
	force, best := list[0], bestOf(list)
	if !best.kept() {
		if best.than(force, margin) {
			return best
		}
		return force
	}
	if force.kept() && !s.clearly(best, force) {
		return force
	}
	fewest := best
	for _, x := range list {
		near := x.kept() && x.price <= best.price*(1+margin/2) && (!force.kept() || s.clearly(x, force))
		if near && len(x.settings.From(force.settings)) < len(fewest.settings.From(force.settings)) {
			fewest = x
		}
	}
	return fewest
}

// clearly tells whether settings are better than others by the margin, and in neither
// half worse.
func (s *search) clearly(x, than scored) bool {
	for n := range x.halves {
		g := s.in.Goal
		if g.price(x.halves[n].Hours, g.Of(x.halves[n].Wait)) > g.price(than.halves[n].Hours, g.Of(than.halves[n].Wait)) {
			return false
		}
	}
	return x.than(than, margin)
}

// simplify takes changes back that bring next to nothing, one at a time: what few people
// turn has to bring more.
func (s *search) simplify(x scored, p Part, share float64) (scored, error) {
	ends, price := s.done+share, x.price
	defer func() { s.done = ends }()
	if !x.kept() {
		return x, nil
	}
	for {
		force, err := s.scores([]Settings{s.in.InForce}, p, s.in.Seeds, 0)
		if err != nil {
			return x, err
		}
		list, rare := withoutOne(x.settings, s.in.InForce)
		without, err := s.scores(list, p, s.in.Seeds, 0)
		if err != nil {
			return x, err
		}
		at := -1
		for n, y := range without {
			most := price * (1 + margin/2)
			if n < rare {
				most = price * (1 + margin)
			}
			if y.kept() && y.price <= most && (!force[0].kept() || s.clearly(y, force[0])) {
				at = n
				break
			}
		}
		if at < 0 {
			return x, nil
		}
		x = without[at]
	}
}

// withoutOne are settings with one of their changes taken back, for each; what is rarely
// turned comes first.
func withoutOne(x, force Settings) (all []Settings, rare int) {
	back := func(is bool, turn func(*Settings)) {
		if is {
			c := x
			turn(&c)
			all = append(all, c)
		}
	}
	back(x.CheckInterval != force.CheckInterval, func(c *Settings) { c.CheckInterval = force.CheckInterval })
	back(x.BlindAfter != force.BlindAfter, func(c *Settings) { c.BlindAfter = force.BlindAfter })
	back(x.Saturated != force.Saturated, func(c *Settings) { c.Saturated = force.Saturated })
	back(x.Learn != force.Learn, func(c *Settings) { c.Learn = force.Learn })
	rare = len(all)
	back(x.Min != force.Min, func(c *Settings) { c.Min = force.Min })
	back(x.Max != force.Max, func(c *Settings) { c.Max = force.Max })
	back(!slices.Equal(x.Spares, force.Spares) && x.Slots == force.Slots, func(c *Settings) { c.Spares, c.Hold = force.Spares, force.Hold })
	back(x.Idle != force.Idle, func(c *Settings) { c.Idle = force.Idle })
	return all, rare
}
