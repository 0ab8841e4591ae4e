package e2e_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// operators is a template as an operator writes one: with two sections, and
// things in it that Shoal does not know.
const operators = `# our own words
concurrent = 2
check_interval = 1
connection_max_age = "15m" # ours

[session_server]
  session_timeout = 1800

[[runners]]
  name = "first"
  executor = "shell"
  environment = ["OURS=1"] # kept
  [runners.cache]
    Type = "s3"

[[runners]]
  name = "second"
  executor = "shell"
  limit = 1
`

// inMode has the instances register in one of the three modes.
func inMode(mode string) func(*plan) {
	return func(p *plan) {
		p.settings["gitlab.mode"] = mode
		p.settings["gitlab.tags"] = "linux,e2e"
		switch mode {
		case "create":
			p.machines.Token = apiToken
		case "legacy":
			p.machines.Token = closeToken
		}
	}
}

func TestInitRegisters(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"token", "create", "legacy"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := open(t, inMode(mode), func(p *plan) { p.machines.Template, p.single = operators, true })
			id := s.up()
			s.works()
			s.checkRegistered(mode, id)
			s.checkConfig(id)
			before := s.records()

			out := s.run(id, "shoal", "init", "--json")
			var result struct {
				Exit    int
				Summary string
			}
			if err := json.Unmarshal([]byte(out.stdout), &result); err != nil || out.code != 0 || result.Exit != 0 {
				t.Errorf("a second init exits with %d (%v): %s%s", out.code, err, out.stdout, out.stderr)
			}
			s.checkRegistered(mode, id)
			s.sameRunners(before)

			s.machines.Kill(id) // a reboot, without any grace
			if err := s.machines.Boot(id, true); err != nil {
				t.Fatal(err)
			}
			s.works()
			s.checkRegistered(mode, id)
			s.sameRunners(before)
		})
	}
}

// own are the runners that an instance made, or the shared one.
func (s *site) own(mode string) []world.Runner {
	return slices.DeleteFunc(s.records().Runners, func(r world.Runner) bool { return (r.Token == sharedToken) != (mode == "token") })
}

// checkRegistered asserts that GitLab has one runner for each section of the
// operator's template, or, where all share a token, one manager.
func (s *site) checkRegistered(mode, id string) {
	s.t.Helper()
	want := map[string]int{"token": 1, "create": 2, "legacy": 2}[mode]
	own := s.own(mode)
	if len(own) != want {
		s.t.Fatalf("GitLab has %d runners of this instance, want %d: %+v", len(own), want, own)
	}
	for _, r := range own {
		if len(r.Managers) != 1 || r.Managers[0].SystemID != life.SystemID(id) {
			s.t.Errorf("runner %d has managers %+v, want one with system id %s", r.ID, r.Managers, life.SystemID(id))
		}
		if mode == "token" {
			continue
		}
		if r.Description != group+"/"+id || !slices.Equal(r.Tags, []string{"e2e", "linux"}) || !r.RunUntagged || r.Type != world.TypeInstance || r.Legacy != (mode == "legacy") {
			s.t.Errorf("runner %d is %+v", r.ID, r)
		}
		if !strings.Contains(r.MaintenanceNote, id) || !strings.Contains(r.MaintenanceNote, group) {
			s.t.Errorf("the maintenance note %q names neither instance nor group", r.MaintenanceNote)
		}
	}
	if s.exists(id, "run/shoal/notice.json") {
		s.t.Error("there is a notice")
	}
}

func (s *site) sameRunners(before world.Records) {
	s.t.Helper()
	now := s.records()
	for _, r := range before.Runners {
		if !slices.ContainsFunc(now.Runners, func(n world.Runner) bool { return n.ID == r.ID && n.Token == r.Token }) {
			s.t.Errorf("runner %d is another by now", r.ID)
		}
	}
	for _, operation := range []string{"POST /api/v4/user/runners", "POST /api/v4/runners"} {
		if a, b := countExactly(before, operation), countExactly(now, operation); a != b {
			s.t.Errorf("%s was called %d more times, want none", operation, b-a)
		}
	}
}

func countExactly(r world.Records, operation string) int {
	for _, c := range r.Calls {
		if c.Operation == operation {
			return c.Count
		}
	}
	return 0
}

// checkConfig asserts that everything that the operator wrote is in config.toml,
// with a token for each section, and that nobody else can read it.
func (s *site) checkConfig(id string) {
	s.t.Helper()
	for _, name := range []string{"etc/gitlab-runner/config.toml", "var/lib/shoal/registration.json"} {
		info, err := os.Stat(s.path(id, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			s.t.Fatalf("%s: %v, %v, want mode 0600", name, info, err)
		}
	}
	data, err := os.ReadFile(s.path(id, "etc/gitlab-runner/config.toml"))
	if err != nil {
		s.t.Fatal(err)
	}
	for text := range strings.Lines(operators) {
		if !strings.Contains(string(data), strings.TrimRight(text, "\n")) {
			s.t.Errorf("config.toml has lost the operator's %q", text)
		}
	}
	var got struct {
		ListenAddress string `toml:"listen_address"`
		Runners       []struct {
			Name, URL, Token string
		}
	}
	if err := toml.Unmarshal(data, &got); err != nil {
		s.t.Fatal(err)
	}
	if len(got.Runners) != 2 || got.ListenAddress == "" {
		s.t.Fatalf("config.toml has %d sections and listens on %q", len(got.Runners), got.ListenAddress)
	}
	for i, r := range got.Runners {
		if r.URL != s.cloud.GitLabURL() || r.Token == "" || r.Name != []string{"first", "second"}[i] {
			s.t.Errorf("section %d has name %q, url %q and a token: %v", i, r.Name, r.URL, r.Token != "")
		}
	}
}

func TestInitWithoutHook(t *testing.T) {
	t.Parallel()
	s := open(t, func(p *plan) { p.group.Hooks = nil })
	s.up()
	s.works()
	s.untilSaid("WARN", "complete no launch hook", `group "ci" has none`)
}

// TestInitWarmPool: in a warm pool nothing is registered; once the instance is
// wanted it is, whether it was off meanwhile or not.
func TestInitWarmPool(t *testing.T) {
	t.Parallel()
	for _, state := range []world.State{world.WarmedStopped, world.WarmedRunning} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			s := open(t, inMode("create"), func(p *plan) {
				p.group.Desired, p.group.Warm = 0, &world.WarmPool{Size: 1, State: state}
			})
			s.until("an instance in the pool", func(r world.Records) bool {
				return len(r.Instances) == 1 && r.Instances[0].State == state
			})
			id := s.records().Instances[0].ID
			if calls(s.records(), "CompleteLifecycleAction") != 1 {
				t.Error("the launch hook was not completed once")
			}
			stays(t, 2*time.Second, "nothing is registered", func() bool { return len(s.own("create")) == 0 })
			s.do(func(w *world.World, now time.Time) error { return w.SetDesired(now, group, 1) })
			if got := s.up(); got != id {
				t.Errorf("instance %s is in service, want %s from the pool", got, id)
			}
			s.works()
			if own := s.own("create"); len(own) < 1 || own[0].Description != group+"/"+id {
				t.Errorf("the runners are %+v, want that of %s", own, id)
			}
		})
	}
}

// TestInitBeforeTheGroupHolds: the machine is up, and init done with its work,
// some seconds before the group begins to hold the launch.
func TestInitBeforeTheGroupHolds(t *testing.T) {
	t.Parallel()
	s := open(t, func(p *plan) { p.group.Min, p.world.HoldLag = 1, 8*time.Second })
	id := s.up()
	stays(t, time.Second, "it is in service", func() bool {
		i := s.records().Instances
		return len(i) == 1 && i[0].ID == id && i[0].State == world.InService
	})
	s.untilSaid("completed launch hook")
}
