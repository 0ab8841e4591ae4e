package e2e_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestMetadataIll: whatever the metadata service answers but a well-formed
// notice drains nothing (the original took every status but 404 for its end);
// a true notice afterwards is seen.
func TestMetadataIll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault emulator.Fault
		token bool // the token's path too
	}{
		"401":          {emulator.Fault{Status: 401, Body: "Unauthorized"}, false},
		"401 for ever": {emulator.Fault{Status: 401, Body: "Unauthorized"}, true},
		"404":          {emulator.Fault{Status: 404, Body: "Not Found"}, true},
		"500":          {emulator.Fault{Status: 500, Body: "Internal Server Error"}, true},
		"garbage":      {emulator.Fault{Status: 200, Body: "<html>captive portal: Terminated</html>"}, false},
		"half JSON":    {emulator.Fault{Status: 200, Body: `{"action":"terminate","ti`}, false},
		"empty":        {emulator.Fault{Status: 200}, false},
		"hanging":      {emulator.Fault{Hang: true}, true},
		"dropped":      {emulator.Fault{Drop: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ill atomic.Bool
			var asked atomic.Int64
			s := open(t, func(p *plan) {
				p.cloud.Fault = func(q emulator.Request) emulator.Fault {
					if q.Service != emulator.ServiceMetadata || !ill.Load() || !c.token && strings.HasSuffix(q.Operation, "/token") {
						return emulator.Fault{}
					}
					asked.Add(1)
					return c.fault
				}
			})
			id := s.up()
			ill.Store(true)
			until(t, "some looks", func() bool { return asked.Load() >= 5 })
			stays(t, 3*time.Second, "undrained", func() bool { return !s.exists(id, "run/shoal/notice.json") })
			s.works()
			ill.Store(false)
			if err := s.cloud.Interrupt(id, 20*time.Second); err != nil {
				t.Fatal(err)
			}
			until(t, "the notice", func() bool { return s.exists(id, "run/shoal/notice.json") })
			if i := s.gone(id); i.Reason != world.ReasonUser {
				t.Errorf("the instance went for %q, want its own terminate call ahead of EC2", i.Reason)
			}
		})
	}
}
