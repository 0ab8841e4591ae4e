package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// The defects of the playbooks and loops that Shoal takes the place of, one test
// each. test/defects puts each back in and demands that its test goes red.

// TestDefect1UnknownMetadataIsNoNotice: an IMDS token that expires, a hiccup, a
// body that does not parse, for hours: the instance stays.
func TestDefect1UnknownMetadataIsNoNotice(t *testing.T) {
	for _, k := range []fleet.FailureKind{fleet.Temporary, fleet.Denied, fleet.NotFound, fleet.Invalid} {
		s := working(t)
		s.group.Min = 2
		s.proc.arrive(3 * time.Hour)
		s.run(time.Minute)
		s.fail = func(a life.Action) *fleet.Failure {
			switch a.(type) {
			case life.ReadTarget, life.ReadSpot, life.ReadRebalance, life.ReadMaintenance:
				return kind(k)
			}
			return nil
		}
		s.run(7 * time.Hour)
		mustWork(t, s, k)
		if len(s.proc.finished) != 1 || s.proc.starts != 1 {
			t.Errorf("%s: finished %v, %d starts", k, s.proc.finished, s.proc.starts)
		}
	}
}

// TestDefect2SaturatedSpellIsActivity: an instance that was saturated for long
// is not idle at the first reading after it.
func TestDefect2SaturatedSpellIsActivity(t *testing.T) {
	s := working(t)
	s.proc.arrive(20 * time.Minute)
	s.proc.arrive(20 * time.Minute)
	s.run(20*time.Minute + 170*time.Second)
	mustWork(t, s, "within the idle threshold after a saturated spell")
	if s.count("HoldRunner") != 0 {
		t.Error("began to leave")
	}
	s.run(time.Minute)
	mustBeGone(t, s, "past the threshold")
}

// TestDefect3RefusedTerminationPutsTheRunnerBack: whatever the terminate call
// answers, an instance that stays works.
func TestDefect3RefusedTerminationPutsTheRunnerBack(t *testing.T) {
	for _, k := range []fleet.FailureKind{fleet.Temporary, fleet.Throttled, fleet.Denied, fleet.OutOfBounds, fleet.Invalid, fleet.NotFound} {
		s := working(t)
		s.fail = func(a life.Action) *fleet.Failure {
			if _, ok := a.(life.TerminateSelf); ok {
				return kind(k)
			}
			return nil
		}
		s.runUntil(10*time.Minute, func() bool { return s.proc.state == "inactive" })
		s.run(2 * time.Minute)
		mustWork(t, s, k)
	}
}

// TestDefect4RaisesLoseNoUpdate: instances that raise in the same moment reach
// what is needed, and no more.
func TestDefect4RaisesLoseNoUpdate(t *testing.T) {
	const slots, waiting, peers = 2, 8, 3
	g := fleet.Group{Name: "ci", Max: 40, Desired: peers}
	machines := make([]life.ScaleUp, peers)
	actions := make([]life.Action, peers)
	for i := range machines {
		id := string(rune('a' + i))
		g.Instances = append(g.Instances, member(id, true))
		set := scaleUpSettings
		set.BlindAfter = time.Hour
		machines[i] = life.NewScaleUp(set)
	}
	now := epoch
	for round := range 200 { // all take their n-th step in the same moment
		answers := make([]life.Event, peers)
		for i, a := range actions {
			answers[i] = answerScaleUp(a, &g, string(rune('a'+i)), slots, waiting)
		}
		for i := range machines {
			var out []life.Action
			machines[i], out = machines[i].Step(answers[i], now)
			actions[i] = out[len(out)-1]
			if s, ok := actions[i].(life.Sleep); ok && s.Until.After(now) {
				now = s.Until
			}
		}
		if g.Desired > peers+waiting/slots {
			t.Fatalf("round %d: desired %d, needed %d", round, g.Desired, peers+waiting/slots)
		}
	}
	if g.Desired != peers+waiting/slots {
		t.Errorf("desired %d, needed %d", g.Desired, peers+waiting/slots)
	}
}

func answerScaleUp(a life.Action, g *fleet.Group, id string, slots, waiting int) life.Event {
	r := life.Result{Action: a}
	switch a := a.(type) {
	case nil:
		return life.Started{}
	case life.Sleep:
		return life.Woke{}
	case life.ReadFlags:
		r.Value = fleet.Flags{Registered: true}
	case life.ScrapeMetrics:
		r.Value = fleet.Observation{Concurrent: slots, StartedAt: 1, Runners: []fleet.RunnerReading{{Name: "one", Running: slots, JobsTotal: 5, QueueSize: waiting + 1}}}
	case life.ReadWhoami:
		r.Value = &life.Whoami{Group: "ci", Identity: fleet.Identity{InstanceID: id}}
	case life.DescribeGroup:
		c := *g
		c.Instances = append([]fleet.Instance(nil), g.Instances...)
		r.Value = c
	case life.SetDesired:
		g.Desired = a.Desired
	}
	return r
}

// TestDefect5DrainIsNotCut: the job outlives every time-out, because the hook is
// heartbeaten for as long as it runs.
func TestDefect5DrainIsNotCut(t *testing.T) {
	s := busy(t, 7*time.Hour)
	s.scaleIn()
	s.run(8 * time.Hour)
	mustBeGone(t, s, "a job of seven hours, a hook of five minutes")
	if len(s.proc.finished) != 1 || s.count("Heartbeat") < 200 {
		t.Errorf("finished %v, %d heartbeats", s.proc.finished, s.count("Heartbeat"))
	}
}

// TestDefect6JobBetweenIdleCheckAndTermination: a job that starts in between is
// run to its end.
func TestDefect6JobBetweenIdleCheckAndTermination(t *testing.T) {
	s := working(t)
	s.proc.longPoll = 30 * time.Second
	s.run(175 * time.Second)
	clear(s.calls)
	s.runUntil(time.Minute, func() bool { return s.calls["aws"] > 0 }) // it has looked whether it may go
	s.proc.arrive(time.Hour)
	s.run(3 * time.Minute)
	if len(s.proc.jobs) != 1 || s.proc.cancelled != 0 || s.dead {
		t.Fatalf("%d jobs run, %d polls cut, dead %v", len(s.proc.jobs), s.proc.cancelled, s.dead)
	}
	mustWork(t, s, "with the job")
	s.run(2 * time.Hour)
	mustBeGone(t, s, "after the job")
}

// TestDefect7FailedStartIsAbandoned, and leaves nothing in GitLab.
func TestDefect7FailedStartIsAbandoned(t *testing.T) {
	s := newSite(t)
	s.proc.broken = true
	s.start(life.UnitInit)
	s.run(6 * time.Minute)
	if len(s.completed) != 1 || s.completed[0] != "start ABANDON" || s.ghosts() != 0 || s.replaced != 1 {
		t.Errorf("completed %v, %d ghosts, %d replacements", s.completed, s.ghosts(), s.replaced)
	}
}

// TestDefect8NothingHappeningAsksNobody: for an hour neither AWS nor GitLab is
// asked. (One look whether the minimum needs this instance comes before it.)
func TestDefect8NothingHappeningAsksNobody(t *testing.T) {
	s := working(t)
	s.group.Min = 2
	s.run(5 * time.Minute)
	if s.calls["aws"] > 1 {
		t.Errorf("%d calls to AWS on the way", s.calls["aws"])
	}
	clear(s.calls)
	s.forget()
	s.run(time.Hour)
	if s.calls["aws"]+s.calls["gitlab"]+s.calls["secret"] != 0 || len(s.done) != 0 {
		t.Errorf("calls %v, effects %v", s.calls, s.done)
	}
}
