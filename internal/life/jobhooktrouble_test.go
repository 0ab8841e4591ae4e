package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestGitLabIsBack: after an outage of hours what has ended meanwhile is found out within
// one round, for as long as any job is believed in: instances are launched beside them.
func TestGitLabIsBack(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.deaf = &fleet.Failure{Op: "list jobs"}
	s.job(1, fleet.JobRunning)
	s.pass(3 * time.Hour)
	s.deaf, s.listed[2] = nil, fleet.JobList{Whole: true}
	s.pass(6 * time.Minute)
	if s.m.Running() != 0 {
		t.Error("the job that has ended is still believed in")
	}
	s.deaf = &fleet.Failure{Op: "list jobs"}
	s.job(2, fleet.JobCreated)
	s.pass(3 * time.Hour)
	s.deaf, s.asked = nil, 0
	s.job(5, fleet.JobRunning)
	s.pass(6 * time.Minute)
	if s.asked == 0 {
		t.Error("it waits for the end of an hour that began while nothing was believed in")
	}
}

// TestTroubleThatComesAndGoes: where one request in two fails for as long as an hour,
// that is said once and not a hundred times; and again after a time in which none did,
// or none was made.
func TestTroubleThatComesAndGoes(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{})
	throttled := &fleet.Failure{Kind: fleet.Throttled, Op: "describe group", Message: "rate exceeded"}
	s.job(1, fleet.JobPending)
	for end := s.now.Add(time.Hour); s.now.Before(end); s.pass(time.Minute) {
		s.faults = []*fleet.Failure{throttled, nil, throttled}
	}
	if n := s.says("warn trying again"); n != 1 {
		t.Errorf("said %d times in an hour", n)
	}
	again := func(when string, want int) {
		t.Helper()
		s.faults = []*fleet.Failure{throttled}
		s.pass(time.Minute)
		if n := s.says("warn trying again"); n != want {
			t.Errorf("%s it is said %d times in all, want %d", when, n, want)
		}
	}
	s.pass(11 * time.Minute)
	again("after a quarter of an hour that went well", 2)
	s.job(1, fleet.JobFinished)
	s.pass(3 * time.Hour)
	s.job(2, fleet.JobPending)
	again("after three hours without a request", 3)
}
