package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// pinned is a working instance that has no reason to leave.
func pinned(t testing.TB, mode fleet.Mode) *site {
	s := inService(t)
	s.group.Desired, s.group.Min = 2, 2
	s.group.Instances = append(s.group.Instances, member("i-z", true))
	set := defaults
	set.monitor.Mode = mode
	s.startWith(life.UnitMonitor, set)
	s.startWith(life.UnitLifecycleCheck, set)
	return s
}

// deletedForGood deletes the runners, and keeps init from making new ones.
func deletedForGood(s *site) {
	clear(s.gitlab.runners)
	s.fail = func(a life.Action) *fleet.Failure {
		if a == life.Action(life.StartUnit{Unit: life.UnitInit}) {
			return kind(fleet.Local)
		}
		return nil
	}
}

// TestIllInstanceIsReplaced after fifteen minutes, where the reason is its own.
func TestIllInstanceIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name string
		mode fleet.Mode
		arm  func(*site)
	}{
		{"its own runner was deleted", fleet.ModeCreate, deletedForGood},
		{"the runner dies at each start", fleet.ModeToken, func(s *site) { s.proc.crash(); s.proc.broken = true }},
		{"the runner serves no metrics", fleet.ModeToken, func(s *site) { s.proc.mute = true }},
		{"init failed", fleet.ModeCreate, func(s *site) {
			s.files.flags.Registered, s.files.flags.Unable = false, true
			s.proc.crash()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pinned(t, c.mode)
			s.run(30 * time.Second)
			c.arm(s)
			s.run(14*time.Minute + 30*time.Second)
			if s.count("SetUnhealthy") != 0 {
				t.Fatal("reported before its time")
			}
			s.run(90 * time.Second)
			if s.count("SetUnhealthy") != 1 || s.saidAt(life.Error, "Unhealthy") != 1 {
				t.Fatalf("reported %d times", s.count("SetUnhealthy"))
			}
			s.run(3 * time.Minute)
			if !s.dead || s.replaced != 1 {
				t.Errorf("dead %v, replaced %d", s.dead, s.replaced)
			}
		})
	}
}

// TestSharedIllnessReplacesNone, whatever it costs in waiting, and is said once.
func TestSharedIllnessReplacesNone(t *testing.T) {
	for _, c := range []struct {
		name string
		mode fleet.Mode
		arm  func(*site)
	}{
		{"GitLab away", fleet.ModeCreate, func(s *site) { s.gitlab.down = temporary() }},
		{"GitLab away, shared token", fleet.ModeToken, func(s *site) { s.gitlab.down = temporary() }},
		{"the shared token is revoked", fleet.ModeToken, func(s *site) { clear(s.gitlab.runners) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pinned(t, c.mode)
			s.run(30 * time.Second)
			s.said = nil
			c.arm(s)
			s.run(time.Hour)
			if s.count("SetUnhealthy") != 0 || s.saidAt(life.Error, "") != 1 {
				t.Errorf("reported %d times, %d errors said", s.count("SetUnhealthy"), s.saidAt(life.Error, ""))
			}
			mustWork(t, s, c.name)
			s.gitlab.down = nil
			s.gitlab.runners[1] = &glRunner{token: s.files.registration.Runners[0].Token.Reveal()}
			s.run(time.Minute)
			if s.saidAt(life.Info, "can get jobs again") != 1 {
				t.Error("the end is not said")
			}
		})
	}
}

// TestOutageIsNoPartOfAnOwnIllness: GitLab comes back after an hour and refuses
// for a moment.
func TestOutageIsNoPartOfAnOwnIllness(t *testing.T) {
	s := pinned(t, fleet.ModeCreate)
	s.gitlab.down = temporary()
	s.run(time.Hour)
	s.gitlab.down = kind(fleet.BadToken)
	s.run(5 * time.Minute)
	s.gitlab.down = nil
	s.run(20 * time.Minute)
	if s.count("SetUnhealthy") != 0 {
		t.Error("replaced for the outage")
	}
	mustWork(t, s, "after the outage")
}

// TestOutageEndsNoOwnIllness: GitLab refuses once, and then is away; its polls hang for
// longer than readings are apart. While it is away nobody can tell what ails the runner.
func TestOutageEndsNoOwnIllness(t *testing.T) {
	s := pinned(t, fleet.ModeCreate)
	s.run(30 * time.Second)
	s.gitlab.down = kind(fleet.BadToken)
	s.run(5 * time.Second)
	s.gitlab.down, s.proc.hangs = temporary(), 40*time.Second
	s.run(time.Hour)
	s.gitlab.down = nil
	s.run(5 * time.Minute)
	if s.count("SetUnhealthy") != 0 {
		t.Error("replaced for the outage")
	}
	mustWork(t, s, "after the outage")
}

// TestIllInstanceRunsItsJobs: what runs is run to its end before the group is
// told.
func TestIllInstanceRunsItsJobs(t *testing.T) {
	s := pinned(t, fleet.ModeCreate)
	s.proc.arrive(time.Hour)
	s.run(30 * time.Second)
	deletedForGood(s)
	s.run(58 * time.Minute)
	if s.count("SetUnhealthy") != 0 {
		t.Fatal("reported with a job running")
	}
	s.run(10 * time.Minute)
	if s.count("SetUnhealthy") != 1 || len(s.proc.finished) != 1 {
		t.Errorf("reported %d times, finished %v", s.count("SetUnhealthy"), s.proc.finished)
	}
}

// TestIllInstancesInOrder: many ill at once, one replaced in ten minutes, the
// first in leaving order first; protected or not.
func TestIllInstancesInOrder(t *testing.T) {
	const n = 6
	type peer struct {
		m    life.Monitor
		id   string
		next time.Time
		act  life.Action
	}
	start := epoch
	g := fleet.Group{Name: "ci", Min: n, Max: n, Desired: n}
	var peers []*peer
	for i := range n {
		id := "i-" + string(rune('a'+i))
		g.Instances = append(g.Instances, member(id, true)) // they died busy
		set := monitorSettings
		set.Seed = uint64(i)
		peers = append(peers, &peer{m: life.NewMonitor(set), id: id, next: start.Add(time.Duration(i) * 100 * time.Millisecond)})
	}
	var marked []string
	var at []time.Time
	var activities []fleet.Activity
	for now := start; now.Before(start.Add(3 * time.Hour)); now = now.Add(100 * time.Millisecond) {
		for _, p := range peers {
			if p.next.After(now) || p.next.IsZero() {
				continue
			}
			var e life.Event = life.Woke{}
			switch a := p.act.(type) {
			case nil:
				e = life.Started{}
			case life.ReadFlags:
				e = life.Result{Action: a, Value: fleet.Flags{Registered: true, Protected: true}}
			case life.ScrapeMetrics:
				e = life.Result{Action: a, Failure: kind(fleet.Local)}
			case life.ReadUnit:
				e = life.Result{Action: a, Value: fleet.UnitState{Active: "active"}}
			case life.ReadWhoami:
				e = life.Result{Action: a, Value: &life.Whoami{Group: "ci", Identity: fleet.Identity{InstanceID: p.id}}}
			case life.DescribeGroup:
				c := g
				c.Instances = append([]fleet.Instance(nil), g.Instances...)
				e = life.Result{Action: a, Value: c}
			case life.DescribeActivities:
				var seen []fleet.Activity
				for _, x := range activities {
					if now.Sub(x.Start) > 0 {
						seen = append(seen, x)
					}
				}
				e = life.Result{Action: a, Value: seen}
			case life.SetUnhealthy:
				marked, at = append(marked, p.id), append(at, now)
				for i := range g.Instances {
					if g.Instances[i].ID == p.id { // the group replaces it a minute later
						g.Instances[i].Healthy = false
					}
				}
				activities = append(activities, fleet.Activity{InstanceID: p.id, Start: now.Add(time.Minute), Cause: "an instance was taken out of service in response to a user health-check."})
				e = life.Result{Action: a}
			}
			var actions []life.Action
			p.m, actions = p.m.Step(e, now)
			p.act, p.next = actions[len(actions)-1], now
			if s, ok := p.act.(life.Sleep); ok {
				p.next = s.Until
			}
			if len(marked) > 0 && marked[len(marked)-1] == p.id {
				p.next = time.Time{} // it is gone
			}
		}
		for i, x := range g.Instances { // and is listed no longer
			if !x.Healthy && now.Sub(at[len(at)-1]) > time.Minute {
				g.Instances = append(g.Instances[:i:i], g.Instances[i+1:]...)
				break
			}
		}
	}
	for i := 1; i < len(at); i++ {
		if d := at[i].Sub(at[i-1]); d < 10*time.Minute {
			t.Errorf("%s and %s within %s", marked[i-1], marked[i], d)
		}
	}
	if len(marked) != n || marked[0] != "i-a" {
		t.Errorf("replaced %v, want all, i-a first", marked)
	}
}

// TestIllNotPermitted goes on watching, and says it once.
func TestIllNotPermitted(t *testing.T) {
	s := pinned(t, fleet.ModeCreate)
	deletedForGood(s)
	none := s.fail
	s.fail = func(a life.Action) *fleet.Failure {
		if _, ok := a.(life.SetUnhealthy); ok {
			return kind(fleet.Denied)
		}
		return none(a)
	}
	s.run(time.Hour)
	if n := s.saidAt(life.Error, "cannot have this instance replaced"); n != 1 || s.calls["aws"] > 20 {
		t.Errorf("said %d times, %d calls", n, s.calls["aws"])
	}
}

// TestIllAndNotReplaced: the group does not act, or acts on others only; that is said
// once more, as an error, and asked for ever more seldom.
func TestIllAndNotReplaced(t *testing.T) {
	for _, c := range []struct {
		name string
		arm  func(*site)
	}{
		{"the group does not act on it", func(s *site) { s.suspended = true }},
		{"it cannot be reported", func(s *site) {
			s.fail = func(a life.Action) *fleet.Failure {
				if _, ok := a.(life.SetUnhealthy); ok {
					s.done = append(s.done, "SetUnhealthy, in vain")
					return kind(fleet.Throttled)
				}
				return nil
			}
		}},
		{"another was reported, and the group does not act on that", func(s *site) {
			s.group.Instances[len(s.group.Instances)-1].Healthy = false
		}},
		{"others are replaced all the time", func(s *site) {
			for at := time.Duration(0); at < 3*time.Hour; at += 9 * time.Minute {
				s.after(at, func() {
					s.activities = []fleet.Activity{{InstanceID: "i-other", Start: s.now, Cause: "an instance was taken out of service in response to a user health-check."}}
				})
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pinned(t, fleet.ModeToken)
			s.run(30 * time.Second)
			s.forget()
			s.proc.mute = true
			c.arm(s)
			s.run(time.Hour)
			if s.saidAt(life.Error, "still not replaced") > 0 {
				t.Error("said before its time")
			}
			s.run(90 * time.Minute)
			if n := s.saidAt(life.Error, "still not replaced"); n != 1 || s.calls["aws"] > 270 {
				t.Errorf("said %d times, %d calls", n, s.calls["aws"])
			}
		})
	}
}

// TestInitThatFailsAgainAndAgain: its runner starts and never asks for jobs; each
// new try is no recovery.
func TestInitThatFailsAgainAndAgain(t *testing.T) {
	s := pinned(t, fleet.ModeToken)
	s.run(30 * time.Second)
	s.forget()
	s.proc.mute = false
	s.proc.deaf = deafForGood
	s.proc.crash()
	s.proc.start()
	s.files.flags.Unable = true
	for at := time.Duration(0); at < 40*time.Minute; at += 5 * time.Minute {
		s.after(at, func() { s.files.flags.Registered = false })
		s.after(at+20*time.Second, func() { s.files.flags.Registered = true })
	}
	s.run(17 * time.Minute)
	if s.count("SetUnhealthy") != 1 {
		t.Errorf("reported %d times", s.count("SetUnhealthy"))
	}
}
