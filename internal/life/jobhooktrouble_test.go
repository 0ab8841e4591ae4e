package life_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
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
