package boot_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// trap holds the first request of an operation for ever once it is set, before or
// after the request took effect.
type trap struct {
	unit, operation string
	apply           bool

	mu     sync.Mutex
	set    bool
	sprung chan struct{} // closed when it holds a request
}

func (t *trap) fault(q emulator.Request) emulator.Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.set || !strings.HasSuffix(q.Operation, t.operation) {
		return emulator.Fault{}
	}
	t.set = false
	close(t.sprung)
	if strings.HasSuffix(t.operation, "/jobs/request") { // the runner's, which must not hang for good
		return emulator.Fault{Latency: 5 * time.Second, Drop: true}
	}
	return emulator.Fault{Hang: true, Apply: t.apply}
}

func (t *trap) arm() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set = true
}

// kill waits until the trap holds a request, and ends the unit's process by -9.
func (f *fleet) kill(t *trap, m *instance) {
	f.t.Helper()
	select {
	case <-t.sprung:
	case <-time.After(patience):
		f.t.Fatalf("waited %s for %s to be asked for", patience, t.operation)
	}
	if _, err := m.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", t.unit); err != nil {
		f.t.Fatal(err)
	}
	f.untilSaid(m, t.unit, "code=killed, status=9/KILL")
}

// TestKilled ends each unit's process with -9 while one of its requests is under
// way, before or after the request took effect. systemd starts it again, and it
// does what is left to do, once.
func TestKilled(t *testing.T) {
	t.Parallel()
	const before, after = false, true
	for name, c := range map[string]struct {
		unit, operation string
		apply           bool
		change          func(*plan)
		then            func(*fleet, *trap) // brings it to the trap, and asserts what comes of it
	}{
		"init registering":           {life.UnitInit, "/runners/verify", after, armed, launched},
		"init waiting for a poll":    {life.UnitInit, "/jobs/request", before, armed, launched},
		"init completing the hook":   {life.UnitInit, "CompleteLifecycleAction", before, armed, launched},
		"init, which has completed":  {life.UnitInit, "CompleteLifecycleAction", after, armed, launched},
		"monitor asking to leave":    {life.UnitMonitor, "DescribeAutoScalingGroups", before, idling, left},
		"monitor leaving":            {life.UnitMonitor, "TerminateInstanceInAutoScalingGroup", before, idling, left},
		"scale-up looking":           {life.UnitScaleUp, "DescribeAutoScalingGroups", before, nil, raised},
		"scale-up raising":           {life.UnitScaleUp, "SetDesiredCapacity", before, nil, raised},
		"scale-up, which has raised": {life.UnitScaleUp, "SetDesiredCapacity", after, nil, raised},
		"check reading the state":    {life.UnitLifecycleCheck, "target-lifecycle-state", before, nil, checked},
		"check reading the notice":   {life.UnitLifecycleCheck, "spot/instance-action", before, nil, checked},
		"unreg looking for its hook": {life.UnitUnregister, "DescribeLifecycleHooks", before, nil, unregistered},
		"unreg heartbeating":         {life.UnitUnregister, "RecordLifecycleActionHeartbeat", before, nil, unregistered},
		"unreg, which has deleted":   {life.UnitUnregister, "DELETE /api/v4/runners/managers", after, nil, unregistered},
		"unreg completing its hook":  {life.UnitUnregister, "CompleteLifecycleAction", before, nil, unregistered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hold := &trap{unit: c.unit, operation: c.operation, apply: c.apply, sprung: make(chan struct{})}
			f := open(t, func(p *plan) {
				p.cloud.Fault = hold.fault
				if c.change != nil {
					c.change(p)
				}
			}, func(*plan) { hold.set = c.change != nil })
			c.then(f, hold)
		})
	}
}

// armed has the trap set from the beginning.
func armed(*plan) {}

// idling has instances leave soon; the trap is set from the beginning, since
// nothing before asks for what it holds.
func idling(p *plan) { p.settings["monitor.idle_threshold"] = `"4s"` }

// launched: the launch that was cut off comes into service, registered once.
func launched(f *fleet, hold *trap) {
	var m *instance
	f.until("a machine", func() bool {
		for _, i := range f.cloud.Records().Instances {
			m = f.find(i.ID)
		}
		return m != nil
	})
	f.kill(hold, m)
	if got := f.up(); got != m {
		f.t.Errorf("%s is in service, want %s", got.id, m.id)
	}
	f.works()
	if all := f.managers(); len(all) != 1 {
		f.t.Errorf("%q are registered, want one", all)
	}
}

// left: the idle instance goes all the same, and desired falls once.
func left(f *fleet, hold *trap) {
	m := f.up()
	f.kill(hold, m)
	f.gone(m)
	if f.desired() != 0 || f.registered(m) || len(f.cloud.Records().Instances) != 1 {
		f.t.Errorf("desired is %d, managers %q, want none", f.desired(), f.managers())
	}
}

// raised: the raise that was cut off is made, and once.
func raised(f *fleet, hold *trap) {
	m := f.up()
	hold.arm()
	jobs := []int64{f.submit("sleep 15"), f.submit("sleep 15"), f.submit("echo waited")}
	f.kill(hold, m)
	f.inService(2)
	for _, job := range jobs {
		f.untilJob(job, world.JobSuccess)
	}
	if n := len(f.changes()); n != 1 || f.desired() != 2 {
		f.t.Errorf("desired was changed %d times to %d, want once to 2", n, f.desired())
	}
}

// checked: killing the daemon is no notice; a notice that comes then is acted on.
func checked(f *fleet, hold *trap) {
	m := f.up()
	job := f.submit("sleep 8")
	f.untilJob(job, world.JobRunning)
	hold.arm()
	f.kill(hold, m)
	f.until("lifecycle-check to run again", func() bool { return m.show(hold.unit, "ActiveState") == "active" })
	f.drainedNothing(m)
	f.scaleIn(m)
	f.drained(m, job)
}

// unregistered: the drain that was cut off is finished.
func unregistered(f *fleet, hold *trap) {
	m := f.up()
	job := f.submit("sleep 15")
	f.untilJob(job, world.JobRunning)
	hold.arm()
	f.scaleIn(m)
	f.kill(hold, m)
	f.drained(m, job)
}

// TestRunnerKilled: gitlab-runner's own process dies, idle on one instance and in
// the middle of a job on the other, which nobody can report then. It is started
// again after the two minutes of its own unit, and takes jobs.
func TestRunnerKilled(t *testing.T) {
	t.Parallel()
	f := open(t, func(p *plan) { p.group.Desired = 2 })
	ms := f.inService(2)
	for range 4 { // until one of them is known to work
		f.works()
	}
	f.untilJob(f.submit("sleep 600"), world.JobRunning)
	was := map[*instance]int{}
	for _, m := range ms {
		was[m] = m.pid(life.UnitRunner)
		if _, err := m.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", life.UnitRunner); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range ms {
		f.within(150*time.Second, "the runner to run again", func() bool {
			pid := m.pid(life.UnitRunner)
			return pid != 0 && pid != was[m]
		})
	}
	for range 4 {
		f.works()
	}
	f.drainedNothing(ms...)
}
