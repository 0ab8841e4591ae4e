package demo

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// The judge must not be kinder than GitLab's records.
func TestJudgeTellsEachFate(t *testing.T) {
	const kept, taken = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		job  world.Job
		want Jobs
	}{
		"succeeded":                          {world.Job{Status: world.JobSuccess, SystemID: life.SystemID(kept)}, Jobs{Submitted: 1, Succeeded: 1}},
		"reported, taken by EC2 (17.5)":      {world.Job{Status: world.JobFailed, FailureReason: "runner_system_failure", SystemID: life.SystemID(taken)}, Jobs{Submitted: 1, Interrupted: 1}},
		"reported, taken by EC2 (19.4)":      {world.Job{Status: world.JobFailed, FailureReason: "runner_interrupted", SystemID: life.SystemID(taken)}, Jobs{Submitted: 1, Interrupted: 1}},
		"killed on an instance that remains": {world.Job{Status: world.JobFailed, FailureReason: "runner_system_failure", SystemID: life.SystemID(kept)}, Jobs{Submitted: 1, Lost: 1}},
		"its script was killed":              {world.Job{Status: world.JobFailed, FailureReason: "script_failure", SystemID: life.SystemID(taken)}, Jobs{Submitted: 1, Lost: 1}},
		"given up by GitLab":                 {world.Job{Status: world.JobFailed, FailureReason: world.FailedStuck, SystemID: life.SystemID(taken)}, Jobs{Submitted: 1, Lost: 1}},
		"left running":                       {world.Job{Status: world.JobRunning, SystemID: life.SystemID(taken)}, Jobs{Submitted: 1, Lost: 1}},
		"never taken":                        {world.Job{Status: world.JobPending}, Jobs{Submitted: 1, Lost: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := world.Records{
				Instances: []world.InstanceRecord{{ID: kept}, {ID: taken, SpotNoticeAt: now, DeadAt: now}},
				Jobs:      []world.Job{c.job},
			}
			if got := judge(r).Jobs; got != c.want {
				t.Errorf("judge says %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestJudgeFindsGhosts(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const alive, dead = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
	r := world.Records{
		Instances: []world.InstanceRecord{{ID: alive}, {ID: dead, DeadAt: now}},
		Runners: []world.Runner{{ID: 1, Managers: []world.Manager{
			{SystemID: life.SystemID(alive)}, {SystemID: life.SystemID(dead)}, {SystemID: "s_000000000000"},
		}}},
	}
	if got := judge(r).GhostRunners; got != 2 {
		t.Errorf("%d ghosts, want 2: a dead instance's manager and one of nobody's", got)
	}
}

func TestJudgeWantsTheGroupAtItsMinimum(t *testing.T) {
	member := func(s world.State) world.InstanceView { return world.InstanceView{State: s} }
	for name, c := range map[string]struct {
		group world.GroupView
		want  bool
	}{
		"at the minimum":       {world.GroupView{Min: 1, Desired: 1, Instances: []world.InstanceView{member(world.InService)}}, true},
		"desired above":        {world.GroupView{Min: 1, Desired: 2, Instances: []world.InstanceView{member(world.InService), member(world.InService)}}, false},
		"one is still leaving": {world.GroupView{Min: 1, Desired: 1, Instances: []world.InstanceView{member(world.InService), member(world.TerminatingWait)}}, false},
		"one is still coming":  {world.GroupView{Min: 1, Desired: 1, Instances: []world.InstanceView{member(world.PendingWait)}}, false},
		"nobody is there":      {world.GroupView{Min: 1, Desired: 1}, false},
	} {
		if got := judge(world.Records{Groups: []world.GroupView{c.group}}).OK(); got != c.want {
			t.Errorf("%s: OK is %v, want %v", name, got, c.want)
		}
	}
}

// TestJudgeCountsNoDoomedInstance: one that EC2 is about to take is in service
// until then, and the group that has no other is not back at its minimum.
func TestJudgeCountsNoDoomedInstance(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const doomed, next = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"
	group := func(id string) []world.GroupView {
		return []world.GroupView{{Min: 1, Desired: 1, Instances: []world.InstanceView{{ID: id, State: world.InService}}}}
	}
	for name, c := range map[string]struct {
		r    world.Records
		want bool
	}{
		"it drains":               {world.Records{Groups: group(doomed), Instances: []world.InstanceRecord{{ID: doomed, SpotNoticeAt: now}}}, false},
		"dead and not noticed":    {world.Records{Groups: group(doomed), Instances: []world.InstanceRecord{{ID: doomed, SpotNoticeAt: now, DeadAt: now}}}, false},
		"its replacement is here": {world.Records{Groups: group(next), Instances: []world.InstanceRecord{{ID: doomed, SpotNoticeAt: now, DeadAt: now, TerminatedAt: now}, {ID: next}}}, true},
	} {
		if got := judge(c.r).OK(); got != c.want {
			t.Errorf("%s: OK is %v, want %v", name, got, c.want)
		}
		s := &script{show: &show{screen: &screen{start: time.Now(), duration: time.Hour}, Options: Options{Duration: time.Hour}}, interrupted: true}
		if over, missing := s.over(c.r); over != c.want {
			t.Errorf("%s: over is %v, want %v; missing is %q", name, over, c.want, missing)
		}
	}
}

func TestPeakAndWaits(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 0, 0, s, 0, time.UTC) }
	r := world.Records{
		Instances: []world.InstanceRecord{
			{ID: "a", InServiceAt: at(1), LeavingAt: at(10)},
			{ID: "b", InServiceAt: at(5), LeavingAt: at(20)},
			{ID: "c", InServiceAt: at(10)},
			{ID: "d"}, // never in service
		},
		Jobs: []world.Job{
			{Status: world.JobSuccess, QueuedAt: at(0), StartedAt: at(1)},
			{Status: world.JobSuccess, QueuedAt: at(0), StartedAt: at(3)},
		},
	}
	s := judge(r)
	if s.Instances.Peak != 2 || s.Instances.Launched != 4 {
		t.Errorf("instances %+v, want a peak of 2 and 4 launched", s.Instances)
	}
	if want := (Wait{Mean: 2, P95: 3}); s.WaitSeconds != want {
		t.Errorf("waits %+v, want %+v", s.WaitSeconds, want)
	}
}

// Programs rely on these names.
func TestSummaryJSON(t *testing.T) {
	got, err := json.Marshal(Summary{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"jobs":{"submitted":0,"succeeded":0,"interrupted":0,"lost":0},"wait_seconds":{"mean":0,"p95":0},"instances":{"launched":0,"peak":0,"at_end":0},"ghost_runners":0,"api_calls":{"autoscaling":0,"gitlab":0}}`
	if string(got) != want {
		t.Errorf("summary is %s\nwant       %s", got, want)
	}
}
