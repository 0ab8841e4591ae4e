package boot_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

const (
	group       = "ci"
	region      = "eu-central-1"
	sharedToken = "glrt-boot-shared-0123456789"
	patience    = 90 * time.Second // bounds every wait that has no bound of its own
)

// plan is what a fleet begins with. The tests change what they are about.
type plan struct {
	world    world.Options
	group    world.GroupSpec
	cloud    emulator.Options
	slots    int
	settings map[string]string // keys of shoal.toml with their values, over pace
	files    map[string]string // more files on an instance's disk
	image    string            // that instances boot from
	userData string            // for cloud-init; with it nothing else configures the instance

	// between stands between an instance that boots and its services; nil: nobody does.
	between func(f *fleet, id string, services map[string]http.Handler) map[string]http.Handler
}

// pace is what the tests change of the defaults: periods, so that what takes
// minutes on EC2 takes seconds, and nobody leaves for being idle unless the test
// says so.
var pace = map[string]string{
	"gitlab.url": `"http://gitlab.example.com"`, "gitlab.token": `"file:/etc/shoal/token"`,
	"init.timeout": `"30s"`, "init.patience": `"0s"`,
	"monitor.period": `"1s"`, "monitor.saturated_period": `"500ms"`, "monitor.idle_threshold": `"1h"`,
	"monitor.unprotect_after": `"2s"`, "monitor.hold_timeout": `"20s"`,
	"scale_up.period": `"1s"`, "scale_up.blind_after": `"3s"`,
	"lifecycle_check.period": `"1s"`, "unregister.hold_timeout": `"10s"`,
}

// fleet is a group of instances under a real systemd.
type fleet struct {
	t        testing.TB
	plan     plan
	dir      string
	cloud    *emulator.Cloud
	followed chan struct{} // closed when the last event has been dealt with

	mu        sync.Mutex
	instances map[string]*instance
	capacity  []world.CapacityChanged
}

// open starts a fleet; it is closed with the test.
func open(t testing.TB, change ...func(*plan)) *fleet {
	t.Helper()
	if reason != "" {
		t.Skip(reason)
	}
	p := plan{
		world: world.Options{
			Region: region, AccountID: "123456789012", Boot: 100 * time.Millisecond, React: 500 * time.Millisecond,
			HealthCheck: time.Second, Shutdown: 500 * time.Millisecond,
			Rand: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // boot times
		},
		group: world.GroupSpec{Name: group, Min: 0, Max: 4, Desired: 1, Hooks: []world.Hook{
			{Name: "launch", Transition: world.AtLaunch, HeartbeatTimeout: 60 * time.Second, DefaultResult: world.Abandon},
			{Name: "terminate", Transition: world.AtTermination, HeartbeatTimeout: 30 * time.Second, DefaultResult: world.Continue},
		}},
		cloud: emulator.Options{
			Runners:  []world.NewRunner{{Type: world.TypeInstance, Description: "shared", RunUntagged: true, Token: sharedToken}},
			PollHold: 2 * time.Second,
		},
		slots: 2, settings: map[string]string{}, files: map[string]string{}, image: image,
	}
	for _, c := range change {
		c(&p)
	}
	p.cloud.World, p.cloud.Groups, p.cloud.NoListen = p.world, []world.GroupSpec{p.group}, true
	dir, err := os.MkdirTemp(filepath.Dir(image), "fleet-") //nolint:usetesting // overlays stay busy for a moment after a kill
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, plan: p, dir: dir, followed: make(chan struct{}), instances: map[string]*instance{}}
	if f.cloud, err = emulator.Start(p.cloud); err != nil {
		t.Fatal(err)
	}
	go f.follow()
	t.Cleanup(f.close)
	return f
}

// follow makes machines of what the world says of instances.
func (f *fleet) follow() {
	defer close(f.followed)
	for e := range f.cloud.Events() {
		switch e := e.(type) {
		case world.InstanceBooted:
			f.boot(e.ID)
		case world.InstanceDead:
			if m := f.find(e.ID); m != nil {
				m.kill()
			}
		case world.CapacityChanged:
			f.mu.Lock()
			f.capacity = append(f.capacity, e)
			f.mu.Unlock()
		}
	}
}

func (f *fleet) find(id string) *instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.instances[id]
}

func (f *fleet) close() {
	f.cloud.Close()
	<-f.followed
	f.mu.Lock()
	all := slices.Collect(maps.Values(f.instances))
	f.mu.Unlock()
	for _, m := range all {
		m.kill()
	}
	for _, m := range all {
		<-m.ended
		f.audit(m)
	}
	if f.t.Failed() {
		f.tell(all)
	}
	if err := os.RemoveAll(f.dir); err != nil {
		f.t.Error(err)
	}
}

// audit looks for the token where others may read it.
func (f *fleet) audit(m *instance) {
	for _, l := range m.journal() {
		if strings.Contains(l.text, sharedToken) || strings.Contains(l.text, createToken) {
			f.t.Errorf("%s: a token is in the journal: %s", m.id, l.words())
		}
	}
}

// tell shows what happened, to find out why the test failed.
func (f *fleet) tell(all []*instance) {
	slices.SortFunc(all, func(a, b *instance) int { return strings.Compare(a.id, b.id) })
	for _, m := range all {
		f.t.Logf("%s\n", m.story())
		if m.times() == 0 || m.cursor == "" {
			console, _ := os.ReadFile(filepath.Join(m.dir, "console"))
			f.t.Logf("%s said nothing to its journal; its console: %s%s; last word %q", m.id, console, m.complaints.String(), m.last)
		}
	}
	r := f.cloud.Records()
	f.t.Logf("groups %+v\njobs %+v\nrunners %+v", r.Groups, r.Jobs, r.Runners)
	for _, i := range r.Instances {
		f.t.Logf("%+v", i)
	}
}

// do changes the world; a refusal fails the test.
func (f *fleet) do(change func(*world.World, time.Time) error) {
	f.t.Helper()
	var err error
	f.cloud.Do(func(w *world.World, now time.Time) { err = change(w, now) })
	if err != nil {
		f.t.Error(err)
	}
}

// inService waits for n instances in service and returns them, by launch.
func (f *fleet) inService(n int) []*instance {
	f.t.Helper()
	var found []*instance
	f.until(fmt.Sprintf("%d instances in service", n), func() bool {
		found = nil
		for _, i := range f.cloud.Records().Instances {
			if i.Alive() && i.State == world.InService {
				found = append(found, f.find(i.ID))
			}
		}
		return len(found) >= n
	})
	return found
}

// up waits for the first instance.
func (f *fleet) up() *instance { f.t.Helper(); return f.inService(1)[0] }

func (f *fleet) record(m *instance) world.InstanceRecord {
	for _, i := range f.cloud.Records().Instances {
		if i.ID == m.id {
			return i
		}
	}
	return world.InstanceRecord{}
}

// gone waits until the group is done with an instance.
func (f *fleet) gone(m *instance) world.InstanceRecord {
	f.t.Helper()
	f.until("the end of "+m.id, func() bool { return !f.record(m).TerminatedAt.IsZero() })
	return f.record(m)
}

// desired is the group's desired capacity.
func (f *fleet) desired() int { return f.cloud.Records().Groups[0].Desired }

// changes are those of the group's desired capacity, in order.
func (f *fleet) changes() []world.CapacityChanged {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.capacity)
}

// managers are the instances' records at the shared runner in GitLab.
func (f *fleet) managers() (ids []string) {
	for _, r := range f.cloud.Records().Runners {
		for _, m := range r.Managers {
			ids = append(ids, m.SystemID)
		}
	}
	return ids
}

// registered tells whether GitLab knows of an instance.
func (f *fleet) registered(m *instance) bool {
	return slices.Contains(f.managers(), life.SystemID(m.id))
}

// submit makes a job wait.
func (f *fleet) submit(script ...string) int64 {
	return f.cloud.SubmitJob(world.JobSpec{Name: "job", Script: script})
}

func (f *fleet) job(id int64) world.Job {
	for _, j := range f.cloud.Records().Jobs {
		if j.ID == id {
			return j
		}
	}
	return world.Job{}
}

// untilJob waits until a job is in a state; one that ended otherwise fails the test.
func (f *fleet) untilJob(id int64, is world.JobStatus) world.Job {
	f.t.Helper()
	f.until(fmt.Sprintf("job %d to be %s", id, is), func() bool {
		j := f.job(id)
		if j.Status.Finished() && j.Status != is {
			f.t.Fatalf("job %d is %s (%s), want %s", id, j.Status, j.FailureReason, is)
		}
		return j.Status == is
	})
	return f.job(id)
}

// works asserts that a job that is submitted now is run.
func (f *fleet) works() {
	f.t.Helper()
	f.untilJob(f.submit("echo done"), world.JobSuccess)
}

// calls is how often an operation was called.
func (f *fleet) calls(operation string) (n int) {
	for _, c := range f.cloud.Records().Calls {
		if strings.Contains(c.Operation, operation) {
			n += c.Count
		}
	}
	return n
}

// untilSaid waits for a line in an instance's journal.
func (f *fleet) untilSaid(m *instance, words ...string) line {
	f.t.Helper()
	f.until(fmt.Sprintf("a line with %q on %s", words, m.id), func() bool { return len(m.said(words...)) > 0 })
	return m.said(words...)[0]
}

// drainedNothing asserts that no instance was taken out of service, no job hurt.
func (f *fleet) drainedNothing(ms ...*instance) {
	f.t.Helper()
	for _, m := range ms {
		if r := f.record(m); !r.Alive() || r.State != world.InService {
			f.t.Errorf("%s is %s (%s), want it in service", m.id, r.State, r.Reason)
		}
		if !f.registered(m) {
			f.t.Errorf("%s is not registered in GitLab any more", m.id)
		}
		if m.exists("/run/shoal/notice.json") {
			f.t.Errorf("%s has a notice", m.id)
		}
	}
	for _, j := range f.cloud.Records().Jobs {
		if j.Status.Finished() && j.Status != world.JobSuccess {
			f.t.Errorf("job %d is %s (%s)", j.ID, j.Status, j.FailureReason)
		}
	}
}

// tick is how often a condition is looked at. Most conditions start a program on
// an instance, and all instances share two cores.
const tick = 200 * time.Millisecond

// until waits for a condition and fails the test when it does not come.
func (f *fleet) until(what string, is func() bool) {
	f.t.Helper()
	f.within(patience, what, is)
}

func (f *fleet) within(d time.Duration, what string, is func() bool) {
	f.t.Helper()
	if !waitFor(d, is) {
		f.t.Fatalf("waited %s for %s", d, what)
	}
}

// stays asserts that a condition holds for a while.
func (f *fleet) stays(d time.Duration, what string, is func() bool) {
	f.t.Helper()
	if waitFor(d, func() bool { return !is() }) {
		f.t.Fatalf("%s no longer", what)
	}
}

func waitFor(d time.Duration, is func() bool) bool {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for end := time.Now().Add(d); !is(); <-ticker.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
