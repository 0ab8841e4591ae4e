package demand

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/direct"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestParallelJobsAreOneDefinition: `parallel: 60` makes sixty jobs of one that
// .gitlab-ci.yml has, with numbers behind its name. They are looked up once, and all of
// them are in the first raise.
func TestParallelJobsAreOneDefinition(t *testing.T) {
	var asked atomic.Int64
	c := countingLookUps(&asked)
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, c)
		defer s.end()
		s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}})
		for i := range 60 {
			s.SubmitJob(world.JobSpec{Name: fmt.Sprintf("rspec %d/60", i+1), Tags: []string{"arm64"}})
		}
		s.SubmitJob(world.JobSpec{Name: "rspec", Tags: []string{"docker"}})
		time.Sleep(2 * time.Second)
		if a, b := s.desired("ci"), s.desired("arm"); a != 1 || b != 30 {
			t.Errorf("desired %d and %d", a, b)
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("%d look-ups", n)
		}
	})
}

// TestLongNamesWithSeveralTags: of a long name an event's first part is kept, and GitLab's
// list is compared with just that. Its 255 characters may take a thousand bytes.
func TestLongNamesWithSeveralTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, several())
		defer s.end()
		s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}})
		long := strings.Repeat("\u7de8", 200)
		s.SubmitJob(world.JobSpec{Name: long + "a", Tags: []string{"docker"}})
		time.Sleep(2 * time.Second)
		s.SubmitJob(world.JobSpec{Name: long + "b", Tags: []string{"arm64"}})
		time.Sleep(6 * time.Minute) // a reconciliation comes every four to five
		for range 4 {
			s.SubmitJob(world.JobSpec{Name: long + "b", Tags: []string{"arm64"}})
		}
		time.Sleep(2 * time.Second)
		if n := s.desired("arm"); n < 2 {
			t.Errorf("desired %d for the next ones\n%s", n, s.log)
		}
	})
}
