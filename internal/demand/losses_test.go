package demand

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/direct"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// missing is the event of a job in a project.
func missing(project int64) life.Event {
	return life.JobEvent{Job: fleet.Job{ID: project, Project: project, State: fleet.JobPending}}
}

// fill leaves a queue no room for events.
func fill(g *Group) {
	for id := range int64(queueMost) {
		g.put(life.JobEvent{Job: fleet.Job{ID: id + 1, Project: 1, State: fleet.JobCreated}})
	}
}

// known are the projects that a group's machine has had written down.
func (s *site) known(group string) map[int64]bool {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	known := map[int64]bool{}
	for _, p := range s.store.kept[group].Projects {
		known[p.ID] = true
	}
	return known
}

// TestNoRoom: jobs whose events found no room are found by GitLab's list, also those
// of projects that nothing else was heard of, each time that it happens.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		s := newSite(t, scene{fault: func(q emulator.Request) emulator.Fault {
			if q.Service == emulator.ServiceAutoScaling && slow.Load() {
				return emulator.Fault{Latency: 14 * time.Second}
			}
			return emulator.Fault{}
		}})
		defer s.end()
		for i, project := range []int64{4242, 4343} {
			slow.Store(true)
			s.hear(event(int64(i+100001), 1, "pending", ""))
			time.Sleep(time.Second) // the machine waits for AWS
			fill(s.service.groups[0])
			for range 7 {
				s.SubmitJob(world.JobSpec{ProjectID: project, Name: "unit"})
			}
			s.hear(event(int64(i+200001), project, "pending", ""))
			if want, n := fmt.Sprint(i+1), value(t, s, `shoal_webhook_events_dropped_total{reason="queue"}`); n != want {
				t.Fatalf("%s events were dropped, want %s", n, want)
			}
			slow.Store(false)
			time.Sleep(2 * time.Minute)
			if n := s.desired("ci"); !s.known("ci")[project] || n != []int{2, 3}[i] {
				t.Errorf("project %d: known %v, desired %d\n%s", project, s.known("ci"), n, s.log)
			}
		}
	})
}

// TestLossesAreBounded, and told once; that there were more is told too. The end of a
// job is no reason to ask for a project that is not known.
func TestLossesAreBounded(t *testing.T) {
	var l losses
	if got := l.take(); got != nil {
		t.Errorf("nothing was lost, told %v", got)
	}
	l.note(life.JobEvent{Job: fleet.Job{ID: 1, Project: 7, State: fleet.JobFinished}})
	if got := l.take(); len(got) != 1 || got[0] != (life.EventsLost{}) {
		t.Errorf("a job's end: told %v", got)
	}
	for project := range int64(3 * lossesMost) {
		l.note(missing(project + 1))
	}
	l.note(life.EventsLost{Project: 1})
	if got := l.take(); len(got) != lossesMost+1 || got[lossesMost] != (life.EventsLost{}) {
		t.Errorf("told %d", len(got))
	}
	if got := l.take(); got != nil {
		t.Errorf("told again: %v", got)
	}
}

// TestStopTakesInTheQueue: what was answered 200 is kept, though AWS takes longer than
// a stop waits.
func TestStopTakesInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, scene{noToken: true, fault: slowAWS(12 * time.Second)})
		defer s.Close()
		s.hear(event(1, 1, "pending", ""))
		time.Sleep(time.Second)
		for id := range int64(20) {
			s.hear(event(id+2, 1, "pending", ""))
		}
		s.stop()
		if n := len(s.store.kept["ci"].Jobs); n != 21 {
			t.Errorf("%d of 21 jobs are kept", n)
		}
	})
}

// TestStopWaitsForLookUps that GitLab answers within a stop's bound.
func TestStopWaitsForLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := several()
		c.fault = func(q emulator.Request) emulator.Fault {
			if q.Service == emulator.ServiceGitLab {
				return emulator.Fault{Latency: 3 * time.Second}
			}
			return emulator.Fault{}
		}
		s := newSite(t, c)
		defer s.Close()
		s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}})
		s.SubmitJob(world.JobSpec{Name: "compile", Tags: []string{"arm64"}})
		time.Sleep(time.Second)
		s.stop()
		if n := s.desired("arm"); n != 1 {
			t.Errorf("desired %d\n%s", n, s.log)
		}
	})
}

// TestStopKeepsWhatNobodyTells: the projects of events whose tags GitLab does not tell
// in time are asked for by the next process.
func TestStopKeepsWhatNobodyTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := several()
		var away atomic.Bool
		away.Store(true)
		c.fault = func(q emulator.Request) emulator.Fault {
			return emulator.Fault{Hang: away.Load() && q.Service == emulator.ServiceGitLab}
		}
		s := newSite(t, c)
		s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}})
		for i := range 9 { // more than are asked for at once
			s.SubmitJob(world.JobSpec{ProjectID: int64(i%5 + 70), Name: fmt.Sprint(i), Tags: []string{"arm64"}})
		}
		time.Sleep(time.Second)
		s.stop()
		for project := range int64(5) {
			if !s.known("arm")[project+70] {
				t.Errorf("project %d is forgotten: %v", project+70, s.known("arm"))
			}
		}
		away.Store(false)
		c.store = s.store
		s.begin(c)
		defer s.end()
		time.Sleep(time.Minute)
		if n := s.desired("arm"); n != 5 {
			t.Errorf("desired %d\n%s", n, s.log)
		}
	})
}

// TestMachineThatEndedIsToldNothing: its exit is its last word.
func TestMachineThatEndedIsToldNothing(t *testing.T) {
	s, _ := bare(t)
	m := s.groups[0].Machine
	m.group.lost.note(missing(1))
	if got := m.losses([]life.Action{life.Exit{}}); got != nil {
		t.Errorf("told %v", got)
	}
}

// TestSettledWithTheLastEvent: a stop waits until the machine has what waited for its
// tags, and not only until GitLab has answered.
func TestSettledWithTheLastEvent(t *testing.T) {
	s, _ := bare(t)
	s.Token = func(context.Context) (fleet.Token, error) {
		return fleet.Token{}, &fleet.Failure{Kind: fleet.Invalid, Op: "read the token"}
	}
	g, l, d := s.groups[0], s.lookups, definition{project: 1, name: "unit"}
	fill(g)
	g.lost.mu.Lock() // what the look-up leads to waits here
	l.mu.Lock()
	l.hold(d, fleet.Job{ID: 1, Project: 1, Name: "unit", State: fleet.JobPending})
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		l.answer(t.Context(), d)
		close(done)
	}()
	for answered := false; !answered; runtime.Gosched() {
		l.mu.Lock()
		answered = len(l.waiting) == 0
		l.mu.Unlock()
	}
	if l.idle() {
		t.Error("it is settled before the machine was told")
	}
	g.lost.mu.Unlock()
	<-done
	if !l.idle() {
		t.Error("it is never settled")
	}
}
