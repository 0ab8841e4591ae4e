package life_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// staged is a pipeline of one build and eighteen tests, on a hook's site.
type staged struct {
	*hookSite
	pipeline int64
}

func (p staged) tells(n int64, stage string, state fleet.JobState, aside bool) {
	p.t.Helper()
	p.tell(life.JobEvent{Job: fleet.Job{ID: 100*p.pipeline + n, Project: 1, Pipeline: p.pipeline, Stage: stage, Name: stage, State: state, Aside: aside}})
}

func (p staged) tests(state fleet.JobState, aside bool) {
	p.t.Helper()
	for n := range int64(18) {
		p.tells(1+n, "test", state, aside)
	}
}

// begins creates the pipeline, and has its build run.
func (p staged) begins() {
	p.t.Helper()
	p.tells(0, "build", fleet.JobCreated, false)
	p.tests(fleet.JobCreated, false)
	p.tells(0, "build", fleet.JobPending, false)
	p.pass(time.Second)
	p.tells(0, "build", fleet.JobRunning, false)
}

// ends runs the tests.
func (p staged) ends() {
	p.t.Helper()
	p.tells(0, "build", fleet.JobFinished, false)
	p.tests(fleet.JobPending, false)
	p.tests(fleet.JobRunning, false)
	p.pass(30 * time.Second)
	p.tests(fleet.JobFinished, false)
	p.pass(time.Minute)
}

// schooled is a site that has seen a dozen pipelines whose builds take four minutes,
// with instances enough; then it has one.
func schooledSite(t *testing.T, set life.JobHookSettings) *hookSite {
	s := newHookSite(t, set)
	s.group.Desired, s.group.Instances = 9, instances(9, 0)
	for n := range int64(12) {
		p := staged{s, n + 1}
		p.begins()
		p.pass(4 * time.Minute)
		p.ends()
	}
	s.group.Desired, s.group.Instances, s.sets, s.said = 1, instances(1, 1), nil, nil
	return s
}

// TestRaisesAheadOfAStage: a launch before the build's end desired stands at what build
// and tests need; the reason says which stage, and it is judged by what comes of it.
func TestRaisesAheadOfAStage(t *testing.T) {
	s := schooledSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	p := staged{s, 99}
	began := s.now
	p.begins()
	p.pass(time.Minute)
	s.wantSets() // the build goes on for three minutes more: too early
	var at time.Duration
	for at == 0 && s.now.Sub(began) < 4*time.Minute {
		if p.pass(time.Second); len(s.sets) > 0 {
			at = s.now.Sub(began)
		}
	}
	s.wantSets(3) // ⌈18 / 6⌉: the build's slot is free by then
	if at < 110*time.Second || at > 140*time.Second {
		t.Errorf("raised after %s, want two minutes before the end", at)
	}
	if s.says(`jobs of stage "test" begin within 2m0s`) != 1 || s.says("needed") != 1 {
		t.Errorf("said %q", s.said)
	}
	if s.m.Expected() == 0 {
		t.Error("nothing is expected")
	}
	p.pass(began.Add(4 * time.Minute).Sub(s.now))
	p.ends()
	if hits, wastes := s.m.Judged(); hits != 1 || wastes != 0 || s.says("began in time") != 1 {
		t.Errorf("judged %d hits and %d wastes; said %q", hits, wastes, s.said)
	}
}

// TestAWasteIsSaid: the build fails, and the tests are skipped.
func TestAWasteIsSaid(t *testing.T) {
	s := schooledSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	p := staged{s, 99}
	p.begins()
	p.pass(4 * time.Minute)
	p.tells(0, "build", fleet.JobFinished, false)
	p.tests(fleet.JobCreated, true)
	p.pass(10 * time.Minute)
	(staged{s, 100}).begins() // it is asked again
	p.pass(time.Minute)
	if hits, wastes := s.m.Judged(); hits != 0 || wastes != 1 || s.says("did not begin") != 1 {
		t.Errorf("judged %d hits and %d wastes; said %q", hits, wastes, s.said)
	}
}

// TestNothingIsRaisedAhead where that is switched off, for stages that wait for somebody,
// and by one that has seen too little.
func TestNothingIsRaisedAhead(t *testing.T) {
	off := schooledSite(t, life.JobHookSettings{})
	(staged{off, 99}).begins()
	off.pass(4 * time.Minute)
	off.wantSets()

	manual := schooledSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	p := staged{manual, 99}
	p.tests(fleet.JobCreated, true)
	p.tells(0, "build", fleet.JobPending, false)
	p.pass(time.Second)
	p.tells(0, "build", fleet.JobRunning, false)
	p.pass(4 * time.Minute)
	manual.wantSets()

	fresh := newHookSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	fresh.group.Desired, fresh.group.Instances = 1, instances(1, 1)
	(staged{fresh, 99}).begins()
	fresh.pass(4 * time.Minute)
	fresh.wantSets()
}

// TestForesightIsQuiet: as time passes it is asked again and again, and the group is
// not, once desired stands at what is to come, but for one look in twenty seconds.
func TestForesightIsQuiet(t *testing.T) {
	s := schooledSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	s.looks = nil
	p := staged{s, 99}
	p.begins()
	p.pass(4 * time.Minute)
	if n := len(s.looks); n < 2 || n > 9 {
		t.Errorf("%d looks in four minutes", n)
	}
	for _, gap := range slices.Collect(gaps(s.looks)) {
		if gap < 20*time.Second && gap > time.Second {
			t.Errorf("looked again after %s", gap)
		}
	}
}

func gaps(at []time.Time) func(func(time.Duration) bool) {
	return func(yield func(time.Duration) bool) {
		for n := 1; n < len(at); n++ {
			if !yield(at[n].Sub(at[n-1])) {
				return
			}
		}
	}
}

// TestLaunchesAreTimed: where the group takes five minutes to launch an instance it is
// raised five minutes ahead.
func TestLaunchesAreTimed(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	s.group.Desired, s.group.Instances = 9, instances(9, 0)
	for n := range int64(12) { // builds of ten minutes
		p := staged{s, n + 1}
		p.begins()
		p.pass(10 * time.Minute)
		p.ends()
	}
	s.job(1, fleet.JobPending) // looks every 20 s from now on
	for n := range 8 {
		i := fleet.Instance{ID: "i-new" + string(rune('a'+n)), State: fleet.Pending, Healthy: true}
		s.group.Instances = append(instances(9, 9), i)
		s.pass(5 * time.Minute)
		s.group.Instances[9].State = fleet.InService
		s.pass(time.Minute)
	}
	s.job(1, fleet.JobFinished)
	s.pass(time.Minute)
	s.group.Desired, s.group.Instances, s.sets = 1, instances(1, 1), nil
	p := staged{s, 99}
	p.begins()
	p.pass(6 * time.Minute)
	s.wantSets(3)
}

// TestAListTeachesNoDurations: builds of an hour that ran already when GitLab's list told
// of them, as after a restart, end half a minute later.
func TestAListTeachesNoDurations(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true, Forecast: scaling.UsualForecast()})
	s.group.Desired, s.group.Instances = 9, instances(9, 9)
	var builds []fleet.Job
	for n := range int64(12) {
		builds = append(builds, fleet.Job{ID: 100 * (n + 1), Project: 1, Pipeline: n + 1, Stage: "build", Name: "build", State: fleet.JobRunning})
	}
	s.listed[1] = fleet.JobList{Whole: true, Jobs: builds}
	s.tell(life.EventsLost{Project: 1})
	s.pass(40 * time.Second)
	if s.m.Running() != len(builds) {
		t.Fatalf("%d run", s.m.Running())
	}
	for _, j := range builds {
		j.State = fleet.JobFinished
		s.tell(life.JobEvent{Job: j})
	}
	s.listed = nil
	s.group.Desired, s.group.Instances = 1, instances(1, 1)
	(staged{s, 99}).begins()
	s.pass(2 * time.Minute)
	s.wantSets()
}

// TestRaisedAheadAgain: an instance that was there for a stage leaves before it begins.
func TestRaisedAheadAgain(t *testing.T) {
	s := schooledSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	p := staged{s, 99}
	p.begins()
	p.pass(160 * time.Second)
	s.wantSets(3)
	s.group.Desired--
	p.pass(25 * time.Second)
	s.wantSets(3, 3)
}

// TestNoWordOfTheMaximum where no job waits, however often what is to come is looked at.
func TestNoWordOfTheMaximum(t *testing.T) {
	s := schooledSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	s.group.Max, s.group.Desired, s.group.Instances = 2, 2, instances(2, 2)
	for id := range int64(11) {
		s.tell(life.JobEvent{Job: fleet.Job{ID: 90000 + id, Project: 9, State: fleet.JobRunning}})
	}
	p := staged{s, 99}
	looked := len(s.looks)
	p.begins()
	p.pass(4 * time.Minute)
	if n := s.says("is at its maximum"); n != 0 || s.m.Expected() == 0 {
		t.Errorf("said %d times, %d slots are expected", n, s.m.Expected())
	}
	if n := len(s.looks) - looked; n > 4*3 {
		t.Errorf("%d looks in four minutes", n)
	}
	p.tells(0, "build", fleet.JobFinished, false)
	p.tests(fleet.JobPending, false)
	p.pass(time.Minute)
	if n := s.says("is at its maximum"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestALaunchIsTimedWhole: from the raise on, which is the look before the first one that
// shows the instance, until it came into service, which was between two looks.
func TestALaunchIsTimedWhole(t *testing.T) {
	s := schooledSite(t, life.JobHookSettings{Forecast: scaling.UsualForecast()})
	for id := range int64(8) {
		s.group.Desired, s.group.Instances = 0, nil
		s.job(90000+id, fleet.JobPending)
		s.pass(500 * time.Millisecond) // it is raised
		s.group.Instances = instances(1, 0)
		s.group.Instances[0].State = fleet.Pending
		s.pass(83*time.Second + time.Duration(id)*2500*time.Millisecond) // 92 in the mean
		s.group.Instances[0].State = fleet.InService
		s.pass(20 * time.Second)
		s.job(90000+id, fleet.JobFinished)
		s.pass(time.Minute)
	}
	s.group.Desired, s.group.Instances = 1, instances(1, 1)
	(staged{s, 99}).begins()
	s.pass(4 * time.Minute)
	if s.says(`jobs of stage "test" begin within 1m3`) != 1 {
		t.Errorf("said %q", s.said[max(0, len(s.said)-4):])
	}
}
