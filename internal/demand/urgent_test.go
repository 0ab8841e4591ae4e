package demand

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestWhoWaitsIsLookedUpFirst: GitLab announces all jobs of a pipeline before it tells
// which of them wait. Those that may come in an hour do not keep the first stage.
func TestWhoWaitsIsLookedUpFirst(t *testing.T) {
	c := several()
	c.world.Boot = time.Hour // none is there to take one
	c.fault = func(q emulator.Request) emulator.Fault {
		if q.Operation == "GET /api/v4/projects/{project}/jobs/{job}" {
			return emulator.Fault{Latency: 300 * time.Millisecond}
		}
		return emulator.Fault{}
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, c)
		defer s.end()
		ids := make([]int64, 200)
		for i := range ids {
			ids[i] = s.SubmitJob(world.JobSpec{Name: fmt.Sprintf("job %d", i), Tags: []string{"arm64"}})
		}
		named := func(i int, status string) string {
			return fmt.Sprintf(`{"object_kind":"build","build_id":%d,"build_name":"job %d","build_status":%q,"project_id":1}`, ids[i], i, status)
		}
		for i := range ids {
			s.hear(named(i, "created"))
		}
		for i := 190; i < 200; i++ {
			s.hear(named(i, "pending"))
		}
		time.Sleep(3 * time.Second)
		if n := s.desired("arm"); n != 5 {
			t.Errorf("desired %d\n%s", n, s.log)
		}
		time.Sleep(time.Minute)
		if n := value(t, s, `shoal_webhook_lookups_total{result="done"}`); n != "200" {
			t.Errorf("%s look-ups", n)
		}
	})
}
