package boot_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestLaunch: two instances boot, register and come into service, and both work.
func TestLaunch(t *testing.T) {
	t.Parallel()
	f := open(t, func(p *plan) { p.group.Desired = 2 })
	for _, m := range f.inService(2) {
		if !f.registered(m) {
			t.Errorf("%s is in service and not registered", m.id)
		}
		for _, unit := range []string{life.UnitRunner, life.UnitLifecycleCheck, life.UnitMonitor} {
			if got := m.show(unit, "ActiveState"); got != "active" {
				t.Errorf("%s of %s is %s, want active", unit, m.id, got)
			}
		}
		if got := m.show(life.UnitMonitor, "StatusText"); got == "" {
			t.Errorf("%s tells systemd no status", life.UnitMonitor)
		}
	}
	for range 4 { // more than one of them could hold
		f.works()
	}
	if n := f.calls("CompleteLifecycleAction"); n != 2 {
		t.Errorf("the launch hooks were completed by %d calls, want 2", n)
	}
}

// TestTokenAsCredential: systemd hands the token to each of the two units that take
// one as a credential, and no file of Shoal's has it.
func TestTokenAsCredential(t *testing.T) {
	t.Parallel()
	f := open(t, ownRunner, func(p *plan) {
		p.cloud.AccessTokens[0].Scopes = append(p.cloud.AccessTokens[0].Scopes, world.ScopeManageRunner)
		p.settings["gitlab.token"] = `"file:/run/credentials/runner-init.service/gitlab-token"`
		p.settings["reap.token"] = `"file:/run/credentials/shoal-reap.service/gitlab-token"`
		p.settings["reap.groups"] = `["` + group + `"]`
		p.files["etc/credstore/gitlab-token"] = createToken + "\n"
		p.files["etc/shoal/token"] = ""
	})
	m := f.up()
	f.works()
	asked := f.calls("GET /api/v4/")
	if _, err := m.run("systemctl", "start", "shoal-reap"); err != nil {
		t.Fatal(err)
	}
	f.until("the reaper to ask GitLab", func() bool { return f.calls("GET /api/v4/") > asked })
	for _, l := range append(m.said("shoal-reap", "WARN"), m.said("shoal-reap", "ERROR")...) {
		t.Errorf("the reaper complains: %s", l.words())
	}
	f.drainedNothing(m)
}

// TestLaunchThatCannotRegister: GitLab refuses the token at the first launch. The
// launch is abandoned, not left to time out, and its replacement comes up.
func TestLaunchThatCannotRegister(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	f := open(t, func(p *plan) {
		p.cloud.Fault = func(q emulator.Request) emulator.Fault {
			if !mended.Load() && strings.HasSuffix(q.Operation, "/runners/verify") {
				return emulator.Fault{Status: http.StatusForbidden, Body: `{"message":"403 Forbidden"}`}
			}
			return emulator.Fault{}
		}
	})
	var first world.InstanceRecord
	f.until("the first launch to be given up", func() bool {
		if all := f.cloud.Records().Instances; len(all) > 0 {
			first = all[0]
		}
		return first.Reason != ""
	})
	mended.Store(true)
	if first.Reason != world.ReasonLaunchAbandon {
		t.Errorf("the first launch ended for %q, want it abandoned", first.Reason)
	}
	m := f.up()
	if m.id == first.ID {
		t.Errorf("%s is in service, want its replacement", m.id)
	}
	f.works()
	f.untilSaid(f.find(first.ID), "runner-init", "ABANDON")
}
