package capacity_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// usual are the options of the documents' comparisons.
func usual() capacity.Options {
	return capacity.Options{
		Slots: []int{6}, Boot: 90 * time.Second, Init: 2 * time.Second, Idle: 180 * time.Second,
		Max: 80, CheckInterval: 3 * time.Second,
	}
}

func run(t *testing.T, jobs []trace.Job, spec string, o capacity.Options, seed uint64) capacity.Result {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := capacity.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return capacity.Run(capacity.NewPlan(trace.New(trace.Monday, jobs)), p, o, seed, nil)
}

// poisson draws jobs that come at a rate, and take exponential times.
func poisson(n int, perSecond, mean float64, seed uint64) []trace.Job {
	r := rand.New(rand.NewPCG(seed, 1))
	jobs := make([]trace.Job, n)
	var at float64
	for i := range jobs {
		at += r.ExpFloat64() / perSecond
		jobs[i] = trace.Job{Created: secs(at), Duration: secs(r.ExpFloat64() * mean)}
	}
	return jobs
}

func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// erlangC is the mean wait in M/M/c, in seconds (Erlang, 1917).
func erlangC(c int, perSecond, mean float64) float64 {
	a := perSecond * mean
	b := 1.0
	for k := 1; k <= c; k++ { // Erlang B, by its recursion
		b = a * b / (float64(k) + a*b)
	}
	rho := a / float64(c)
	pWait := b / (1 - rho*(1-b))
	return pWait * mean / (float64(c) - a)
}

// TestWaitsAgreeWithErlang holds the queue, the slots and the clock against the
// one case that has a formula.
func TestWaitsAgreeWithErlang(t *testing.T) {
	const within = 0.03
	for _, c := range []struct {
		servers, slots int
		load           float64
	}{{1, 1, 0.6}, {4, 1, 0.7}, {10, 1, 0.85}, {3, 4, 0.8}} {
		const mean, jobs = 300.0, 600_000
		o := usual()
		o.Slots, o.CheckInterval = []int{c.slots}, time.Millisecond
		n := c.servers * c.slots
		rate := c.load * float64(n) / mean
		var got float64
		const seeds = 2
		for seed := range uint64(seeds) {
			got += run(t, poisson(jobs, rate, mean, seed), fmt.Sprintf("static:instances=%d", c.servers), o, seed).Wait.Mean / seeds
		}
		want := erlangC(n, rate, mean)
		if math.Abs(got/want-1) > within {
			t.Errorf("%d × %d slots at load %.2f: mean wait %.2f s, Erlang C says %.2f s", c.servers, c.slots, c.load, got, want)
		}
	}
}

// TestFixedFleetIsExact: what a fleet of known size did is known to the second.
func TestFixedFleetIsExact(t *testing.T) {
	o := usual()
	o.Slots, o.CheckInterval = []int{2}, time.Millisecond
	var jobs []trace.Job
	for i := range 100 { // one each minute, of 90 s
		jobs = append(jobs, trace.Job{Created: time.Duration(i) * time.Minute, Duration: 90 * time.Second})
	}
	r := run(t, jobs, "static:instances=3", o, 1)
	length := 99*60 + 90.0
	if got, want := r.InstanceHours, 3*length/3600; math.Abs(got-want) > 0.001 {
		t.Errorf("instance hours %.6f, want %.6f", got, want)
	}
	if got, want := r.Utilisation, 100*90/(3*2*length); math.Abs(got-want) > 1e-5 {
		t.Errorf("utilisation %.6f, want %.6f", got, want)
	}
	if r.Launches != 3 || r.JobsLost != 0 || r.Wait.Max > 0.001 {
		t.Errorf("%+v", r)
	}
}

// TestWorkIsConserved: every policy runs every job once and to its end.
func TestWorkIsConserved(t *testing.T) {
	jobs := pipelines(400, 3)
	var work time.Duration
	for _, j := range jobs {
		work += j.Duration
	}
	for _, name := range capacity.Names() {
		o := usual()
		o.Max = 30
		r := run(t, jobs, name, o, 3)
		slots := 6.0
		if name == "github" {
			slots = 1
		}
		if got := r.Utilisation * r.InstanceHours * slots; math.Abs(got/work.Hours()-1) > 1e-6 || r.JobsLost != 0 || r.Jobs != len(jobs) {
			t.Errorf("%s: %d jobs, %d lost, %.3f hours of work, want %.3f", name, r.Jobs, r.JobsLost, got, work.Hours())
		}
	}
}

// pipelines draws n jobs in pipelines of three stages.
func pipelines(n int, seed uint64) []trace.Job {
	r := rand.New(rand.NewPCG(seed, 2))
	var jobs []trace.Job
	at := time.Duration(0)
	for p := 1; len(jobs) < n; p++ {
		at += secs(r.ExpFloat64() * 600)
		for stage := range 3 {
			for range 1 + r.IntN(9) {
				jobs = append(jobs, trace.Job{Created: at, Duration: secs(30 + r.ExpFloat64()*300), Pipeline: p, Stage: stage})
			}
		}
	}
	return jobs
}

// TestStagesWait: a stage's jobs begin when all of the stage below are done.
func TestStagesWait(t *testing.T) {
	o := usual()
	o.CheckInterval = time.Millisecond
	jobs := []trace.Job{
		{Duration: 100 * time.Second, Pipeline: 1},
		{Duration: 300 * time.Second, Pipeline: 1},
		{Duration: 50 * time.Second, Pipeline: 1, Stage: 2},
		{Created: 400 * time.Second, Duration: 10 * time.Second, Pipeline: 1, Stage: 7},
		{Created: 340 * time.Second, Duration: 5 * time.Second, Pipeline: 2},
	}
	r := run(t, jobs, "static:instances=1", o, 1)
	// The second of two that can run at once is asked for a request later.
	if got := r.InstanceHours * 3600; math.Abs(got-410) > 0.01 || r.Wait.Max > 0.11 {
		t.Errorf("took %.3f s, want 410; %+v", got, r.Wait)
	}
}

// TestSameSeedSameResult: a run depends on its arguments alone.
func TestSameSeedSameResult(t *testing.T) {
	jobs := pipelines(600, 5)
	o := usual()
	o.SpotMTBF, o.Slots = 3*time.Hour, []int{2, 6}
	for _, name := range capacity.Names() {
		a, b, c := run(t, jobs, name, o, 1), run(t, jobs, name, o, 1), run(t, jobs, name, o, 2)
		if a != b {
			t.Errorf("%s: seed 1 gave %+v, then %+v", name, a, b)
		}
		if a == c && name != "oracle" {
			t.Errorf("%s: seeds 1 and 2 gave the same: nothing is drawn", name)
		}
	}
}

// TestSpotLosesNoJob: EC2 takes instances, and every job is run to its end all the same.
func TestSpotLosesNoJob(t *testing.T) {
	o := usual()
	o.SpotMTBF = time.Hour
	for _, name := range capacity.Names() {
		r := run(t, pipelines(600, 5), name, o, 1)
		if r.JobsLost != 0 {
			t.Errorf("%s: %d jobs lost", name, r.JobsLost)
		}
		if calm := run(t, pipelines(600, 5), name, usual(), 1); r.Launches <= calm.Launches {
			t.Errorf("%s: %g launches with interruptions, %g without", name, r.Launches, calm.Launches)
		}
	}
}

// TestThrottledFleetGetsThrough: calls that are throttled are tried again.
func TestThrottledFleetGetsThrough(t *testing.T) {
	o := usual()
	free := run(t, pipelines(2000, 5), "shoal", o, 1)
	o.APIRate, o.APIBurst = 0.05, 2
	r := run(t, pipelines(2000, 5), "shoal", o, 1)
	if r.JobsLost != 0 || r.APICalls <= free.APICalls {
		t.Errorf("throttled: %+v\nfree: %+v", r, free)
	}
}

// TestBoundsHold: no policy goes beyond the group's maximum, or below its minimum.
func TestBoundsHold(t *testing.T) {
	o := usual()
	o.Min, o.Max = 2, 4
	jobs := pipelines(500, 9)
	for _, name := range capacity.Names() {
		r := run(t, jobs, name, o, 1)
		length := jobs[len(jobs)-1].Created.Hours()
		if name == "github" { // with a quarter of the slots it is at its maximum for days
			length = 20
		}
		if most := 4 * (length + 8); r.InstanceHours > most || r.InstanceHours < 2*jobs[len(jobs)-1].Created.Hours() {
			t.Errorf("%s: %.2f instance hours in at least %.2f h with 2 to 4 instances", name, r.InstanceHours, length)
		}
	}
}
