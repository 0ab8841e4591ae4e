package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// traceInterval is how often GitLab wants a piece of a log nobody looks at.
const traceInterval = 3 * time.Second

// goneGrace is how long it may take until a write to a client that has gone is
// seen to have failed: a round trip on loopback.
const goneGrace = 5 * time.Millisecond

// jobRoutes: the protocol between GitLab and its runners.
func (c *Cloud) jobRoutes(api router, mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v4/jobs/request", c.requestJob)
	mux.HandleFunc("PATCH /api/v4/jobs/{id}/trace", c.patchTrace)
	api("PUT /jobs/{id}", c.updateJob)
}

// requestJob hands a job out, or holds the request until there is one. It looks
// for a job only while the client is connected: a poll that was cancelled takes
// none with it.
func (c *Cloud) requestJob(w http.ResponseWriter, r *http.Request) {
	p, err := readParams(r)
	if err != nil {
		refuse(w, &world.HTTPError{Status: 400, Message: "400 Bad Request"})
		return
	}
	q := world.JobRequest{
		Token: ownToken(p, r, "Runner-Token"), SystemID: p.text("system_id"), LastUpdate: p.text("last_update"),
		Info: managerInfo(p), TwoPhase: p.object("info").object("features").flag("two_phase_job_commit", false),
	}
	until := time.NewTimer(max(c.opt.PollHold, 0))
	defer until.Stop()
	for held := false; ; held = true {
		h, changed, err := c.tryHandOut(r, q, held)
		switch {
		case errors.Is(err, errGone):
			return
		case err != nil:
			refuse(w, err)
			return
		case h.Job != nil:
			c.deliver(w, r, h)
			return
		case h.LastUpdate != q.LastUpdate || c.opt.PollHold < 0:
			noJob(w, h.LastUpdate)
			return
		}
		if !c.hold(r, changed, until.C) {
			noJob(w, h.LastUpdate)
			return
		}
	}
}

// hold waits for news; false when there were none until the end of the hold, or
// until the client went.
func (c *Cloud) hold(r *http.Request, changed <-chan struct{}, until <-chan time.Time) bool {
	c.holding(1)
	defer c.holding(-1)
	select {
	case <-changed:
		return true
	case <-until:
	case <-r.Context().Done():
	}
	return false
}

func (c *Cloud) holding(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.polls += n
}

// Polls is how many requests for a job GitLab holds now.
func (c *Cloud) Polls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.polls
}

// errGone says that the client does not listen any longer.
var errGone = errors.New("the client has gone")

// tryHandOut looks for a job, and gives the channel that says when to look again.
func (c *Cloud) tryHandOut(r *http.Request, q world.JobRequest, held bool) (h world.Handout, changed <-chan struct{}, err error) {
	c.Do(func(w *world.World, now time.Time) {
		changed = c.changed
		if r.Context().Err() != nil {
			err = errGone
			return
		}
		if held && c.opt.EmptyPolls {
			h.LastUpdate, err = w.QueueValue(now, q.Token)
			return
		}
		h, err = w.RequestJob(now, q)
	})
	return h, changed, err
}

func noJob(w http.ResponseWriter, lastUpdate string) {
	w.Header().Set("X-GitLab-Last-Update", lastUpdate)
	w.WriteHeader(http.StatusNoContent)
}

// deliver sends a job to its runner. From here on it runs, whether or not the
// runner gets it; where it is plain that it did not, that is noted for the judge.
func (c *Cloud) deliver(w http.ResponseWriter, r *http.Request, h world.Handout) {
	body, err := json.Marshal(payload(h, r.Host))
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body))) // the answer is whole once it is flushed
		w.WriteHeader(http.StatusCreated)
		_, err = w.Write(body)
	}
	if err == nil {
		err = flushed(w)
	}
	if err != nil || !c.pause(r, goneGrace) {
		c.Do(func(w *world.World, _ time.Time) { w.MarkHandedToGone(h.Job.ID) })
	}
}

func flushed(w http.ResponseWriter) error {
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// payload is a job as a runner gets it.
func payload(h world.Handout, host string) map[string]any {
	j := h.Job
	variables := []map[string]any{variable("GIT_STRATEGY", "none"), variable("CI", "true"), variable("CI_JOB_ID", strconv.FormatInt(j.ID, 10)), variable("CI_JOB_NAME", j.Name)}
	for _, v := range j.Variables {
		variables = append(variables, variable(v.Key, v.Value))
	}
	seconds := int(j.Timeout.Seconds())
	return map[string]any{
		"id": j.ID, "token": h.Token, "allow_git_fetch": true,
		"job_info": map[string]any{
			"id": j.ID, "name": j.Name, "stage": j.Stage, "project_id": j.ProjectID, "project_name": "project",
			"queue_size": h.QueueSize, "queue_depth": h.QueueDepth, "time_in_queue_seconds": h.TimeInQueue.Seconds(),
		},
		"git_info": map[string]any{
			"repo_url": "http://" + host + "/group/project.git", "ref": j.Ref, "ref_type": "branch",
			"sha": strings.Repeat("0", 40), "before_sha": strings.Repeat("0", 40), "refspecs": []string{}, "depth": 0,
		},
		"runner_info": map[string]any{"timeout": seconds, "runner_session_url": nil},
		"variables":   variables,
		"steps": []map[string]any{{
			"name": "script", "script": orEmpty(j.Script), "timeout": seconds, "when": "on_success", "allow_failure": false,
		}},
		"image": nil, "services": []any{}, "artifacts": nil, "cache": []any{}, "credentials": []any{}, "dependencies": []any{},
		"features": map[string]any{"trace_sections": true, "failure_reasons": failureReasons},
	}
}

// failureReasons is what this GitLab understands; a runner says none that is not
// among them.
var failureReasons = []string{
	"unknown_failure", "script_failure", "api_failure", "stuck_or_timeout_failure", "runner_system_failure",
	"runner_unsupported", "job_execution_timeout", "image_pull_failure", "configuration_error", "runner_interrupted",
	"runner_provisioning_timeout",
}

func variable(key, value string) map[string]any {
	return map[string]any{"key": key, "value": value, "public": true, "masked": false}
}

// updateJob: a runner says how its job is.
func (c *Cloud) updateJob(p params, r *http.Request) answer {
	u := world.JobUpdate{State: p.text("state"), FailureReason: p.text("failure_reason"), ExitCode: int(p.number("exit_code"))}
	err := tell(c, func(w *world.World, now time.Time) error {
		return w.UpdateJob(now, pathID(r, "id"), ownToken(p, r, "Job-Token"), u)
	})
	return answer{status: http.StatusOK, body: http.StatusOK, err: err}
}

// patchTrace takes a piece of a job's log.
func (c *Cloud) patchTrace(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body) // bounded, and in memory already
	from, to, ok := contentRange(r.Header.Get("Content-Range"))
	switch {
	case err != nil:
		refuse(w, &world.HTTPError{Status: http.StatusRequestEntityTooLarge, Message: "413 Request Entity Too Large"})
		return
	case r.Header.Get("Content-Range") == "":
		refuse(w, &world.HTTPError{Status: 400, Message: "400 Missing header Content-Range"})
		return
	case !ok || to-from+1 != len(data):
		refuse(w, &world.HTTPError{Status: 416, Message: "416 Range Not Satisfiable"})
		return
	}
	size, err := ask(c, func(w *world.World, now time.Time) (int, error) {
		return w.AppendTrace(now, pathID(r, "id"), ownToken(params{}, r, "Job-Token"), from, data)
	})
	w.Header().Set("Range", fmt.Sprintf("0-%d", size))
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Job-Status", string(world.JobRunning))
	w.Header().Set("X-GitLab-Trace-Update-Interval", strconv.Itoa(int(traceInterval.Seconds())))
	w.WriteHeader(http.StatusAccepted)
}

// contentRange reads "0-546": the first and the last byte.
func contentRange(s string) (from, to int, ok bool) {
	a, b, found := strings.Cut(s, "-")
	from, err1 := strconv.Atoi(a)
	to, err2 := strconv.Atoi(b)
	return from, to, found && err1 == nil && err2 == nil && from >= 0 && to >= from-1
}
