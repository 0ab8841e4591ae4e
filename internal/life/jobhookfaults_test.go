package life_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// faultyHook is the job hook's machine among jobs that come, run and end, with faults:
// kills at any boundary of an action, requests that fail before or after their effect,
// events that are lost, late or come twice, and instances that leave at any moment.
type faultyHook struct {
	*hookSite
	r    *rand.Rand
	set  life.JobHookSettings
	jobs []trueJob
	mail []letter

	loss, twice, kill, fail float64
	deaf                    float64 // GitLab's lists fail, and those that come are late
	most                    int     // jobs that waited and ran at the same time
	worst                   time.Duration
	kills                   int
}

type trueJob struct {
	fleet.Job
	at time.Time // in this state since
}

// letter is an event on its way.
type letter struct {
	at    time.Time
	event life.Event
}

func (f *faultyHook) chance(p float64) bool { return f.r.Float64() < p }

// reach sends what GitLab says of a job that has come so far.
func (f *faultyHook) reach(n int, state fleet.JobState) {
	j := &f.jobs[n]
	j.State, j.at = state, f.now
	for range 2 {
		if !f.chance(f.loss) {
			f.mail = append(f.mail, letter{f.now.Add(time.Duration(f.r.IntN(5000)) * time.Millisecond), life.JobEvent{Job: j.Job}})
		}
		if !f.chance(f.twice) {
			return
		}
	}
}

// second lives one second.
func (f *faultyHook) second(more bool) {
	if more && f.chance(0.05) {
		for range 1 + f.r.IntN(20) {
			id := int64(len(f.jobs) + 1)
			f.jobs = append(f.jobs, trueJob{Job: fleet.Job{ID: id, Project: 1 + id%3}})
			f.reach(len(f.jobs)-1, fleet.JobPending)
		}
	}
	pending, running := f.move()
	f.most = max(f.most, pending+running)
	if f.group.Desired > 0 && running <= 6*(f.group.Desired-1) && f.chance(0.02) {
		f.group.Desired-- // an instance leaves
	}
	f.group.Instances = instances(f.group.Desired, f.group.Desired)
	due := slices.IndexFunc(f.mail, func(l letter) bool { return !l.at.After(f.now) })
	for ; due >= 0; due = slices.IndexFunc(f.mail, func(l letter) bool { return !l.at.After(f.now) }) {
		e := f.mail[due].event
		f.mail = slices.Delete(f.mail, due, due+1)
		f.live(e)
	}
	f.wake(f.now.Add(time.Second))
}

// move has jobs start where there is room, and end.
func (f *faultyHook) move() (pending, running int) {
	for _, j := range f.jobs {
		if j.State == fleet.JobRunning {
			running++
		}
	}
	for n := range f.jobs {
		switch j := f.jobs[n]; {
		case j.State == fleet.JobPending && running < 6*f.group.Desired:
			f.worst = max(f.worst, f.now.Sub(j.at))
			f.reach(n, fleet.JobRunning)
			running++
		case j.State == fleet.JobPending:
			f.worst = max(f.worst, f.now.Sub(j.at))
			pending++
		case j.State == fleet.JobRunning && f.chance(0.02):
			f.reach(n, fleet.JobFinished)
			running--
		}
	}
	return pending, running
}

// wake lets time pass for the machine; GitLab answers with the truth, at once where
// nothing is wrong with it.
func (f *faultyHook) wake(until time.Time) {
	for {
		for len(f.lists) > 0 {
			project := f.lists[0]
			f.lists = f.lists[1:]
			list := fleet.JobList{Whole: true}
			for _, j := range f.jobs {
				if j.Project == project && (j.State == fleet.JobPending || j.State == fleet.JobRunning) {
					list.Jobs = append(list.Jobs, j.Job)
				}
			}
			e := life.JobsListed{Project: project, List: list}
			if f.deaf == 0 {
				f.live(e)
				continue
			}
			if f.chance(f.deaf) {
				e = life.JobsListed{Project: project, Failure: &fleet.Failure{Op: "list jobs"}}
			}
			f.mail = append(f.mail, letter{f.now.Add(time.Duration(f.r.IntN(30000)) * time.Millisecond), e})
		}
		if f.chance(f.kill / 20) {
			f.live(nil)
		}
		if f.sleep.After(until) {
			f.now = until
			return
		}
		f.now = later(f.now, f.sleep)
		f.live(life.Woke{})
	}
}

// live has the machine take an event in, and carries out what it wants until it
// sleeps; it may be killed before and after each effect. A nil event is a kill.
func (f *faultyHook) live(e life.Event) {
	for range 1000 {
		if e == nil {
			f.kills++
			f.m, e = life.NewJobHook(f.set), life.Started{}
		}
		_, actions := f.m.Step(e, f.now)
		a := actions[len(actions)-1]
		if s, ok := a.(life.Sleep); ok {
			f.sleep = s.Until
			return
		}
		if e = nil; !f.chance(f.kill) {
			e = f.perform(a)
		}
		if f.chance(f.kill) {
			e = nil
		}
	}
	f.t.Fatal("it does not come to rest")
}

func (f *faultyHook) perform(a life.Action) life.Event {
	failure := &fleet.Failure{Op: "a request"}
	fails := f.chance(f.fail)
	if fails && f.chance(0.5) {
		return life.Result{Action: a, Failure: failure}
	}
	e := f.carryOut(a)
	if fails { // the answer is lost
		return life.Result{Action: a, Failure: failure}
	}
	return e
}

// settle tells the truth for two reconciliations: nothing else is believed then.
func (f *faultyHook) settle(t *testing.T, name string) {
	t.Helper()
	f.loss, f.kill, f.fail, f.deaf = 0, 0, 0, 0
	for range 720 {
		f.second(false)
	}
	pending, running := f.move()
	if f.m.Pending() != pending || f.m.Running() > running+3 {
		t.Errorf("%s, seed %d: it believes in %d pending and %d running jobs, there are %d and %d", name, f.set.Seed, f.m.Pending(), f.m.Running(), pending, running)
	}
}

// TestFaultSchedules: under all of that no job waits longer than a reconciliation,
// and what comes twice raises nothing above what was ever needed at once.
func TestFaultSchedules(t *testing.T) {
	for name, c := range map[string]faultyHook{
		"nothing":              {},
		"twice":                {twice: 0.5},
		"twice, AWS fails":     {twice: 0.5, fail: 0.3},
		"lost":                 {loss: 0.3},
		"killed":               {kill: 0.05},
		"killed and AWS fails": {kill: 0.05, fail: 0.2, twice: 0.3},
		"all of it":            {kill: 0.03, fail: 0.2, twice: 0.3, loss: 0.2},
		"lost, GitLab fails":   {loss: 0.3, deaf: 0.3},
		"all, GitLab fails":    {kill: 0.02, fail: 0.2, twice: 0.3, loss: 0.2, deaf: 0.3},
	} {
		for seed := range uint64(15) {
			f := c
			f.set = life.JobHookSettings{Group: "ci", Slots: 6, Reconcile: true, Seed: seed}
			f.hookSite, f.r = newHookSite(t, f.set), rand.New(rand.NewPCG(seed, 5))
			for range 3600 {
				f.second(true)
			}
			for range 900 {
				f.second(false)
			}
			// A reconciliation every four to five minutes, and what fails once more.
			bound := 30 * time.Second
			switch {
			case f.deaf > 0: // three rounds in which the one project failed
				bound = 20 * time.Minute
			case f.loss+f.kill > 0:
				bound = 7 * time.Minute
			case f.fail > 0: // half of the tries, with pauses of up to half a minute
				bound = 4 * time.Minute
			}
			left := slices.ContainsFunc(f.jobs, func(j trueJob) bool { return j.State == fleet.JobPending })
			if f.worst > bound || left {
				t.Errorf("%s, seed %d: a job waited %s, one still does: %v; %d kills\n%s", name, seed, f.worst, left, f.kills, strings.Join(f.said, "\n"))
			}
			// The end of some is told seconds late: an instance more, at the most.
			if peak := slices.Max(append(f.sets, 0)); f.loss+f.kill == 0 && peak > (f.most+5)/6+1 {
				t.Errorf("%s, seed %d: raised to %d where %d jobs were the most", name, seed, peak, f.most)
			}
			f.settle(t, name)
		}
	}
}
