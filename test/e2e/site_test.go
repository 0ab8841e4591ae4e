package e2e_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/machine"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

const (
	group       = "ci"
	region      = "eu-central-1"
	sharedToken = "glrt-e2e-shared-0123456789"
	apiToken    = "glpat-e2e-api-0123456789"
	closeToken  = "GR1348941-e2e-0123456789" // a registration token
	patience    = 60 * time.Second           // bounds every wait; nothing takes nearly as long
)

// plan is what a site begins with. The tests change what they are about.
type plan struct {
	world    world.Options
	group    world.GroupSpec
	cloud    emulator.Options
	machines machine.Options
	settings map[string]string // keys of the configuration, over pace
	single   bool              // the group launches one instance and no more
	prepare  func(root string) // furnishes an instance's folder before its image does
}

// pace is the configuration of all tests: fast, and never idle for long enough
// to leave unless a test says so.
var pace = map[string]string{
	"gitlab.runner_type": "instance_type", "gitlab.run_untagged": "true",
	"init.timeout": "20s", "init.patience": "0s",
	"monitor.period": "400ms", "monitor.saturated_period": "300ms", "monitor.idle_threshold": "1h",
	"monitor.unprotect_after": "1s", "monitor.hold_timeout": "10s",
	"scale_up.period": "400ms", "scale_up.blind_after": "2s",
	"lifecycle_check.period":  "300ms",
	"runner.shutdown_timeout": "4s", "unregister.margin": "6s", "unregister.kill_after": "1s", "unregister.hold_timeout": "10s",
}

func launchHook(name string) world.Hook {
	return world.Hook{Name: name, Transition: world.AtLaunch, HeartbeatTimeout: 30 * time.Second, DefaultResult: world.Abandon}
}

func terminateHook(name string) world.Hook {
	return world.Hook{Name: name, Transition: world.AtTermination, HeartbeatTimeout: 30 * time.Second, DefaultResult: world.Continue}
}

// site is a group of instances that are processes of the real program.
type site struct {
	t        *testing.T
	plan     plan
	cloud    *emulator.Cloud
	machines *machine.Machines
	journal  *journal
	followed chan struct{} // closed when the last event has been dealt with

	mu     sync.Mutex
	tokens map[string]bool // every runner's token that was ever seen
}

// open starts a site; it is audited and closed with the test.
func open(t *testing.T, change ...func(*plan)) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // short: sockets' paths are bounded
	if err != nil {
		t.Fatal(err)
	}
	p := plan{
		world: world.Options{
			Region: region, AccountID: "123456789012", Boot: 50 * time.Millisecond, React: 200 * time.Millisecond,
			HealthCheck: 500 * time.Millisecond, Shutdown: 700 * time.Millisecond,
		},
		group: world.GroupSpec{
			Name: group, Min: 0, Max: 3, Desired: 1, Hooks: []world.Hook{launchHook("launch"), terminateHook("terminate")},
		},
		cloud: emulator.Options{
			AccessTokens:       []world.AccessToken{{Token: apiToken, Scopes: []string{world.ScopeAPI}}},
			RegistrationTokens: []world.RegistrationToken{{Token: closeToken}},
			Runners:            []world.NewRunner{{Type: world.TypeInstance, Description: "shared", RunUntagged: true, Token: sharedToken}},
			PollHold:           time.Second,
		},
		machines: machine.Options{Dir: dir, Region: region, Token: sharedToken, Slots: 2, Shoal: program},
		settings: map[string]string{},
	}
	for _, c := range change {
		c(&p)
	}
	s := &site{t: t, plan: p, journal: &journal{}, followed: make(chan struct{}), tokens: map[string]bool{}}
	p.cloud.World, p.cloud.Groups = p.world, []world.GroupSpec{p.group}
	if s.cloud, err = emulator.Start(p.cloud); err != nil {
		t.Fatal(err)
	}
	p.machines.Cloud, p.machines.Line = s.cloud, s.journal.add
	p.machines.Env = append(p.machines.Env, variables(p.settings)...)
	if s.machines, err = machine.New(p.machines); err != nil {
		t.Fatal(err)
	}
	go s.follow()
	t.Cleanup(func() { s.close(dir) })
	return s
}

// variables are settings as the environment has them.
func variables(settings map[string]string) []string {
	var env []string
	for _, from := range []map[string]string{pace, settings} {
		for k, v := range from {
			if _, over := settings[k]; over && v != settings[k] {
				continue
			}
			name := "SHOAL_" + strings.ToUpper(strings.ReplaceAll(k, ".", "_")) + "=" + v
			if !slices.Contains(env, name) {
				env = append(env, name)
			}
		}
	}
	slices.Sort(env)
	return env
}

// follow makes processes of what the world says of instances.
func (s *site) follow() {
	defer close(s.followed)
	for e := range s.cloud.Events() {
		switch e := e.(type) {
		case world.InstanceLaunched:
			s.launched(e.ID)
		case world.InstanceBooted:
			if err := s.machines.Boot(e.ID, e.Again); err != nil {
				s.journal.add(e.ID, "machine", err.Error())
			}
		case world.InstanceDead:
			s.machines.Kill(e.ID)
		case world.InstanceStopped:
			s.machines.Kill(e.ID)
		}
	}
}

func (s *site) launched(id string) {
	if s.plan.prepare != nil {
		s.plan.prepare(s.machines.Root(id))
	}
	if s.plan.single {
		s.do(func(w *world.World, now time.Time) error { return w.Suspend(now, group, "Launch") })
	}
}

func (s *site) close(dir string) {
	s.audit()
	s.cloud.Close()
	<-s.followed
	s.machines.KillAll()
	if s.t.Failed() {
		s.t.Logf("the instances said:\n%s", s.journal.text())
	}
	if err := os.RemoveAll(dir); err != nil {
		s.t.Error(err)
	}
}

// do changes the world; a refusal fails the test.
func (s *site) do(f func(*world.World, time.Time) error) {
	var err error
	s.cloud.Do(func(w *world.World, now time.Time) { err = f(w, now) })
	if err != nil {
		s.t.Error(err)
	}
}

// records are the world's, and every runner's token in them is kept for the audit.
func (s *site) records() world.Records {
	r := s.cloud.Records()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range r.Runners {
		s.tokens[one.Token] = true
	}
	return r
}

// until waits for a state of the world.
func (s *site) until(what string, is func(world.Records) bool) {
	s.t.Helper()
	until(s.t, what, func() bool { return is(s.records()) })
}

// inService waits for n instances in service and returns their ids.
func (s *site) inService(n int) []string {
	s.t.Helper()
	var ids []string
	s.until(strconv.Itoa(n)+" instances in service", func(r world.Records) bool {
		ids = nil
		for _, i := range r.Instances {
			if i.Alive() && i.State == world.InService {
				ids = append(ids, i.ID)
			}
		}
		return len(ids) >= n
	})
	return ids
}

// up waits for the one instance of a site.
func (s *site) up() string { s.t.Helper(); return s.inService(1)[0] }

// first waits for the machine of the first instance and returns its id.
func (s *site) first() (id string) {
	s.t.Helper()
	s.until("a machine", func(r world.Records) bool {
		if len(r.Instances) > 0 && !r.Instances[0].BootedAt.IsZero() {
			id = r.Instances[0].ID
		}
		return id != ""
	})
	until(s.t, "its supervisor", func() bool {
		_, err := s.machines.Command(s.t.Context(), id, "systemctl")
		return err == nil
	})
	return id
}

func (s *site) instance(id string) world.InstanceRecord {
	for _, i := range s.records().Instances {
		if i.ID == id {
			return i
		}
	}
	return world.InstanceRecord{}
}

// gone waits until the group is done with an instance.
func (s *site) gone(id string) world.InstanceRecord {
	s.t.Helper()
	until(s.t, "the end of "+id, func() bool { return !s.instance(id).TerminatedAt.IsZero() })
	return s.instance(id)
}

// noGhosts asserts that no manager of a dead instance, and in the modes with a
// runner per instance no runner without an instance, is left in GitLab.
func (s *site) noGhosts() {
	s.t.Helper()
	r := s.records()
	alive := map[string]bool{}
	for _, i := range r.Instances {
		if i.Alive() {
			alive[life.SystemID(i.ID)], alive[group+"/"+i.ID] = true, true
		}
	}
	for _, one := range r.Runners {
		if one.Token != sharedToken && !alive[one.Description] {
			s.t.Errorf("runner %d (%s) is left in GitLab though its instance is gone", one.ID, one.Description)
		}
		for _, m := range one.Managers {
			if !alive[m.SystemID] {
				s.t.Errorf("manager %s of runner %d is left in GitLab though its instance is gone", m.SystemID, one.ID)
			}
		}
	}
}

// submit makes a job wait.
func (s *site) submit(script ...string) int64 {
	return s.cloud.SubmitJob(world.JobSpec{Name: "job", Script: script})
}

func (s *site) job(id int64) world.Job {
	for _, j := range s.records().Jobs {
		if j.ID == id {
			return j
		}
	}
	return world.Job{}
}

func (s *site) untilJob(id int64, is world.JobStatus) world.Job {
	s.t.Helper()
	until(s.t, "job to be "+string(is), func() bool { return s.job(id).Status == is })
	return s.job(id)
}

// works asserts that a job that is submitted now is run.
func (s *site) works() {
	s.t.Helper()
	s.untilJob(s.submit("echo done"), world.JobSuccess)
}

// calls is how often an operation was called.
func calls(r world.Records, operation string) int {
	n := 0
	for _, c := range r.Calls {
		if strings.Contains(c.Operation, operation) {
			n += c.Count
		}
	}
	return n
}

// tick is how often a condition that is waited for is looked at.
const tick = 25 * time.Millisecond

// until waits for a condition and fails the test when it does not come.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	if !waitFor(patience, is) {
		t.Fatalf("waited %s for %s", patience, what)
	}
}

// stays asserts that a condition holds for a while.
func stays(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	if waitFor(d, func() bool { return !is() }) {
		t.Fatalf("%s no longer", what)
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
