package tune

import (
	"github.com/shoal-ci/shoal/internal/simulate/capacity"
)

// play is what a run depends on.
type play struct {
	settings string
	boot     int64
	part     Part
	seed     uint64
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
