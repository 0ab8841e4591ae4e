package e2e_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// trap holds the first request of one operation until whoever asked is gone.
type trap struct {
	operation string
	// lost is an operation whose first answer is lost, after it took effect.
	lost string

	mu     sync.Mutex
	gave   bool          // the lost answer
	sprung chan struct{} // closed when it holds a request
	over   bool
}

func (t *trap) fault(q emulator.Request) emulator.Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.lost != "" && !t.gave && strings.HasSuffix(q.Operation, t.lost):
		t.gave = true
		return emulator.Fault{Apply: true}
	case !t.over && (t.lost == "" || t.gave) && strings.HasSuffix(q.Operation, t.operation):
		t.over = true
		close(t.sprung)
		return emulator.Fault{Hang: true}
	}
	return emulator.Fault{}
}

// wait waits until it holds a request.
func (t *trap) wait(test *testing.T) {
	test.Helper()
	select {
	case <-t.sprung:
	case <-time.After(patience):
		test.Fatalf("waited %s for %s to be asked for", patience, t.operation)
	}
}

// TestInitKilled kills init with -9 while one of its requests is under way, some
// of them after an answer was lost: systemd runs it again, and in the end each
// section has exactly one runner, and the hook was completed.
func TestInitKilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ mode, operation, lost string }{
		"asking who it is":            {"create", "instance-identity/document", ""},
		"asking for the target state": {"create", "target-lifecycle-state", ""},
		"looking for the hook":        {"create", "DescribeLifecycleHooks", ""},
		"heartbeating":                {"create", "RecordLifecycleActionHeartbeat", ""},
		"creating the runner":         {"create", "POST /api/v4/user/runners", ""},
		"the runner's token lost":     {"create", "GET /api/v4/runners/all", "POST /api/v4/user/runners"},
		"adopting the runner":         {"create", "/reset_authentication_token", "POST /api/v4/user/runners"},
		"waiting for the first poll":  {"create", "POST /api/v4/jobs/request", ""},
		"completing the hook":         {"create", "CompleteLifecycleAction", ""},
		"registering the old way":     {"legacy", "POST /api/v4/runners", ""},
		"verifying":                   {"token", "POST /api/v4/runners/verify", ""},
		"verified, and not heard of":  {"token", "POST /api/v4/runners/verify", "POST /api/v4/runners/verify"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hold := &trap{operation: c.operation, lost: c.lost, sprung: make(chan struct{})}
			s := open(t, inMode(c.mode), func(p *plan) {
				p.single, p.machines.Template, p.cloud.Fault = true, operators, hold.fault
			})
			id := s.first()
			hold.wait(t)
			s.kill(id, life.UnitInit)
			if got := s.up(); got != id {
				t.Errorf("instance %s is in service, want %s", got, id)
			}
			s.works()
			s.checkRegistered(c.mode, id)
			if n := calls(s.records(), "CompleteLifecycleAction"); n < 1 {
				t.Error("the launch hook was never completed")
			}
		})
	}
}

// TestInitKilledAndMayNotLook: a token that can only create runners cannot find
// the one whose answer was lost. Another is made, and that one may be left is said.
func TestInitKilledAndMayNotLook(t *testing.T) {
	t.Parallel()
	hold := &trap{operation: "GET /api/v4/runners/all", lost: "POST /api/v4/user/runners", sprung: make(chan struct{})}
	s := open(t, withToken(world.AccessToken{Token: apiToken, Scopes: []string{world.ScopeCreateRunner}}), func(p *plan) {
		p.single, p.cloud.Fault = true, hold.fault
	})
	id := s.first()
	hold.wait(t)
	s.kill(id, life.UnitInit)
	s.up()
	s.works()
	own := s.own("create")
	if len(own) != 2 || own[0].Description != own[1].Description || len(own[0].Managers) != 0 || len(own[1].Managers) != 1 {
		t.Errorf("GitLab has %+v, want the lost runner, never used, and the one in use, alike by description", own)
	}
	s.untilSaid("WARN", "init", "cannot look for a runner", group+"/"+id, "the reaper deletes it")
}
