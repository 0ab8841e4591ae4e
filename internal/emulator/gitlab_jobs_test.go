package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

func jobsRequest(lastUpdate string) map[string]any {
	return map[string]any{"token": sharedToken, "system_id": testSystemID, "last_update": lastUpdate}
}

// emptyPoll is a first poll that finds nothing; it returns the value that makes
// the next one be held.
func emptyPoll(t *testing.T, c *Cloud) string {
	t.Helper()
	got := call(t, "POST", c.GitLabURL()+"/api/v4/jobs/request", jobsRequest(""))
	if got.status != 204 || got.header.Get("X-GitLab-Last-Update") == "" {
		t.Fatalf("an empty queue: %d %v", got.status, got.header)
	}
	return got.header.Get("X-GitLab-Last-Update")
}

// heldPoll sends a poll that is held, and returns once the server holds it.
func heldPoll(ctx context.Context, t *testing.T, c *Cloud, lastUpdate string) <-chan reply {
	t.Helper()
	body, _ := json.Marshal(jobsRequest(lastUpdate))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.GitLabURL()+"/api/v4/jobs/request", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan reply, 1)
	go func() {
		got, _ := send(req)
		out <- got
	}()
	await(t, "a held poll", func() bool { return c.Polls() == 1 })
	return out
}

// TestPollIsHeld: a poll that knows all there is waits, and a job ends its wait.
func TestPollIsHeld(t *testing.T) {
	c := start(t, Options{})
	out := heldPoll(context.Background(), t, c, emptyPoll(t, c))
	id := c.SubmitJob(world.JobSpec{Script: []string{"true"}, Name: "first"})
	c.SubmitJob(world.JobSpec{Script: []string{"true"}, Tags: []string{"gpu"}}) // not this runner's
	c.SubmitJob(world.JobSpec{Script: []string{"true"}})
	got := <-out
	if got.status != 201 || fmt.Sprint(got.field("id")) != fmt.Sprint(id) {
		t.Fatalf("got %d %s, want job %d", got.status, got.text, id)
	}
	second := call(t, "POST", c.GitLabURL()+"/api/v4/jobs/request", jobsRequest(""))
	info := reply{json: second.field("job_info")}
	if second.status != 201 || info.field("queue_size") != 1.0 {
		t.Errorf("second: %d %s, want a queue of this one alone", second.status, second.text)
	}
}

// TestPollEndsEmpty: the hold ends by itself, and where it is set so, also when a
// job comes.
func TestPollEndsEmpty(t *testing.T) {
	c := start(t, Options{PollHold: 30 * time.Millisecond})
	value := emptyPoll(t, c)
	if got := call(t, "POST", c.GitLabURL()+"/api/v4/jobs/request", jobsRequest(value)); got.status != 204 || got.header.Get("X-GitLab-Last-Update") != value {
		t.Errorf("after the hold: %d %v", got.status, got.header)
	}
	c = start(t, Options{EmptyPolls: true})
	out := heldPoll(context.Background(), t, c, emptyPoll(t, c))
	c.SubmitJob(world.JobSpec{})
	if got := <-out; got.status != 204 {
		t.Errorf("a held poll with EmptyPolls: %d %s, want 204", got.status, got.text)
	}
	if got := call(t, "POST", c.GitLabURL()+"/api/v4/jobs/request", jobsRequest("stale")); got.status != 201 {
		t.Errorf("the next poll: %d, want the job", got.status)
	}
}

// TestCancelledPollTakesNoJob: a client that has gone before the job came leaves
// it to others.
func TestCancelledPollTakesNoJob(t *testing.T) {
	c := start(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	out := heldPoll(ctx, t, c, emptyPoll(t, c))
	cancel()
	<-out
	await(t, "the poll's end", func() bool { return c.Polls() == 0 })
	id := c.SubmitJob(world.JobSpec{})
	if j := c.Records().Jobs[0]; j.Status != world.JobPending {
		t.Fatalf("job %d is %s, want pending", id, j.Status)
	}
	if got := call(t, "POST", c.GitLabURL()+"/api/v4/jobs/request", jobsRequest("")); got.status != 201 {
		t.Errorf("the next poll: %d, want the job", got.status)
	}
}

// goingClient goes in the moment in which its answer is written.
type goingClient struct {
	*httptest.ResponseRecorder
	leave func()
}

func (g goingClient) Write(p []byte) (int, error) {
	g.leave()
	return len(p), nil
}

// TestHandedToGoing: a client that goes while it is handed a job is noted.
func TestHandedToGoing(t *testing.T) {
	c := start(t, Options{})
	c.SubmitJob(world.JobSpec{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	body, _ := json.Marshal(jobsRequest(""))
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v4/jobs/request", bytes.NewReader(body))
	c.GitLabHandler().ServeHTTP(goingClient{httptest.NewRecorder(), cancel}, r)
	if j := c.Records().Jobs[0]; j.Status != world.JobRunning || !j.HandedToGone {
		t.Errorf("job is %s, handed to gone %t; want running and noted", j.Status, j.HandedToGone)
	}
}

// TestHandedToGone: a job whose answer got lost runs on in GitLab's eyes.
func TestHandedToGone(t *testing.T) {
	c := start(t, Options{})
	c.SubmitJob(world.JobSpec{Timeout: time.Hour})
	c.SetFault(func(Request) Fault { return Fault{Apply: true} })
	if _, err := tryCall("POST", c.GitLabURL()+"/api/v4/jobs/request", jobsRequest("")); err == nil {
		t.Fatal("the answer should be lost")
	}
	if j := c.Records().Jobs[0]; j.Status != world.JobRunning || !j.UpdatedAt.IsZero() {
		t.Errorf("job is %s, heard of at %v; want running and never heard of", j.Status, j.UpdatedAt)
	}
}

// TestJobProtocol: tokens, ranges and refusals of the job protocol.
func TestJobProtocol(t *testing.T) {
	c := start(t, Options{})
	c.SubmitJob(world.JobSpec{Script: []string{"echo hi"}, Variables: []world.Variable{{Key: "A", Value: "b"}}})
	got := call(t, "POST", c.GitLabURL()+"/api/v4/jobs/request", jobsRequest(""))
	token, _ := got.field("token").(string)
	if !strings.Contains(got.text, `"script":["echo hi"]`) || !strings.Contains(got.text, `{"key":"A","masked":false,"public":true,"value":"b"}`) || !strings.Contains(got.text, "runner_interrupted") {
		t.Errorf("payload: %s", got.text)
	}
	url := fmt.Sprintf("%s/api/v4/jobs/%v", c.GitLabURL(), got.field("id"))
	for _, tt := range []struct {
		name, method, path string
		body               any
		header             []string
		status             int
		key, value         string
	}{
		{"log without a range", "PATCH", "/trace", "abc", []string{"Job-Token", token}, 400, "", ""},
		{"log with a wrong range", "PATCH", "/trace", "abc", []string{"Job-Token", token, "Content-Range", "0-9"}, 416, "", ""},
		{"log of another token", "PATCH", "/trace", "abc", []string{"Job-Token", "x", "Content-Range", "0-2"}, 403, "", ""},
		{"log", "PATCH", "/trace", "abc", []string{"Job-Token", token, "Content-Range", "0-2"}, 202, "Range", "0-3"},
		{"log with a hole", "PATCH", "/trace", "abc", []string{"Job-Token", token, "Content-Range", "9-11"}, 416, "Range", "0-3"},
		{"log on", "PATCH", "/trace", "de", []string{"Job-Token", token, "Content-Range", "3-4"}, 202, "Range", "0-5"},
		{"keep", "PUT", "", map[string]any{"token": token, "state": "running"}, nil, 200, "", ""},
		{"no token", "PUT", "", map[string]any{"state": "success"}, nil, 403, "", ""},
		{"nonsense", "PUT", "", map[string]any{"token": token, "state": "dancing"}, nil, 400, "", ""},
		{"fail", "PUT", "", map[string]any{"token": token, "state": "failed", "failure_reason": "script_failure", "exit_code": 3}, nil, 200, "", ""},
		{"too late", "PUT", "", map[string]any{"token": token, "state": "success"}, nil, 403, "Job-Status", "failed"},
	} {
		got := call(t, tt.method, url+tt.path, tt.body, tt.header...)
		if got.status != tt.status || tt.key != "" && got.header.Get(tt.key) != tt.value {
			t.Errorf("%s: got %d %s %q, want %d %q", tt.name, got.status, got.text, got.header.Get(tt.key), tt.status, tt.value)
		}
	}
	j := c.Records().Jobs[0]
	if j.Status != world.JobFailed || j.FailureReason != "script_failure" || j.ExitCode != 3 || j.TraceBytes != 5 {
		t.Errorf("fate: %+v", j)
	}
	retry := call(t, "POST", fmt.Sprintf("%s/api/v4/projects/1/jobs/%d/retry", c.GitLabURL(), j.ID), nil, "PRIVATE-TOKEN", adminToken)
	if retry.status != 201 || retry.field("status") != "pending" || retry.field("id") == got.field("id") {
		t.Errorf("retry: %d %s", retry.status, retry.text)
	}
	again := call(t, "POST", fmt.Sprintf("%s/api/v4/projects/1/jobs/%d/retry", c.GitLabURL(), j.ID), nil, "PRIVATE-TOKEN", adminToken)
	if again.status != 403 {
		t.Errorf("retried twice: %d", again.status)
	}
	one := call(t, "GET", fmt.Sprintf("%s/api/v4/projects/1/jobs/%d", c.GitLabURL(), j.ID), nil, "PRIVATE-TOKEN", readToken)
	if one.status != 200 || one.field("failure_reason") != "script_failure" || one.field("queued_duration") == nil {
		t.Errorf("one job: %d %s", one.status, one.text)
	}
	jobs := call(t, "GET", c.GitLabURL()+"/api/v4/runners/1/jobs?status=failed", nil, "PRIVATE-TOKEN", adminToken)
	if list, _ := jobs.json.([]any); jobs.status != 200 || len(list) != 0 && len(list) != 1 {
		t.Errorf("a runner's jobs: %d %s", jobs.status, jobs.text)
	}
}

// TestAcknowledgement: with two phases a job is the runner's only once it says so.
func TestAcknowledgement(t *testing.T) {
	c := start(t, Options{World: world.Options{TwoPhase: true}})
	c.SubmitJob(world.JobSpec{})
	q := jobsRequest("")
	q["info"] = map[string]any{"features": map[string]any{"two_phase_job_commit": true}}
	got := call(t, "POST", c.GitLabURL()+"/api/v4/jobs/request", q)
	if j := c.Records().Jobs[0]; got.status != 201 || j.Status != world.JobPending {
		t.Fatalf("handed out: %d, job %s; want pending", got.status, j.Status)
	}
	call(t, "PUT", fmt.Sprintf("%s/api/v4/jobs/%v", c.GitLabURL(), got.field("id")), map[string]any{"token": got.field("token"), "state": "running"})
	if j := c.Records().Jobs[0]; j.Status != world.JobRunning {
		t.Errorf("acknowledged: %s, want running", j.Status)
	}
}

// TestJobsGoOnce: many runners ask at once, and each job goes to one of them.
func TestJobsGoOnce(t *testing.T) {
	const jobs, askers = 40, 8
	c := start(t, Options{})
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for range askers {
		all.Go(func() {
			value := ""
			for {
				got, err := tryCall("POST", c.GitLabURL()+"/api/v4/jobs/request", jobsRequest(value))
				mu.Lock()
				if err != nil {
					if len(seen) < jobs {
						t.Error(err)
					}
					mu.Unlock()
					return // Close ended it
				}
				if got.status == 201 {
					seen[fmt.Sprint(got.field("id"))]++
				} else {
					value = got.header.Get("X-GitLab-Last-Update")
				}
				done := len(seen) == jobs
				mu.Unlock()
				if done {
					return
				}
			}
		})
	}
	for range jobs {
		c.SubmitJob(world.JobSpec{})
	}
	await(t, "every job's runner", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == jobs
	})
	c.Close() // ends the polls that are held
	all.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("job %s was handed out %d times", id, n)
		}
	}
}
