package emulator

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// receiver answers hooks with a status, and keeps what they said.
type receiver struct {
	mu     sync.Mutex
	status int
	slow   time.Duration
	heard  []string // status of each event
	last   *http.Request
	body   map[string]any
}

func (r *receiver) RoundTrip(q *http.Request) (*http.Response, error) {
	data, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.body = q, nil
	_ = json.Unmarshal(data, &r.body)
	status, _ := r.body["build_status"].(string)
	r.heard = append(r.heard, status)
	if r.slow > 0 {
		r.mu.Unlock()
		select {
		case <-time.After(r.slow):
		case <-q.Context().Done():
		}
		r.mu.Lock()
	}
	if err := q.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	w.WriteHeader(r.status)
	return w.Result(), nil
}

// TestJobEvents: what GitLab sends of a job's life, with what is in it.
func TestJobEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Start(Options{NoListen: true, Runners: []world.NewRunner{{Token: sharedToken, RunUntagged: true}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &receiver{status: 200}
		c.AddJobHook(JobHook{URL: "http://hook.test/x", Secret: "s3cr3t", Transport: r, Project: 7})
		c.SubmitJob(world.JobSpec{ProjectID: 8})
		id := c.SubmitJob(world.JobSpec{ProjectID: 7, PipelineID: 3, Name: "unit 1/2", Stage: "test", Tags: nil})
		synctest.Wait()
		if got := slices.Sorted(slices.Values(r.heard)); !slices.Equal(got, []string{"created", "pending"}) {
			t.Errorf("heard %q", r.heard)
		}
		if r.last.Header.Get("X-Gitlab-Event") != "Job Hook" || r.last.Header.Get("X-Gitlab-Token") != "s3cr3t" || r.last.Method != http.MethodPost {
			t.Errorf("sent as %s %v", r.last.Method, r.last.Header)
		}
		b := r.body
		if b["object_kind"] != "build" || b["build_id"] != float64(id) || b["project_id"] != 7.0 || b["pipeline_id"] != 3.0 || b["build_stage"] != "test" || b["build_name"] != "unit 1/2" || b["runner"] != nil {
			t.Errorf("it says %v", b)
		}
		if _, told := b["tag_list"]; told {
			t.Error("it tells the tags: GitLab's does not")
		}
		c.Do(func(w *world.World, now time.Time) {
			if err := w.CancelJob(now, id); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if last := r.heard[len(r.heard)-1]; last != "canceled" || b["build_started_at"] != nil {
			t.Errorf("heard %q", r.heard)
		}
	})
}

// TestHookIsDisabled after four failures in a row for a minute, then for two; a
// success forgives.
func TestHookIsDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Start(Options{NoListen: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &receiver{status: 503}
		calls := c.AddJobHook(JobHook{URL: "http://hook.test/", Transport: r})
		submit := func(n int) {
			for range n {
				c.SubmitJob(world.JobSpec{}) // two events
				synctest.Wait()
			}
		}
		submit(2)
		if got := calls(); got.Failed != 4 || time.Until(got.DisabledUntil) != time.Minute {
			t.Fatalf("calls %+v", got)
		}
		submit(3)
		if got := calls(); got.Sent != 4 || got.Skipped != 6 {
			t.Errorf("sent to a disabled hook: %+v", got)
		}
		time.Sleep(time.Minute)
		submit(1)
		if got := calls(); got.Sent != 6 && got.Sent != 5 || time.Until(got.DisabledUntil) < 2*time.Minute {
			t.Errorf("calls %+v, disabled for %s", got, time.Until(got.DisabledUntil))
		}
		r.status = 204
		time.Sleep(5 * time.Minute)
		submit(10)
		if got := calls(); time.Now().Before(got.DisabledUntil) || got.Sent < 20 {
			t.Errorf("calls %+v", got)
		}
	})
}

// TestHookTimesOut: GitLab waits ten seconds. And events may be lost, late, or sent
// twice.
func TestHookTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Start(Options{NoListen: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := &receiver{status: 200, slow: 11 * time.Second}
		calls := c.AddJobHook(JobHook{URL: "http://hook.test/", Transport: r, Fate: func(n int, _ string) Fate {
			return []Fate{{Lost: true}, {Twice: true, Late: time.Minute}}[n%2]
		}})
		c.SubmitJob(world.JobSpec{})
		time.Sleep(59 * time.Second)
		if got := calls(); got.Sent != 0 {
			t.Errorf("calls %+v", got)
		}
		time.Sleep(12 * time.Second)
		if got := calls(); got.Events != 2 || got.Sent != 2 || got.Failed != 2 || !slices.Equal(r.heard, []string{"pending", "pending"}) {
			t.Errorf("calls %+v, heard %q", got, r.heard)
		}
	})
}

// TestProjectJobs are listed by status, by pages and by keyset.
func TestProjectJobs(t *testing.T) {
	c := start(t, Options{})
	for range 5 {
		c.SubmitJob(world.JobSpec{ProjectID: 7})
	}
	c.SubmitJob(world.JobSpec{ProjectID: 8})
	list := func(query string, header ...string) ([]float64, reply) {
		r := call(t, "GET", c.GitLabURL()+"/api/v4/projects/7/jobs?"+query, nil, header...)
		var ids []float64
		items, _ := r.json.([]any)
		for _, i := range items {
			ids = append(ids, i.(map[string]any)["id"].(float64))
		}
		return ids, r
	}
	if _, r := list("", "Private-Token", createToken); r.status != 403 {
		t.Errorf("a token that may not read jobs: %d", r.status)
	}
	if ids, _ := list("scope[]=running", "Private-Token", readToken); len(ids) != 0 {
		t.Errorf("running: %v", ids)
	}
	ids, r := list("scope[]=pending&scope[]=running&pagination=keyset&per_page=2", "Private-Token", readToken)
	if !slices.Equal(ids, []float64{5, 4}) || r.header.Get("Link") == "" {
		t.Errorf("the first page: %v, %v", ids, r.header)
	}
	if ids, r := list("scope[]=pending&pagination=keyset&per_page=3&cursor=4", "Private-Token", readToken); !slices.Equal(ids, []float64{3, 2, 1}) || r.header.Get("Link") != "" {
		t.Errorf("the last page: %v, %v", ids, r.header)
	}
	if ids, _ := list("per_page=2&page=3", "Private-Token", readToken); !slices.Equal(ids, []float64{1}) {
		t.Errorf("the third page: %v", ids)
	}
}
