package emulator

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// Pages of GitLab's lists.
const (
	defaultPerPage = 20
	maxPerPage     = 100
)

// runnerListRoutes: what is there.
func (c *Cloud) runnerListRoutes(api router) {
	api("GET /runners", c.listRunners)
	api("GET /runners/all", c.listRunners)
	api("GET /groups/{group}/runners", c.listRunners)
	api("GET /projects/{project}/runners", c.listRunners)
	api("GET /runners/{id}", c.getRunner)
	api("GET /runners/{id}/managers", c.listManagers)
	api("GET /runners/{id}/jobs", c.listRunnerJobs)
	api("GET /groups/{group}/projects", c.listGroupProjects)
	api("GET /projects/{project}", c.getProject)
	api("GET /projects/{project}/jobs", c.listProjectJobs)
	api("GET /projects/{project}/jobs/{job}", c.getJob)
	api("POST /projects/{project}/jobs/{job}/retry", c.retryJob)
}

func (c *Cloud) listRunners(p params, r *http.Request) answer {
	f := world.RunnerFilter{
		GroupID: pathID(r, "group"), ProjectID: pathID(r, "project"), Type: p.text("type"), Status: p.text("status"),
		Tags: p.list("tag_list"), Paused: p.flagPointer("paused"),
	}
	if s := f.Status; s == "paused" || s == "active" {
		paused := s == "paused" // the older way to ask
		f.Paused, f.Status = &paused, ""
	}
	list, err := ask(c, func(w *world.World, now time.Time) ([]world.Runner, error) {
		return w.Runners(now, accessToken(r), f)
	})
	if err != nil {
		return answer{err: err}
	}
	return listAnswer(p, r, list, runnerSummary)
}

// listAnswer is one page of a list, with the headers that lead to the others.
func listAnswer[T any](p params, r *http.Request, list []T, body func(T) map[string]any) answer {
	per := min(max(int(p.number("per_page")), 0), maxPerPage)
	if per == 0 {
		per = defaultPerPage
	}
	n := max(int(p.number("page")), 1)
	pages := max((len(list)+per-1)/per, 1)
	out := []map[string]any{}
	for _, v := range list[min((n-1)*per, len(list)):min(n*per, len(list))] {
		out = append(out, body(v))
	}
	h := map[string]string{
		"X-Page": strconv.Itoa(n), "X-Per-Page": strconv.Itoa(per), "X-Total": strconv.Itoa(len(list)),
		"X-Total-Pages": strconv.Itoa(pages), "X-Next-Page": "", "Link": links(r, n, per, pages),
	}
	if n < pages {
		h["X-Next-Page"] = strconv.Itoa(n + 1)
	}
	return answer{status: http.StatusOK, body: out, header: h}
}

func links(r *http.Request, n, per, pages int) string {
	var out []string
	add := func(rel string, page int) {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(page))
		q.Set("per_page", strconv.Itoa(per))
		out = append(out, fmt.Sprintf(`<http://%s%s?%s>; rel="%s"`, r.Host, r.URL.EscapedPath(), q.Encode(), rel))
	}
	if n > 1 {
		add("prev", n-1)
	}
	if n < pages {
		add("next", n+1)
	}
	add("first", 1)
	add("last", pages)
	return strings.Join(out, ", ")
}

// runnerSummary is a runner in a list: without what only its own page shows.
func runnerSummary(v world.Runner) map[string]any {
	return map[string]any{
		"id": v.ID, "description": v.Description, "ip_address": nil, "active": !v.Paused, "paused": v.Paused,
		"is_shared": v.Type == world.TypeInstance, "runner_type": v.Type, "name": nil, "online": v.Status == "online",
		"status": v.Status, "created_at": gitlabTime(v.CreatedAt), "created_by": nil, "job_execution_status": "idle",
	}
}

func runnerDetails(v world.Runner) map[string]any {
	b := runnerSummary(v)
	b["tag_list"], b["run_untagged"], b["locked"] = orEmpty(v.Tags), v.RunUntagged, v.Locked
	b["access_level"], b["maintenance_note"], b["contacted_at"] = v.AccessLevel, v.MaintenanceNote, gitlabTime(v.ContactedAt)
	b["maximum_timeout"] = nil
	if v.MaximumTimeout > 0 {
		b["maximum_timeout"] = int(v.MaximumTimeout.Seconds())
	}
	b["projects"], b["groups"] = []any{}, []any{}
	if v.ProjectID != 0 {
		b["projects"] = []any{map[string]any{"id": v.ProjectID}}
	}
	if v.GroupID != 0 {
		b["groups"] = []any{map[string]any{"id": v.GroupID}}
	}
	return b
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (c *Cloud) getRunner(_ params, r *http.Request) answer {
	v, err := c.runner(r)
	return answer{status: http.StatusOK, body: runnerDetails(v), err: err}
}

func (c *Cloud) runner(r *http.Request) (world.Runner, error) {
	return ask(c, func(w *world.World, now time.Time) (world.Runner, error) {
		return w.Runner(now, accessToken(r), pathID(r, "id"))
	})
}

func (c *Cloud) listManagers(p params, r *http.Request) answer {
	v, err := c.runner(r)
	if err != nil {
		return answer{err: err}
	}
	return listAnswer(p, r, v.Managers, managerBody)
}

func managerBody(m world.Manager) map[string]any {
	return map[string]any{
		"id": m.ID, "system_id": m.SystemID, "version": m.Version, "revision": "", "platform": m.Platform,
		"architecture": "amd64", "created_at": gitlabTime(m.CreatedAt), "contacted_at": gitlabTime(m.ContactedAt),
		"ip_address": "127.0.0.1", "status": m.Status, "job_execution_status": "idle",
	}
}

func (c *Cloud) listRunnerJobs(p params, r *http.Request) answer {
	list, err := ask(c, func(w *world.World, now time.Time) ([]world.Job, error) {
		return w.RunnerJobs(now, accessToken(r), pathID(r, "id"), world.JobStatus(p.text("status")))
	})
	if err != nil {
		return answer{err: err}
	}
	return listAnswer(p, r, list, jobBody)
}

// listProjectJobs is a project's jobs, the newest first: by pages, or by keyset, as
// the request says.
func (c *Cloud) listProjectJobs(p params, r *http.Request) answer {
	if past, ok := c.pastProject(r.PathValue("project")); ok {
		return c.listPastJobs(p, r, past)
	}
	var scope []world.JobStatus
	for _, s := range p.list("scope") {
		scope = append(scope, world.JobStatus(s))
	}
	list, err := ask(c, func(w *world.World, now time.Time) ([]world.Job, error) {
		return w.ProjectJobs(now, accessToken(r), pathID(r, "project"), scope)
	})
	if err != nil {
		return answer{err: err}
	}
	if p.text("pagination") != "keyset" {
		return listAnswer(p, r, list, jobBody)
	}
	if before := p.number("cursor"); before != 0 { // GitLab's is opaque
		list = slices.DeleteFunc(list, func(j world.Job) bool { return j.ID >= before })
	}
	per := min(max(int(p.number("per_page")), 1), maxPerPage)
	out := []map[string]any{}
	for _, j := range list[:min(per, len(list))] {
		out = append(out, jobBody(j))
	}
	h := map[string]string{"X-Per-Page": strconv.Itoa(per)}
	if len(list) > per {
		q := r.URL.Query()
		q.Set("cursor", strconv.FormatInt(list[per-1].ID, 10))
		h["Link"] = fmt.Sprintf(`<http://%s%s?%s>; rel="next"`, r.Host, r.URL.Path, q.Encode())
	}
	return answer{status: http.StatusOK, body: out, header: h}
}

func (c *Cloud) getJob(_ params, r *http.Request) answer {
	j, err := ask(c, func(w *world.World, now time.Time) (world.Job, error) {
		return w.ProjectJob(now, accessToken(r), pathID(r, "project"), pathID(r, "job"))
	})
	return answer{status: http.StatusOK, body: jobBody(j), err: err}
}

func (c *Cloud) retryJob(_ params, r *http.Request) answer {
	j, err := ask(c, func(w *world.World, now time.Time) (world.Job, error) {
		return w.RetryJob(now, accessToken(r), pathID(r, "project"), pathID(r, "job"))
	})
	return answer{status: http.StatusCreated, body: jobBody(j), err: err}
}

// jobBody is a job as the API shows it.
func jobBody(j world.Job) map[string]any {
	b := map[string]any{
		"id": j.ID, "status": j.Status, "stage": j.Stage, "name": j.Name, "ref": j.Ref, "tag": false,
		"allow_failure": false, "created_at": gitlabTime(j.CreatedAt), "started_at": gitlabTime(j.StartedAt),
		"finished_at": gitlabTime(j.FinishedAt), "duration": span(j.StartedAt, j.FinishedAt),
		"queued_duration": span(j.QueuedAt, j.StartedAt), "tag_list": orEmpty(j.Tags), "runner": nil,
		"pipeline": map[string]any{"id": j.PipelineID, "project_id": j.ProjectID, "status": "running", "ref": j.Ref},
		"project":  map[string]any{"id": j.ProjectID},
	}
	if j.FailureReason != "" {
		b["failure_reason"] = j.FailureReason
	}
	if j.RunnerID != 0 {
		b["runner"] = map[string]any{"id": j.RunnerID}
		b["runner_manager"] = map[string]any{"system_id": j.SystemID}
	}
	return b
}

func span(from, to time.Time) any {
	if from.IsZero() || to.IsZero() {
		return nil
	}
	return to.Sub(from).Seconds()
}
