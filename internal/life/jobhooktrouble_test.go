package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestThrottledLists: lost events hasten nothing while GitLab wants to be left alone.
func TestThrottledLists(t *testing.T) {
	s := newHookSite(t, life.JobHookSettings{Reconcile: true})
	s.deaf = &fleet.Failure{Kind: fleet.Throttled, Op: "list jobs", RetryAfter: 3 * time.Minute}
	s.job(1, fleet.JobRunning)
	s.tell(life.EventsLost{})
	s.pass(15 * time.Second)
	if s.asked != 1 {
		t.Fatalf("asked %d times", s.asked)
	}
	for range 9 {
		s.tell(life.EventsLost{})
		s.pass(18 * time.Second)
	}
	if s.asked != 1 {
		t.Errorf("asked %d times in three minutes", s.asked)
	}
	s.pass(time.Minute)
	if s.asked != 2 {
		t.Errorf("asked %d times in the end", s.asked)
	}
}
