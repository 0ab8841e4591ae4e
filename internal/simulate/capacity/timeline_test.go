package capacity_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

func recorded(t *testing.T, jobs []trace.Job, spec string, o capacity.Options, seed uint64) (capacity.Result, capacity.Record) {
	t.Helper()
	p, err := capacity.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return capacity.RunRecorded(capacity.NewPlan(trace.New(trace.Monday, jobs)), p, o, seed, nil)
}

// area is a course's sum over time, in hours.
func area(course []capacity.Moment, step time.Duration) float64 {
	var sum float64
	for _, m := range course {
		sum += m.Mean * step.Hours()
	}
	return sum
}

// TestRecordAgreesWithResult: a record is of the same run, and what it shows adds up to
// the run's own figures, for every policy.
func TestRecordAgreesWithResult(t *testing.T) {
	jobs := pipelines(600, 11)
	var work time.Duration
	for _, j := range jobs {
		work += j.Duration
	}
	for _, name := range append(capacity.Names(), "shoal:machines=on") {
		o := usual()
		r, rec := recorded(t, slices.Clone(jobs), name, o, 4)
		if want := run(t, slices.Clone(jobs), name, o, 4); r != want {
			t.Errorf("%s: recorded %+v, else %+v", name, r, want)
		}
		line := rec.Timeline
		// The fleet is watched until it is back at its minimum, which a run's hours are not about
		// where it never is; the last moment is cut short.
		slack := line.Step.Hours() * 80
		if got := area(line.Launched, line.Step); name != "static" && math.Abs(got-r.InstanceHours) > slack {
			t.Errorf("%s: %.2f instance hours in the record, %.2f in the result", name, got, r.InstanceHours)
		}
		if got := area(line.Busy, line.Step); math.Abs(got/work.Hours()-1) > 0.01 {
			t.Errorf("%s: %.2f hours of jobs in the record, %.2f in the trace", name, got, work.Hours())
		}
		if got, want := area(line.Queue, line.Step)*3600/float64(len(jobs)), r.Wait.Mean; math.Abs(got-want) > 0.02*want+0.01 {
			t.Errorf("%s: the queue makes a mean wait of %.2f s, the result is %.2f", name, got, want)
		}
		for i := range line.InService {
			if line.InService[i].Max > line.Launched[i].Max || line.InService[i].Mean > line.Launched[i].Mean+1e-9 {
				t.Fatalf("%s: moment %d: %+v in service of %+v launched", name, i, line.InService[i], line.Launched[i])
			}
		}
		checkMoments(t, name, line)
		checkWaits(t, name, rec.Waits, r.Wait)
	}
}

func checkMoments(t *testing.T, name string, line capacity.Timeline) {
	t.Helper()
	for what, course := range map[string][]capacity.Moment{"launched": line.Launched, "in service": line.InService, "busy": line.Busy, "queue": line.Queue} {
		if len(course) > capacity.MaxMoments {
			t.Errorf("%s: %d moments of %s", name, len(course), what)
		}
		for i, m := range course {
			if m.Min < 0 || float64(m.Min) > m.Mean+1e-6 || m.Mean > float64(m.Max)+1e-6 {
				t.Fatalf("%s: %s in moment %d: %+v", name, what, i, m)
			}
		}
	}
}

// checkWaits holds the curve against the percentiles.
func checkWaits(t *testing.T, name string, waits []float64, w capacity.Wait) {
	t.Helper()
	grid := capacity.WaitGrid()
	if len(waits) != len(grid) || !slices.IsSorted(waits) || !slices.IsSorted(grid) || waits[len(waits)-1] != 1 {
		t.Fatalf("%s: no distribution: %v", name, waits)
	}
	for share, p := range map[float64]float64{0.5: w.P50, 0.9: w.P90, 0.95: w.P95, 0.99: w.P99, 1: w.Max} {
		upTo := slices.IndexFunc(grid, func(d time.Duration) bool { return d.Seconds() >= p-1e-9 })
		if waits[upTo] < share-1e-9 || upTo > 0 && grid[upTo-1].Seconds() < p && share == 1 && waits[upTo-1] >= 1 {
			t.Errorf("%s: %.3f of jobs wait up to %s, but the percentile of %.2f is %.3f s", name, waits[upTo], grid[upTo], share, p)
		}
	}
}

// TestRecordKeepsPeaks: years of quiet do not hide a second's crowd, nor outgrow the bound.
func TestRecordKeepsPeaks(t *testing.T) {
	const crowd = 500
	jobs := []trace.Job{{Duration: time.Minute}, {Created: 5 * 365 * 24 * time.Hour, Duration: time.Minute}}
	for range crowd {
		jobs = append(jobs, trace.Job{Created: 1000 * time.Hour, Duration: time.Second})
	}
	_, rec := recorded(t, jobs, "shoal", usual(), 1)
	checkMoments(t, "years", rec.Timeline)
	var most int32
	for _, m := range rec.Timeline.Queue {
		most = max(most, m.Max)
	}
	if most != crowd {
		t.Errorf("at most %d jobs waited in the record; %d came at once", most, crowd)
	}
}

// TestRecordFolds: a run that takes far longer than its trace stays within the bound.
func TestRecordFolds(t *testing.T) {
	jobs := make([]trace.Job, 2000)
	for i := range jobs {
		jobs[i].Duration = 10 * time.Hour
	}
	o := usual()
	o.Max, o.Slots = 1, []int{1}
	_, rec := recorded(t, jobs, "static:instances=1", o, 1)
	checkMoments(t, "folded", rec.Timeline)
	if got := area(rec.Timeline.Busy, rec.Timeline.Step); math.Abs(got-20_000) > 200 {
		t.Errorf("%.0f hours of jobs in the record, want 20000", got)
	}
}

// TestHappened: what the trace tells of the past, by hand.
func TestHappened(t *testing.T) {
	tr := trace.New(trace.Monday, []trace.Job{
		{Duration: 100 * time.Second, Waited: 10 * time.Second, Pipeline: 1},                                    // 10 to 110
		{Created: 20 * time.Second, Duration: 30 * time.Second, Waited: 5 * time.Second, Pipeline: 1, Stage: 1}, // can at 110, 115 to 145
		{Created: 50 * time.Second, Duration: 60 * time.Second},                                                 // 50 to 110
	})
	if _, _, ok := capacity.NewPlan(tr).Happened(); ok {
		t.Error("a trace without waits tells what happened")
	}
	tr.Real = true
	r, rec, ok := capacity.NewPlan(tr).Happened()
	if !ok || r.Jobs != 3 || r.Wait.Mean != 5 || r.Wait.Max != 10 {
		t.Errorf("%v, %+v", ok, r)
	}
	line := rec.Timeline
	if line.Launched != nil || line.InService != nil || line.Step != time.Second || len(line.Busy) != 146 {
		t.Fatalf("%d launched, step %s, %d moments", len(line.Launched), line.Step, len(line.Busy))
	}
	for at, want := range map[int][2]float64{0: {0, 1}, 9: {0, 1}, 10: {1, 0}, 49: {1, 0}, 50: {2, 0}, 109: {2, 0}, 112: {0, 1}, 115: {1, 0}, 144: {1, 0}} {
		if got := [2]float64{line.Busy[at].Mean, line.Queue[at].Mean}; got != want {
			t.Errorf("second %d: busy and queue %v, want %v", at, got, want)
		}
	}
	checkWaits(t, "real", rec.Waits, r.Wait)
}

// BenchmarkRecord is what a record costs on a fortnight of a team.
func BenchmarkRecord(b *testing.B) {
	plan := capacity.NewPlan(trace.New(trace.Monday, pipelines(20_000, 1)))
	p, err := capacity.Parse("shoal")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("off", func(b *testing.B) {
		for b.Loop() {
			capacity.Run(plan, p, usual(), 1, nil)
		}
	})
	b.Run("on", func(b *testing.B) {
		for b.Loop() {
			capacity.RunRecorded(plan, p, usual(), 1, nil)
		}
	})
}
