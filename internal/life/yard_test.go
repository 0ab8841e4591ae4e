package life_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// yard is the reaper's world: groups, EC2 and GitLab, each of which may fail.
type yard struct {
	t      *testing.T
	now    time.Time
	groups map[string]*fleet.Group
	hooks  []fleet.Hook
	ec2    map[string]fleet.EC2State
	lab    map[int64]*fleet.RunnerDetails
	perm   []int64 // the lab's order
	page   int     // runners on a page
	// fail is asked before each action takes effect.
	fail func(a life.Action, n int) *fleet.Failure
	n    int // actions so far

	deleted   []int64
	completed []string
	calls     map[string]int
	says      []life.Say
	exit      *life.Exit
}

func newYard(t *testing.T) *yard {
	return &yard{
		t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), groups: map[string]*fleet.Group{"ci": {Name: "ci", Max: 9}},
		ec2: map[string]fleet.EC2State{}, lab: map[int64]*fleet.RunnerDetails{}, page: 100, calls: map[string]int{},
		hooks: []fleet.Hook{{Name: "start", Transition: fleet.AtLaunch}, {Name: "end", Transition: fleet.AtTermination}},
	}
}

// id is the n-th instance's.
func id(n int) string { return fmt.Sprintf("i-0%016x", n) }

// lives puts an instance into the group, with a runner of the same number.
func (y *yard) lives(n int, state fleet.LifecycleState) {
	g := y.groups["ci"]
	g.Instances = append(g.Instances, fleet.Instance{ID: id(n), State: state, Healthy: true})
	y.ec2[id(n)] = "running"
	y.listed(int64(n), "ci/"+id(n))
}

func (y *yard) listed(runner int64, description string) {
	y.lab[runner] = &fleet.RunnerDetails{ListedRunner: fleet.ListedRunner{ID: runner, Description: description}, ContactedAt: y.now}
	y.perm = append(y.perm, runner)
}

// vanish has an instance gone from the group and from EC2.
func (y *yard) vanish(n int) {
	g := y.groups["ci"]
	g.Instances = slices.DeleteFunc(g.Instances, func(i fleet.Instance) bool { return i.ID == id(n) })
	delete(y.ec2, id(n))
}

func (y *yard) do(a life.Action) (any, *fleet.Failure) {
	y.calls[strings.TrimPrefix(fmt.Sprintf("%T", a), "life.")]++
	y.n++
	if y.fail != nil {
		if f := y.fail(a, y.n); f != nil {
			return nil, f
		}
	}
	switch a := a.(type) {
	case life.DescribeGroup:
		g, ok := y.groups[a.Group]
		if !ok {
			return nil, kind(fleet.NotFound)
		}
		c := *g
		c.Instances = slices.Clone(g.Instances)
		return c, nil
	case life.DescribeHooks:
		return y.hooks, nil
	case life.DescribeInstances:
		var out []fleet.EC2Instance
		for _, i := range a.IDs {
			if s, ok := y.ec2[i]; ok {
				out = append(out, fleet.EC2Instance{ID: i, State: s})
			}
		}
		return out, nil
	case life.ResolveSecret:
		return fleet.NewToken("t"), nil
	case life.ListRunners:
		return y.list(a.Page), nil
	case life.CompleteHook:
		return nil, y.complete(a)
	}
	return y.onRunner(a)
}

func (y *yard) list(page string) (p fleet.RunnerPage) {
	from := 0
	_, _ = fmt.Sscan(page, &from)
	to := min(from+y.page, len(y.perm))
	for _, r := range y.perm[min(from, to):to] {
		p.Runners = append(p.Runners, y.lab[r].ListedRunner)
	}
	if to < len(y.perm) {
		p.Next = fmt.Sprint(to)
	}
	return p
}

func (y *yard) complete(a life.CompleteHook) *fleet.Failure {
	g := y.groups[a.Hook.Group]
	i, _ := g.Find(a.Hook.InstanceID)
	if i.State != fleet.TerminatingWait && i.State != fleet.PendingWait {
		return kind(fleet.NotWaiting)
	}
	if s, ok := y.ec2[i.ID]; ok && s != fleet.EC2Terminated {
		y.t.Errorf("completed a hook of %s, which is %s", i.ID, s)
	}
	y.completed = append(y.completed, fmt.Sprintf("%s %s %s", a.Hook.Hook, i.ID, a.Result))
	g.Instances = slices.DeleteFunc(g.Instances, func(o fleet.Instance) bool { return o.ID == i.ID })
	return nil
}

func (y *yard) onRunner(a life.Action) (any, *fleet.Failure) {
	var runner int64
	switch a := a.(type) {
	case life.ReadRunner:
		runner = a.ID
	case life.DeleteRunnerByID:
		runner = a.ID
	default:
		y.t.Fatalf("unexpected %T", a)
	}
	r, ok := y.lab[runner]
	if !ok {
		return nil, kind(fleet.NotFound)
	}
	if _, read := a.(life.ReadRunner); read {
		return *r, nil
	}
	if i := strings.TrimPrefix(r.Description, "ci/"); y.ec2[i] != "" && y.ec2[i] != fleet.EC2Terminated {
		y.t.Errorf("deleted runner %d, whose instance is %s", runner, y.ec2[i])
	}
	delete(y.lab, runner)
	y.perm = slices.DeleteFunc(y.perm, func(o int64) bool { return o == runner })
	y.deleted = append(y.deleted, runner)
	return nil, nil
}

// run drives a reaper until it ends or the time is up; each action takes 100 ms.
func (y *yard) run(set life.ReapSettings, d time.Duration) {
	y.exit = nil
	m := life.NewReap(set)
	until := y.now.Add(d)
	var e life.Event = life.Started{}
	for y.now.Before(until) {
		var actions []life.Action
		m, actions = m.Step(e, y.now)
		effect := actions[len(actions)-1]
		for _, a := range actions[:len(actions)-1] {
			y.says = append(y.says, a.(life.Say))
		}
		switch a := effect.(type) {
		case life.Exit:
			y.exit = &a
			return
		case life.Sleep:
			y.now = a.Until
			e = life.Woke{}
		default:
			v, f := y.do(a)
			y.now = y.now.Add(100 * time.Millisecond)
			e = life.Result{Action: a, Value: v, Failure: f}
		}
	}
}

func (y *yard) said(text string) (n int) {
	for _, s := range y.says {
		if s.Level != life.Debug && strings.Contains(s.Decision.Action, text) {
			n++
		}
	}
	return n
}

func (y *yard) wantDeleted(runners ...int64) {
	y.t.Helper()
	got := slices.Clone(y.deleted)
	slices.Sort(got)
	if !slices.Equal(got, runners) {
		y.t.Errorf("deleted %v, want %v; said %+v", got, runners, y.says)
	}
}

// every is a reaper that runs as a service.
func every() life.ReapSettings {
	return life.ReapSettings{Groups: []string{"ci"}, Token: "env:T", Every: 5 * time.Minute, Seed: 7}
}

// once is one that a person starts.
func once() life.ReapSettings {
	s := every()
	s.Every = 0
	return s
}
