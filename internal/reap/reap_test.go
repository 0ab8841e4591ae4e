package reap_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/autoscaling"
	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/direct"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/gitlab"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/reap"
	"github.com/shoal-ci/shoal/internal/world"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const strong, weak = "glpat-strong", "glpat-weak"

// site is a fleet of emulated services in virtual time, and a reaper over the
// real edges.
type site struct {
	*emulator.Cloud
	t     *testing.T
	edges reap.Edges
	made  map[string]int64 // runners by instance
	token string
	log   strings.Builder
}

// each of three groups: two instances in service, and the runner of each.
func newSite(t *testing.T) *site {
	hooks := []world.Hook{
		{Name: "start", Transition: world.AtLaunch, HeartbeatTimeout: 2 * time.Hour},
		{Name: "end", Transition: world.AtTermination, HeartbeatTimeout: 2 * time.Hour, DefaultResult: world.Continue},
	}
	c, err := emulator.Start(emulator.Options{
		NoListen: true,
		World:    world.Options{Boot: time.Second, HealthCheck: time.Minute, Staleness: 3 * time.Second, Shutdown: 20 * time.Second},
		Groups:   []world.GroupSpec{{Name: "ci", Max: 5, Desired: 3, Hooks: hooks}, {Name: "theirs", Max: 5, Desired: 1}},
		AccessTokens: []world.AccessToken{
			{Token: strong, Scopes: []string{world.ScopeManageRunner}}, {Token: weak, Scopes: []string{world.ScopeReadAPI}},
		},
		Runners: []world.NewRunner{{Type: world.TypeGroup, GroupID: 7, Token: "glrt-shared", Description: "shared by all", RunUntagged: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{Cloud: c, t: t, made: map[string]int64{}, token: strong}
	s.wire()
	time.Sleep(2 * time.Second) // booted
	for _, i := range s.Records().Instances {
		if i.Group == "ci" {
			s.enter(i.ID)
		}
		s.register(i.Group, i.ID)
	}
	time.Sleep(10 * time.Second) // and no listing is stale
	return s
}

func (s *site) wire() {
	load := func(context.Context) (aws.Config, error) {
		return aws.Config{
			Region: "eu-central-1", BaseEndpoint: aws.String("http://aws.test"), HTTPClient: &http.Client{Transport: direct.To{Handler: s.AutoScalingHandler()}},
			Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
		}, nil
	}
	cloud, err1 := autoscaling.New(autoscaling.Options{Load: load})
	lab, err2 := gitlab.New(gitlab.Options{URL: "http://gitlab.test", Transport: direct.To{Handler: s.GitLabHandler()}})
	if err := errors.Join(err1, err2); err != nil {
		s.t.Fatal(err)
	}
	s.edges = reap.Edges{AWS: cloud, GitLab: lab, Secrets: s}
}

// Resolve is the reaper's secret.
func (s *site) Resolve(context.Context, string) (fleet.Token, error) {
	return fleet.NewToken(s.token), nil
}

// must carries something out on the world.
func (s *site) must(f func(w *world.World, now time.Time) error) {
	s.t.Helper()
	var err error
	s.Do(func(w *world.World, now time.Time) { err = f(w, now) })
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) enter(id string) {
	s.must(func(w *world.World, now time.Time) error { return w.Complete(now, "ci", "start", id, world.Continue) })
}

func (s *site) register(group, id string) {
	s.Do(func(w *world.World, now time.Time) {
		s.made[id] = w.AddRunner(now, world.NewRunner{Type: world.TypeGroup, GroupID: 7, Description: group + "/" + id, RunUntagged: true}).ID
	})
}

// settings are a reaper's as a service.
func settings() life.ReapSettings {
	return life.ReapSettings{Groups: []string{"ci"}, Token: "env:T", Where: fleet.NewRunner{Type: "group_type", GroupID: 7}, Every: 5 * time.Minute, Seed: 3}
}

// reap runs a reaper for d, or until it ends.
func (s *site) reap(set life.ReapSettings, d time.Duration) agent.Outcome {
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	return agent.Run(ctx, life.NewReap(set), agent.Options{Perform: s.edges.Perform, Log: slog.New(slog.NewTextHandler(&s.log, nil))})
}

// ids are the group's instances, by launch.
func (s *site) ids(group string) (ids []string) {
	for _, i := range s.Records().Instances {
		if i.Group == group {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// wantRunners: the instances whose runners are left, and the shared one.
func (s *site) wantRunners(instances ...string) {
	s.t.Helper()
	var got, want []string
	s.Do(func(w *world.World, now time.Time) {
		for _, r := range w.AllRunners(now) {
			got = append(got, r.Description)
		}
	})
	want = append(want, "shared by all")
	for _, i := range append(instances, s.ids("theirs")[0]) {
		for _, r := range s.Records().Instances {
			if r.ID == i {
				want = append(want, r.Group+"/"+i)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("runners %v\nwant %v\n%s", got, want, s.log.String())
	}
	if strings.Contains(s.log.String(), strong) {
		s.t.Error("the token is in the log")
	}
}

func bubble(t *testing.T, f func(*testing.T, *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.Close()
		f(t, s)
	})
}

// TestCrash: the runner of an instance that died goes, though the group waits
// two hours for the dead one at its hook, and then the hook is completed too;
// living ones, detached ones and strangers stay.
func TestCrash(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		ids, theirs := s.ids("ci"), s.ids("theirs")
		s.must(func(w *world.World, now time.Time) error {
			_, err := w.Detach(now, "ci", true, ids[1])
			return errors.Join(err, w.Crash(now, ids[0]), w.Crash(now, theirs[0]))
		})
		out := s.reap(settings(), 20*time.Minute)
		s.wantRunners(ids[1], ids[2])
		if out.Code != life.Done || !out.Changed {
			t.Errorf("outcome %+v", out)
		}
		for _, i := range s.Records().Instances {
			if i.ID == ids[0] && i.TerminatedAt.Sub(i.DeadAt) > 15*time.Minute || i.ID == ids[0] && i.TerminatedAt.IsZero() {
				t.Errorf("the group waited for %+v", i)
			}
		}
	})
}

// TestLongAfter: EC2 has forgotten the instance, and nobody reaped meanwhile.
func TestLongAfter(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		ids := s.ids("ci")
		s.must(func(w *world.World, now time.Time) error { return w.Crash(now, ids[0]) })
		time.Sleep(24 * time.Hour)
		set := settings()
		set.Every = 0
		out := s.reap(set, time.Hour)
		found, _ := out.Report.([]fleet.Leftover)
		if out.Code != life.Done || len(found) == 0 || !found[0].Done {
			t.Errorf("outcome %+v", out)
		}
		s.wantRunners(ids[1], ids[2])
	})
}

// TestDryRun changes nothing, and tells at once.
func TestDryRun(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		ids := s.ids("ci")
		s.must(func(w *world.World, now time.Time) error { return w.Crash(now, ids[0]) })
		time.Sleep(2 * time.Minute) // it waits in its hook
		set := settings()
		set.Every, set.DryRun = 0, true
		began := time.Now()
		out := s.reap(set, time.Hour)
		if found, _ := out.Report.([]fleet.Leftover); out.Changed || len(found) != 2 || time.Since(began) > time.Minute {
			t.Errorf("outcome %+v after %s", out, time.Since(began))
		}
		s.wantRunners(ids...)
	})
}

// TestDeadInLaunch: a launch that died before it was one is abandoned, and its
// runner goes.
func TestDeadInLaunch(t *testing.T) {
	bubble(t, func(t *testing.T, s *site) {
		old := s.ids("ci")
		s.must(func(w *world.World, now time.Time) error { return w.SetDesired(now, "ci", 4) })
		time.Sleep(5 * time.Second)
		fourth := s.ids("ci")[3]
		s.register("ci", fourth)
		s.must(func(w *world.World, now time.Time) error { return w.Crash(now, fourth) })
		s.reap(settings(), 20*time.Minute)
		s.wantRunners(old...)
		for _, i := range s.Records().Instances {
			if i.ID == fourth && i.Reason != world.ReasonLaunchAbandon {
				t.Errorf("reason %q", i.Reason)
			}
		}
		if n := len(s.ids("ci")); n != 5 {
			t.Errorf("%d instances ever: it was not replaced", n)
		}
	})
}

// TestWeather: services that fail delay the reaper and do not mislead it.
func TestWeather(t *testing.T) {
	throttled := emulator.Fault{Status: 429, Header: http.Header{"Retry-After": {"30"}, "Content-Type": {"application/json"}}, Body: `{"message":"Retry later"}`}
	for name, weather := range map[string]func(emulator.Request) emulator.Fault{
		"one in three fails after it took effect": func(q emulator.Request) emulator.Fault {
			return emulator.Fault{Apply: q.N%3 == 0, Drop: q.N%3 == 0}
		},
		"GitLab throttles each second call": func(q emulator.Request) emulator.Fault {
			if q.Service == emulator.ServiceGitLab && q.N%2 == 1 {
				return throttled
			}
			return emulator.Fault{}
		},
		"AWS throttles": func(q emulator.Request) emulator.Fault {
			switch {
			case q.Service == emulator.ServiceEC2 && q.N%2 == 1:
				return emulator.EC2Fault(503, "RequestLimitExceeded", "Request limit exceeded.")
			case q.Service == emulator.ServiceAutoScaling && q.N%4 == 1:
				return emulator.Throttling()
			}
			return emulator.Fault{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(_ *testing.T, s *site) {
				ids := s.ids("ci")
				s.SetFault(weather)
				s.must(func(w *world.World, now time.Time) error { return w.Crash(now, ids[0]) })
				s.reap(settings(), 45*time.Minute)
				s.wantRunners(ids[1], ids[2])
			})
		})
	}
}

// TestNothingOnAGuess: while one of the three witnesses does not answer nothing
// is done, and what is missing is said once with how to mend it.
func TestNothingOnAGuess(t *testing.T) {
	for name, c := range map[string]struct {
		fail  func(emulator.Request) emulator.Fault
		token string
		says  string
	}{
		"EC2 forbids": {func(q emulator.Request) emulator.Fault {
			if q.Service == emulator.ServiceEC2 {
				return emulator.EC2Fault(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
			}
			return emulator.Fault{}
		}, strong, "allow ec2:DescribeInstances on *"},
		"the group is away": {func(q emulator.Request) emulator.Fault {
			if q.Operation == "DescribeAutoScalingGroups" {
				return emulator.AWSFault(500, "InternalFailure", "")
			}
			return emulator.Fault{}
		}, strong, "leave group"},
		"a token that may only read": {nil, weak, "manage_runner or api"},
		"EC2 knows nobody": {func(q emulator.Request) emulator.Fault {
			if q.Service == emulator.ServiceEC2 {
				return emulator.Fault{Status: 200, Body: `<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>`}
			}
			return emulator.Fault{}
		}, strong, "does not know"},
		"a proxy answers for EC2": {func(q emulator.Request) emulator.Fault {
			if q.Service == emulator.ServiceEC2 {
				return emulator.Fault{Status: 200, Body: `<html>welcome</html>`}
			}
			return emulator.Fault{}
		}, strong, "do nothing in this round"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *site) {
				ids := s.ids("ci")
				s.token = c.token
				s.SetFault(c.fail)
				s.must(func(w *world.World, now time.Time) error { return w.Crash(now, ids[0]) })
				s.reap(settings(), time.Hour)
				s.wantRunners(ids...)
				if n := strings.Count(s.log.String(), c.says); n != 1 {
					t.Errorf("said %d times:\n%s", n, s.log.String())
				}
			})
		})
	}
}
