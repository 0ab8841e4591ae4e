package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// JobHook is a webhook of GitLab's with the trigger "Job events".
type JobHook struct {
	URL       string
	Secret    string // sent in X-Gitlab-Token; empty: none
	Project   int64  // whose jobs; 0: every one's, as a group hook
	Tags      bool   // the events tell the job's tags, which GitLab's do not
	Transport http.RoundTripper
	// Fate is what becomes of the n-th event, counted from 0, which tells this status;
	// nil: it is sent once, at once.
	Fate func(n int, status string) Fate
}

// Fate is what may become of an event on its way.
type Fate struct {
	Lost  bool
	Twice bool
	Late  time.Duration
}

// HookCalls is what became of a hook's events.
type HookCalls struct {
	Events        int // of jobs
	Sent          int // tries
	Failed        int // not answered with 2xx within ten seconds
	Skipped       int // while the hook was disabled
	DisabledUntil time.Time
}

// GitLab's ways with hooks.
const (
	hookTimeout  = 10 * time.Second
	hookPatience = 4           // failures in a row until it is disabled
	hookDisabled = time.Minute // for the first time, then twice as long each time
	hookLongest  = 24 * time.Hour
	hookAtOnce   = 20 // Sidekiq's workers: what is sent at once may overtake
)

// hook is a JobHook at work.
type hook struct {
	JobHook
	client http.Client
	room   chan struct{}

	mu     sync.Mutex
	calls  HookCalls
	inARow int
	pause  time.Duration
}

// AddJobHook has every event of a job from now on sent to the hook. What became of
// them the returned function tells.
func (c *Cloud) AddJobHook(h JobHook) (calls func() HookCalls) {
	if h.Transport == nil { // its own: connections of the default one would outlive the Cloud
		h.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: idleTimeout}
	}
	made := &hook{JobHook: h, room: make(chan struct{}, hookAtOnce), client: http.Client{Transport: h.Transport, Timeout: hookTimeout}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hooks = append(c.hooks, made)
	return func() HookCalls {
		made.mu.Lock()
		defer made.mu.Unlock()
		return made.calls
	}
}

// tellHooks sends what an event says of a job. The caller holds mu.
func (c *Cloud) tellHooks(e world.Event) {
	switch e := e.(type) {
	case world.JobQueued:
		c.tellHook(e.At, e.Job, "created")
		c.tellHook(e.At, e.Job, "pending")
	case world.JobStarted:
		c.tellHook(e.At, e.Job, "running")
	case world.JobFinished:
		c.tellHook(e.At, e.Job, string(e.Status))
	}
}

func (c *Cloud) tellHook(at time.Time, id int64, status string) {
	j, ok := c.world.Job(at, id)
	if !ok || c.done.Err() != nil {
		return
	}
	for _, h := range c.hooks {
		if h.Project != 0 && h.Project != j.ProjectID {
			continue
		}
		body, err := json.Marshal(jobEvent(j, status, h.Tags))
		if err != nil {
			continue // it always can be
		}
		f := h.fate(status)
		for range copies(f) {
			c.tasks.Go(func() { h.send(c.done, body, f.Late) })
		}
	}
}

func (h *hook) fate(status string) Fate {
	h.mu.Lock()
	n := h.calls.Events
	h.calls.Events++
	h.mu.Unlock()
	if h.Fate == nil {
		return Fate{}
	}
	return h.Fate(n, status)
}

func copies(f Fate) int {
	switch {
	case f.Lost:
		return 0
	case f.Twice:
		return 2
	}
	return 1
}

// send tries once, as GitLab does, unless the hook is disabled.
func (h *hook) send(ctx context.Context, body []byte, late time.Duration) {
	t := time.NewTimer(late)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return
	}
	select {
	case h.room <- struct{}{}:
		defer func() { <-h.room }()
	case <-ctx.Done():
		return
	}
	if !h.enabled() {
		return
	}
	h.note(h.post(ctx, body) == nil)
}

func (h *hook) enabled() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.calls.DisabledUntil) {
		h.calls.Skipped++
		return false
	}
	h.calls.Sent++
	return true
}

// note counts failures: of GitLab's time-out and of every status but 2xx.
func (h *hook) note(ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ok {
		h.inARow, h.pause = 0, 0
		return
	}
	h.calls.Failed++
	if h.inARow++; h.inARow >= hookPatience {
		h.pause = min(max(2*h.pause, hookDisabled), hookLongest)
		h.calls.DisabledUntil = time.Now().Add(h.pause)
	}
}

func (h *hook) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "GitLab/18.2.0")
	req.Header.Set("X-Gitlab-Event", "Job Hook")
	if h.Secret != "" {
		req.Header.Set("X-Gitlab-Token", h.Secret)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return http.ErrNotSupported // any: nobody asks which
	}
	return nil
}

// jobEvent is the body of a job event, written down from GitLab's documentation.
func jobEvent(j world.Job, status string, tags bool) map[string]any {
	body := map[string]any{
		"object_kind": "build", "ref": j.Ref, "tag": false, "before_sha": strings.Repeat("0", 40), "sha": strings.Repeat("a", 40),
		"build_id": j.ID, "build_name": j.Name, "build_stage": j.Stage, "build_status": status,
		"build_created_at": hookTime(j.CreatedAt), "build_started_at": hookTime(j.StartedAt), "build_finished_at": hookTime(j.FinishedAt),
		"build_duration": span(j.StartedAt, j.FinishedAt), "build_queued_duration": span(j.QueuedAt, j.StartedAt),
		"build_allow_failure": false, "build_failure_reason": "unknown_failure", "retries_count": 0,
		"pipeline_id": j.PipelineID, "runner": nil, "project_id": j.ProjectID, "project_name": "group / project",
		"user":       map[string]any{"id": 1, "name": "Administrator", "username": "root", "email": "root@example.com"},
		"commit":     map[string]any{"id": j.PipelineID, "name": nil, "sha": strings.Repeat("a", 40), "message": "a change\n", "status": "running"},
		"repository": map[string]any{"name": "project", "url": "git@gitlab.example.com:group/project.git", "visibility_level": 0},
		"project":    map[string]any{"id": j.ProjectID, "name": "project", "path_with_namespace": "group/project", "default_branch": "main"},
	}
	body["environment"] = nil
	if j.FailureReason != "" {
		body["build_failure_reason"] = j.FailureReason
	}
	if status != "created" && status != "pending" && j.RunnerID != 0 {
		body["runner"] = map[string]any{"id": j.RunnerID, "description": "runner", "runner_type": "group_type", "active": true, "is_shared": false, "tags": []string{}}
	}
	if tags {
		body["tag_list"] = orEmpty(j.Tags)
	}
	return body
}

// hookTime is a time as GitLab's hooks write it; nil for none.
func hookTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
