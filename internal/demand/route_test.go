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

// several are three groups with tags, or with another third one.
func several(third ...string) scene {
	return scene{
		groups: append([]string{"ci x6: docker, linux", "arm x2: docker, linux, arm64"}, append(third, "big x1: big")[0]), untagged: "ci",
		specs: []world.GroupSpec{{Name: "ci", Max: 50}, {Name: "arm", Max: 50}, {Name: "big", Max: 50}},
	}
}

// TestTagsInTheEvent: the first group whose runners have all of a job's tags takes it.
func TestTagsInTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, several())
		defer s.end()
		for i, tags := range []string{`["docker"]`, `["linux","docker"]`, `[]`, `["arm64"]`, `["arm64","docker"]`, `["docker","arm64","linux"]`, `["windows"]`, `["big"]`} {
			s.hear(event(int64(i+1), 1, "pending", `,"tag_list":`+tags))
		}
		time.Sleep(time.Second)
		if a, b, c := s.desired("ci"), s.desired("arm"), s.desired("big"); a != 1 || b != 2 || c != 1 {
			t.Errorf("desired %d, %d and %d", a, b, c)
		}
		if n := value(t, s, `shoal_webhook_events_dropped_total{reason="foreign"}`); n != "1" {
			t.Errorf("%s jobs of others", n)
		}
	})
}

// countingLookUps is several groups beside a GitLab that takes a while to tell of a job.
func countingLookUps(asked *atomic.Int64) scene {
	c := several()
	c.fault = func(q emulator.Request) emulator.Fault {
		if q.Operation == "GET /api/v4/projects/{project}/jobs/{job}" {
			asked.Add(1)
			return emulator.Fault{Latency: 300 * time.Millisecond}
		}
		return emulator.Fault{}
	}
	return c
}

// TestTagsAreLookedUp: once for each definition, whatever its branch and pipeline,
// and the events are taken in in order once they are known.
func TestTagsAreLookedUp(t *testing.T) {
	var asked atomic.Int64
	c := countingLookUps(&asked)
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, c)
		defer s.end()
		s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}})
		for range 30 {
			s.SubmitJob(world.JobSpec{Name: "compile", Tags: []string{"arm64", "docker"}, Ref: "main"})
			s.SubmitJob(world.JobSpec{Name: "deploy", Ref: "feature"})
		}
		time.Sleep(2 * time.Second)
		if a, b := s.desired("ci"), s.desired("arm"); a != 5 || b != 15 {
			t.Errorf("desired %d and %d\n%s", a, b, s.log)
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("%d look-ups", n)
		}
		time.Sleep(2 * time.Hour) // somebody may have changed the tags
		s.SubmitJob(world.JobSpec{Name: "deploy"})
		time.Sleep(2 * time.Second)
		if n := asked.Load(); n != 3 {
			t.Errorf("%d look-ups in the end", n)
		}
	})
}

// TestLookUpFails: what nobody can tell now is found by asking GitLab for its list
// once it is back, and its trouble is said.
func TestLookUpFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := several()
		back := time.Now().Add(5 * time.Minute)
		c.fault = func(q emulator.Request) emulator.Fault {
			if q.Service == emulator.ServiceGitLab && time.Now().Before(back) {
				return emulator.Fault{Status: http.StatusBadGateway}
			}
			return emulator.Fault{}
		}
		s := newSite(t, c)
		defer s.end()
		s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}})
		for range 14 {
			s.SubmitJob(world.JobSpec{Name: "compile", Tags: []string{"arm64"}})
		}
		time.Sleep(time.Minute)
		if n := s.desired("arm"); n != 0 || strings.Count(s.log.String(), "cannot tell whose jobs these are") == 0 {
			t.Errorf("desired %d\n%s", n, s.log)
		}
		time.Sleep(11 * time.Minute)
		if n := s.desired("arm"); n != 7 {
			t.Errorf("desired %d\n%s", n, s.log)
		}
	})
}

// TestOneNameWithSeveralTags: a job that was taken for another group's, as the last one
// of its name was, is its own group's once GitLab has been asked, and so are the next
// ones, without waiting for that.
func TestOneNameWithSeveralTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, several())
		defer s.end()
		s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}})
		s.SubmitJob(world.JobSpec{Name: "build", Tags: []string{"docker"}, Ref: "main"})
		time.Sleep(2 * time.Second)
		s.SubmitJob(world.JobSpec{Name: "build", Tags: []string{"arm64"}, Ref: "feature"})
		time.Sleep(6 * time.Minute) // a reconciliation comes every four to five
		if a, b := s.desired("ci"), s.desired("arm"); a != 1 || b != 1 {
			t.Errorf("desired %d and %d\n%s", a, b, s.log)
		}
		for range 2 {
			s.SubmitJob(world.JobSpec{Name: "build", Tags: []string{"arm64"}, Ref: "feature"})
		}
		time.Sleep(2 * time.Second)
		if n := s.desired("arm"); n != 2 {
			t.Errorf("desired %d for the next ones\n%s", n, s.log)
		}
	})
}

// TestTagsThatAlternate: once it is known that jobs of one name have several tags, each is
// its own group's at once, whatever the one before it had; those that do not are looked
// up once, as ever.
func TestTagsThatAlternate(t *testing.T) {
	var asked atomic.Int64
	c := several()
	c.world.Boot = time.Hour // none is there to leave a job lying
	c.fault = func(q emulator.Request) emulator.Fault {
		if q.Operation == "GET /api/v4/projects/{project}/jobs/{job}" {
			asked.Add(1)
		}
		return emulator.Fault{}
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, c)
		defer s.end()
		s.AddJobHook(emulator.JobHook{URL: "http://hook.test/", Secret: secret, Transport: direct.To{Handler: s.handler}})
		s.SubmitJob(world.JobSpec{Name: "build", Tags: []string{"docker"}})
		time.Sleep(2 * time.Second)
		s.SubmitJob(world.JobSpec{Name: "build", Tags: []string{"arm64"}})
		s.SubmitJob(world.JobSpec{Name: "lint", Tags: []string{"docker"}})
		time.Sleep(6 * time.Minute)
		for n := range 10 {
			s.SubmitJob(world.JobSpec{Name: "build", Tags: []string{"docker"}})
			s.SubmitJob(world.JobSpec{Name: "lint", Tags: []string{"docker"}})
			s.SubmitJob(world.JobSpec{Name: "build", Tags: []string{"arm64"}})
			time.Sleep(2 * time.Second)
			if a, b := s.desired("ci"), s.desired("arm"); a != (2+2*n+2+5)/6 || b != (1+n+1+1)/2 {
				t.Fatalf("round %d: desired %d and %d", n, a, b)
			}
		}
		if n := asked.Load(); n > 2+20 {
			t.Errorf("%d look-ups", n)
		}
	})
}

// TestWithoutAToken a job whose tags nobody tells is a group's that takes every job;
// without such a group somebody must mend it.
func TestWithoutAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := several("big x1")
		c.noToken = true
		s := newSite(t, c)
		s.hear(event(1, 1, "pending", ""))
		time.Sleep(time.Second)
		if n := s.desired("big"); n != 1 {
			t.Errorf("desired %d", n)
		}
		s.end()
		c = several()
		c.noToken = true
		s = newSite(t, c)
		defer s.end()
		for id := range int64(3) {
			s.hear(event(id+1, 1, "pending", ""))
		}
		if n := strings.Count(s.log.String(), "set webhook.token"); n != 1 {
			t.Errorf("said %d times\n%s", n, s.log)
		}
	})
}

// TestLookupsAreBounded: definitions without end leave no more behind than is allowed.
func TestLookupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := several()
		c.fault = func(q emulator.Request) emulator.Fault {
			return emulator.Fault{Hang: q.Service == emulator.ServiceGitLab}
		}
		s := newSite(t, c)
		defer s.end()
		for id := range int64(30000) {
			s.hear(strings.Replace(event(id+1, 1, "pending", ""), `"job`, fmt.Sprintf(`"%d job`, id), 1))
		}
		s.service.lookups.mu.Lock()
		defer s.service.lookups.mu.Unlock()
		if n := s.service.lookups.held; n > heldMost || len(s.service.lookups.waiting) > heldMost {
			t.Errorf("%d events wait", n)
		}
	})
}

// value reads one of the metrics, as a client would.
func value(t *testing.T, s *site, name string) string {
	t.Helper()
	r, _ := http.NewRequest(http.MethodGet, "http://hook.test/metrics", http.NoBody)
	resp, err := direct.To{Handler: s.handler}.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	_ = resp.Write(&b)
	for line := range strings.Lines(b.String()) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return v
		}
	}
	return ""
}
