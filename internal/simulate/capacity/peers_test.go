package capacity

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// Golden cases of the peers' policies, computed by hand from what is known of
// them: for each the figures and the way to them.

func golden() Options {
	return Options{
		Slots: []int{6}, Boot: 100 * time.Second, Idle: 180 * time.Second, Max: 80, CheckInterval: 3 * time.Second,
	}
}

// play runs jobs that are all there at once and take d.
func play(t *testing.T, jobs int, d time.Duration, spec string, o Options) Result {
	t.Helper()
	list := make([]trace.Job, jobs)
	for i := range list {
		list[i].Duration = d
	}
	p, err := Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return Run(NewPlan(trace.New(trace.Monday, list)), p, o, 1, nil)
}

func between(t *testing.T, what string, got, low, high float64) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s: %.2f, want %.2f to %.2f", what, got, low, high)
	}
}

func TestTaskscalerRequired(t *testing.T) {
	for _, c := range []struct {
		p                           taskscaler
		running, waiting, instances int
		want                        int
		how                         string
	}{
		{taskscaler{capacity: 6}, 0, 0, 0, 0, "nothing to do"},
		{taskscaler{capacity: 6}, 0, 1, 0, 1, "⌈1/6⌉ − 0"},
		{taskscaler{capacity: 6}, 6, 1, 1, 1, "⌈7/6⌉ − 1"},
		{taskscaler{capacity: 6}, 6, 13, 3, 1, "⌈19/6⌉ − 3"},
		{taskscaler{capacity: 6}, 1, 0, 3, -2, "⌈1/6⌉ − 3"},
		{taskscaler{capacity: 6, idleCount: 6}, 1, 0, 1, 1, "⌈(1+6)/6⌉ − 1: idle_count counts jobs"},
		{taskscaler{capacity: 6, idleCount: 6}, 0, 0, 1, 0, "⌈6/6⌉ − 1"},
		{taskscaler{capacity: 6, scaleFactor: 0.5}, 10, 0, 2, 1, "s = 5: ⌈15/6⌉ − 2"},
		{taskscaler{capacity: 6, scaleFactor: 0.5, scaleFactorLimit: 2}, 10, 0, 2, 0, "s = 2: ⌈12/6⌉ − 2"},
		{taskscaler{capacity: 6, scaleFactor: 0.1, idleCount: 6}, 10, 0, 2, 1, "s = 1, idle_count is more: ⌈16/6⌉ − 2"},
	} {
		if got := c.p.required(c.running, c.waiting, c.instances); got != c.want {
			t.Errorf("required(%d, %d, %d) = %d, want %d (%s)", c.running, c.waiting, c.instances, got, c.want, c.how)
		}
	}
}

func TestTaskscaler(t *testing.T) {
	// 13 jobs from zero: ⌈13/6⌉ = 3 instances at once. The manager polls within 3 s
	// and loops within 1 s; a launch takes 85 to 115 s. All end 400 s later, the
	// instances are idle for 180 s and go.
	r := play(t, 13, 400*time.Second, "taskscaler", golden())
	between(t, "launches", r.Launches, 3, 3)
	between(t, "unused", r.LaunchesUnused, 0, 0)
	between(t, "shortest wait, about", r.Wait.P50, 85, 119)
	between(t, "longest wait", r.Wait.Max, 85, 119)
	between(t, "instance seconds", r.InstanceHours*3600, 3*(85+400+180), 3*(115+400+181+30))

	// idle_count 6 and nothing to do but one job of 1 s: ⌈(1+6)/6⌉ = 2 instances, of
	// which one is always kept; here the run ends hours after the job.
	if r := play(t, 1, time.Second, "taskscaler:idle_count=6", golden()); r.Launches < 2 {
		t.Errorf("idle_count 6: %+v", r)
	}
	// max_use_count 1: an instance for each six jobs as they come, gone after one.
	if r := play(t, 6, 60*time.Second, "taskscaler:max_use_count=1", golden()); r.Launches < 6 {
		t.Errorf("max_use_count 1: %g launches for six jobs", r.Launches)
	}
}

func TestBuildkiteTarget(t *testing.T) {
	for _, c := range []struct {
		p             buildkite
		jobs, desired int
		want          int
		how           string
	}{
		{buildkite{agents: 6, factor: 1}, 13, 1, 3, "⌈13/6⌉"},
		{buildkite{agents: 6, factor: 1}, 5, 1, 1, "enough are there"},
		{buildkite{agents: 6, factor: 1}, 0, 4, 4, "it does not scale in: agents leave by themselves"},
		{buildkite{agents: 6, factor: 0.5}, 31, 1, 4, "⌈31/6⌉ = 6, five are missing: 1 + ⌈5 × 0.5⌉"},
		{buildkite{agents: 1, factor: 2}, 4, 1, 7, "1 + 3 × 2"},
	} {
		if got := c.p.target(c.jobs, c.desired); got != c.want {
			t.Errorf("target(%d, %d) = %d, want %d (%s)", c.jobs, c.desired, got, c.want, c.how)
		}
	}
}

func TestBuildkite(t *testing.T) {
	// 13 jobs: at its next look, within 10 s, desired becomes 3. Agents poll within
	// 3 s, at once when they come up. 60 s later all is done; ten minutes more are paid.
	r := play(t, 13, time.Minute, "buildkite", golden())
	between(t, "launches", r.Launches, 3, 3)
	between(t, "longest wait", r.Wait.Max, 85, 125)
	between(t, "instance seconds", r.InstanceHours*3600, 3*(85+600)+60, 3*(115+600+60))
}

func TestGitHub(t *testing.T) {
	// Three jobs: 30 s until they are looked at, three instances, a launch of 85 to
	// 115 s each, one job each, gone with it. No call goes to Auto Scaling.
	r := play(t, 3, time.Minute, "github", golden())
	between(t, "launches", r.Launches, 3, 3)
	between(t, "shortest wait", r.Wait.P50, 115, 145)
	between(t, "longest wait", r.Wait.Max, 115, 145)
	between(t, "instance seconds", r.InstanceHours*3600, 3*(85+60), 3*(115+60))
	between(t, "calls", r.APICalls, 0, 0)
	// At a maximum of 2 the third waits for a slot: its message comes again.
	r = play(t, 3, time.Minute, "github:runners_maximum_count=2", golden())
	between(t, "launches at the maximum", r.Launches, 3, 3)
	between(t, "longest wait at the maximum", r.Wait.Max, 30+85+60+85, 30+115+60+30+115)
}

func TestOriginal(t *testing.T) {
	// One instance is there, seven jobs of 2000 s come. It polls within 3 s and is
	// full; the monitor reads that within 10 s and raises by one, once: scale-up
	// waits for the launch (85 to 115 s), then up to 1000 s for a free slot, and its
	// second raise comes after that, which nobody needs: 3 launches, 1 unused.
	o := golden()
	o.Min = 1
	r := play(t, 7, 2000*time.Second, "original", o)
	between(t, "launches", r.Launches, 3, 3)
	between(t, "unused", r.LaunchesUnused, 1, 1)
	between(t, "longest wait", r.Wait.Max, 85, 115+13)
	// Calls: two raises of 6, and a Describe every 10 s of two launches (8 to 11
	// each); two leave by 1 each, the last at the minimum is refused or not asked.
	between(t, "calls", r.APICalls, 2*(6+8)+2, 2*(6+11)+2+10)

	// Two full instances raise by one each, though one is needed.
	o.Min = 2
	r = play(t, 13, 500*time.Second, "original", o)
	between(t, "launches of two", r.Launches, 4, 4)
	between(t, "unused of two", r.LaunchesUnused, 1, 1)

	// From zero: the webhook within 20 s, a launch, then one step at a time: job 13
	// waits for three launches and two readings.
	o.Min = 0
	r = play(t, 13, 2000*time.Second, "original", o)
	between(t, "from zero, longest wait", r.Wait.Max, 3*85, 20+3*115+2*10+3)
}

// playAt plays jobs that come at given seconds.
func playAt(t *testing.T, at []float64, d time.Duration, spec string, o Options) Result {
	t.Helper()
	p, err := Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return Run(planOf(at, d), p, o, 1, nil)
}

func planOf(at []float64, d time.Duration) *Plan {
	var list []trace.Job
	for _, s := range at {
		list = append(list, trace.Job{Created: time.Duration(s * float64(time.Second)), Duration: d})
	}
	return NewPlan(trace.New(trace.Monday, list))
}

// TestPeersAtTheirLimits: what a peer does when it may not grow, shrink or go on.
func TestPeersAtTheirLimits(t *testing.T) {
	// The manager has one instance at most: the seventh of seven jobs of 60 s is handed
	// to the slot that is free first.
	o := golden()
	o.Max = 1
	r := play(t, 7, time.Minute, "taskscaler", o)
	between(t, "taskscaler at its maximum, longest wait", r.Wait.Max, 85+60, 119+60+1)
	between(t, "launches", r.Launches, 1, 1)
	// The original's last instance stays at the minimum: an hour later it is there still.
	o = golden()
	o.Min = 1
	r = playAt(t, []float64{0, 3600}, time.Minute, "original", o)
	between(t, "original at its minimum, launches", r.Launches, 1, 1)
	between(t, "longest wait", r.Wait.Max, 0, 3)
	// The scaler raises for one job within 10 s, and then for five minutes not: twelve
	// that come a minute later wait for that and a launch, less the minute.
	r = playAt(t, append([]float64{0}, slices.Repeat([]float64{60}, 12)...), 1000*time.Second, "buildkite:scale_out_cooldown_period=300", golden())
	between(t, "buildkite in its cooldown, longest wait", r.Wait.Max, 300-60+85, 300+10-60+10+115)
	// scale_factor 1 holds as many free as are in use: with six at work on one instance
	// there are two, and six more that come find them free.
	r = playAt(t, append(slices.Repeat([]float64{0}, 6), slices.Repeat([]float64{600}, 6)...), 1000*time.Second, "taskscaler:scale_factor=1", golden())
	between(t, "taskscaler with scale_factor, longest wait of half", r.Wait.P50, 0, 3.1)
}

func TestStatic(t *testing.T) {
	// Two instances of six slots, 13 jobs of 60 s: twelve begin within 3 s, the last
	// when a slot is free.
	r := play(t, 13, time.Minute, "static:instances=2", golden())
	between(t, "launches", r.Launches, 2, 2)
	between(t, "longest wait", r.Wait.Max, 60, 63)
	between(t, "instance seconds", r.InstanceHours*3600, 2*120, 2*123)
}

func TestOracle(t *testing.T) {
	// 13 jobs at the start and 13 an hour later: it has three instances each time
	// before they come, and none of them a second longer than needed.
	list := make([]trace.Job, 26)
	for i := range list {
		list[i] = trace.Job{Created: time.Duration(i/13) * time.Hour, Duration: time.Minute}
	}
	p, err := Parse("oracle")
	if err != nil {
		t.Fatal(err)
	}
	r := Run(NewPlan(trace.New(trace.Monday, list)), p, golden(), 1, nil)
	between(t, "longest wait", r.Wait.Max, 0, 0)
	between(t, "launches", r.Launches, 6, 6)
	between(t, "instance seconds", r.InstanceHours*3600, 6*60+3*85, 6*60+3*115*1.01)
}

// TestPeersRunNoMoreAtOnceThanTheyCount: an instance of six slots that is to run three
// jobs at once runs three, and the fleet is as large as they need.
func TestPeersRunNoMoreAtOnceThanTheyCount(t *testing.T) {
	// 12 jobs of 400 s from zero: ⌈12/3⌉ = 4 instances at once, three jobs each. Twelve
	// times 400 s in the 4 × 6 slots of a launch (85 to 115 s), the jobs, and the idle
	// time; the taskscaler's is 180 s and a second's loop, buildkite's 600 s.
	r := play(t, 12, 400*time.Second, "taskscaler:capacity_per_instance=3", golden())
	between(t, "taskscaler, launches", r.Launches, 4, 4)
	between(t, "unused", r.LaunchesUnused, 0, 0)
	between(t, "utilisation of the slots that are paid for", r.Utilisation, 12*400/(24*(115+400+181+30.0)), 12*400/(24*(85+400+180.0)))
	r = play(t, 12, 400*time.Second, "buildkite:agents_per_instance=3", golden())
	between(t, "buildkite, launches", r.Launches, 4, 4)
	between(t, "unused", r.LaunchesUnused, 0, 0)
	between(t, "utilisation of the slots that are paid for", r.Utilisation, 12*400/(24*(115+400+600+10.0)), 12*400/(24*(85+400+600.0)))
	// One instance that is there, and may be the only one: three of seven jobs of 60 s run
	// at once, so the last begins with the third turn, at 120 s.
	o := golden()
	o.Min, o.Max = 1, 1
	for _, spec := range []string{"taskscaler:capacity_per_instance=3", "buildkite:agents_per_instance=3"} {
		r = play(t, 7, time.Minute, spec, o)
		between(t, spec+", longest wait", r.Wait.Max, 120, 120+3*3)
	}
	// More than it has slots it cannot run: with six the seventh begins at 60 s.
	for _, spec := range []string{"taskscaler:capacity_per_instance=12", "buildkite:agents_per_instance=12"} {
		r = play(t, 7, time.Minute, spec, o)
		between(t, spec+", longest wait", r.Wait.Max, 60, 60+2*3)
	}
}
