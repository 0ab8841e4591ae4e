package capacity_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// drawer draws the jobs of a kind of fleet; nobody has tuned anything on them.
type drawer struct {
	*rand.Rand
	jobs     []trace.Job
	pipeline int
}

func (d *drawer) job(at time.Duration, stage int, median, spread, most float64) {
	took := min(most, max(5, median*math.Exp(spread*d.NormFloat64())))
	d.jobs = append(d.jobs, trace.Job{Created: at, Duration: secs(took), Pipeline: d.pipeline, Stage: stage})
}

// poisson is how many come where so many are expected.
func (d *drawer) poisson(mean float64) int {
	n := 0
	for sum := d.ExpFloat64(); sum < mean; sum += d.ExpFloat64() {
		n++
	}
	return n
}

// fanOuts are pipelines every 25 minutes in working hours, of 30 to 180 jobs at once in
// the second of three stages.
func fanOuts(d *drawer) {
	for day := range 5 {
		begin := time.Duration(day)*24*time.Hour + 8*time.Hour
		for at := begin + secs(d.ExpFloat64()*1500); at < begin+11*time.Hour; at += secs(d.ExpFloat64() * 1500) {
			d.pipeline++
			d.job(at, 0, 42, 0.4, 600)
			for range 30 + d.IntN(151) {
				d.job(at, 1, 240, 0.9, 3600)
			}
			for range 1 + d.IntN(6) {
				d.job(at, 2, 92, 0.6, 3600)
			}
		}
	}
}

// flurries are commits that come in flurries, each a pipeline of three stages, the
// middle one with long jobs.
func flurries(d *drawer) {
	for day := range 14 {
		for range d.poisson(8) {
			at := time.Duration(day)*24*time.Hour + secs(d.Float64()*86400)
			for begins := true; begins || d.Float64() < 0.45; begins = false {
				d.pipeline++
				for range 2 {
					d.job(at, 0, 170, 1.2, 14400)
				}
				for range 4 + d.IntN(21) {
					d.job(at, 1, 710, 1.35, 14400)
				}
				for range 1 + d.IntN(4) {
					d.job(at, 2, 180, 1.35, 14400)
				}
				at += secs(d.ExpFloat64() * 240)
			}
		}
	}
}

// hourly draws single jobs by the hour of a working week.
func (d *drawer) hourly(days int, day, night, median, spread float64) {
	for hour := range days * 24 {
		mean := night
		if h := hour % 24; h >= 7 && h <= 20 {
			mean = day
		}
		if hour/24%7 >= 5 {
			mean *= 0.15
		}
		for range d.poisson(mean) {
			d.job(time.Duration(hour)*time.Hour+secs(d.Float64()*3600), 0, median, spread, 7200)
		}
	}
}

// nightly is a steady load by day, and 120 jobs within half a minute at two in the night.
func nightly(d *drawer) {
	d.hourly(14, 31, 1.4, 215, 1.15)
	for night := range 14 {
		for range 120 {
			d.job(time.Duration(night*24+2)*time.Hour+secs(d.Float64()*30), 0, 215, 1.15, 7200)
		}
	}
}

func steady(d *drawer)    { d.hourly(14, 31, 1.4, 215, 1.15) }
func hoursLong(d *drawer) { d.hourly(7, 20, 2.5, 3600, 0.15) }

// ratios are Shoal's figures as shares of the others'.
type ratios struct{ wait, p95, hours, calls, unused, managerWait, managerHours, longest float64 }

func compare(t *testing.T, jobs []trace.Job) ratios {
	t.Helper()
	med := func(spec string) capacity.Result {
		var all []capacity.Result
		for seed := range uint64(5) {
			all = append(all, run(t, jobs, spec, usual(), seed))
		}
		return capacity.Median(all)
	}
	s, o, m := med("shoal"), med("original"), med("taskscaler")
	share := func(r capacity.Result) float64 { return r.LaunchesUnused / r.Launches }
	if s.JobsLost > 0 {
		t.Errorf("%d jobs lost", s.JobsLost)
	}
	return ratios{
		s.Wait.Mean / o.Wait.Mean, s.Wait.P95 / o.Wait.P95, s.InstanceHours / o.InstanceHours, s.APICalls / o.APICalls, share(s) / share(o),
		s.Wait.Mean / m.Wait.Mean, s.InstanceHours / m.InstanceHours, s.Wait.Max,
	}
}

// TestDrawnTraces holds Shoal against the original and against a manager that sees every
// job, on traces that nobody has tuned it on: the bounds are of the median of the seeds.
// The table is in docs/scaling.md.
func TestDrawnTraces(t *testing.T) {
	const seeds = 9
	for _, c := range []struct {
		name string
		draw func(*drawer)
		most ratios
	}{
		{"fan-outs", fanOuts, ratios{0.50, 0.50, 1.08, 0.70, 1.1, 1.20, 1.05, 900}},
		{"flurries", flurries, ratios{0.85, 0.70, 1.05, 0.70, 1.1, 1.10, 1.13, 900}},
		{"nightly batch", nightly, ratios{0.50, 0.50, 1.08, 0.90, 1.1, 1.75, 1.10, 900}},
		// Here hardly anybody waits; to raise before a job does is dearer and better.
		{"steady", steady, ratios{1.40, 1.30, 1.00, 0.80, 1.1, 1.20, 1.13, 900}},
		{"jobs of an hour", hoursLong, ratios{1.60, 1.60, 1.00, 0.70, 1.1, 1.00, 1.40, 900}},
	} {
		var all []ratios
		for seed := range uint64(seeds) {
			d := drawer{Rand: rand.New(rand.NewPCG(seed, 7))}
			c.draw(&d)
			all = append(all, compare(t, d.jobs))
		}
		bounds := []struct {
			what string
			of   func(ratios) float64
		}{
			{"mean wait", func(r ratios) float64 { return r.wait }},
			{"p95", func(r ratios) float64 { return r.p95 }},
			{"hours", func(r ratios) float64 { return r.hours }},
			{"calls", func(r ratios) float64 { return r.calls }},
			{"unused", func(r ratios) float64 { return r.unused }},
			{"mean wait to the manager's", func(r ratios) float64 { return r.managerWait }},
			{"hours to the manager's", func(r ratios) float64 { return r.managerHours }},
			{"longest", func(r ratios) float64 { return r.longest }},
		}
		for _, b := range bounds {
			var of []float64
			for _, r := range all {
				of = append(of, b.of(r))
			}
			slices.Sort(of)
			t.Logf("%-16s %-27s %6.2f (%.2f to %.2f)", c.name, b.what, of[seeds/2], of[0], of[seeds-1])
			if most := b.of(c.most); of[seeds/2] > most {
				t.Errorf("%s: %s %.3f, at most %.2f", c.name, b.what, of[seeds/2], most)
			}
		}
	}
}
