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
