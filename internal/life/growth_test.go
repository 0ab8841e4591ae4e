package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// full is a runner whose slots are all busy; total jobs taken, the newest
// when waiting jobs waited behind it.
func full(total int64, waiting int) fleet.Observation {
	return fleet.Observation{StartedAt: 1, Concurrent: 2, Runners: []fleet.RunnerReading{{Name: "r", Running: 2, JobsTotal: total, QueueSize: waiting + 1}}}
}

// growing answers a scale-up with a group that grows at once, and whose idle
// newcomers leave after five minutes.
func growing(seen *life.Seen, reading func(at time.Duration) fleet.Observation, raises *[]int) answers {
	desired, grown := 1, time.Duration(0)
	return func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		if desired > 1 && at-grown > 5*time.Minute {
			desired = 1
		}
		switch a := a.(type) {
		case life.ReadFlags:
			return fleet.Flags{Registered: true}, nil, 0
		case life.ReadSeen:
			return seen, nil, 0
		case life.WriteSeen:
			seen = &a.Seen
		case life.ReadWhoami:
			return &life.Whoami{Identity: fleet.Identity{InstanceID: self}, Group: "ci"}, nil, 0
		case life.ScrapeMetrics:
			return reading(at), nil, 0
		case life.SetDesired:
			desired, grown = a.Desired, at
			*raises = append(*raises, a.Desired)
		case life.DescribeGroup:
			g := fleet.Group{Name: "ci", Max: 40, Desired: desired, Instances: []fleet.Instance{{ID: self, State: fleet.InService, Protected: true}}}
			for range desired - 1 {
				g.Instances = append(g.Instances, fleet.Instance{ID: "i-other", State: fleet.InService})
			}
			return g, nil, 0
		}
		return nil, nil, 0
	}
}

var scaleSettings = life.ScaleUpSettings{Period: 5 * time.Second, BlindAfter: 10 * time.Second, Seed: 1}

// A runner that tells the queue's length, and told that nobody waited, hears
// nothing more while its jobs run on: jobs may wait by now. It finds out by one
// instance more, and once that has left does so again: soon at first, never less
// often than every eight minutes or so, or a job would wait for hours.
func TestScaleUpFindsOutRarely(t *testing.T) {
	var raises []int
	timed(life.NewScaleUp(scaleSettings), 3*time.Hour, growing(nil, func(time.Duration) fleet.Observation { return full(2, 0) }, &raises))
	if len(raises) < 180/9 || len(raises) > 180/8+4 {
		t.Errorf("raised %d times in three hours without news: %v", len(raises), raises)
	}
}

// The gauge stands for hours after it was news: a scale-up that starts anew does
// not believe what the one before it believed.
func TestScaleUpBelievesAReadingOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		seen *life.Seen
		want int
	}{
		{"never seen", nil, 20},
		{"seen", &life.Seen{StartedAt: 1, JobsTotal: 9}, 2}, // a step without knowing
		{"a job was taken since", &life.Seen{StartedAt: 1, JobsTotal: 8}, 20},
		{"of the process before", &life.Seen{StartedAt: 0.5, JobsTotal: 9}, 20},
	} {
		var raises []int
		timed(life.NewScaleUp(scaleSettings), time.Minute, growing(c.seen, func(time.Duration) fleet.Observation { return full(9, 38) }, &raises))
		if len(raises) == 0 || raises[0] != c.want {
			t.Errorf("%s: raised to %v, want %d first", c.name, raises, c.want)
		}
	}
}

// crowd is an instance that takes a job every seven seconds for three hours; what
// its group launches stays on its way.
type crowd struct {
	waiting, later int // jobs, and from two hours on
	most           int // the group's maximum
	spells         bool

	group  fleet.Group
	seen   *life.Seen
	looks  int
	raised time.Duration // at last
}

func (b *crowd) live() {
	b.group = fleet.Group{Name: "ci", Max: b.most, Desired: 1, Instances: []fleet.Instance{{ID: self, State: fleet.InService, Protected: true}}}
	spell := 3 * time.Hour
	if b.spells {
		spell = 20 * time.Second
	}
	for begin := time.Duration(0); begin < 3*time.Hour; begin += spell + 10*time.Second {
		timed(life.NewScaleUp(scaleSettings), spell, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
			return b.do(begin, begin+at, a), nil, 0
		})
	}
}

// do answers a process that began at a time and believes that it was the epoch.
func (b *crowd) do(begin, at time.Duration, a life.Action) any {
	switch a := a.(type) {
	case life.ReadFlags:
		return fleet.Flags{Registered: true}
	case life.ReadSeen:
		if b.seen == nil {
			return b.seen
		}
		s := *b.seen
		s.Look.At = s.Look.At.Add(-begin)
		return &s
	case life.WriteSeen:
		b.seen = &a.Seen
		b.seen.Look.At = b.seen.Look.At.Add(begin)
	case life.ReadWhoami:
		return &life.Whoami{Identity: fleet.Identity{InstanceID: self}, Group: "ci"}
	case life.ScrapeMetrics:
		n := b.waiting
		if at > 2*time.Hour {
			n = b.later
		}
		return full(int64(at/(7*time.Second))+2, n)
	case life.DescribeGroup:
		b.looks++
		return b.group
	case life.SetDesired:
		b.group.Desired, b.raised = a.Desired, at
	}
	return nil
}

// What has been provided for is not asked about with each job that a busy instance
// takes: not at the maximum, not while instances are on their way, not where a new
// process starts with each saturated spell. A queue that grows is followed at once
// all the same.
func TestScaleUpAsksABusyGroupRarely(t *testing.T) {
	for _, c := range []struct {
		name    string
		b       crowd
		desired int
	}{
		{"nobody waits", crowd{most: 40}, 1},
		{"at the maximum", crowd{waiting: 30, later: 30, most: 1}, 1},
		{"provided for", crowd{waiting: 6, later: 6, most: 40}, 4},
		{"provided for, in many spells", crowd{waiting: 6, later: 6, most: 40, spells: true}, 4},
		{"the queue grows", crowd{waiting: 6, later: 26, most: 40, spells: true}, 14},
	} {
		c.b.live()
		if c.b.looks > 3*60+10 || c.b.waiting == 0 && c.b.looks > 0 {
			t.Errorf("%s: %d looks at the group in three hours", c.name, c.b.looks)
		}
		if c.b.group.Desired != c.desired || c.b.later > c.b.waiting && c.b.raised > 2*time.Hour+40*time.Second {
			t.Errorf("%s: desired is %d, want %d, at last raised after %s", c.name, c.b.group.Desired, c.desired, c.b.raised)
		}
	}
}

// A runner before 18.1 tells how long jobs had waited: while they come and had
// not, there is nothing to raise for.
func TestScaleUpStaysWhereNoneWaited(t *testing.T) {
	old := func(waited float64) func(time.Duration) fleet.Observation {
		return func(at time.Duration) fleet.Observation {
			n := uint64(at/(5*time.Second)) + 1
			return fleet.Observation{StartedAt: 1, Concurrent: 2, Runners: []fleet.RunnerReading{{
				Name: "r", Running: 2, JobsTotal: int64(n), QueueWaits: n, QueueWaitSeconds: waited * float64(n), //nolint:gosec // small
			}}}
		}
	}
	for waited, most := range map[float64]int{0.5: 1, 30: 1000} { // the first look knows nothing yet
		var raises []int
		timed(life.NewScaleUp(scaleSettings), time.Hour, growing(nil, old(waited), &raises))
		if len(raises) > most || waited > 2 && len(raises) < 2 {
			t.Errorf("jobs had waited %.1f s: raised %v", waited, raises)
		}
	}
}

// A scale-up that is refused is started again after longer and longer pauses: a
// start by hand passes by RestartPreventExitStatus=.
func TestMonitorLeavesARefusedScaleUpAlone(t *testing.T) {
	all, _ := timed(life.NewMonitor(life.MonitorSettings{
		Period: 10 * time.Second, SaturatedPeriod: 3 * time.Second, IdleThreshold: 3 * time.Minute,
		UnprotectAfter: time.Minute, HoldTimeout: time.Minute, UnhealthyAfter: 15 * time.Minute, Seed: 1,
	}), time.Hour, func(_ time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		switch a := a.(type) {
		case life.ReadFlags:
			return fleet.Flags{Registered: true, Protected: true}, nil, 0
		case life.ReadWhoami:
			return &life.Whoami{Identity: fleet.Identity{InstanceID: self}, Group: "ci"}, nil, 0
		case life.ScrapeMetrics:
			return full(2, 3), nil, 0
		case life.ReadUnit:
			if a.Unit == life.UnitScaleUp {
				return fleet.UnitState{Active: "failed"}, nil, 0
			}
			return fleet.UnitState{Active: "active"}, nil, 0
		}
		return nil, nil, 0
	})
	starts := 0
	for _, e := range all {
		if u, ok := e.action.(life.StartUnit); ok && u.Unit == life.UnitScaleUp {
			starts++
		}
	}
	if starts < 5 || starts > 15 {
		t.Errorf("scale-up was started %d times in an hour of refusals", starts)
	}
}

// Of two sections one runner was deleted in GitLab: the other's answers do not
// hide it.
func TestMonitorSeesOneSectionOfTwoRefused(t *testing.T) {
	all, _ := timed(life.NewMonitor(life.MonitorSettings{
		Mode: fleet.ModeCreate, Period: 10 * time.Second, SaturatedPeriod: 3 * time.Second, IdleThreshold: 24 * time.Hour,
		UnprotectAfter: time.Minute, HoldTimeout: time.Minute, UnhealthyAfter: 15 * time.Minute, Seed: 1,
	}), time.Hour, func(at time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
		polls := int64(at/time.Second) + 1
		switch a.(type) {
		case life.ReadFlags:
			return fleet.Flags{Registered: true}, nil, 0
		case life.ReadWhoami:
			return &life.Whoami{Identity: fleet.Identity{InstanceID: self}, Group: "ci"}, nil, 0
		case life.ScrapeMetrics:
			return fleet.Observation{StartedAt: 1, Concurrent: 2, Runners: []fleet.RunnerReading{
				{Name: "a", PollsAnswered: polls}, {Name: "b", PollsAnswered: 5, PollsRefused: min(3, polls/60)},
			}}, nil, 0
		case life.DescribeGroup:
			return fleet.Group{Name: "ci", Max: 4, Desired: 1, Instances: []fleet.Instance{{ID: self, State: fleet.InService}}}, nil, 0
		case life.DescribeActivities:
			return []fleet.Activity(nil), nil, 0
		}
		return nil, nil, 0
	})
	if at := first[life.SetUnhealthy](all, nil); at < 15*time.Minute || at > 20*time.Minute {
		t.Errorf("reported Unhealthy after %s, want a quarter of an hour after the first refusal", at)
	}
}

// TestScaleUpHearsOfTheSlotsBefore: where slots were free here before all were taken,
// others had some, too, and have taken of what waited; what monitor wrote down of an
// earlier spell, or of another runner, says nothing of this one.
func TestScaleUpHearsOfTheSlotsBefore(t *testing.T) {
	group := fleet.Group{Name: "ci", Max: 40, Desired: 9}
	for _, id := range []string{self, "i-1", "i-2", "i-3", "i-4", "i-5", "i-6", "i-7", "i-8"} {
		group.Instances = append(group.Instances, fleet.Instance{ID: id, State: fleet.InService, Protected: true})
	}
	for _, c := range []struct {
		name   string
		before *life.Before
		want   int
	}{
		{"nobody has written", nil, 14},
		{"none was free", &life.Before{StartedAt: 1, JobsTotal: 9}, 14},
		{"one was", &life.Before{StartedAt: 1, JobsTotal: 9, Free: 1}, 13},
		{"both were", &life.Before{StartedAt: 1, JobsTotal: 9, Free: 2}, 12},
		{"of an earlier spell", &life.Before{StartedAt: 1, JobsTotal: 6, Free: 2}, 14},
		{"of the process before", &life.Before{StartedAt: 0.5, JobsTotal: 9, Free: 2}, 14},
	} {
		set := 0
		timed(life.NewScaleUp(scaleSettings), 10*time.Second, func(_ time.Duration, a life.Action) (any, *fleet.Failure, time.Duration) {
			switch a := a.(type) {
			case life.ReadBefore:
				return c.before, nil, 0
			case life.ReadWhoami:
				return &life.Whoami{Identity: fleet.Identity{InstanceID: self}, Group: "ci"}, nil, 0
			case life.ScrapeMetrics:
				return full(9, 10), nil, 0
			case life.DescribeGroup:
				return group, nil, 0
			case life.SetDesired:
				set = a.Desired
			}
			return nil, nil, 0
		})
		if set != c.want {
			t.Errorf("%s: raised to %d, want %d", c.name, set, c.want)
		}
	}
}

// TestMonitorTellsOfTheSlotsBefore it starts scale-up, each time that all are taken.
func TestMonitorTellsOfTheSlotsBefore(t *testing.T) {
	s := pinned(t, fleet.ModeToken)
	s.run(time.Minute)
	for n, want := range []int{2, 1} { // of two slots
		if n == 1 {
			s.proc.arrive(2 * time.Hour)
			s.run(time.Minute)
		}
		for range want {
			s.proc.arrive(3 * time.Minute)
		}
		s.run(time.Minute)
		b := s.files.before
		if b == nil || b.Free != want || b.JobsTotal == 0 {
			t.Fatalf("written %+v, want %d free", b, want)
		}
		s.run(5 * time.Minute)
	}
}
