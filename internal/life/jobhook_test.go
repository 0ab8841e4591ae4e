package life_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// hookSite lives the job hook's machine over one group that does as it is told.
type hookSite struct {
	t     *testing.T
	m     *life.JobHook
	now   time.Time
	group fleet.Group
	sleep time.Time // until then
	exit  *life.Exit

	sets    []int // desired, as set
	looks   []time.Time
	lists   []int64 // projects that were asked for, and are to be answered
	asked   int     // how often
	saved   *life.Backlog
	said    []string
	faults  []*fleet.Failure // of the next looks and raises
	listed  map[int64]fleet.JobList
	deaf    *fleet.Failure           // GitLab's answer to every list
	failing map[int64]*fleet.Failure // and to some projects'
	took    time.Duration            // by each request to AWS
}

func newHookSite(t *testing.T, set life.JobHookSettings) *hookSite {
	t.Helper()
	s := &hookSite{t: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), group: fleet.Group{Name: "ci", Max: 100}, listed: map[int64]fleet.JobList{}}
	set.Group, set.Slots = "ci", 6
	s.start(set)
	return s
}

// start begins with a new process.
func (s *hookSite) start(set life.JobHookSettings) {
	s.exit = nil
	s.m = life.NewJobHook(set)
	s.tell(life.Started{})
}

// tell has the machine take an event in, and carries out what it wants until it
// sleeps.
func (s *hookSite) tell(e life.Event) {
	s.t.Helper()
	for range 1000 {
		_, actions := s.m.Step(e, s.now)
		for _, a := range actions[:len(actions)-1] {
			say := a.(life.Say)
			s.said = append(s.said, strings.TrimSpace(fmt.Sprintf("%s %s %v", say.Level, say.Decision, say.Err)))
		}
		switch a := actions[len(actions)-1].(type) {
		case life.Sleep:
			s.sleep = a.Until
			return
		case life.Exit:
			s.exit = &a
			return
		default:
			e = s.carryOut(a)
		}
	}
	s.t.Fatal("it does not come to rest")
}

func (s *hookSite) carryOut(a life.Action) life.Event {
	r := life.Result{Action: a}
	switch a := a.(type) {
	case life.DescribeGroup:
		s.looks = append(s.looks, s.now)
		s.now = s.now.Add(s.took)
		r.Value, r.Failure = s.group, s.fault()
	case life.SetDesired:
		s.now = s.now.Add(s.took)
		if r.Failure = s.fault(); r.Failure == nil {
			s.sets = append(s.sets, a.Desired)
			s.group.Desired = a.Desired
		}
	case life.LoadBacklog:
		r.Value = s.saved
	case life.SaveBacklog:
		s.saved = &a.Backlog
	case life.ListJobs:
		s.lists = append(s.lists, a.Project)
		s.asked++
	default:
		s.t.Fatalf("it wants %T", a)
	}
	return r
}

func (s *hookSite) fault() *fleet.Failure {
	if len(s.faults) == 0 {
		return nil
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return f
}

// pass lets time pass; GitLab answers a second after it is asked.
func (s *hookSite) pass(d time.Duration) {
	s.t.Helper()
	for until := s.now.Add(d); ; {
		if n := len(s.lists); n > 0 {
			p := s.lists[0]
			s.lists = s.lists[1:]
			s.now = s.now.Add(time.Second)
			s.tell(s.answer(p))
			continue
		}
		if s.exit != nil || s.sleep.After(until) {
			s.now = later(s.now, until)
			return
		}
		s.now = later(s.now, s.sleep)
		s.tell(life.Woke{})
	}
}

// answer is GitLab's to the question for a project's jobs.
func (s *hookSite) answer(project int64) life.JobsListed {
	e := life.JobsListed{Project: project, List: s.listed[project], Failure: s.deaf}
	if f := s.failing[project]; f != nil {
		e.Failure = f
	}
	return e
}

func (s *hookSite) job(id int64, state fleet.JobState) {
	s.t.Helper()
	s.tell(life.JobEvent{Job: fleet.Job{ID: id, Project: 1 + id%3, Name: "build", Stage: "test", State: state}})
}

func (s *hookSite) wantSets(want ...int) {
	s.t.Helper()
	if !slices.Equal(s.sets, want) {
		s.t.Errorf("desired was set to %v, want %v\n%s", s.sets, want, strings.Join(s.said, "\n"))
	}
}

// says tells how many lines have the words.
func (s *hookSite) says(words string) (n int) {
	for _, l := range s.said {
		if strings.Contains(l, words) {
			n++
		}
	}
	return n
}

// instances makes so many members in service, of which the first are busy.
func instances(n, busy int) []fleet.Instance {
	list := make([]fleet.Instance, n)
	for i := range list {
		list[i] = fleet.Instance{ID: fmt.Sprintf("i-%04d", i), State: fleet.InService, Healthy: true, Protected: i < busy}
	}
	return list
}

// TestOneDecisionForABurst: the window is 500 ms from the first event, and what
// follows does not push it back.
func TestOneDecisionForABurst(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	began := s.now
	for id := range int64(500) {
		s.job(id+1, fleet.JobPending)
		s.pass(500 * time.Microsecond)
	}
	s.pass(time.Second)
	s.wantSets(84) // ⌈500 / 6⌉
	if got := s.looks[0].Sub(began); got != 500*time.Millisecond || len(s.looks) != 1 {
		t.Errorf("looked %d times, first after %s", len(s.looks), got)
	}
	if n := s.says("raised desired capacity of group \"ci\" to 84: 500 jobs wait and 0 run"); n != 1 {
		t.Errorf("said %d times:\n%s", n, strings.Join(s.said, "\n"))
	}
}

// TestAnyOrder: the same events shuffled and doubled lead to the same.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(20) {
		s, r := newHookSite(t, life.JobHookSettings{Seed: seed}), rand.New(rand.NewPCG(seed, 7))
		s.group.Desired, s.group.Instances = 4, instances(4, 4)
		var events []life.Event
		for id := range int64(90) {
			for state := fleet.JobCreated; state <= fleet.JobCreated+fleet.JobState(id%4); state++ {
				e := life.JobEvent{Job: fleet.Job{ID: id + 1, Project: 1, State: state}}
				events = append(events, e, e)
			}
		}
		r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for _, e := range events {
			s.tell(e)
		}
		if p, n := s.m.Pending(), s.m.Running(); p != 23 || n != 22 {
			t.Errorf("seed %d: %d pending and %d running", seed, p, n)
		}
		s.pass(time.Second)
		s.wantSets(8) // ⌈45 / 6⌉
	}
}

// TestDefect9CreatedLaunchesNothing: such a job may never come. The
// original launched for it.
func TestDefect9CreatedLaunchesNothing(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.job(1, fleet.JobCreated)
	s.pass(time.Hour)
	if len(s.looks) != 0 {
		t.Errorf("looked at %v", s.looks)
	}
	s.job(2, fleet.JobRunning) // its pending was lost
	s.job(1, fleet.JobPending)
	s.pass(time.Second)
	s.wantSets(1)
	if s.m.Pending() != 1 || s.m.Running() != 1 {
		t.Errorf("%d pending, %d running", s.m.Pending(), s.m.Running())
	}
}

// TestLevelNotEdge: an instance that leaves in the same moment strands no job.
func TestLevelNotEdge(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.job(1, fleet.JobPending)
	s.pass(time.Second)
	s.wantSets(1)
	s.group.Desired = 0 // it left with decrement
	s.pass(20 * time.Second)
	s.wantSets(1, 1)
	s.job(1, fleet.JobRunning)
	s.pass(20 * time.Second)
	n := len(s.looks)
	s.group.Desired = 0
	s.pass(time.Hour)
	if len(s.looks) != n {
		t.Errorf("it looks %d times more though nothing waits", len(s.looks)-n)
	}
	s.wantSets(1, 1)
}

// TestTakenAtOnce: a job that an instance takes within the window asks for no look at the
// group, and the next one has a window of its own.
func TestTakenAtOnce(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.group.Desired, s.group.Instances = 1, instances(1, 1)
	for id := range int64(100) {
		s.job(id+1, fleet.JobPending)
		s.pass(400 * time.Millisecond)
		s.job(id+1, fleet.JobRunning)
		s.pass(time.Minute)
	}
	if len(s.looks) != 0 {
		t.Errorf("looked %d times", len(s.looks))
	}
	s.job(101, fleet.JobPending)
	s.pass(400 * time.Millisecond)
	s.job(101, fleet.JobRunning)
	s.job(102, fleet.JobPending)
	s.pass(499 * time.Millisecond)
	s.wantSets()
	s.pass(time.Millisecond)
	s.wantSets(2) // of those that run as many as have a place, and this one
}

// TestNeverLower, nor above the maximum, which is said once.
func TestNeverLower(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.group.Desired, s.group.Max = 7, 8
	s.job(1, fleet.JobPending)
	s.pass(time.Minute)
	s.wantSets()
	for id := range int64(60) {
		s.job(id+1, fleet.JobPending)
	}
	s.pass(time.Minute)
	s.wantSets(8)
	if n := s.says("is at its maximum of 8"); n != 1 {
		t.Errorf("said %d times:\n%s", n, strings.Join(s.said, "\n"))
	}
}

// TestTroubleWithAWS is tried again, never with an old look, and what somebody must
// mend is said as an error.
func TestTroubleWithAWS(t *testing.T) {
	denied := &fleet.Failure{Kind: fleet.Denied, Op: "set", Mend: "allow autoscaling:SetDesiredCapacity"}
	for name, c := range map[string]struct {
		faults []*fleet.Failure
		within time.Duration
		says   string
	}{
		"throttled":        {[]*fleet.Failure{{Kind: fleet.Throttled}, {Kind: fleet.Throttled}}, 10 * time.Second, "trying again"},
		"the answer lost":  {[]*fleet.Failure{nil, {}}, 10 * time.Second, "trying again"},
		"Retry-After":      {[]*fleet.Failure{{Kind: fleet.Throttled, RetryAfter: 30 * time.Second}}, 40 * time.Second, "trying again"},
		"bounds changed":   {[]*fleet.Failure{nil, {Kind: fleet.OutOfBounds}}, 5 * time.Second, "bounds have changed"},
		"a right is amiss": {[]*fleet.Failure{nil, denied}, 3 * time.Minute, "error cannot raise set (allow autoscaling:SetDesiredCapacity)"},
	} {
		s := newHookSite(t, life.JobHookSettings{})
		s.faults = c.faults
		s.job(1, fleet.JobPending)
		s.pass(c.within)
		s.wantSets(1)
		if len(s.looks) < 2 || s.says(c.says) == 0 || s.says("warn ")+s.says("error ") != 1 {
			t.Errorf("%s: looked %d times\n%s", name, len(s.looks), strings.Join(s.said, "\n"))
		}
	}
}

// TestAWSInTroubleIsLeftAlone: events that come meanwhile do not hasten it.
func TestAWSInTroubleIsLeftAlone(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.faults = []*fleet.Failure{{Kind: fleet.Denied}}
	for id := range int64(100) {
		s.job(id+1, fleet.JobPending)
		s.pass(time.Second)
	}
	if len(s.looks) != 1 {
		t.Errorf("looked %d times", len(s.looks))
	}
	s.pass(time.Minute)
	s.wantSets(17)
}

// TestWeightedGroupIsRefused clearly, and nothing is set.
func TestWeightedGroupIsRefused(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.group.Weighted = true
	s.job(1, fleet.JobPending)
	s.pass(10 * time.Minute)
	s.wantSets()
	if s.says("error cannot raise") != 1 || s.says("WeightedCapacity") == 0 {
		t.Errorf("said\n%s", strings.Join(s.said, "\n"))
	}
}

// TestRestartKnows what waited, asks GitLab what came of it, and looks at once.
func TestRestartKnows(t *testing.T) {
	set := life.JobHookSettings{Group: "ci", Slots: 6, Reconcile: true}
	s := newHookSite(t, set)
	s.job(1, fleet.JobPending)
	s.job(2, fleet.JobRunning)
	s.pass(10 * time.Second)
	s.sets, s.group.Desired = nil, 0
	s.listed[2] = fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 4, Project: 2, State: fleet.JobPending}}} // 1 has ended meanwhile
	s.listed[3] = fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 2, Project: 3, State: fleet.JobRunning}}}
	s.now = s.now.Add(time.Minute)
	s.start(set)
	s.pass(10 * time.Second)
	s.wantSets(1)
	if s.m.Pending() != 1 || s.m.Running() != 1 {
		t.Errorf("%d pending, %d running, kept %+v\n%s", s.m.Pending(), s.m.Running(), s.saved, strings.Join(s.said, "\n"))
	}
}

// TestReconciles: what events did not tell is found at a slow pace, and GitLab is
// left in peace once nothing is believed and nothing is new.
func TestReconciles(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	for id := range int64(90) { // 3 projects
		s.listed[1+id%3] = fleet.JobList{Whole: true, Jobs: append(s.listed[1+id%3].Jobs, fleet.Job{ID: id + 1, Project: 1 + id%3, State: fleet.JobPending})}
		if id%10 != 0 {
			s.tell(life.JobEvent{Job: fleet.Job{ID: id + 1, Project: 1 + id%3, State: fleet.JobPending}})
		}
	}
	s.pass(time.Second)
	s.wantSets(14) // ⌈81 / 6⌉
	s.pass(5 * time.Minute)
	s.wantSets(14, 15)
	s.listed = map[int64]fleet.JobList{1: {Whole: true}, 2: {Whole: true}, 3: {Whole: true}} // all ended, and nobody told
	s.pass(10 * time.Minute)
	if s.m.Pending() != 0 {
		t.Errorf("%d pending", s.m.Pending())
	}
	n := len(s.looks)
	s.lists = nil
	s.pass(10 * time.Hour)
	if len(s.looks) != n || s.says("reconciled") != 2 {
		t.Errorf("looked %d times more\n%s", len(s.looks)-n, strings.Join(s.said, "\n"))
	}
}

// TestAListIsNotBelievedTooFar: it may be older than the events, and too long.
func TestAListIsNotBelievedTooFar(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.listed[1] = fleet.JobList{Whole: true}
	s.job(3, fleet.JobRunning)
	s.pass(10 * time.Second)
	s.tell(life.EventsLost{})
	s.pass(3 * time.Second)
	s.tell(life.JobEvent{Job: fleet.Job{ID: 6, Project: 1, State: fleet.JobPending}}) // the replica does not have it
	s.pass(8 * time.Second)
	if s.m.Pending() != 1 || s.m.Running() != 0 {
		t.Errorf("%d pending, %d running", s.m.Pending(), s.m.Running())
	}
	s.listed[1] = fleet.JobList{}
	s.pass(15 * time.Minute)
	if s.m.Pending() != 1 {
		t.Errorf("a list that was cut has ended a job")
	}
}

// TestGitLabInTrouble holds up no raise, and ends nothing.
func TestGitLabInTrouble(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.deaf = &fleet.Failure{Kind: fleet.BadToken, Op: "list jobs", Message: "revoked"}
	s.job(1, fleet.JobPending)
	s.pass(30 * time.Minute)
	if s.m.Pending() != 1 || s.says("error go on without GitLab's list") == 0 {
		t.Errorf("%d pending\n%s", s.m.Pending(), strings.Join(s.said, "\n"))
	}
	s.wantSets(1)
}

// TestGitLabIsLeftAlone where nothing is believed and it does not answer for an hour: it
// is asked once an hour from then on, and what was lost is found when it answers again.
func TestGitLabIsLeftAlone(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.deaf = &fleet.Failure{Op: "list jobs"}
	s.job(1, fleet.JobCreated)
	s.pass(2 * time.Hour)
	asked := s.says("go on without")
	s.pass(20 * time.Hour)
	if n := s.says("go on without") - asked; asked < 12 || asked > 14 || n < 18 || n > 20 {
		t.Errorf("asked %d times in the first two hours, %d times in twenty", asked, n)
	}
	s.deaf = nil
	s.listed[2] = fleet.JobList{Jobs: []fleet.Job{{ID: 2, Project: 2, State: fleet.JobPending}}, Whole: true}
	s.pass(2 * time.Hour)
	if len(s.sets) == 0 {
		t.Error("the job whose event was lost is never found")
	}
}

// TestOthersJobs: that one ended which this group never counted asks for nothing, but
// is remembered, should it be told late that it waits.
func TestOthersJobs(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.job(1, fleet.JobFinished)
	s.job(1, fleet.JobPending)
	s.pass(time.Minute)
	if len(s.looks) != 0 || s.m.Pending() != 0 {
		t.Errorf("looked %d times", len(s.looks))
	}
	s = newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.job(1, fleet.JobFinished)
	if until := s.sleep.Sub(s.now); until != time.Hour || s.saved != nil {
		t.Errorf("it sleeps for %s, kept %+v", until, s.saved)
	}
}

// TestNobodyAnswers: a list that never comes is given up.
func TestNobodyAnswers(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.job(1, fleet.JobRunning)
	for range 3 {
		for until := s.now.Add(10 * time.Minute); s.now.Before(until); s.now = later(s.now, s.sleep) {
			s.tell(life.Woke{})
		}
	}
	if len(s.lists) < 3 || s.says("warn go on without") != 1 {
		t.Errorf("asked %d times\n%s", len(s.lists), strings.Join(s.said, "\n"))
	}
}

// TestJobsThatNobodyTakes: instances are not launched for a day for a job whose
// tags no runner has, or that is gone and nobody told.
func TestJobsThatNobodyTakes(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	launches := 0
	s.job(1, fleet.JobPending)
	var up, gone time.Time
	for range 24 * 360 {
		s.pass(10 * time.Second)
		switch n := len(s.group.Instances); {
		case n == 0 && s.group.Desired > 0:
			launches++
			s.group.Instances = instances(1, 0)
			s.group.Instances[0].State = fleet.Pending
			up, gone = s.now.Add(90*time.Second), s.now.Add(270*time.Second)
		case n > 0 && s.now.After(gone): // idle for three minutes, as the default is
			s.group.Desired, s.group.Instances = 0, nil
		case n > 0 && s.now.After(up):
			s.group.Instances[0].State = fleet.InService
		}
	}
	if launches < 3 || launches > 40 || s.says("out of the count") == 0 {
		t.Errorf("%d launches in a day\n%s", launches, strings.Join(s.said, "\n"))
	}
	s.pass(time.Hour)
	if s.m.Pending() != 0 || s.says("forget 1 jobs") != 1 {
		t.Errorf("it is still believed in:\n%s", strings.Join(s.said, "\n"))
	}
}

// TestStaysAside: that it waits is told once more, and by GitLab's list, too: a job that was
// put aside does not count for that.
func TestStaysAside(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.group.Desired, s.group.Instances = 1, instances(1, 0)
	s.listed[2] = fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 1, Project: 2, State: fleet.JobPending}}}
	s.job(1, fleet.JobPending)
	s.pass(330 * time.Second)
	if s.says("leave 1 jobs out of the count") != 1 {
		t.Fatalf("said %q", s.said)
	}
	s.group.Desired, s.group.Instances = 0, nil
	asked := s.asked
	s.job(1, fleet.JobPending)
	s.tell(life.EventsLost{Project: 2})
	s.pass(time.Minute)
	s.wantSets()
	if s.asked == asked || s.m.Pending() != 1 {
		t.Errorf("asked %d times, %d pending", s.asked-asked, s.m.Pending())
	}
}

// TestEndsStayEnded for an hour: an event that comes minutes late does not bring a job back.
func TestEndsStayEnded(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.job(1, fleet.JobRunning)
	s.job(1, fleet.JobFinished)
	s.pass(50 * time.Minute)
	s.job(2, fleet.JobRunning)
	s.job(1, fleet.JobPending)
	if s.m.Pending() != 0 {
		t.Errorf("%d pending", s.m.Pending())
	}
}

// TestLongKeptIsDoubted: after half an hour without the webhook most of what was kept has
// ended. Nothing is launched for it while GitLab is asked, but for no longer than a minute.
func TestLongKeptIsDoubted(t *testing.T) {
	set := life.JobHookSettings{Group: "ci", Slots: 6, Reconcile: true}
	s := newHookSite(t, set)
	s.job(1, fleet.JobPending)
	s.pass(10 * time.Second)
	s.sets, s.group.Desired, s.deaf = nil, 0, &fleet.Failure{Op: "list jobs"}
	s.now = s.now.Add(30 * time.Minute)
	s.start(set)
	s.pass(50 * time.Second)
	s.wantSets()
	s.pass(15 * time.Second)
	s.wantSets(1)
}

// TestDownForDays: over a weekend without the webhook jobs have begun to wait. Its projects
// are asked for at its start, but not those that nobody had heard of for long before.
func TestDownForDays(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	stopped := s.now.Add(-63 * time.Hour)
	s.saved = &life.Backlog{
		Projects: []life.SeenProject{{ID: 1, At: stopped.Add(-25 * time.Hour)}, {ID: 2, At: stopped.Add(-5 * time.Hour)}, {ID: 3, At: stopped}},
		Jobs:     []life.KeptJob{{ID: 7, Project: 3, State: fleet.JobRunning, Heard: stopped}},
	}
	s.listed[2] = fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 99, Project: 2, State: fleet.JobPending}}}
	s.start(life.JobHookSettings{Group: "ci", Slots: 6, Reconcile: true})
	s.pass(10 * time.Second)
	s.wantSets(1)
	if s.asked != 2 || s.m.Pending() != 1 || s.m.Running() != 0 {
		t.Errorf("asked for %d projects, %d pending, %d running", s.asked, s.m.Pending(), s.m.Running())
	}
}

// TestKeptByAClockSetBack: what was kept seems to be from the future, and is forgotten
// after a day all the same.
func TestKeptByAClockSetBack(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	future := s.now.Add(72 * time.Hour)
	s.saved = &life.Backlog{Projects: []life.SeenProject{{ID: 1, At: future}}, Jobs: []life.KeptJob{{ID: 1, Project: 1, State: fleet.JobPending, Heard: future}}}
	set := life.JobHookSettings{Group: "ci", Slots: 6}
	s.start(set)
	s.pass(time.Minute)
	s.wantSets(1)
	s.pass(25 * time.Hour)
	if s.m.Pending() != 0 {
		t.Errorf("%d pending after a day", s.m.Pending())
	}
}

// TestKeptIsTimedByThisProcess: the clock may be set while it runs, and what was kept is no
// younger or older for that: it has the monotonic reading, of which only String tells.
func TestKeptIsTimedByThisProcess(t *testing.T) {
	now := time.Now()
	for written, want := range map[time.Duration]time.Duration{-time.Hour: -time.Hour, time.Hour: 0} {
		got := life.Kept(now.Add(written).Round(0), now) // as a file has it
		if got.Sub(now) != want || !strings.Contains(got.String(), " m=") {
			t.Errorf("%s: %s", written, got)
		}
	}
}

// TestLostWhileReconciling: what is lost then is found by a round of its own.
func TestLostWhileReconciling(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.job(1, fleet.JobCreated)
	for len(s.lists) == 0 {
		s.now = later(s.now, s.sleep)
		s.tell(life.Woke{})
	}
	s.tell(life.EventsLost{Project: 2})
	s.pass(2 * time.Second)
	s.listed[2] = fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 4, Project: 2, State: fleet.JobPending}}}
	s.pass(6 * time.Minute)
	s.wantSets(1)
}

// TestARoundIsGivenUp where one list after the other fails: the next would, too.
func TestARoundIsGivenUp(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	for p := range int64(20) {
		s.tell(life.JobEvent{Job: fleet.Job{ID: p + 1, Project: p + 1, State: fleet.JobRunning}})
	}
	s.deaf = &fleet.Failure{Op: "list jobs"}
	s.pass(330 * time.Second)
	if s.asked != 3 {
		t.Errorf("asked for %d lists", s.asked)
	}
}

// TestMaximumIsSaidSeldom: a full group with short jobs has a queue that comes and goes.
func TestMaximumIsSaidSeldom(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.group.Max, s.group.Desired, s.group.Instances = 2, 2, instances(2, 2)
	for id := range int64(30) { // fill it
		s.job(1000+id, fleet.JobRunning)
	}
	for id := range int64(60) {
		s.job(id+1, fleet.JobPending)
		s.pass(30 * time.Second)
		s.job(id+1, fleet.JobRunning)
		s.job(id+1, fleet.JobFinished)
		s.pass(30 * time.Second)
	}
	if n := s.says("is at its maximum"); n != 6 {
		t.Errorf("said %d times in an hour", n)
	}
}

// TestNotTakenIsSaidSeldom: where the runners take no job at all, each that comes would
// have a line of its own.
func TestNotTakenIsSaidSeldom(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.group.Max, s.group.Desired, s.group.Instances = 2, 2, instances(2, 0)
	for id := range int64(120) {
		s.job(id+1, fleet.JobPending)
		s.pass(30 * time.Second)
	}
	if n := s.says("out of the count"); n < 4 || n > 6 {
		t.Errorf("said %d times in an hour", n)
	}
}

// TestCountsAgain: one of the jobs that were put aside runs, so what kept instances from
// taking them is over, and the others count at once.
func TestCountsAgain(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.group.Max, s.group.Desired, s.group.Instances = 2, 2, instances(2, 0)
	for id := range int64(60) {
		s.job(id+1, fleet.JobPending)
	}
	s.pass(6 * time.Minute)
	if s.says("leave 60 jobs out of the count") != 1 {
		t.Fatalf("said %q", s.said)
	}
	s.group.Max, s.group.Instances = 100, instances(2, 2)
	for id := range int64(12) {
		s.job(id+1, fleet.JobRunning)
	}
	s.pass(time.Second)
	s.wantSets(10)
}

// TestEveryProjectIsAsked: neither many projects nor one whose list fails each time keep
// others from being reconciled.
func TestEveryProjectIsAsked(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	for p := range int64(250) {
		s.tell(life.JobEvent{Job: fleet.Job{ID: p + 1, Project: p + 1, State: fleet.JobCreated}})
	}
	s.tell(life.JobEvent{Job: fleet.Job{ID: 1000, Project: 7, State: fleet.JobRunning}}) // there is always one that is believed in
	asked := map[int64]int{}
	for end := s.now.Add(time.Hour); s.now.Before(end); {
		if len(s.lists) == 0 {
			s.now = later(s.now, s.sleep)
			s.tell(life.Woke{})
			continue
		}
		p := s.lists[0]
		s.lists = s.lists[1:]
		asked[p]++
		s.now = s.now.Add(100 * time.Millisecond)
		answer := life.JobsListed{Project: p, List: fleet.JobList{Jobs: []fleet.Job{{ID: 1000, Project: 7, State: fleet.JobRunning}}}}
		if p == 9 {
			answer = life.JobsListed{Project: p, Failure: &fleet.Failure{Op: "list jobs"}}
		}
		s.tell(answer)
	}
	for p := range int64(250) {
		if asked[p+1] < 2 {
			t.Errorf("project %d was asked for %d times in an hour", p+1, asked[p+1])
		}
	}
	if asked[7] < 8 {
		t.Errorf("the one whose job is believed in was asked for %d times in an hour", asked[7])
	}
}

// TestBelievedProjectsLeaveRoom: where jobs run in more projects than a round asks for, the
// others have their turn all the same: what they have lost nobody else tells.
func TestBelievedProjectsLeaveRoom(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	for p := range int64(150) {
		j := fleet.Job{ID: p + 1, Project: p + 1, State: fleet.JobRunning}
		s.tell(life.JobEvent{Job: j})
		s.listed[p+1] = fleet.JobList{Whole: true, Jobs: []fleet.Job{j}}
	}
	s.group.Desired, s.group.Instances = 25, instances(25, 25)
	s.tell(life.JobEvent{Job: fleet.Job{ID: 1000, Project: 1000, State: fleet.JobCreated}})
	s.listed[1000] = fleet.JobList{Whole: true, Jobs: []fleet.Job{{ID: 1000, Project: 1000, State: fleet.JobPending}}}
	s.pass(time.Hour)
	s.wantSets(26)
}

// TestBounded: under an endless stream it keeps what it may, and says what it drops.
func TestBounded(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	for id := range int64(30000) {
		s.tell(life.JobEvent{Job: fleet.Job{ID: id, Project: id, State: fleet.JobCreated}})
		s.tell(life.JobEvent{Job: fleet.Job{ID: id, Project: id, State: fleet.JobPending}})
	}
	s.pass(2 * time.Minute)
	if s.m.Pending() != 20000 || s.says("forget the 10000 oldest jobs") != 1 || len(s.saved.Jobs) != 5000 || len(s.saved.Projects) != 1000 {
		t.Errorf("%d pending, kept %d of %d projects\n%s", s.m.Pending(), len(s.saved.Jobs), len(s.saved.Projects), strings.Join(s.said, "\n"))
	}
	for id := range int64(30000) {
		s.tell(life.JobEvent{Job: fleet.Job{ID: id, State: fleet.JobFinished}})
	}
	if s.m.Pending() != 0 || s.m.Running() != 0 {
		t.Errorf("%d pending, %d running", s.m.Pending(), s.m.Running())
	}
}

// TestStopping decides on what was taken in, keeps it, and ends: also where AWS does
// not answer.
func TestStopping(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	s.job(1, fleet.JobPending)
	s.tell(life.Interrupted{})
	s.wantSets(1)
	if s.exit == nil || s.exit.Code != life.Done || s.saved == nil || len(s.saved.Jobs) != 1 {
		t.Errorf("exit %+v, saved %+v", s.exit, s.saved)
	}
	s = newHookSite(t, life.JobHookSettings{})
	s.faults = []*fleet.Failure{{}, {}}
	s.job(1, fleet.JobPending)
	s.tell(life.Interrupted{})
	if s.exit == nil || s.saved == nil || len(s.looks) != 1 {
		t.Errorf("exit %+v, saved %+v", s.exit, s.saved)
	}
}
