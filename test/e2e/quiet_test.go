package e2e_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestQuiet: with nothing happening nobody is asked but the runner, and GitLab by
// the runner's own polls. The instance is at the minimum and idle for long.
func TestQuiet(t *testing.T) {
	t.Parallel()
	s := open(t, func(p *plan) {
		p.group.Min = 1
		p.settings["monitor.idle_threshold"], p.settings["monitor.period"], p.settings["lifecycle_check.period"] = "1s", "100ms", "100ms"
	})
	s.up()
	stayed := func() int { return s.journal.count("monitor", "stay", "desired is at the minimum") }
	job := s.submit("sleep 2")
	s.untilSaid("set scale-in protection") // it has seen the job: what it said before does not count
	already := stayed()
	s.untilJob(job, world.JobSuccess)
	s.untilSaid("cleared scale-in protection")
	until(t, "the decision to stay", func() bool { return stayed() > already })
	before := s.records()
	stays(t, 20*time.Second, "nothing happens", func() bool { return len(s.records().Instances) == 1 })
	after := s.records()
	for _, service := range []string{emulator.ServiceAutoScaling, emulator.ServiceSSM, emulator.ServiceSecrets} {
		if n := after.CallsTo(service) - before.CallsTo(service); n != 0 {
			t.Errorf("%d calls to %s while nothing happened, want none", n, service)
		}
	}
	if n := others(after) - others(before); n != 0 {
		t.Errorf("%d calls to GitLab while nothing happened, want none but polls", n)
	}
	if calls(after, "jobs/request") == calls(before, "jobs/request") {
		t.Error("the runner did not poll: this test looked at nothing")
	}
}

// others are the calls to GitLab that are no polls.
func others(r world.Records) int {
	return r.CallsTo(emulator.ServiceGitLab) - calls(r, "jobs/request")
}
