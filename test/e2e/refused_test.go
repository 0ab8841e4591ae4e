package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/world"
)

// role is who AWS thinks the instances are.
const role = "arn:aws:sts::123456789012:assumed-role/fleet/i-0"

// whenever answers every request whose operation ends with one text.
func whenever(operation string, f emulator.Fault) func(*plan) {
	return func(p *plan) {
		p.cloud.Fault = func(q emulator.Request) emulator.Fault {
			if strings.HasSuffix(q.Operation, operation) {
				return f
			}
			return emulator.Fault{}
		}
	}
}

// denied is AWS's refusal of one action; SSM's answers are JSON.
func denied(operation, action, resource string) func(*plan) {
	return whenever(operation, emulator.AccessDenied(role, action, resource))
}

func withToken(t world.AccessToken) func(*plan) {
	return func(p *plan) {
		inMode("create")(p)
		p.machines.Token = t.Token
		p.cloud.AccessTokens = []world.AccessToken{t}
	}
}

const noInstances = `<DescribeAutoScalingInstancesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeAutoScalingInstancesResult><AutoScalingInstances/></DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>`

// TestInitRefused: what is refused for good ends init with 3 (2 where the
// configuration is to be mended) and words that say how; the launch is given up
// where its hook is known, and nothing stays behind in GitLab.
func TestInitRefused(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/ci"
	for name, c := range map[string]struct {
		change func(*plan)
		code   int
		stays  bool // the hook is not abandoned: it cannot be, or is not known
		says   []string
	}{
		"token revoked": {
			change: withToken(world.AccessToken{Token: apiToken, Scopes: []string{world.ScopeAPI}, Revoked: true}),
			code:   3, says: []string{"revoked", "create_runner", "gitlab.token"},
		},
		"token expired": {
			change: withToken(world.AccessToken{Token: apiToken, Scopes: []string{world.ScopeAPI}, ExpiresAt: time.Now().Add(-time.Hour)}),
			code:   3, says: []string{"expired", "create_runner", "gitlab.token"},
		},
		"token without the scope": {
			change: withToken(world.AccessToken{Token: apiToken, Scopes: []string{world.ScopeReadAPI}}),
			code:   3, says: []string{"403", "make a token with the scope create_runner", "gitlab.token"},
		},
		"shared token unknown": {
			change: func(p *plan) { p.machines.Token = "glrt-e2e-deleted-0123456789" },
			code:   3, says: []string{"403", "GitLab does not know this runner token"},
		},
		"registration tokens closed": {
			change: func(p *plan) { inMode("legacy")(p); p.world.RegistrationClosed = true },
			code:   3, says: []string{"410", "set gitlab.mode to token or create"},
		},
		"registration token unknown": {
			change: func(p *plan) { inMode("legacy")(p); p.machines.Token = "GR1348941-e2e-reset" },
			code:   3, says: []string{"403", "registration token", "set gitlab.mode to token or create"},
		},
		"group of another name": {
			change: whenever("aws:autoscaling:groupName", emulator.Fault{Status: http.StatusOK, Body: "nosuch"}),
			code:   3, stays: true, says: []string{"nosuch"},
		},
		"in no group": {
			change: func(p *plan) {
				p.group.NoTagsInMetadata = true
				whenever("DescribeAutoScalingInstances", emulator.Fault{Status: http.StatusOK, Body: noInstances})(p)
			},
			code: 3, stays: true, says: []string{"group"},
		},
		"may not describe hooks": {
			change: denied("DescribeLifecycleHooks", "autoscaling:DescribeLifecycleHooks", "*"),
			code:   3, stays: true, says: []string{"allow autoscaling:DescribeLifecycleHooks on *", "role fleet"},
		},
		"may not find its group": {
			change: func(p *plan) {
				p.group.NoTagsInMetadata = true
				denied("DescribeAutoScalingInstances", "autoscaling:DescribeAutoScalingInstances", "*")(p)
			},
			code: 3, stays: true, says: []string{"allow autoscaling:DescribeAutoScalingInstances on *", "role fleet"},
		},
		"may not complete the hook": {
			change: denied("CompleteLifecycleAction", "autoscaling:CompleteLifecycleAction", arn),
			code:   3, stays: true, says: []string{"allow autoscaling:CompleteLifecycleAction on " + arn, "role fleet"},
		},
		"may not read the secret": {
			change: func(p *plan) {
				p.settings["gitlab.token"] = "ssm:/ci/token"
				whenever("GetParameter", emulator.Fault{
					Status: 400, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
					Body: `{"__type":"AccessDeniedException","message":"User: ` + role + ` is not authorized to perform: ssm:GetParameter on resource: arn:aws:ssm:eu-central-1:123456789012:parameter/ci/token"}`,
				})(p)
			},
			code: 3, says: []string{"allow ssm:GetParameter on arn:aws:ssm:eu-central-1:123456789012:parameter/ci/token", "role fleet"},
		},
		"no such secret": {
			change: func(p *plan) { p.settings["gitlab.token"] = "secretsmanager:ci/token" },
			code:   3, says: []string{"ci/token", "create it in eu-central-1"},
		},
		"two launch hooks": {
			change: func(p *plan) { p.group.Hooks = append(p.group.Hooks, launchHook("other")) },
			code:   2, stays: true, says: []string{`"launch", "other"`, "group.launch_hook"},
		},
		"a launch hook that is not there": {
			change: func(p *plan) { p.settings["group.launch_hook"] = "lunch" },
			code:   2, stays: true, says: []string{`"lunch"`, "group.launch_hook", `"launch"`},
		},
		"the configuration": {
			change: func(p *plan) { p.settings["monitor.period"] = "often" },
			code:   2, stays: true, says: []string{"SHOAL_MONITOR_PERIOD", "often"},
		},
		"the template": {
			change: func(p *plan) { p.machines.Template = "concurrent = 0\n[[runners]]\nexecutor = \"shell\"\n" },
			code:   2, says: []string{"config.template.toml", "set concurrent to 1 or more"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, func(p *plan) { p.single = true }, c.change)
			id := s.first()
			until(t, "runner-init to fail", func() bool { return s.exitOf("runner-init.service") == c.code })
			waitFor(5*time.Second, func() bool { return holds(s.journal.plain(), c.says) }) // the last lines may come after the exit
			mentions(t, s.journal.plain(), c.says...)
			if !c.stays {
				if i := s.gone(id); i.Reason != world.ReasonLaunchAbandon {
					t.Errorf("the instance went for %q, want %q", i.Reason, world.ReasonLaunchAbandon)
				}
			}
			if n := managers(s.records()); n != 0 {
				t.Errorf("%d managers are left in GitLab, want none", n)
			}
			if r := s.records(); len(r.Runners) != 1 || len(r.Instances) != 1 {
				t.Errorf("%d runners and %d instances, want the shared runner and the one instance", len(r.Runners), len(r.Instances))
			}
		})
	}
}

func managers(r world.Records) int {
	n := 0
	for _, one := range r.Runners {
		n += len(one.Managers)
	}
	return n
}

// TestInitMendedInTime: a token that is refused is waited for while the hook is,
// and read anew.
func TestInitMendedInTime(t *testing.T) {
	t.Parallel()
	s := open(t, inMode("create"), func(p *plan) {
		p.single = true
		p.settings["init.patience"] = "10m"
		p.cloud.AccessTokens = []world.AccessToken{{Token: apiToken, Scopes: []string{world.ScopeReadAPI}}}
	})
	s.untilSaid("ERROR", "init", "cannot register; trying again", "create_runner")
	s.do(func(w *world.World, _ time.Time) error {
		w.AddAccessToken(world.AccessToken{Token: apiToken, Scopes: []string{world.ScopeCreateRunner}})
		return nil
	})
	s.up()
	s.works()
}

// TestInitRunnerNeverUp: a runner that is started and never serves its metrics.
func TestInitRunnerNeverUp(t *testing.T) {
	t.Parallel()
	s := open(t, inMode("create"), func(p *plan) {
		p.single = true
		p.settings["init.timeout"] = "3s"
		p.machines.Runner = filepath.Join(p.machines.Dir, "broken-runner")
		if err := os.WriteFile(p.machines.Runner, []byte("#!/bin/sh\nexec sleep 600\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	})
	id := s.first()
	l := s.untilExit("init", 1)
	mentions(t, l.Msg, "start gitlab-runner within 3s", "journalctl -u gitlab-runner", "init.timeout")
	if i := s.gone(id); i.Reason != world.ReasonLaunchAbandon {
		t.Errorf("the instance went for %q, want %q", i.Reason, world.ReasonLaunchAbandon)
	}
	if own := s.own("create"); len(own) != 0 {
		t.Errorf("GitLab still has %+v", own)
	}
}

// exitOf is the code that a unit failed with first; -1 while it has not.
func (s *site) exitOf(unit string) int {
	for _, l := range s.journal.all() {
		if code, ok := strings.CutPrefix(l.text, "failed: exit status "); ok && l.unit == unit && len(code) > 0 {
			return int(code[0] - '0')
		}
	}
	return -1
}
