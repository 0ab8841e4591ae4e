package simulate

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// TestWebhookBesideFleets lives fleets with the job hook's machine among them: no job is
// stuck, nothing is raised for none, and no other promise breaks for it.
func TestWebhookBesideFleets(t *testing.T) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			s := DrawHooked(seed)
			first := Run(s, Options{Log: true})
			for _, b := range first.Broken {
				t.Errorf("at %s: %s: %s", clock(b.At), b.Promise, b.What)
			}
			if seed < 3 {
				if again := Run(throughFile(t, s), Options{Log: true}); !bytes.Equal(first.Log, again.Log) {
					t.Error("two runs of one schedule differ")
				}
			}
			if n := bytes.Count(first.Log, []byte("webhook does SetDesired")); n == 0 {
				t.Error("it has raised nothing: this proves nothing")
			}
		})
	}
}

// hooked is a scene that begins with nobody, two slots on each instance and a webhook
// beside it.
func hooked(pipelines []pipeline, faults ...Fault) *loop {
	s := sceneOf(0, 20, nil)
	s.desired, s.slots, s.grace = 0, 2, 20*time.Minute
	s.hook = &hookSetup{pipelines: pipelines}
	for n := range faults {
		faults[n].Verb = verbHook
	}
	return newLoopOf(s, Schedule{Seed: 6, Webhook: true, Faults: faults}, Options{Log: true}, nil, 0)
}

// stages is a pipeline with so many jobs in each stage.
func stages(at, takes time.Duration, counts ...int) pipeline {
	p := pipeline{at: at, project: 1}
	for _, n := range counts {
		var stage []task
		for _, w := range jobsOf(n, at, takes) {
			stage = append(stage, task{work: w})
		}
		p.stages = append(p.stages, stage)
	}
	return p
}

func (l *loop) desiredNow() int { return l.world.Groups(l.now, groupName)[0].Desired }

// TestLostEventsAreFound: of jobs whose events are lost nobody knows, until GitLab is
// asked for others' sake; before that the fleet of two is all there is.
func TestLostEventsAreFound(t *testing.T) {
	t.Parallel()
	l := hooked([]pipeline{stages(3*time.Minute, 20*time.Minute, 4), stages(5*time.Minute, 10*time.Minute, 6)},
		Fault{Kind: EventsLost, At: 4 * time.Minute, For: 2 * time.Minute, Count: 100})
	play(t, l, 6*time.Minute)
	if n := l.desiredNow(); n != 2 {
		t.Errorf("desired is %d after 6m, want 2", n)
	}
	play(t, l, 10*time.Minute)
	if n := l.desiredNow(); n != 5 {
		t.Errorf("desired is %d after 10m, want 5", n)
	}
	play(t, l, time.Hour)
	mustKeep(t, l)
	if l.finished != 10 || l.desiredNow() != 0 || l.hits[EventsLost] != 1 {
		t.Errorf("%d jobs finished, desired is %d, %v", l.finished, l.desiredNow(), l.hits)
	}
}

// TestHookFaultsStrikeOnce: each is named by an action, an event or a time, strikes once
// and is counted once; whatever it is, all jobs run, and everybody leaves.
func TestHookFaultsStrikeOnce(t *testing.T) {
	t.Parallel()
	for _, f := range []Fault{
		{Kind: KillBefore, Only: "SetDesired", N: 1},
		{Kind: KillAfter, Only: "SetDesired", N: 1},
		{Kind: KillBefore, Only: "LoadBacklog", N: 1},
		{Kind: KillAfter, Only: "SaveBacklog", N: 1},
		{Kind: KillBefore, Only: "ListJobs", N: 1},
		{Kind: KillAfter, Only: "ListJobs", N: 1},
		{Kind: AnswerLost, Only: "SetDesired", N: 1},
		{Kind: Throttled, Only: "DescribeGroup", N: 2, Amount: 30 * time.Second},
		{Kind: Hang, Only: "DescribeGroup", N: 1},
		{Kind: Unavailable, Only: "ListJobs", N: 1},
		{Kind: Hang, Only: "ListJobs", N: 1},
		{Kind: Slow, Only: "ListJobs", N: 1, Amount: 10 * time.Second},
		{Kind: StaleListing, Only: "ListJobs", N: 1, Amount: 5 * time.Second},
		{Kind: WriteFails, Only: "SaveBacklog", N: 1},
		{Kind: EventLost, Only: "created", N: 2},
		{Kind: EventLost, Only: "running", N: 2},
		{Kind: EventLost, Only: "finished", N: 2},
		{Kind: EventTwice, Only: "pending", N: 2},
		{Kind: EventTwice, N: 9},
		{Kind: EventLate, Only: "pending", N: 3, Amount: 3 * time.Minute},
		{Kind: EventsTwice, At: time.Minute, For: time.Hour, Count: 100},
		{Kind: EventsLate, At: time.Minute, For: time.Hour, Count: 50, Amount: time.Minute},
		{Kind: AWSAway, At: 4 * time.Minute, For: 2 * time.Minute, Count: 100},
		{Kind: GitLabAway, At: 4 * time.Minute, For: 10 * time.Minute},
		{Kind: DiskFull, At: time.Minute, For: 10 * time.Minute},
		{Kind: UnitRestart, At: 6 * time.Minute},
		{Kind: UnitBroken, At: 6 * time.Minute, For: time.Minute},
	} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			l := hooked([]pipeline{stages(5*time.Minute, 6*time.Minute, 5, 9)}, f)
			play(t, l, 90*time.Minute)
			mustKeep(t, l)
			if l.finished != 14 || l.hits[f.Kind] != 1 || l.desiredNow() != 0 {
				t.Errorf("%d of 14 jobs finished, desired is %d, %v", l.finished, l.desiredNow(), l.hits)
			}
		})
	}
}

// TestWebhookIsJudged: a machine that counts too many slots on an instance leaves jobs
// stuck, as does one that never asks GitLab where events are lost; one that counts too
// few raises too far, and so does one that is told of more than there is to come.
func TestWebhookIsJudged(t *testing.T) {
	t.Parallel()
	work := []pipeline{stages(3*time.Minute, 20*time.Minute, 12)}
	lost := []pipeline{stages(3*time.Minute, 50*time.Minute, 4), stages(5*time.Minute, 40*time.Minute, 6)}
	for name, c := range map[string]struct {
		pipelines []pipeline
		faults    []Fault
		bend      func(*webhook)
		promise   string
	}{
		"too many slots": {work, nil, func(x *webhook) { x.set.Slots = 12 }, "stuck"},
		"never asks":     {lost, []Fault{{Kind: EventsLost, At: 4 * time.Minute, For: 2 * time.Minute, Count: 100}}, func(x *webhook) { x.set.Reconcile = false }, "stuck"},
		"too few slots":  {work, nil, func(x *webhook) { x.set.Slots = 1 }, "overshoot"},
		"for nobody": {[]pipeline{stages(3*time.Minute, time.Minute, 2), stages(30*time.Minute, 20*time.Minute, 2)}, nil, func(x *webhook) {
			x.l.after(29*time.Minute, func() { // others' jobs, which it takes for this group's
				for range 9 {
					x.jobs = append(x.jobs, hookJob{id: int64(len(x.jobs) + 1), project: 9, state: fleet.JobPending, task: task{foreign: true}})
					x.send(len(x.jobs) - 1)
				}
			})
		}, "overshoot"},
		"nothing": {lost, []Fault{{Kind: EventsLost, At: 4 * time.Minute, For: 2 * time.Minute, Count: 100}}, func(*webhook) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := hooked(c.pipelines, c.faults...)
			c.bend(l.webhook)
			play(t, l, time.Hour)
			if c.promise == "" {
				mustKeep(t, l)
				return
			}
			mustBreak(t, l, c.promise, "")
		})
	}
}

// TestStagesAreForetold: where the webhook anticipates it raises for stages that are to
// come, and the judge lets it do so for as many jobs as there are.
func TestStagesAreForetold(t *testing.T) {
	t.Parallel()
	var list []pipeline
	for n := range 20 {
		list = append(list, stages(time.Duration(3+8*n)*time.Minute, 3*time.Minute, 2, 12))
	}
	l := hooked(list)
	l.webhook.set.Forecast = scaling.UsualForecast()
	play(t, l, 2*time.Hour)
	mustKeep(t, l)
	if !bytes.Contains(l.text, []byte("jobs of stage \"test\" begin within")) {
		t.Error("nothing was raised ahead: this proves nothing")
	}
}
