package boot_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// growth is the plan of a group that grows, and shrinks when it idles.
func growth(p *plan) {
	p.group.Min, p.group.Max = 1, 6
	p.settings["monitor.idle_threshold"] = `"8s"`
	// A full instance whose last reading is old grows the group one step at a time:
	// here every step is to come of a reading.
	p.settings["scale_up.blind_after"] = `"10m"`
}

// grow makes the group grow twice, and shrink again: four jobs for two slots need
// one instance more. Of five that come while both are busy two go to the first
// that has free slots, and those that are left need two more.
func (f *fleet) grow() {
	f.t.Helper()
	f.up()
	for range 4 {
		f.submit("sleep 25")
	}
	f.until("the group to want 2", func() bool { return f.desired() >= 2 })
	f.inService(2)
	for range 5 {
		f.submit("sleep 25")
	}
	f.until("the group to want 4", func() bool { return f.desired() >= 4 })
	f.until("every job to have ended", func() bool {
		return !slices.ContainsFunc(f.cloud.Records().Jobs, func(j world.Job) bool { return !j.Status.Finished() })
	})
	f.until("the group to be at its minimum again", func() bool {
		r := f.cloud.Records()
		alive := 0
		for _, i := range r.Instances {
			if i.TerminatedAt.IsZero() {
				alive++
			}
		}
		return r.Groups[0].Desired == 1 && alive == 1
	})
	f.grown()
}

// raises are the raises of the group's desired capacity.
func (f *fleet) raises() (raises []string) {
	for _, c := range f.changes() {
		if c.To > c.From {
			raises = append(raises, fmt.Sprint(c.From, "→", c.To))
		}
	}
	return raises
}

// grown asserts that it cost nothing.
func (f *fleet) grown() {
	f.t.Helper()
	for _, j := range f.cloud.Records().Jobs {
		if j.Status != world.JobSuccess {
			f.t.Errorf("job %d is %s (%s)", j.ID, j.Status, j.FailureReason)
		}
	}
	if n := len(f.managers()); n != 1 {
		f.t.Errorf("%d managers are left in GitLab, want the one that is alive", n)
	}
	for _, i := range f.cloud.Records().Instances {
		if took := i.TerminatedAt.Sub(i.LeavingAt); !i.Alive() && took > 25*time.Second {
			f.t.Errorf("%s took %s to go: its hook timed out", i.ID, took)
		}
	}
}

// TestCapacityFollowsTheQueue: saturation raises the group to its target, once, and
// again when the queue has grown; idle instances leave.
func TestCapacityFollowsTheQueue(t *testing.T) {
	t.Parallel()
	f := open(t, growth)
	f.grow()
	if got, want := f.raises(), []string{"1→2", "2→4"}; !slices.Equal(got, want) {
		t.Errorf("desired was raised %q, want %q", got, want)
	}
}

// TestJobSlipsIn: a poll that was under way when the instance began to leave brings
// a job. The job runs, and the instance stays.
func TestJobSlipsIn(t *testing.T) {
	t.Parallel()
	f := open(t, func(p *plan) {
		p.settings["monitor.idle_threshold"] = `"4s"`
		p.settings["monitor.hold_timeout"] = `"1m"`
		p.cloud.PollHold = 40 * time.Second
	})
	m := f.up()
	f.untilSaid(m, "leave the group: hold the runner")
	job := f.submit("sleep 3")
	f.untilJob(job, world.JobSuccess)
	f.untilSaid(m, "stay: put the runner's sections back")
	f.works()
	f.drainedNothing(m)
	if f.desired() != 1 || m.pid(life.UnitRunner) == 0 {
		t.Errorf("desired is %d, the runner's process %d: want 1, and a process", f.desired(), m.pid(life.UnitRunner))
	}
}
