package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/world"
)

// The tests of this file take longest, and begin first.

// TestSharedTokenRevoked: what all share replaces nobody, and is said once by each.
func TestSharedTokenRevoked(t *testing.T) {
	t.Parallel()
	s := open(t, func(p *plan) {
		p.group.Desired = 2
		p.settings["monitor.unhealthy_after"] = "30s"
	})
	ids := s.inService(2)
	s.do(func(w *world.World, now time.Time) error { return w.UnregisterRunner(now, sharedToken) })
	said := func(id string) (n int) {
		for _, l := range s.journal.all() {
			if l.instance == id && l.Level == "ERROR" && strings.Contains(l.words(), "no replacement would help") {
				n++
			}
		}
		return n
	}
	const minute = time.Minute // shorter spells are hiccups, and not said
	if !waitFor(minute+patience, func() bool { return said(ids[0]) > 0 && said(ids[1]) > 0 }) {
		t.Fatal("not both have said it")
	}
	stays(t, 3*time.Second, "each said it once", func() bool { return said(ids[0]) == 1 && said(ids[1]) == 1 })
	r := s.records()
	if len(r.Instances) != 2 || calls(r, "SetInstanceHealth") != 0 {
		t.Errorf("%d instances were launched and %d reported Unhealthy, want 2 and none", len(r.Instances), calls(r, "SetInstanceHealth"))
	}
	mentions(t, s.journal.plain(), "GitLab refuses the runner's token", "the whole fleet shares this reason")
}

// TestInitWaitsForGitLab: GitLab is ill for longer than the launch hook waits by
// itself; the heartbeats keep it, and in the end there is one runner.
func TestInitWaitsForGitLab(t *testing.T) {
	t.Parallel()
	const outage = 33 * time.Second // the shortest hook time-out there is, and a little
	var since time.Time
	s := open(t, inMode("create"), func(p *plan) {
		p.single = true
		since = time.Now()
		p.cloud.Fault = func(q emulator.Request) emulator.Fault {
			switch {
			case q.Service != emulator.ServiceGitLab || time.Since(since) > outage:
				return emulator.Fault{}
			case q.N%3 == 0:
				return emulator.Fault{Status: 429, Header: map[string][]string{"Retry-After": {"1"}}}
			case q.N%3 == 1:
				return emulator.Fault{Status: 503, Body: "<html>try later</html>"}
			}
			return emulator.Fault{Status: 500, Body: `{"message":"500 Internal Server Error"}`}
		}
	})
	id := s.up()
	r := s.records()
	if n := len(s.own("create")); n != 1 || len(r.Instances) != 1 {
		t.Errorf("%d runners and %d instances, want one of each", n, len(r.Instances))
	}
	if n := calls(r, "RecordLifecycleActionHeartbeat"); n < 3 {
		t.Errorf("%d heartbeats in %s, want 3 or more", n, outage)
	}
	if took := s.instance(id).InServiceAt.Sub(s.instance(id).BootedAt); took < 30*time.Second {
		t.Errorf("in service after %s: the outage was not waited for", took)
	}
	s.works()
}
