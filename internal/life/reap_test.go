package life_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestReapWhoseInstanceIsGone: who is deleted after an hour, of runners 1 (which
// the case is about) and 2 (which lives).
func TestReapWhoseInstanceIsGone(t *testing.T) {
	for _, c := range []struct {
		name    string
		arm     func(*yard)
		deleted []int64
	}{
		{"all live", func(*yard) {}, nil},
		{"gone from both", func(y *yard) { y.vanish(1) }, []int64{1}},
		{"terminated, EC2 still tells", func(y *yard) { y.vanish(1); y.ec2[id(1)] = fleet.EC2Terminated }, []int64{1}},
		{"detached: EC2 has it running", func(y *yard) { y.vanish(1); y.ec2[id(1)] = "running" }, nil},
		{"detached and stopped", func(y *yard) { y.vanish(1); y.ec2[id(1)] = "stopped" }, nil},
		{"on its way down", func(y *yard) { y.vanish(1); y.ec2[id(1)] = "shutting-down" }, nil},
		{"terminated, and the group has not noticed", func(y *yard) { y.ec2[id(1)] = fleet.EC2Terminated }, []int64{1}},
		{"in service, and EC2 does not know it", func(y *yard) { delete(y.ec2, id(1)) }, nil},
		{"in Standby, and EC2 does not know it", func(y *yard) { y.groups["ci"].Instances[0].State = fleet.Standby; delete(y.ec2, id(1)) }, nil},
		{"terminating for long, and forgotten", func(y *yard) { y.groups["ci"].Instances[0].State = fleet.TerminatingProceed; delete(y.ec2, id(1)) }, []int64{1}},
		{"draining", func(y *yard) { y.groups["ci"].Instances[0].State = fleet.TerminatingWait }, nil},
		{"EC2 knows nobody at all", func(y *yard) { y.vanish(1); clear(y.ec2) }, nil},
		{"used since", func(y *yard) { y.vanish(1); y.lab[1].ContactedAt = y.now.Add(24 * time.Hour) }, nil},
		{"never used", func(y *yard) { y.vanish(1); y.lab[1].ContactedAt = time.Time{} }, []int64{1}},
		{"GitLab's clock is ahead", func(y *yard) { y.vanish(1); y.lab[1].ContactedAt = y.now.Add(12 * time.Minute) }, []int64{1}},
	} {
		for name, set := range map[string]life.ReapSettings{"every": every(), "once": once()} {
			t.Run(c.name+", "+name, func(t *testing.T) {
				y := newYard(t)
				y.lives(1, fleet.InService)
				y.lives(2, fleet.InService)
				c.arm(y)
				deleted := c.deleted
				if c.name == "GitLab's clock is ahead" && name == "once" {
					deleted = nil
				}
				y.run(set, time.Hour)
				y.wantDeleted(deleted...)
				if len(deleted) > 0 && name == "once" && (y.exit == nil || y.exit.Code != life.Done) {
					t.Errorf("exit %+v", y.exit)
				}
			})
		}
	}
}

// TestReapStrangers: runners that are not an instance's of our groups stay,
// whatever they are called.
func TestReapStrangers(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.InService)
	for i, d := range []string{
		"", "shared", "ci", "ci/", "/" + id(9), id(9), "other/" + id(9), "ci/laptop", "ci/i-123", "ci/i-0xyz0123456789abc",
		"ci/" + id(9) + " ", "CI/" + id(9), "ci/x/" + id(9), "team/ci/" + id(9), "ci/I-0123456789abcdef0", "ci/" + id(9) + "/2",
	} {
		y.listed(int64(100+i), d)
	}
	y.run(every(), 3*time.Hour)
	y.wantDeleted()
	if y.calls["ReadRunner"] != 0 {
		t.Error("a stranger was looked at")
	}
}

// TestReapGroupWithSlash: what stands after the last slash is the instance.
func TestReapGroupWithSlash(t *testing.T) {
	y := newYard(t)
	y.groups["a/b"] = &fleet.Group{Name: "a/b"}
	y.listed(5, "a/b/"+id(5))
	set := once()
	set.Groups = []string{"ci", "a/b"}
	y.run(set, time.Hour)
	y.wantDeleted(5)
}

// TestReapTwoRounds: nothing is done before four minutes have passed, and what
// comes back meanwhile starts anew.
func TestReapTwoRounds(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.InService)
	y.lives(2, fleet.InService)
	y.vanish(1)
	begin := y.now
	set := every()
	set.Every = time.Minute
	y.fail = func(a life.Action, _ int) *fleet.Failure {
		if _, ok := a.(life.DeleteRunnerByID); ok && y.now.Sub(begin) < 4*time.Minute {
			t.Errorf("deleted after %s", y.now.Sub(begin))
		}
		return nil
	}
	y.run(set, 3*time.Hour)
	y.wantDeleted(1)

	y = newYard(t)
	y.lives(1, fleet.InService)
	y.lives(2, fleet.InService)
	back := y.now.Add(5 * time.Minute)
	y.vanish(1) // a stale listing, for a while
	y.fail = func(life.Action, int) *fleet.Failure {
		if y.now.After(back) {
			y.ec2[id(1)] = "running"
		}
		return nil
	}
	set.Every = 6 * time.Minute // the second round is after back
	y.run(set, 3*time.Hour)
	y.wantDeleted()
}

// TestReapBound: a crash is found out and mended within fifteen minutes, whenever
// it comes.
func TestReapBound(t *testing.T) {
	for seed := range uint64(200) {
		y := newYard(t)
		y.lives(1, fleet.InService)
		y.lives(2, fleet.InService)
		crash := y.now.Add(time.Duration(seed) * 7 * time.Second)
		var after time.Duration
		y.fail = func(a life.Action, _ int) *fleet.Failure {
			if y.now.After(crash) && y.lab[1] != nil {
				y.ec2[id(1)] = fleet.EC2Terminated // the group need not have noticed
			}
			if _, ok := a.(life.DeleteRunnerByID); ok {
				after = y.now.Sub(crash)
			}
			return nil
		}
		set := every()
		set.Seed = seed
		y.run(set, time.Hour)
		y.wantDeleted(1)
		if after > 15*time.Minute {
			t.Errorf("seed %d: %s after the crash", seed, after)
		}
	}
}

// TestReapHooks: an instance that died in its hook is let go, the living wait on.
func TestReapHooks(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.TerminatingWait)
	y.lives(2, fleet.TerminatingWait)
	y.lives(3, fleet.PendingWait)
	y.lives(4, fleet.PendingWait)
	y.lives(5, fleet.TerminatingWait)
	y.ec2[id(1)] = fleet.EC2Terminated
	y.ec2[id(3)] = fleet.EC2Terminated
	delete(y.ec2, id(5))
	y.run(once(), time.Hour)
	want := []string{"start " + id(3) + " ABANDON", "end " + id(1) + " CONTINUE", "end " + id(5) + " CONTINUE"}
	if fmt.Sprint(y.completed) != fmt.Sprint(want) {
		t.Errorf("completed %v, want %v", y.completed, want)
	}
	y.wantDeleted(1, 3, 5)
	if y.exit.Code != life.Done || y.exit.Summary != "deleted 3 runners, completed 3 hooks" {
		t.Errorf("exit %+v", y.exit)
	}
}

// TestReapHooksAlone: in mode token no token is needed, and GitLab is not asked.
func TestReapHooksAlone(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.TerminatingWait)
	y.lives(2, fleet.InService)
	y.vanish(3)
	y.ec2[id(1)] = fleet.EC2Terminated
	set := every()
	set.Token = ""
	y.run(set, time.Hour)
	if len(y.completed) != 1 || y.calls["ListRunners"]+y.calls["ResolveSecret"] != 0 {
		t.Errorf("completed %v, calls %v", y.completed, y.calls)
	}
}

// TestReapManyHooks: which of several is ours must be said; the dead wait until
// it is.
func TestReapManyHooks(t *testing.T) {
	for configured, want := range map[string]int{"": 0, "end": 1, "missing": 0} {
		y := newYard(t)
		y.hooks = append(y.hooks, fleet.Hook{Name: "logs", Transition: fleet.AtTermination})
		y.lives(1, fleet.TerminatingWait)
		y.ec2[id(1)] = fleet.EC2Terminated
		set := once()
		set.TerminateHook = configured
		y.run(set, time.Hour)
		if len(y.completed) != want {
			t.Errorf("%q: completed %v", configured, y.completed)
		}
		if code := map[int]life.ExitCode{0: life.Refused, 1: life.Done}[want]; y.exit.Code != code {
			t.Errorf("%q: exit %+v", configured, y.exit)
		}
	}
}

// TestReapUnreadable: a round that could not read a group does nothing about it,
// and others go on.
func TestReapUnreadable(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(a life.Action) bool
		kind fleet.FailureKind
		done []int64
		code life.ExitCode
	}{
		{"the group, for now", isGroup("ci"), fleet.Temporary, []int64{7}, life.TryAgain},
		{"the group is unknown", isGroup("ci"), fleet.NotFound, []int64{7}, life.Refused},
		{"the list", is[life.ListRunners], fleet.Temporary, nil, life.TryAgain},
		{"the list is forbidden", is[life.ListRunners], fleet.Denied, nil, life.Refused},
		{"the secret", is[life.ResolveSecret], fleet.Denied, nil, life.Refused},
		{"EC2", is[life.DescribeInstances], fleet.Temporary, nil, life.TryAgain},
		{"EC2 is forbidden", is[life.DescribeInstances], fleet.Denied, nil, life.Refused},
		{"deleting is forbidden", is[life.DeleteRunnerByID], fleet.Denied, nil, life.Refused},
		{"looking is throttled for ever", is[life.ReadRunner], fleet.Throttled, nil, life.TryAgain},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newYard(t)
			y.groups["other"] = &fleet.Group{Name: "other"}
			y.lives(1, fleet.InService)
			y.vanish(1)
			y.listed(7, "other/"+id(7))
			y.fail = func(a life.Action, _ int) *fleet.Failure {
				if c.fail(a) {
					return kind(c.kind)
				}
				return nil
			}
			set := once()
			set.Groups = []string{"ci", "other"}
			y.run(set, 5*time.Hour)
			y.wantDeleted(c.done...)
			if y.exit == nil || y.exit.Code != c.code {
				t.Errorf("exit %+v, want %d", y.exit, c.code)
			}
		})
	}
}

func is[A life.Action](a life.Action) bool { _, ok := a.(A); return ok }

func isGroup(name string) func(life.Action) bool {
	return func(a life.Action) bool { d, ok := a.(life.DescribeGroup); return ok && d.Group == name }
}

// TestReapListFails: GitLab's outage does not keep a dead instance's group waiting.
func TestReapListFails(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.TerminatingWait)
	y.ec2[id(1)] = fleet.EC2Terminated
	y.fail = func(a life.Action, _ int) *fleet.Failure {
		if is[life.ListRunners](a) {
			return temporary()
		}
		return nil
	}
	y.run(every(), time.Hour)
	if len(y.completed) != 1 {
		t.Errorf("completed %v", y.completed)
	}
	if n := y.said("leave the runners alone"); n != 1 {
		t.Errorf("said %d times in an hour that GitLab is away", n)
	}
}

// TestReapThrottled: a Retry-After is honoured, and the work is done in the end.
func TestReapThrottled(t *testing.T) {
	y := newYard(t)
	y.lives(2, fleet.InService)
	for n := range 10 {
		y.listed(int64(100+n), "ci/"+id(100+n))
	}
	var denied time.Time
	n := 0
	y.fail = func(a life.Action, _ int) *fleet.Failure {
		if !is[life.DeleteRunnerByID](a) {
			return nil
		}
		if y.now.Sub(denied) < time.Minute {
			t.Errorf("asked again after %s", y.now.Sub(denied))
		}
		if n++; n%3 == 0 {
			denied = y.now
			return &fleet.Failure{Kind: fleet.Throttled, Op: "delete", RetryAfter: time.Minute}
		}
		return nil
	}
	y.run(once(), time.Hour)
	if len(y.deleted) != 10 || y.exit.Code != life.Done {
		t.Errorf("deleted %v, exit %+v", y.deleted, y.exit)
	}
}

// TestReapPages: the list is read page by page, and a round deletes at most 200,
// two a second.
func TestReapPages(t *testing.T) {
	y := newYard(t)
	y.page = 30
	y.lives(1, fleet.InService)
	for n := range 450 {
		y.listed(int64(1000+n), "ci/"+id(1000+n))
	}
	y.run(once(), time.Hour)
	if len(y.deleted) != 200 || y.exit.Code != life.TryAgain {
		t.Errorf("once: deleted %d, exit %+v", len(y.deleted), y.exit)
	}
	y.deleted = nil
	begin := y.now
	y.run(every(), time.Hour)
	if len(y.deleted) != 250 || y.now.Sub(begin) < 250*500*time.Millisecond {
		t.Errorf("as a service: deleted %d in %s", len(y.deleted), y.now.Sub(begin))
	}
}

// TestReapEndlessList: a server that pages for ever ends the round.
func TestReapEndlessList(t *testing.T) {
	y := newYard(t)
	y.page = 1
	for n := range 1000 {
		y.listed(int64(1000+n), "somebody else's")
	}
	y.run(once(), time.Hour)
	if y.exit == nil || y.exit.Code != life.Refused || y.calls["ListRunners"] != 200 {
		t.Errorf("exit %+v after %d pages", y.exit, y.calls["ListRunners"])
	}
}

// TestReapDryRun does nothing, and tells at once.
func TestReapDryRun(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.TerminatingWait)
	y.lives(2, fleet.InService)
	y.ec2[id(1)] = fleet.EC2Terminated
	y.listed(7, "ci/"+id(7))
	begin := y.now
	set := once()
	set.DryRun = true
	y.run(set, time.Hour)
	y.wantDeleted()
	if len(y.completed) != 0 || y.now.Sub(begin) > time.Minute || y.exit.Code != life.Done {
		t.Errorf("completed %v in %s, exit %+v", y.completed, y.now.Sub(begin), y.exit)
	}
	found, _ := y.exit.Report.([]fleet.Leftover)
	if len(found) != 3 {
		t.Errorf("found %+v", found)
	}
	for _, f := range found {
		if f.Done || f.Why == "" || f.Hook != "" && f.Hook != "end" {
			t.Errorf("found %+v", f)
		}
	}
}

// TestReapQuiet: a round where nothing is wrong is three requests and no line.
func TestReapQuiet(t *testing.T) {
	y := newYard(t)
	for n := range 40 {
		y.lives(n, fleet.InService)
	}
	y.run(every(), 24*time.Hour)
	if len(y.says) != 0 {
		t.Errorf("said %+v", y.says)
	}
	rounds := y.calls["DescribeGroup"]
	if rounds < 24*10 || rounds > 24*12 || y.n > 3*rounds+1 {
		t.Errorf("%d calls in %d rounds a day: %v", y.n, rounds, y.calls)
	}
}

// TestReapTokenRotated: a token that is refused is read anew in each round.
func TestReapTokenRotated(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.InService)
	y.listed(7, "ci/"+id(7))
	mended := y.now.Add(time.Hour)
	y.fail = func(a life.Action, _ int) *fleet.Failure {
		if is[life.ListRunners](a) && y.now.Before(mended) {
			return kind(fleet.BadToken)
		}
		return nil
	}
	y.run(every(), 2*time.Hour)
	y.wantDeleted(7)
	if n := y.said("leave the runners alone"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if y.calls["ResolveSecret"] < 10 {
		t.Errorf("read the token %d times", y.calls["ResolveSecret"])
	}
}

// TestReapTokenReadAtOnce: a token that is refused is read anew in the same round.
func TestReapTokenReadAtOnce(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.InService)
	y.vanish(1)
	rotated := false
	y.fail = func(a life.Action, _ int) *fleet.Failure {
		switch {
		case is[life.ListRunners](a) && y.calls["ListRunners"] == 2 && !rotated:
			rotated = true
			return kind(fleet.BadToken)
		}
		return nil
	}
	y.run(every(), 6*time.Minute)
	y.wantDeleted(1)
	if !rotated || y.calls["ResolveSecret"] != 2 || y.said("leave the runners alone") != 0 {
		t.Errorf("refused %v; read the token %d times, said %d times", rotated, y.calls["ResolveSecret"], y.said("leave the runners alone"))
	}
}

// TestReapStops at once, whatever it is doing.
func TestReapStops(t *testing.T) {
	y := newYard(t)
	y.listed(7, "ci/"+id(7))
	m := life.NewReap(once())
	m, _ = m.Step(life.Started{}, y.now)
	_, actions := m.Step(life.Interrupted{}, y.now)
	if e, ok := actions[len(actions)-1].(life.Exit); !ok || e.Code != life.Done {
		t.Errorf("got %+v", actions)
	}
}

// TestReapKilledAnywhere: processes that are killed after any number of actions,
// and whose answers get lost, never delete what lives, and a last one that is
// left alone clears all up.
func TestReapKilledAnywhere(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's
		y := newYard(t)
		y.page = 1 + rng.IntN(5)
		states := []fleet.LifecycleState{fleet.InService, fleet.TerminatingWait, fleet.PendingWait, fleet.Standby}
		for n := range 12 {
			y.lives(n, states[rng.IntN(len(states))])
		}
		y.lives(50, fleet.InService) // whom EC2 always knows
		living, lost := 0, 0
		y.fail = func(a life.Action, _ int) *fleet.Failure {
			if n := rng.IntN(300); n < 12 && y.ec2[id(n)] == "running" {
				y.ec2[id(n)] = fleet.EC2Terminated
				lost++
			} else if n == 20 {
				return kind([]fleet.FailureKind{fleet.Temporary, fleet.Throttled, fleet.Denied, fleet.NotFound}[rng.IntN(4)])
			}
			return nil
		}
		for range rng.IntN(6) {
			y.run(every(), time.Duration(rng.IntN(1800))*time.Second)
		}
		y.fail = nil
		y.run(every(), time.Hour)
		for r, d := range y.lab {
			if y.ec2[d.Description[3:]] == "running" {
				living++
			} else {
				t.Errorf("seed %d: runner %d is left", seed, r)
			}
		}
		if living != 13-lost || len(y.deleted) > lost {
			t.Errorf("seed %d: %d live, %d lost, deleted %v", seed, living, lost, y.deleted)
		}
		for _, i := range y.groups["ci"].Instances {
			if y.ec2[i.ID] == fleet.EC2Terminated && (i.State == fleet.TerminatingWait || i.State == fleet.PendingWait) {
				t.Errorf("seed %d: %s is dead and still waits in %s", seed, i.ID, i.State)
			}
		}
	}
}

// TestReapForgets: an outage of days takes no memory, and once it is over and
// comes back it is said again.
func TestReapForgets(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.InService)
	away := true
	begin := y.now
	y.fail = func(a life.Action, _ int) *fleet.Failure {
		if away = y.now.Sub(begin)/(24*time.Hour)%2 == 0; away && is[life.ListRunners](a) {
			return temporary()
		}
		return nil
	}
	y.run(every(), 71*time.Hour)
	if n := y.said("leave the runners alone"); n != 2 {
		t.Errorf("said %d times in two outages", n)
	}
}

// TestReapShiftedPages: runners that are deleted by others between two pages shift
// those behind them, and one is left out of a list. It is not begun with anew.
func TestReapShiftedPages(t *testing.T) {
	y := newYard(t)
	y.lives(1, fleet.InService)
	y.lives(2, fleet.InService)
	y.vanish(1)
	lists, begin := 0, y.now
	y.fail = func(a life.Action, _ int) *fleet.Failure {
		if r := y.lab[1]; r != nil && is[life.ListRunners](a) {
			lists++
			r.Description = map[bool]string{true: "left out", false: "ci/" + id(1)}[lists == 2]
		}
		return nil
	}
	y.run(every(), 12*time.Minute)
	if len(y.deleted) != 1 {
		t.Errorf("deleted %v within %s", y.deleted, y.now.Sub(begin))
	}
}
