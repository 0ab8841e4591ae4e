package e2e_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
	"github.com/shoal-ci/shoal/internal/world"
)

// The fleet that both play: two slots, a launch of eight seconds, nine idle ones.
const (
	simSlots = 2
	simMax   = 8
	simBoot  = 8 * time.Second
	simIdle  = 9 * time.Second
)

// twoBursts is the trace: nine jobs at once, and eleven when the fleet has shrunk.
func twoBursts() []trace.Job {
	var jobs []trace.Job
	for i := range 20 {
		j := trace.Job{Duration: time.Duration(9+i%4) * time.Second}
		if i >= 9 {
			j.Created = 38 * time.Second
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// TestSimulatorAgrees plays one small trace twice: on the emulator, by processes of
// the real program, and in the simulator. Waits and instance hours agree within a
// tenth. It is not run beside others: what it measures is time.
func TestSimulatorAgrees(t *testing.T) {
	within := func(d drift) bool { return math.Abs(d.wait-1) <= 0.10 && math.Abs(d.hours-1) <= 0.10 }
	first := drawApart(t)
	if within(first) {
		return
	}
	// One run in real time is one draw, and a busy machine makes it a bad one.
	draws := []drift{first, drawApart(t), drawApart(t)}
	median := func(of func(drift) float64) float64 {
		slices.SortFunc(draws, func(a, b drift) int { return cmp.Compare(of(a), of(b)) })
		return of(draws[1])
	}
	d := drift{wait: median(func(d drift) float64 { return d.wait }), hours: median(func(d drift) float64 { return d.hours })}
	if !within(d) {
		t.Errorf("the simulator's mean wait is %.2f of the emulator's, its instance hours %.2f", d.wait, d.hours)
	}
}

// drift is what the simulator says as a share of what the emulator has shown.
type drift struct{ wait, hours float64 }

// drawApart lives the trace once, and plays it with instances that take as long to
// come into service as those did: how long that is, a busy machine decides.
func drawApart(t *testing.T) drift {
	t.Helper()
	real, boot := emulated(t)
	const seeds = 9
	runs := make([]capacity.Result, seeds)
	for seed := range runs {
		runs[seed] = simulated(t, boot, uint64(seed)) //nolint:gosec // small
	}
	model := capacity.Median(runs)
	t.Logf("simulator: mean wait %.2f s, %.4f instance hours, %d launches, %v to come into service",
		model.Wait.Mean, model.InstanceHours, int(model.Launches), boot)
	return drift{wait: model.Wait.Mean / real.Wait.Mean, hours: model.InstanceHours / real.InstanceHours}
}

// emulated lives the trace in real time. It returns what came of it, and how long the
// instances took from their boot to being in service, in the mean.
func emulated(t *testing.T) (capacity.Result, time.Duration) {
	t.Helper()
	var real capacity.Result
	var boot time.Duration
	lived := t.Run("emulated", func(t *testing.T) { // each takes its processes with it
		s := open(t, inMode("token"), func(p *plan) {
			p.world.Boot = simBoot
			p.group.Min, p.group.Max, p.group.Desired = 1, simMax, 1
			p.machines.Slots = simSlots
			p.settings["monitor.period"], p.settings["monitor.saturated_period"] = "1s", "500ms"
			p.settings["monitor.idle_threshold"], p.settings["monitor.unprotect_after"] = simIdle.String(), "3s"
			p.settings["scale_up.period"], p.settings["scale_up.blind_after"] = "500ms", "10s"
		})
		s.instance(s.up())
		began := time.Now()
		s.play(twoBursts())
		s.settle(len(twoBursts()))
		records := s.records()
		real, boot = measured(records, began), bootedIn(records)
		t.Logf("mean wait %.2f s, %.4f instance hours, %d launches", real.Wait.Mean, real.InstanceHours, int(real.Launches))
	})
	if !lived {
		t.FailNow()
	}
	return real, boot
}

// bootedIn is how long after their boot the instances came into service, in the mean.
// The first is left out: it starts with everything else.
func bootedIn(r world.Records) time.Duration {
	var sum time.Duration
	n := 0
	for _, i := range r.Instances[1:] {
		if !i.InServiceAt.IsZero() {
			sum += i.InServiceAt.Sub(i.LaunchedAt) - simBoot
			n++
		}
	}
	return sum / time.Duration(n)
}

// play submits the jobs of a trace at their times.
func (s *site) play(jobs []trace.Job) {
	begin := time.Now()
	for _, j := range jobs {
		for time.Since(begin) < j.Created {
			waitFor(j.Created-time.Since(begin), func() bool { return false })
		}
		s.submit(fmt.Sprintf("sleep %d", int(j.Duration.Seconds())))
	}
}

// settle waits until all is done and one instance is left.
func (s *site) settle(jobs int) {
	s.t.Helper()
	if !waitFor(3*patience, func() bool {
		r := s.records()
		done := 0
		for _, j := range r.Jobs {
			if j.Status == world.JobSuccess {
				done++
			}
		}
		return done == jobs && r.Groups[0].Desired == 1 && len(r.Groups[0].Instances) == 1
	}) {
		s.t.Fatalf("not settled: %+v", s.records().Groups)
	}
}

// measured is what the emulator's records say of the time from began on.
func measured(r world.Records, began time.Time) capacity.Result {
	var m capacity.Result
	for _, j := range r.Jobs {
		m.Wait.Mean += j.StartedAt.Sub(j.QueuedAt).Seconds() / float64(len(r.Jobs))
	}
	var ends []time.Time
	for _, i := range r.Instances {
		if !i.LeavingAt.IsZero() {
			ends = append(ends, i.LeavingAt)
		}
	}
	over := slices.MaxFunc(ends, time.Time.Compare)
	for _, i := range r.Instances {
		from, to := i.LaunchedAt, i.LeavingAt
		if from.Before(began) {
			from = began
		}
		if to.IsZero() {
			to = over
		}
		m.InstanceHours += to.Sub(from).Hours()
	}
	m.Launches = float64(len(r.Instances))
	return m
}

func simulated(t *testing.T, init time.Duration, seed uint64) capacity.Result {
	t.Helper()
	p, err := capacity.Parse("shoal:period=1s,saturated_period=500ms,blind_after=10s")
	if err != nil {
		t.Fatal(err)
	}
	o := capacity.Options{
		Slots: []int{simSlots}, Boot: simBoot, Init: init, Idle: simIdle, Min: 1, Max: simMax,
		CheckInterval: 100 * time.Millisecond, // GitLab holds the polls
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	return capacity.Run(capacity.NewPlan(trace.New(trace.Monday, twoBursts())), p, o, seed, nil)
}
