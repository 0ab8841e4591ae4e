package ansible_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/machine"
	"github.com/shoal-ci/shoal/internal/world"
)

const (
	group       = "ci"
	region      = "eu-central-1"
	sharedToken = "glrt-ansible-shared-0123456789"
	patience    = 60 * time.Second // bounds every wait; nothing takes nearly as long
	tick        = 25 * time.Millisecond
)

// pace is the configuration of the instances: fast, and never idle for long
// enough to leave.
var pace = []string{
	"SHOAL_INIT_TIMEOUT=20s", "SHOAL_INIT_PATIENCE=0s",
	"SHOAL_MONITOR_PERIOD=400ms", "SHOAL_MONITOR_SATURATED_PERIOD=300ms", "SHOAL_MONITOR_IDLE_THRESHOLD=1h", "SHOAL_MONITOR_UNPROTECT_AFTER=1s",
	"SHOAL_SCALE_UP_PERIOD=400ms", "SHOAL_SCALE_UP_BLIND_AFTER=2s",
	"SHOAL_LIFECYCLE_CHECK_PERIOD=300ms", "SHOAL_UNREGISTER_HOLD_TIMEOUT=10s",
}

// site is a group of instances whose units leave the three verbs to playbooks.
type site struct {
	t        *testing.T
	cloud    *emulator.Cloud
	machines *machine.Machines
	followed chan struct{}

	mu      sync.Mutex
	journal strings.Builder
}

// Stand-ins for the program as the units call it; all else is the program's own.
const (
	// byHand leaves the three verbs to the test: the units find them refused.
	byHand = "exit 3"
	// byUnit has the units run the playbooks, as the drop-ins do.
	byUnit = `case $1 in
init) play=gitlab_runner_init ;;
scale-up) play=scale_up ;;
*) play=gitlab_runner_unreg ;;
esac
exec ansible-playbook -i localhost, "%[2]s/$play.yml" -e shoal_program=%[1]s -e shoal_own_tasks="$HOME/own"`
)

// noHooks has nothing wait for the playbooks, and nothing follow from their failures.
func noHooks(p *plan) { p.group.Hooks = nil }

// impatient has an instance that cannot work replaced soon.
func impatient(p *plan) { p.env = append(p.env, "SHOAL_MONITOR_UNHEALTHY_AFTER=3s") }

// plan is what a test can have otherwise.
type plan struct {
	group world.GroupSpec
	env   []string
}

// open starts a site of one instance.
func open(t *testing.T, units, token string, change ...func(*plan)) *site {
	t.Helper()
	tool(t, "ansible-playbook", "nobody runs the playbooks")
	dir, err := os.MkdirTemp("", "ans-") //nolint:usetesting // short: sockets' paths are bounded
	if err != nil {
		t.Fatal(err)
	}
	shim := filepath.Join(dir, "shoal")
	if strings.Contains(units, "%") {
		units = fmt.Sprintf(units, program, playbooks)
	}
	write(t, shim, "#!/bin/sh\ncase $1 in init|scale-up|unregister)\n"+units+"\n;; esac\nexec "+program+" \"$@\"\n", 0o755)
	s := &site{t: t, followed: make(chan struct{})}
	p := plan{env: slices.Clone(pace), group: world.GroupSpec{Name: group, Max: 3, Desired: 1, Hooks: []world.Hook{
		{Name: "launch", Transition: world.AtLaunch, HeartbeatTimeout: time.Minute, DefaultResult: world.Abandon},
		{Name: "terminate", Transition: world.AtTermination, HeartbeatTimeout: time.Minute, DefaultResult: world.Continue},
	}}}
	for _, c := range change {
		c(&p)
	}
	s.cloud, err = emulator.Start(emulator.Options{
		World: world.Options{
			Region: region, AccountID: "123456789012", Boot: 50 * time.Millisecond, React: 200 * time.Millisecond,
			HealthCheck: 500 * time.Millisecond,
			Shutdown:    5 * time.Second, // a playbook that has completed the hook ends in peace
		},
		Groups:   []world.GroupSpec{p.group},
		Runners:  []world.NewRunner{{Type: world.TypeInstance, Description: "shared", RunUntagged: true, Token: sharedToken}},
		PollHold: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.machines, err = machine.New(machine.Options{
		Dir: dir, Cloud: s.cloud, Region: region, Token: token, Slots: 2, Shoal: shim, Standin: program, Env: p.env, Line: s.note,
	})
	if err != nil {
		t.Fatal(err)
	}
	go s.follow()
	t.Cleanup(func() { s.close(dir) })
	return s
}

func (s *site) note(instance, unit, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.journal, "%s %s: %s\n", instance, unit, text)
}

func (s *site) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.String()
}

// follow makes processes of what the world says of instances.
func (s *site) follow() {
	defer close(s.followed)
	for e := range s.cloud.Events() {
		switch e := e.(type) {
		case world.InstanceBooted:
			if err := s.machines.Boot(e.ID, e.Again); err != nil {
				s.note(e.ID, "machine", err.Error())
			}
		case world.InstanceDead:
			s.machines.Kill(e.ID)
		}
	}
}

func (s *site) close(dir string) {
	s.cloud.Close()
	<-s.followed
	s.machines.KillAll()
	if s.t.Failed() {
		s.t.Logf("the instances said:\n%s", s.said())
	}
	if strings.Contains(s.said(), sharedToken) {
		s.t.Error("the runner's token is in what the units printed")
	}
	if err := os.RemoveAll(dir); err != nil {
		s.t.Error(err)
	}
}

// first waits for the machine of the first instance and returns its id.
func (s *site) first() (id string) {
	s.t.Helper()
	s.until("a machine that is up", func(r world.Records) bool {
		if len(r.Instances) > 0 {
			id = r.Instances[0].ID
		}
		_, err := s.machines.Environ(id)
		return err == nil
	})
	return id
}

func (s *site) until(what string, is func(world.Records) bool) {
	s.t.Helper()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for end := time.Now().Add(patience); !is(s.cloud.Records()); <-ticker.C {
		if time.Now().After(end) {
			s.t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

func (s *site) instance(id string) world.InstanceRecord {
	for _, i := range s.cloud.Records().Instances {
		if i.ID == id {
			return i
		}
	}
	return world.InstanceRecord{}
}

// inService waits until an instance is.
func (s *site) inService(id string) {
	s.t.Helper()
	s.until(id+" in service", func(world.Records) bool { return s.instance(id).State == world.InService })
}

// setDesired is an operator's change.
func (s *site) setDesired(n int) {
	s.t.Helper()
	var err error
	s.cloud.Do(func(w *world.World, now time.Time) { err = w.SetDesired(now, group, n) })
	if err != nil {
		s.t.Fatal(err)
	}
}

// own writes a file of the user's own tasks on an instance.
func (s *site) own(id, name, tasks string) {
	s.t.Helper()
	write(s.t, filepath.Join(s.ownDir(id), name), tasks, 0o644)
}

func (s *site) ownDir(id string) string {
	return filepath.Join(s.machines.Root(id), "var/lib/gitlab-runner/own")
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// managers are the machines that GitLab knows of the shared runner.
func managers(r world.Records) int {
	n := 0
	for _, one := range r.Runners {
		n += len(one.Managers)
	}
	return n
}
