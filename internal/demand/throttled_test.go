package demand

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/direct"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestThrottledLookUps: GitLab is left alone for as long as it asks for, whatever number
// of jobs is unknown; afterwards all of them are placed.
func TestThrottledLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := several()
		back := time.Now().Add(65 * time.Second)
		var asked atomic.Int64
		c.fault = func(q emulator.Request) emulator.Fault {
			if q.Service != emulator.ServiceGitLab || !time.Now().Before(back) {
				return emulator.Fault{}
			}
			asked.Add(1)
			return emulator.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"60"}}}
		}
		s := newSite(t, c)
		defer s.end()
		s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}})
		for i := range 100 {
			s.SubmitJob(world.JobSpec{Name: fmt.Sprintf("compile%d", i), Tags: []string{"arm64"}})
		}
		time.Sleep(59 * time.Second)
		if n := asked.Load(); n > 15 {
			t.Errorf("it was asked %d times in the minute in which it wants to be left alone", n)
		}
		if strings.Count(s.log.String(), "cannot tell whose jobs these are") != 1 {
			t.Errorf("said %s", s.log)
		}
		time.Sleep(10 * time.Minute)
		if n := s.desired("arm"); n != 50 {
			t.Errorf("desired %d\n%s", n, s.log)
		}
	})
}
