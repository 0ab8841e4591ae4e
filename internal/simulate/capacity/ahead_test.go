package capacity_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// example is one of the traces in docs.
func example(t *testing.T, name string) []trace.Job {
	t.Helper()
	f, err := os.Open("../../../docs/traces/" + name + ".csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tr, err := trace.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return tr.Jobs
}

// drawn are the jobs of a kind.
func drawn(draw func(*drawer)) []trace.Job {
	d := drawer{Rand: rand.New(rand.NewPCG(1, 7))}
	draw(&d)
	return d.jobs
}

// shuffled deals the stages of a trace out anew.
func shuffled(jobs []trace.Job) []trace.Job {
	jobs = slices.Clone(jobs)
	rand.New(rand.NewPCG(3, 3)).Shuffle(len(jobs), func(a, b int) {
		jobs[a].Stage, jobs[b].Stage = jobs[b].Stage, jobs[a].Stage
	})
	return jobs
}

// crowd is many pipelines at once, of which some stage begins every few seconds as
// others end: in all they need what they needed before.
func crowd(d *drawer) {
	for at := 0.0; at < 3*3600; at += d.ExpFloat64() * 30 {
		d.pipeline++
		for stage, jobs := range []int{2, 20 + d.IntN(30), 4} {
			for range jobs {
				d.job(secs(at), stage, 180, 0.8, 3600)
			}
		}
	}
}

// median of five seeds.
func median(t *testing.T, jobs []trace.Job, spec string) capacity.Result {
	t.Helper()
	var all []capacity.Result
	for seed := range uint64(5) {
		all = append(all, run(t, jobs, spec, usual(), seed+1))
	}
	return capacity.Median(all)
}

// shares are the figures of one policy as shares of another's.
type shares struct{ mean, p95, hours, unused float64 }

func share(a, b capacity.Result) shares {
	return shares{a.Wait.Mean / b.Wait.Mean, a.Wait.P95 / b.Wait.P95, a.InstanceHours / b.InstanceHours, a.LaunchesUnused / a.Launches * b.Launches / max(b.LaunchesUnused, 1)}
}

func (s shares) within(t *testing.T, name string, most shares) {
	t.Helper()
	t.Logf("%-28s mean wait %.3f, p95 %.3f, hours %.3f, unused %.2f", name, s.mean, s.p95, s.hours, s.unused)
	if s.mean > most.mean || s.p95 > most.p95 || s.hours > most.hours || s.unused > most.unused {
		t.Errorf("%s: %+v, at most %+v", name, s, most)
	}
}

// TestHookAgainstAManager: a webhook waits no longer than a manager that sees every job,
// and pays no more, but for what it costs that jobs spread over the instances as these
// ask for them, where a manager packs them: up to six hundredths, and more where one or two
// instances are at work all day.
func TestHookAgainstAManager(t *testing.T) {
	for name, c := range map[string]struct {
		jobs  []trace.Job
		hours float64
	}{
		"team":            {example(t, "team-fortnight"), 1.05},
		"monorepo":        {example(t, "monorepo-week"), 1.07},
		"many teams":      {example(t, "many-teams-fortnight"), 1.03},
		"fan-outs":        {drawn(fanOuts), 1.03},
		"flurries":        {drawn(flurries), 1.05},
		"nightly":         {drawn(nightly), 1.05},
		"steady":          {drawn(steady), 1.09},
		"jobs of an hour": {drawn(hoursLong), 1.09},
	} {
		hook := median(t, c.jobs, "shoal:hook=on")
		share(hook, median(t, c.jobs, "taskscaler")).within(t, name, shares{1.02, 1.02, c.hours, 1.15})
		if hook.JobsLost > 0 || hook.Wait.Max > 92*1.15+20.5 {
			t.Errorf("%s: %d jobs lost, a job waited %.1f s", name, hook.JobsLost, hook.Wait.Max)
		}
	}
}

// TestHookAgainstAManagerThatSpreads: where a manager gives jobs to any free slot, as
// they go to runners that ask, a webhook costs no more than it does.
func TestHookAgainstAManagerThatSpreads(t *testing.T) {
	for _, name := range []string{"team-fortnight", "monorepo-week", "many-teams-fortnight"} {
		jobs := example(t, name)
		share(median(t, jobs, "shoal:hook=on"), median(t, jobs, "taskscaler:spread=on")).within(t, name, shares{1.02, 1.02, 1.02, 1.5})
	}
}

// TestAnticipation: it is worth its price where there are stages, costs little where
// they tell nothing, and does nothing where there are none.
func TestAnticipation(t *testing.T) {
	const any = 99 // launches that never got a job are few without it, and cheap with it
	for name, c := range map[string]struct {
		jobs []trace.Job
		most shares
	}{
		"team":     {example(t, "team-fortnight"), shares{0.60, 0.95, 1.05, any}},
		"monorepo": {example(t, "monorepo-week"), shares{0.60, 0.95, 1.05, 1}},
		"fan-outs": {drawn(fanOuts), shares{0.60, 0.95, 1.05, 1}},
		"flurries": {drawn(flurries), shares{0.70, 0.95, 1.05, any}},
		// Half of the waiting here is for first stages, of which nobody knows beforehand.
		"pipelines":          {pipelines(4000, 1), shares{0.85, 0.95, 1.05, any}},
		"many pipelines":     {drawn(crowd), shares{0.70, 0.95, 1.05, any}},
		"team, shuffled":     {shuffled(example(t, "team-fortnight")), shares{1.05, 1.05, 1.05, any}},
		"monorepo, shuffled": {shuffled(example(t, "monorepo-week")), shares{1.05, 1.05, 1.05, any}},
		"many teams":         {example(t, "many-teams-fortnight"), shares{1, 1, 1, 1}},
	} {
		ahead := median(t, c.jobs, "shoal:hook=on,anticipate=on")
		share(ahead, median(t, c.jobs, "shoal:hook=on")).within(t, name, c.most)
		if ahead.JobsLost > 0 || ahead.Wait.Max > 92*1.15+20.5 {
			t.Errorf("%s: %d jobs lost, a job waited %.1f s", name, ahead.JobsLost, ahead.Wait.Max)
		}
	}
	if off, on := median(t, pipelines(4000, 1), "shoal:hook=on"), median(t, pipelines(4000, 1), "shoal:hook=on,anticipate=on,ahead_most=0"); off.Wait != on.Wait {
		t.Errorf("with nothing to be raised ahead: %+v, want %+v", on.Wait, off.Wait)
	}
}
