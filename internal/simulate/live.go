package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// LiveOptions are a fleet that nothing befalls, from [Epoch] on.
type LiveOptions struct {
	Slots    int // jobs that an instance runs at once
	Min, Max int // instances
	Boot     time.Duration
	Idle     time.Duration // how long an instance is without a job before it leaves
	// CheckInterval is the time between two polls of a runner, PollHold how long GitLab
	// holds one.
	CheckInterval, PollHold time.Duration
	Monitor                 life.MonitorSettings // but for what is above
	ScaleUp                 life.ScaleUpSettings
}

// Task is a job of a trace.
type Task struct {
	At, Takes time.Duration
	Stage     int // that it is of; -1: of none
}

// Stage is a stage of a pipeline: its jobs can run when the one before it is done.
type Stage struct {
	Open bool // from the beginning: there is none before it
	Next int  // the one after it; -1: none
}

// Lived is what came of a trace.
type Lived struct {
	Tasks []Ran // in the order of the tasks
	Stays []Stay
	Calls int           // to Auto Scaling, but for its hooks'
	Over  time.Duration // when the last job was done
}

// Ran is one job: when it could run, and when it did. Began is 0 where it never did.
type Ran struct{ Ready, Began, Ended time.Duration }

// Stay is one instance.
type Stay struct {
	From, To time.Duration // its launch, and when it left the group; To is 0 where it did not
	Jobs     int           // that it ran
}

// Live has a fleet live a trace of jobs, from its minimum until all are done and it is
// back there: the machines of package life, step by step, on package world. progress,
// unless nil, is told now and then how many jobs are done, and ends it where it answers
// false.
func Live(f LiveOptions, tasks []Task, stages []Stage, seed uint64, progress func(done int) bool) Lived {
	l := newLoopOf(f.setup(tasks, stages), Schedule{Seed: seed}, Options{}, nil, 0)
	l.pump()
	for told := 0; !l.ended && !l.settled() && l.step(); {
		if l.finished-told < 1000 {
			continue
		}
		if told = l.finished; progress != nil && !progress(told) {
			break
		}
	}
	return l.lived()
}

// setup is the fleet as the loop has it.
func (f LiveOptions) setup(tasks []Task, stages []Stage) setup {
	s := setup{
		mode: fleet.ModeToken, sections: 1, slots: f.Slots, low: f.Min, high: f.Max, desired: f.Min,
		launchHook: 5 * time.Minute, endHook: 2 * time.Minute, hold: f.PollHold, interval: f.CheckInterval,
		world:  world.Options{Boot: f.Boot, BootSpread: 0.15, React: time.Second, TwoPhase: true, JobTimeout: forEver, StuckAfter: forEver, PendingTimeout: forEver},
		traced: &traced{stages: slices.Clone(stages), left: make([]int, len(stages)), here: make([][]work, len(stages))},
	}
	s.monitor, s.scaleUp = f.Monitor, f.ScaleUp
	s.monitor.Mode, s.monitor.IdleThreshold = s.mode, f.Idle
	s.monitor.HoldTimeout, s.monitor.UnhealthyAfter = leaveTimeout, unhealthyAfter
	for n, t := range tasks {
		s.work = append(s.work, work{at: t.At, takes: t.Takes, stage: t.Stage, task: n})
		if t.Stage >= 0 {
			s.traced.left[t.Stage]++
		}
	}
	s.length, s.quietAt = forEver, forEver
	return s
}

// forEver is longer than any run, and than any job of one.
const forEver = 100_000 * time.Hour

// traced is how far a trace has come.
type traced struct {
	stages []Stage
	left   []int    // jobs that are not done, by stage
	here   [][]work // jobs that exist, and wait for the stage before theirs
}

// waits keeps a job whose stage's turn has not come.
func (t *traced) waits(w work) bool {
	if t == nil || w.stage < 0 || t.stages[w.stage].Open {
		return false
	}
	t.here[w.stage] = append(t.here[w.stage], w)
	return true
}

// done takes in that a job is done: with the last of its stage the next one can run.
func (t *traced) done(w work) (now []work) {
	if t == nil || w.stage < 0 {
		return nil
	}
	t.left[w.stage]--
	next := t.stages[w.stage].Next
	if t.left[w.stage] > 0 || next < 0 {
		return nil
	}
	t.stages[next].Open = true
	return t.here[next]
}

// settled tells whether all is done, and the group back at its minimum.
func (l *loop) settled() bool {
	return l.finished == len(l.setup.work) && l.alive == l.low
}

func (l *loop) lived() Lived {
	records := l.world.Records(l.now)
	out := Lived{Tasks: make([]Ran, len(l.setup.work))}
	since := func(t time.Time) time.Duration { return max(0, t.Sub(epoch)) }
	for _, j := range records.Jobs {
		out.Tasks[l.work[j.ID].task] = Ran{Ready: since(j.QueuedAt), Began: since(j.StartedAt), Ended: since(j.FinishedAt)}
		out.Over = max(out.Over, since(j.FinishedAt))
	}
	for _, r := range records.Instances {
		out.Stays = append(out.Stays, Stay{From: since(r.LaunchedAt), To: since(r.LeavingAt)})
	}
	for _, j := range l.jobs {
		if j != nil {
			out.Stays[j.in.number-1].Jobs++
		}
	}
	for _, c := range records.Calls {
		if c.API == "autoscaling" && !ofHooks[c.Operation] {
			out.Calls += c.Count
		}
	}
	return out
}

// ofHooks are the calls that lifecycle hooks cost.
var ofHooks = map[string]bool{"DescribeHooks": true, "Heartbeat": true, "CompleteHook": true}
