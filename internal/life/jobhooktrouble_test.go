package life_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// TestClockSetBack: what was kept is believed by a process whose clock is behind the
// earlier one's.
func TestClockSetBack(t *testing.T) {
	set := life.JobHookSettings{Group: "ci", Slots: 6, Reconcile: true}
	s := newHookSite(t, set)
	s.job(1, fleet.JobPending)
	s.pass(10 * time.Second)
	s.group.Desired, s.sets = 0, nil
	s.listed[2] = fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 1, Project: 2, State: fleet.JobPending}}}
	s.now = s.now.Add(-time.Hour)
	s.start(set)
	s.pass(time.Minute)
	if s.m.Pending() != 1 || len(s.sets) == 0 {
		t.Errorf("%d pending, desired was set to %v\n%s", s.m.Pending(), s.sets, strings.Join(s.said, "\n"))
	}
}

// TestKeptForLong: what was believed before hours of silence launches nothing before
// GitLab was asked; where that does not answer, it is believed.
func TestKeptForLong(t *testing.T) {
	for name, c := range map[string]struct {
		deaf    *fleet.Failure
		list    fleet.JobList
		pause   time.Duration
		pending int
		want    []int
	}{
		"all gone":           {nil, fleet.JobList{Whole: true}, 5 * time.Hour, 0, nil},
		"one left":           {nil, fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 3, Project: 1, State: fleet.JobPending}}}, 5 * time.Hour, 1, []int{1}},
		"GitLab is away":     {&fleet.Failure{Op: "list jobs"}, fleet.JobList{}, 5 * time.Hour, 60, []int{10}},
		"a restart, no more": {&fleet.Failure{Op: "list jobs"}, fleet.JobList{}, 5 * time.Second, 60, []int{10}},
	} {
		set := life.JobHookSettings{Group: "ci", Slots: 6, Reconcile: true}
		s := newHookSite(t, set)
		for id := range int64(60) {
			s.tell(life.JobEvent{Job: fleet.Job{ID: id + 1, Project: 1, State: fleet.JobPending}})
		}
		s.pass(10 * time.Second)
		s.group.Desired, s.sets, s.deaf, s.listed[1] = 0, nil, c.deaf, c.list
		s.now = s.now.Add(c.pause)
		s.start(set)
		if c.pause < time.Minute {
			s.pass(time.Second)
		} else {
			s.pass(90 * time.Second)
		}
		if s.m.Pending() != c.pending {
			t.Errorf("%s: %d pending", name, s.m.Pending())
		}
		s.wantSets(c.want...)
	}
}

// TestOthersJobsTwice: that a job has ended which this group never counted asks for
// nothing, however often it is told.
func TestOthersJobsTwice(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.job(1, fleet.JobFinished)
	s.job(1, fleet.JobFinished)
	if until := s.sleep.Sub(s.now); until != time.Hour || s.saved != nil {
		t.Errorf("it sleeps for %s, kept %+v", until, s.saved)
	}
}

// TestKilledRightAfterAnEvent: the project is known to the next process, which finds by
// GitLab's list what the killed one was told.
func TestKilledRightAfterAnEvent(t *testing.T) {
	set := life.JobHookSettings{Group: "ci", Slots: 6, Reconcile: true}
	s := newHookSite(t, set)
	s.job(1, fleet.JobPending)
	s.listed[2] = fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 1, Project: 2, State: fleet.JobPending}}}
	s.start(set) // within the window
	s.pass(10 * time.Second)
	s.wantSets(1)
}

// TestSavesAreFew: under a stream of events from ever new projects there is one in five
// seconds.
func TestSavesAreFew(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	saves := 0
	for id := range int64(1000) {
		s.saved = nil
		s.tell(life.JobEvent{Job: fleet.Job{ID: id + 1, Project: id + 1, State: fleet.JobPending}})
		s.pass(20 * time.Millisecond)
		if s.saved != nil {
			saves++
		}
	}
	if saves < 4 || saves > 6 {
		t.Errorf("it was written down %d times in 20 s", saves)
	}
}

// TestForesightIsQuietAtTheMaximum: what cannot be raised is no reason to look more
// often.
func TestForesightIsQuietAtTheMaximum(t *testing.T) {
	s := schooledSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	s.group.Max, s.looks = 2, nil
	s.group.Desired, s.group.Instances = 2, instances(2, 2)
	p := staged{s, 99}
	for id := range int64(12) { // they take all places
		s.tell(life.JobEvent{Job: fleet.Job{ID: 50000 + id, Project: 2, State: fleet.JobRunning}})
	}
	p.begins()
	p.pass(4 * time.Minute)
	if n := len(s.looks); n > 14 {
		t.Errorf("%d looks in four minutes", n)
	}
}

// TestNothingIsExpectedAnyMore once the stages are skipped, and the waste is known
// within the time that it is one.
func TestNothingIsExpectedAnyMore(t *testing.T) {
	s := schooledSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	p := staged{s, 99}
	p.begins()
	p.pass(4 * time.Minute)
	if s.m.Expected() == 0 {
		t.Fatal("nothing was expected")
	}
	p.tells(0, "build", fleet.JobFinished, false)
	p.tests(fleet.JobCreated, true)
	p.pass(10 * time.Minute)
	if n := s.m.Expected(); n != 0 {
		t.Errorf("%d slots are expected to be needed by nothing", n)
	}
	if _, wastes := s.m.Judged(); wastes != 1 {
		t.Errorf("judged %d wastes", wastes)
	}
	if until := s.sleep.Sub(s.now); until < time.Minute {
		t.Errorf("it goes on asking itself: sleeps for %s", until)
	}
}

// TestBelievedInProjectsAreAsked, though a thousand others were heard of since.
func TestBelievedInProjectsAreAsked(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.tell(life.JobEvent{Job: fleet.Job{ID: 1, Project: 1, State: fleet.JobPending}}) // its end is lost
	for p := range int64(1500) {
		s.tell(life.JobEvent{Job: fleet.Job{ID: p + 2, Project: p + 2, State: fleet.JobCreated}})
		s.listed[p+2] = fleet.JobList{Whole: true}
	}
	s.listed[1] = fleet.JobList{Whole: true}
	s.pass(30 * time.Minute)
	if s.m.Pending() != 0 {
		t.Error("the job that has ended is still believed in")
	}
}

// TestLossesWithoutEnd do not make reconciliations faster for ever: a project that the
// token may not see loses an event every half minute.
func TestLossesWithoutEnd(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	for range 120 {
		s.tell(life.EventsLost{Project: 7})
		s.pass(30 * time.Second)
	}
	if s.asked < 12 || s.asked > 24 {
		t.Errorf("project 7 was asked for %d times in an hour", s.asked)
	}
	s.pass(time.Hour)
	began := s.now
	s.tell(life.EventsLost{Project: 8})
	for len(s.lists) == 0 {
		s.now = later(s.now, s.sleep)
		s.tell(life.Woke{})
	}
	if took := s.now.Sub(began); took > 15*time.Second {
		t.Errorf("after a quiet hour it asked after %s", took)
	}
}

// TestNotAsideForAnOutage: while AWS does not answer nobody knows that instances have
// nothing to do.
func TestNotAsideForAnOutage(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.group.Desired, s.group.Max, s.group.Instances = 1, 1, instances(1, 0)
	for id := range int64(60) {
		s.job(id+1, fleet.JobPending)
	}
	s.pass(time.Second)
	for range 40 {
		s.faults = append(s.faults, &fleet.Failure{Op: "look"})
	}
	s.pass(10 * time.Minute)
	s.faults = nil
	s.group.Max = 50
	s.pass(time.Minute)
	s.wantSets(10)
}

// TestProjectIsDeleted: its jobs are believed in no longer than until the next round,
// where the token sees other projects and has seen this one; never for another reason.
func TestProjectIsDeleted(t *testing.T) {
	missing, denied, away := &fleet.Failure{Kind: fleet.NotFound, Op: "list"}, &fleet.Failure{Kind: fleet.Denied, Op: "list"}, &fleet.Failure{Op: "list"}
	for name, c := range map[string]struct {
		seen    bool // before
		restart bool
		one     *fleet.Failure // what becomes of its list
		other   *fleet.Failure // and of another project's
		want    int
	}{
		"deleted":                        {seen: true, one: missing, want: 0},
		"deleted, and a restart":         {seen: true, restart: true, one: missing, want: 0},
		"the token has never seen it":    {one: missing, want: 3},
		"the token sees nothing":         {seen: true, one: missing, other: missing, want: 3},
		"GitLab is away":                 {seen: true, one: missing, other: away, want: 3},
		"the token may not see it":       {seen: true, one: denied, want: 3},
		"GitLab is away for this alone":  {seen: true, one: away, want: 3},
		"a restart, and GitLab is there": {seen: true, restart: true, want: 3},
	} {
		set := life.JobHookSettings{Group: "ci", Slots: 6, Reconcile: true}
		s := newHookSite(t, set)
		s.listed[1] = fleet.JobList{Whole: true}
		for id := range int64(3) {
			j := fleet.Job{ID: id + 1, Project: 1, State: fleet.JobPending}
			s.tell(life.JobEvent{Job: j})
			s.listed[1] = fleet.JobList{Whole: true, Jobs: append(s.listed[1].Jobs, j)}
		}
		s.tell(life.JobEvent{Job: fleet.Job{ID: 9, Project: 2, State: fleet.JobRunning}})
		s.listed[2] = fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 9, Project: 2, State: fleet.JobRunning}}}
		if !c.seen {
			s.failing = map[int64]*fleet.Failure{1: missing}
		}
		s.pass(6 * time.Minute)
		s.failing = map[int64]*fleet.Failure{1: c.one, 2: c.other}
		if c.restart {
			s.start(set)
		}
		s.pass(6 * time.Minute)
		if got := s.m.Pending(); got != c.want {
			t.Errorf("%s: %d pending, want %d\n%s", name, got, c.want, strings.Join(s.said, "\n"))
		}
	}
}
