package boot_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestUnknownIsNoNotice: for a minute the metadata service answers 401 to one
// instance, 500 to another and nothing to the third. Nothing is drained; then a
// real notice is acted on by each.
func TestUnknownIsNoNotice(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	ill := map[string]emulator.Fault{}
	f := open(t, func(p *plan) {
		p.group.Desired = 3
		p.cloud.Fault = func(q emulator.Request) emulator.Fault {
			mu.Lock()
			defer mu.Unlock()
			if q.Service != emulator.ServiceMetadata {
				return emulator.Fault{}
			}
			f := ill[q.Instance]
			if f.Hang && q.N%2 == 0 { // not reached by one way or the other
				return emulator.Fault{Drop: true}
			}
			return f
		}
	})
	ms := f.inService(3)
	mu.Lock()
	for i, fault := range []emulator.Fault{
		{Status: http.StatusUnauthorized, Body: "Unauthorized"},
		{Status: http.StatusInternalServerError, Body: "<html>500</html>"},
		{Hang: true},
	} {
		ill[ms[i].id] = fault
	}
	mu.Unlock()
	for range 6 {
		f.submit("sleep 30")
	}
	f.stays(time.Minute, "every daemon to run", func() bool {
		for _, m := range ms {
			if m.exists("/run/shoal/notice.json") {
				t.Fatalf("%s has a notice", m.id)
			}
		}
		return true
	})
	f.drainedNothing(ms...)
	for _, m := range ms {
		if got := m.show(life.UnitLifecycleCheck, "NRestarts"); got != "0" {
			t.Errorf("lifecycle-check of %s was restarted %s times", m.id, got)
		}
		f.untilSaid(m, "WARN", "lifecycle-check")
	}
	mu.Lock()
	clear(ill)
	mu.Unlock()
	f.do(func(w *world.World, now time.Time) error { return w.SetDesired(now, group, 0) })
	for _, m := range ms {
		f.gone(m)
	}
	if left := f.managers(); len(left) != 0 {
		t.Errorf("%q are left in GitLab", left)
	}
}
