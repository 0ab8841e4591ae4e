package tune

import (
	"cmp"
	"fmt"
	"slices"

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

// play is what a run depends on.
type play struct {
	settings string
	boot     int64
	part     Part
	seed     uint64
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

// scored are settings with what counts about them on a part.
type scored struct {
	settings Settings
	halves   [2]Result
	sure     float64 // the figure in the worse half
	hours    float64 // of both halves
	miss     float64 // 1 and less: it does what is asked, in both
	price    float64 // what is to be as little as possible
}

func (x scored) kept() bool { return x.miss <= 1 }

// than tells whether settings are better than others by a share.
func (x scored) than(y scored, by float64) bool {
	switch {
	case x.kept() && y.kept():
		return x.price < y.price*(1-by)
	case !x.kept() && !y.kept():
		return x.miss < y.miss*(1-by)
	}
	return x.kept()
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

func bestOf(list []scored) scored {
	best := list[0]
	for _, x := range list[1:] {
		if x.than(best, 0) {
			best = x
		}
	}
	return best
}

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

// scores plays settings on both halves of a part. What is asked is measured by what
// those in force cost there.
func (s *search) scores(list []Settings, p Part, seeds int, share float64) ([]scored, error) {
	first, second := p.halves()
	with := append([]Settings{s.in.InForce}, list...)
	a, err := s.figures(with, first, seeds, share/2)
	if err != nil {
		return nil, err
	}
	b, err := s.figures(with, second, seeds, share/2)
	if err != nil {
		return nil, err
	}
	g := s.in.Goal
	all := make([]scored, len(list))
	for n := range list {
		f := [2]Result{a[n+1], b[n+1]}
		x := scored{settings: list[n], halves: f, sure: max(g.Of(f[0].Wait), g.Of(f[1].Wait)), hours: f[0].Hours + f[1].Hours}
		x.miss = max(g.missed(waitsOnly(f[0]), a[0]), g.missed(waitsOnly(f[1]), b[0]), g.missed(s.both(f), s.both([2]Result{a[0], b[0]})))
		x.price = g.price(x.hours, x.sure)
		all[n] = x
	}
	return all, nil
}

// waitsOnly is a result whose cost does not count: a busy half may cost more than a
// quiet one.
func waitsOnly(f Result) Result {
	f.Hours, f.HoursAMonth = 0, 0
	return f
}

// both is the cost of both halves.
func (s *search) both(f [2]Result) Result {
	r := Result{Hours: f[0].Hours + f[1].Hours}
	r.HoursAMonth = r.Hours / (f[0].Hours/nonZero(f[0].HoursAMonth) + f[1].Hours/nonZero(f[1].HoursAMonth))
	return r
}

func nonZero(v float64) float64 {
	if v == 0 {
		return 1
	}
	return v
}

// figures plays settings on a part with so many seeds.
func (s *search) figures(list []Settings, p Part, seeds int, share float64) ([]Result, error) {
	return s.figuresOf(s.in.Fleet, list, p, seeds, share)
}

// figuresOf is the same with a fleet that may be another.
func (s *search) figuresOf(fleet capacity.Options, list []Settings, p Part, seeds int, share float64) ([]Result, error) {
	key := func(x Settings, seed int) play {
		return play{x.String(), int64(fleet.Boot), p, uint64(seed)} //nolint:gosec // from 0 on
	}
	var batch Batch
	asked := map[play]bool{}
	for _, x := range list {
		for seed := range seeds {
			k := key(x, seed)
			if _, ok := s.played[k]; !ok && !asked[k] {
				asked[k] = true
				batch.Plays = append(batch.Plays, Play{Settings: x, Options: x.Options(fleet), Part: p, Seed: k.seed})
			}
		}
	}
	batch.From, batch.To = s.done, s.done+share
	s.done = batch.To
	if len(batch.Plays) > 0 {
		results, err := s.evaluate(batch)
		if err != nil {
			return nil, err
		}
		for n, b := range batch.Plays {
			s.played[key(b.Settings, int(b.Seed))] = results[n] //nolint:gosec // below seeds
		}
	}
	all := make([]Result, len(list))
	for n, x := range list {
		runs := make([]capacity.Result, seeds)
		for seed := range seeds {
			runs[seed] = s.played[key(x, seed)]
		}
		all[n] = s.result(runs, p)
	}
	return all, nil
}

// daysAMonth is how long a month is.
const daysAMonth = 365.25 / 12

func (s *search) result(runs []capacity.Result, p Part) Result {
	m := capacity.Median(runs)
	r := Result{
		Wait: m.Wait, Hours: m.InstanceHours, HoursAMonth: m.InstanceHours * daysAMonth / s.regions[p].days,
		Utilisation: m.Utilisation, Launches: m.Launches, Unused: m.LaunchesUnused, Lost: m.JobsLost + m.JobsUnfinished,
	}
	for n, run := range runs {
		w := s.in.Goal.Of(run.Wait)
		r.Most = max(r.Most, w)
		if n == 0 || w < r.Least {
			r.Least = w
		}
	}
	return r
}

// points plays settings on the whole trace, to be shown.
func (s *search) points(list []Settings, share float64) ([]Point, error) {
	scores, err := s.scores(list, Whole, s.in.Seeds, 0)
	if err != nil {
		return nil, err
	}
	whole, err := s.figures(list, Whole, s.in.Seeds, share)
	if err != nil {
		return nil, err
	}
	all := make([]Point, len(list))
	for n, x := range list {
		if x.String() == s.in.InForce.String() {
			if scores[n].miss, err = s.missedInForce(scores[n], Whole); err != nil {
				return nil, err
			}
		}
		all[n] = Point{Flags: x.String(), Brief: x.Brief(s.in.InForce), Settings: x, Changes: x.From(s.in.InForce), Result: whole[n], Sure: scores[n].sure, Kept: scores[n].kept()}
	}
	return all, nil
}

// obstacles plays the closest settings on fleets that differ in one thing.
func (s *search) obstacles(o *Outcome, c choice) error {
	x := c.best.settings
	plain, err := s.figures([]Settings{x}, Whole, s.in.Seeds, 0)
	if err != nil {
		return err
	}
	if g := s.in.Goal; g.Wait > 0 && (g.MaxHours > 0 || g.MaxShare > 0) {
		s.dearer(o, c.finalists)
	}
	more := x
	more.Max = x.Max * 3
	faster := s.in.Fleet
	faster.Boot /= 2
	for _, other := range []struct {
		words    string
		fleet    capacity.Options
		settings Settings
	}{
		{"the group's maximum were three times as high", s.in.Fleet, more},
		{"an instance booted in half the time", faster, x},
		{"there were a webhook (docs/webhook.md)", s.in.Fleet, x.withWebhook(s.in.Fleet, o.Trace.Stages)},
	} {
		f, err := s.figuresOf(other.fleet, []Settings{other.settings}, Whole, s.in.Seeds, 0)
		if err != nil {
			return err
		}
		g := s.in.Goal
		was, is := g.Of(plain[0].Wait), g.Of(f[0].Wait)
		o.Obstacles = append(o.Obstacles, Obstacle{If: other.words, Figure: is, Matters: is < was*(1-tolerance), Enough: g.Wait > 0 && is <= g.Wait})
	}
	return nil
}

// dearer is what the promise costs where the cost that is allowed does not buy it.
func (s *search) dearer(o *Outcome, list []scored) {
	at := -1
	for n, x := range list {
		if x.sure <= s.in.Goal.Wait && (at < 0 || x.hours < list[at].hours) {
			at = n
		}
	}
	if at >= 0 {
		cost := s.both(list[at].halves).HoursAMonth
		words := fmt.Sprintf("it might cost %.0f hours a month (%s)", cost, list[at].settings.Brief(s.in.InForce))
		o.Obstacles = append(o.Obstacles, Obstacle{If: words, Figure: list[at].sure, Matters: true, Enough: true})
	}
}
