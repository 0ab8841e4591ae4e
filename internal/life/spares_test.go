package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// spare is a schedule from policies as the configuration has them.
func spare(t *testing.T, policies ...string) scaling.Schedule {
	t.Helper()
	var s scaling.Schedule
	for _, text := range policies {
		p, err := scaling.ParseSpares(text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, p)
	}
	return s
}

// shore is an instance of two slots in a group: what its runner shows, and who else is
// in service.
type shore struct {
	running func(at time.Duration) int
	total   func(at time.Duration) int64
	others  []fleet.Instance
	desired int
}

func (s *shore) answer(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
	switch a := a.(type) {
	case life.ReadFlags:
		return fleet.Flags{Registered: true}, nil, 0
	case life.ReadWhoami:
		return &life.Whoami{Identity: fleet.Identity{InstanceID: self}, Group: "ci"}, nil, 0
	case life.ScrapeMetrics:
		o := fleet.Observation{StartedAt: 1, Concurrent: 2, Runners: []fleet.RunnerReading{{Name: "r", PollsAnswered: int64(at / time.Second), Running: s.running(at)}}}
		if s.total != nil {
			o.Runners[0].JobsTotal = s.total(at)
		}
		return o, nil, 0
	case life.ReadUnit:
		if a.Unit == life.UnitInit {
			return fleet.UnitState{Active: "inactive"}, nil, 0
		}
		return fleet.UnitState{Active: "active"}, nil, 0
	case life.SetDesired:
		s.desired = a.Desired
	case life.DescribeActivities:
		return []fleet.Activity(nil), nil, 0
	case life.DescribeGroup:
		me := fleet.Instance{ID: self, State: fleet.InService, Healthy: true, Protected: s.running(at) > 0}
		return fleet.Group{Name: "ci", Max: 9, Desired: s.desired, Instances: append([]fleet.Instance{me}, s.others...)}, nil, 0
	}
	return nil, nil, 0
}

func constant(n int) func(time.Duration) int { return func(time.Duration) int { return n } }

// count is how many actions of type A that please were asked for, from a moment on.
func count[A life.Action](all []asked, from time.Duration, pleases func(A) bool) int {
	n := 0
	for _, e := range all {
		if a, ok := e.action.(A); ok && e.at >= from && (pleases == nil || pleases(a)) {
			n++
		}
	}
	return n
}

var (
	idleOther = fleet.Instance{ID: "i-z", State: fleet.InService, Healthy: true}
	busyOther = fleet.Instance{ID: "i-z", State: fleet.InService, Healthy: true, Protected: true}
)

// TestScaleUpHoldsSparesReady: where a slot is free here it brings the group to the busy
// instances and the spares, looks once, and ends.
func TestScaleUpHoldsSparesReady(t *testing.T) {
	for _, c := range []struct {
		name    string
		spares  []string
		running int
		others  []fleet.Instance
		want    int // desired
		looks   int
	}{
		{"none are wanted", nil, 1, nil, 1, 0},
		{"none at this time", []string{"4", "0 * * * * *"}, 1, nil, 1, 0},
		{"this one went to work", []string{"2"}, 1, nil, 2, 1},
		{"half an instance is a whole one", []string{"3"}, 1, nil, 3, 1},
		{"another is idle", []string{"2"}, 1, []fleet.Instance{idleOther}, 2, 1},
		{"another is busy", []string{"2"}, 1, []fleet.Instance{busyOther}, 3, 1},
		{"this one is idle itself", []string{"2"}, 0, nil, 1, 1},
		{"and more are wanted", []string{"4"}, 0, nil, 2, 1},
		{"more than the maximum", []string{"100"}, 1, nil, 9, 1},
	} {
		s := shore{running: constant(c.running), others: c.others, desired: 1 + len(c.others)}
		set := scaleSettings
		set.Spares.Slots = spare(t, c.spares...)
		all, exit := timed(life.NewScaleUp(set), time.Minute, s.answer)
		if exit == nil || exit.Code != life.Done {
			t.Fatalf("%s: it ended with %+v", c.name, exit)
		}
		if looks := count[life.DescribeGroup](all, 0, nil); s.desired != c.want || looks != c.looks {
			t.Errorf("%s: desired %d after %d looks, want %d after %d", c.name, s.desired, looks, c.want, c.looks)
		}
	}
}

// TestScaleUpReplacesASpareThatIsFull: one whose slots are all taken at once is replaced
// as soon, though its gauge says that nobody waits; and once only.
func TestScaleUpReplacesASpareThatIsFull(t *testing.T) {
	raised := time.Duration(-1)
	s := shore{running: func(at time.Duration) int {
		if at < 20*time.Second {
			return 2
		}
		return 1
	}, total: func(time.Duration) int64 { return 2 }, desired: 1}
	set := scaleSettings
	set.Spares.Slots = spare(t, "2")
	set.BlindAfter = time.Hour
	all, exit := timed(life.NewScaleUp(set), time.Minute, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		if _, is := a.(life.SetDesired); is && raised < 0 {
			raised = at
		}
		v, f, took := s.answer(at, a)
		if o, ok := v.(fleet.Observation); ok {
			o.Runners[0].QueueSize = 1
			v = o
		}
		return v, f, took
	})
	if exit == nil || s.desired != 2 || raised > time.Second || count[life.DescribeGroup](all, 0, nil) != 1 {
		t.Errorf("desired %d after %s, %+v", s.desired, raised, exit)
	}
}

// TestScaleUpHearsOfTheSchedule: more spares that are wanted while every slot is taken
// are held ready by the scale-up that runs.
func TestScaleUpHearsOfTheSchedule(t *testing.T) {
	from := epoch.Add(time.Hour).Truncate(time.Hour)
	s := shore{running: constant(2), desired: 1}
	set := scaleSettings
	set.BlindAfter = 10 * time.Hour
	set.Spares.Slots = spare(t, "2", "8 * "+from.Format("15")+" * * *")
	all, _ := timed(life.NewScaleUp(set), from.Sub(epoch)+30*time.Minute, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		v, f, took := s.answer(at, a)
		if o, ok := v.(fleet.Observation); ok {
			o.Runners[0].QueueSize, o.Runners[0].JobsTotal = 1, 2
			v = o
		}
		return v, f, took
	})
	if n := count[life.DescribeGroup](all, 0, nil); s.desired != 5 || n != 2 {
		t.Errorf("desired %d after %d looks, want 5 after two", s.desired, n)
	}
}

var spareMonitor = life.MonitorSettings{
	Group: "ci", Mode: fleet.ModeToken, Period: 10 * time.Second, SaturatedPeriod: 3 * time.Second, IdleThreshold: 3 * time.Minute,
	UnprotectAfter: time.Minute, HoldTimeout: 2 * time.Minute, UnhealthyAfter: 15 * time.Minute, Seed: 7,
}

func isScaleUp(u life.StartUnit) bool { return u.Unit == life.UnitScaleUp }

// TestMonitorReplacesASpare: an idle instance that goes to work has scale-up look after
// the spares, once, as every monitor does when it begins; without spares only one that is full starts it.
func TestMonitorReplacesASpare(t *testing.T) {
	for name, c := range map[string]struct {
		spares []string
		want   int
	}{"none are wanted": {nil, 0}, "none at this time": {[]string{"2", "0 * * * * *"}, 0}, "two slots": {[]string{"2"}, 2}} {
		s := shore{running: func(at time.Duration) int { return min(1, int(at/(30*time.Second))) }, others: []fleet.Instance{busyOther}, desired: 2}
		set := spareMonitor
		set.Spares.Slots = spare(t, c.spares...)
		all, _ := timed(life.NewMonitor(set), 10*time.Minute, s.answer)
		if got := count(all, 0, isScaleUp); got != c.want {
			t.Errorf("%s: started %d times, want %d", name, got, c.want)
		}
	}
}

// TestMonitorFollowsTheSchedule: from a minute on that wants more all have it looked
// after within a minute; an idle one that is to stay asks nobody, and leaves when the
// schedule wants fewer.
func TestMonitorFollowsTheSchedule(t *testing.T) {
	from := epoch.Add(time.Hour).Truncate(time.Hour) // for an hour, from within the first one on
	begins := from.Sub(epoch)
	s := shore{running: constant(0), others: []fleet.Instance{busyOther, busyOther}, desired: 3}
	s.others[1].ID = "i-y"
	set := spareMonitor
	set.IdleThreshold = begins + 10*time.Minute
	set.Spares.Slots = spare(t, "0", "2 * "+from.Format("15")+" * * *")
	all, _ := timed(life.NewMonitor(set), begins+70*time.Minute, s.answer)
	if at := first(all, isScaleUp); at < begins || at > begins+time.Minute+10*time.Second || count(all, 0, isScaleUp) != 1 {
		t.Errorf("scale-up was started after %s, want once from %s on", at, begins)
	}
	if looks := count[life.DescribeGroup](all, 0, nil) - count[life.DescribeGroup](all, begins+time.Hour, nil); looks != 1 {
		t.Errorf("%d looks while it was to stay, want one", looks)
	}
	if at := first[life.HoldRunner](all, nil); at < begins+time.Hour || at > begins+time.Hour+time.Minute {
		t.Errorf("it began to leave after %s, want %s", at, begins+time.Hour)
	}
}

// TestSparesAreReleased: an idle instance is held as a spare while another is busy, or
// for as long as it is said, and then goes like any other.
func TestSparesAreReleased(t *testing.T) {
	for name, c := range map[string]struct {
		other fleet.Instance
		hold  time.Duration
		want  time.Duration // below zero: stays
	}{
		"for ever":             {idleOther, 0, -1},
		"all are idle":         {idleOther, 20 * time.Minute, 20 * time.Minute},
		"the other is at work": {busyOther, 20 * time.Minute, -1},
	} {
		s := shore{running: constant(0), others: []fleet.Instance{c.other}, desired: 2}
		set := spareMonitor
		set.Spares = life.SpareSettings{Slots: spare(t, "4"), Hold: c.hold}
		all, _ := timed(life.NewMonitor(set), time.Hour, s.answer)
		if at := first[life.HoldRunner](all, nil); c.want < 0 && at >= 0 || c.want >= 0 && (at < c.want || at > c.want+time.Minute) {
			t.Errorf("%s: it began to leave after %s, want %s", name, at, c.want)
		}
		most := 1
		if c.hold > 0 { // another is at work still: it asks again, more and more seldom
			most = 9
		}
		if looks := count[life.DescribeGroup](all, 0, nil); c.want < 0 && looks > most {
			t.Errorf("%s: %d looks at the group in an hour, at most %d", name, looks, most)
		}
	}
}

// TestMonitorLearnsToStay: one whose jobs come every ten minutes stays for four times that
// after the last, as far as it may; one that may not learn goes by its threshold.
func TestMonitorLearnsToStay(t *testing.T) {
	const last = 100 * time.Minute
	for learn, want := range map[time.Duration]time.Duration{0: 12 * time.Minute, 15 * time.Minute: 15 * time.Minute, time.Hour: 40 * time.Minute} {
		s := shore{
			running: func(at time.Duration) int {
				if at < last+5*time.Second && at%(10*time.Minute) < 5*time.Second && at > time.Minute {
					return 1
				}
				return 0
			},
			total:  func(at time.Duration) int64 { return int64(min(at, last) / (10 * time.Minute)) },
			others: []fleet.Instance{busyOther}, desired: 2,
		}
		set := spareMonitor
		set.IdleThreshold, set.LearnIdle = 12*time.Minute, learn
		all, _ := timed(life.NewMonitor(set), 4*time.Hour, s.answer)
		if at := first[life.HoldRunner](all, nil); at < last+want-time.Minute || at > last+want+time.Minute { // ten seconds of each gap had a job
			t.Errorf("learning up to %s: it began to leave %s after its last job, want %s", learn, at-last, want)
		}
	}
}

// TestMonitorMissesSpares: an idle instance that is told to stay, and sees fewer spares
// than are wanted, has them looked after: desired may have been lowered by hand meanwhile.
func TestMonitorMissesSpares(t *testing.T) {
	for spares, want := range map[string]int{"2": 1, "4": 2} { // of one instance, which this one is, and of two
		s := shore{running: constant(0), others: []fleet.Instance{busyOther}, desired: 2}
		set := spareMonitor
		set.Spares.Slots = spare(t, spares)
		all, _ := timed(life.NewMonitor(set), 30*time.Minute, s.answer)
		if got := count(all, 0, isScaleUp); got != want {
			t.Errorf("%s slots: scale-up was started %d times, want %d", spares, got, want)
		}
	}
}
