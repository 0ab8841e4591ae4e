package tune

import (
	"fmt"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

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
