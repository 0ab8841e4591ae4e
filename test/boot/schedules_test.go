package boot_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

var (
	schedules = flag.Int("schedules", 0, "how many drawn schedules of kills TestKillSchedules takes fleets through; each takes minutes, and 0 takes none")
	firstSeed = flag.Uint64("seed", 0, "of the first schedule; the others follow; 0 draws it")
)

// TestKillSchedules takes booted fleets through drawn schedules: jobs, a scale-in, a
// spot interruption and idle leaves, while processes of units are killed with -9 at
// drawn requests and times. The promises hold as the services outside see them.
func TestKillSchedules(t *testing.T) {
	seed := *firstSeed
	if seed == 0 {
		seed = 1 + rand.Uint64N(1_000_000) //nolint:gosec // it is printed
	}
	for n := range *schedules {
		s := drawSchedule(seed + uint64(n)) //nolint:gosec // not negative
		t.Run(fmt.Sprint("seed ", s.seed), func(t *testing.T) {
			t.Parallel()
			t.Logf("replay with -schedules 1 -seed %d\n%s", s.seed, s)
			s.run(t)
		})
	}
}

// The bounds of a schedule's parts, each with room for gitlab-runner's own restart,
// which takes two minutes.
const (
	jobsTime  = 5 * time.Minute // for the jobs to end, the last of which comes after 40 s
	calmTime  = 5 * time.Minute // for the group to be back at its minimum
	worksTime = 4 * time.Minute // for a few jobs on what is left
)

func (s schedule) run(t *testing.T) {
	k := newStriker(s)
	f := open(t, func(p *plan) {
		p.group.Min, p.group.Desired = 1, s.instances
		p.settings["monitor.idle_threshold"] = fmt.Sprintf("%q", s.idle)
		p.settings["init.timeout"] = `"3m"` // a gitlab-runner that is killed in a launch is back by then, as with the default
		p.between = k.between
		if s.own {
			ownRunner(p)
		}
	})
	defer k.end()
	defer func() { t.Logf("seed %d: %d of %d kills fell\n%s", s.seed, k.hits(), len(s.blows), k.story()) }()
	f.within(worksTime, "the first instance", func() bool {
		return slices.ContainsFunc(f.cloud.Records().Instances, func(i world.InstanceRecord) bool { return i.State == world.InService })
	})
	jobs := s.happen(f, k)
	f.within(jobsTime, "the jobs to end", func() bool { return f.allEnded(k, jobs) })
	f.within(calmTime, "the group to be at its minimum", f.calm)
	k.end()
	f.promises(k, jobs)
	var last []int64 // what is left works
	for range 4 {
		last = append(last, f.submit("echo done"))
	}
	f.within(worksTime, "the last jobs to end", func() bool { return f.allEnded(k, last) })
	for _, id := range last {
		if j := f.job(id); j.Status != world.JobSuccess {
			t.Errorf("job %d is %s (%s) when all is over", id, j.Status, j.FailureReason)
		}
	}
	if k.hits() == 0 {
		t.Error("no kill fell: this shows nothing")
	}
}

// happen lets come what comes from the outside, and returns the jobs.
func (s schedule) happen(f *fleet, k *striker) (jobs []int64) {
	start := time.Now()
	for _, e := range s.events {
		timer := time.NewTimer(time.Until(start.Add(e.at)))
		<-timer.C
		switch e.kind {
		case aJob:
			jobs = append(jobs, f.submit(fmt.Sprintf("sleep %.1f & wait $!", e.lasts.Seconds())))
		case aScaleIn:
			f.take(k.number(e.machine))
		case aSpot:
			_ = f.cloud.Interrupt(k.number(e.machine), e.lasts) // it may be gone already
		}
	}
	return jobs
}

// take has the group take an instance, and another in its place where it is at its
// minimum. One that is gone already is none of the group's.
func (f *fleet) take(id string) {
	f.cloud.Do(func(w *world.World, now time.Time) {
		if _, err := w.Terminate(now, id, true); err != nil {
			_, _ = w.Terminate(now, id, false)
		}
	})
}

// allEnded tells whether every job has ended, or died with its gitlab-runner.
func (f *fleet) allEnded(k *striker, jobs []int64) bool {
	return !slices.ContainsFunc(jobs, func(id int64) bool { return !f.job(id).Status.Finished() && !k.isExcused(id) })
}

// calm tells whether the group is at its minimum, and nothing comes or goes.
func (f *fleet) calm() bool {
	r := f.cloud.Records()
	inService, ended := 0, 0
	for _, i := range r.Instances {
		switch {
		case !i.TerminatedAt.IsZero():
			ended++
		case i.Alive() && i.State == world.InService && i.SpotNoticeAt.IsZero():
			inService++
		}
	}
	least := r.Groups[0].Min
	return r.Groups[0].Desired == least && inService == least && inService+ended == len(r.Instances)
}

// promises asserts what must hold when all is over.
func (f *fleet) promises(k *striker, jobs []int64) {
	f.t.Helper()
	for _, id := range jobs {
		f.promisedJob(k, f.job(id))
	}
	for _, i := range f.ended() {
		if i.Reason == world.ReasonLaunchAbandon || i.Reason == world.ReasonLaunchTimeout {
			f.t.Errorf("the launch of %s failed: %s", i.ID, i.Reason)
		}
		k.mu.Lock()
		done := k.completed[i.ID]
		k.mu.Unlock()
		if i.DeathReason != world.ReasonSpot && !done {
			f.t.Errorf("nobody completed the termination hook of %s, which left at %s (%s) and was gone at %s", i.ID, i.LeavingAt, i.Reason, i.TerminatedAt)
		}
	}
	for _, c := range f.changes() {
		if g := f.plan.group; c.To < g.Min || c.To > g.Max {
			f.t.Errorf("desired was set to %d, bounds are %d and %d", c.To, g.Min, g.Max)
		}
	}
	f.promisedRunners(k)
	for _, i := range f.cloud.Records().Instances {
		m := f.find(i.ID)
		if !i.Alive() || m == nil {
			continue
		}
		for _, unit := range []string{life.UnitLifecycleCheck, life.UnitMonitor} {
			if !waitFor(patience, func() bool { return m.show(unit, "ActiveState") == "active" }) {
				f.t.Errorf("%s of %s, which is in service, is %s", unit, i.ID, m.show(unit, "ActiveState"))
			}
		}
	}
}

// promisedJob: a job ends as if nothing were, unless EC2 takes its instance; then it
// is reported failed before that.
func (f *fleet) promisedJob(k *striker, j world.Job) {
	f.t.Helper()
	if j.Status == world.JobSuccess || k.isExcused(j.ID) {
		return
	}
	for _, i := range f.cloud.Records().Instances {
		reported := !j.UpdatedAt.Before(j.FinishedAt.Add(-time.Second))
		if life.SystemID(i.ID) == j.SystemID && !i.SpotNoticeAt.IsZero() && j.Status == world.JobFailed && reported && !j.FinishedAt.After(i.DeadAt) {
			return
		}
	}
	f.t.Errorf("job %d is %s (%s): %+v", j.ID, j.Status, j.FailureReason, j)
}

// promisedRunners: GitLab knows the machines that are there, and no other. A runner
// that was made for one that was killed before it knew is the reaper's.
func (f *fleet) promisedRunners(k *striker) {
	f.t.Helper()
	var alive []string
	for _, i := range f.cloud.Records().Instances {
		if i.Alive() {
			alive = append(alive, life.SystemID(i.ID))
		}
	}
	managers := f.managers()
	slices.Sort(alive)
	slices.Sort(managers)
	if !slices.Equal(managers, alive) {
		f.t.Errorf("GitLab knows the machines %q, want %q", managers, alive)
	}
	if n := len(f.own()); k.schedule.own && n > len(alive)+k.orphans {
		f.t.Errorf("GitLab has %d runners for %d instances, %d of them the reaper's: %+v", n, len(alive), k.orphans, f.own())
	}
}

// ended are the instances that the group is done with.
func (f *fleet) ended() (ended []world.InstanceRecord) {
	return slices.DeleteFunc(f.cloud.Records().Instances, func(i world.InstanceRecord) bool { return i.TerminatedAt.IsZero() })
}
