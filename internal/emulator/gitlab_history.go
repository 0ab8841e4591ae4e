package emulator

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// maxOffset is how far into a list GitLab pages by number.
const maxOffset = 50_000

// PastProject is a project with jobs that ran before the emulation began.
type PastProject struct {
	ID     int64
	Path   string // with its groups: acme/platform/app
	Denied bool   // the token's user may not see its jobs
	Jobs   []PastJob
}

// PastJob is one of them, with what GitLab tells of it. Times that did not come are
// zero; the names are of people and things that must not get out.
type PastJob struct {
	ID, Pipeline                       int64
	Name, Stage, Ref, Status           string
	Tags                               []string
	Created, Queued, Started, Finished time.Time
	NoQueued                           bool // GitLab has no queued_duration for it
	RunnerID                           int64
	Runner                             string // its description
	SystemID                           string
	User, Username, Email              string
	Commit, Message                    string
}

// history is what ran before. The Cloud's mu guards it.
type history struct{ projects map[int64]*PastProject }

// AddHistory adds projects with jobs that ran, or jobs to projects that are there,
// also while a list of them is read.
func (c *Cloud) AddHistory(projects ...PastProject) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.past.projects == nil {
		c.past.projects = map[int64]*PastProject{}
	}
	for _, p := range projects {
		known := c.past.projects[p.ID]
		if known == nil {
			known = &PastProject{ID: p.ID, Path: p.Path, Denied: p.Denied}
			c.past.projects[p.ID] = known
		}
		known.Jobs = append(known.Jobs, p.Jobs...)
		slices.SortFunc(known.Jobs, func(a, b PastJob) int { return cmp.Compare(b.ID, a.ID) }) // as they are listed
	}
}

// pastProject finds a project by id or path.
func (c *Cloud) pastProject(ref string) (p PastProject, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.past.projects {
		if strconv.FormatInt(known.ID, 10) == ref || known.Path == ref {
			return *known, true
		}
	}
	return PastProject{}, false
}

// mayRead tells whether a request's token may read.
func (c *Cloud) mayRead(r *http.Request) error {
	return tell(c, func(w *world.World, now time.Time) error { return w.MayRead(now, accessToken(r)) })
}

func (c *Cloud) getProject(_ params, r *http.Request) answer {
	if err := c.mayRead(r); err != nil {
		return answer{err: err}
	}
	p, ok := c.pastProject(r.PathValue("project"))
	if !ok {
		return answer{err: &world.HTTPError{Status: http.StatusNotFound, Message: "404 Project Not Found"}}
	}
	return answer{status: http.StatusOK, body: projectBody(p)}
}

func (c *Cloud) listGroupProjects(p params, r *http.Request) answer {
	if err := c.mayRead(r); err != nil {
		return answer{err: err}
	}
	group := r.PathValue("group") + "/"
	c.mu.Lock()
	var list []PastProject
	for _, id := range slices.Sorted(maps.Keys(c.past.projects)) {
		known := c.past.projects[id]
		below, inside := strings.CutPrefix(known.Path, group)
		if inside && (p.flag("include_subgroups", false) || !strings.Contains(below, "/")) {
			list = append(list, *known)
		}
	}
	c.mu.Unlock()
	if len(list) == 0 {
		return answer{err: &world.HTTPError{Status: http.StatusNotFound, Message: "404 Group Not Found"}}
	}
	if p.text("sort") != "asc" {
		slices.Reverse(list)
	}
	return listAnswer(p, r, list, projectBody)
}

func projectBody(p PastProject) map[string]any {
	i := strings.LastIndex(p.Path, "/")
	return map[string]any{
		"id": p.ID, "name": p.Path[i+1:], "path": p.Path[i+1:], "path_with_namespace": p.Path, "default_branch": "main",
		"web_url": "https://gitlab.example.com/" + p.Path, "archived": false,
	}
}

// listPastJobs is a project's history, the newest first: by pages, or by keyset.
func (c *Cloud) listPastJobs(p params, r *http.Request, project PastProject) answer {
	if err := c.mayRead(r); err != nil {
		return answer{err: err}
	}
	if project.Denied {
		return answer{err: &world.HTTPError{Status: http.StatusForbidden, Message: "403 Forbidden"}}
	}
	jobs := project.Jobs
	if scope := p.list("scope"); len(scope) > 0 {
		jobs = slices.DeleteFunc(slices.Clone(jobs), func(j PastJob) bool { return !slices.Contains(scope, j.Status) })
	}
	body := func(j PastJob) map[string]any { return pastJobBody(project, j) }
	if p.text("pagination") != "keyset" {
		if (p.number("page")-1)*p.number("per_page") > maxOffset {
			return answer{status: http.StatusMethodNotAllowed, body: map[string]string{"error": fmt.Sprintf(
				"Offset pagination has a maximum allowed offset of %d for requests that return objects of type Ci::Build. Remaining records can be retrieved using keyset pagination.", maxOffset)}}
		}
		return listAnswer(p, r, jobs, body)
	}
	if p.text("order_by") != "id" || p.text("sort") != "desc" {
		return answer{status: http.StatusMethodNotAllowed, body: map[string]string{"error": "Keyset pagination is not yet available for this type of request"}}
	}
	if cursor := p.text("cursor"); cursor != "" {
		before, ok := readCursor(cursor)
		if !ok {
			return answer{status: http.StatusBadRequest, body: map[string]string{"error": "cursor is invalid"}}
		}
		at, _ := slices.BinarySearchFunc(jobs, before, func(j PastJob, id int64) int { return cmp.Compare(id-1, j.ID) })
		jobs = jobs[at:]
	}
	return keysetAnswer(p, r, jobs, body)
}

func keysetAnswer(p params, r *http.Request, jobs []PastJob, body func(PastJob) map[string]any) answer {
	per := min(max(int(p.number("per_page")), 1), maxPerPage)
	out := []map[string]any{}
	for _, j := range jobs[:min(per, len(jobs))] {
		out = append(out, body(j))
	}
	h := map[string]string{}
	if len(jobs) > per {
		q := r.URL.Query()
		q.Set("cursor", writeCursor(jobs[per-1].ID))
		h["Link"] = fmt.Sprintf(`<http://%s%s?%s>; rel="next"`, r.Host, r.URL.EscapedPath(), q.Encode())
	}
	return answer{status: http.StatusOK, body: out, header: h}
}

// cursor is what GitLab's is inside: the last job's id, and that it goes on from it.
type cursor struct {
	ID   string `json:"id"`
	Kind string `json:"_kd"`
}

func writeCursor(id int64) string {
	data, _ := json.Marshal(cursor{strconv.FormatInt(id, 10), "n"}) // two texts always can be
	return base64.URLEncoding.EncodeToString(data)
}

func readCursor(text string) (int64, bool) {
	var c cursor
	data, err := base64.URLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(data, &c) != nil || c.Kind != "n" {
		return 0, false
	}
	id, err := strconv.ParseInt(c.ID, 10, 64)
	return id, err == nil
}

// pastJobBody is a job as GitLab's documentation of the jobs API shows it.
func pastJobBody(p PastProject, j PastJob) map[string]any {
	web := "https://gitlab.example.com/" + p.Path
	b := map[string]any{
		"id": j.ID, "name": j.Name, "stage": j.Stage, "status": j.Status, "ref": j.Ref, "tag": false, "source": "push", "archived": false,
		"allow_failure": false, "coverage": nil, "created_at": gitlabTime(j.Created), "started_at": gitlabTime(j.Started),
		"finished_at": gitlabTime(j.Finished), "erased_at": nil, "duration": span(j.Started, j.Finished),
		"queued_duration": span(j.Queued, j.Started), "tag_list": orEmpty(j.Tags), "runner": nil, "runner_manager": nil,
		"artifacts": []any{map[string]any{"file_type": "trace", "size": 1500, "filename": "job.log", "file_format": "raw"}},
		"pipeline": map[string]any{
			"id": j.Pipeline, "project_id": p.ID, "ref": j.Ref, "sha": j.Commit, "status": "success",
			"web_url": fmt.Sprintf("%s/-/pipelines/%d", web, j.Pipeline),
		},
		"project": map[string]any{"ci_job_token_scope_enabled": false}, "web_url": fmt.Sprintf("%s/-/jobs/%d", web, j.ID),
		"user": map[string]any{
			"id": 1, "name": j.User, "username": j.Username, "state": "active", "public_email": j.Email,
			"web_url": "https://gitlab.example.com/" + j.Username, "bio": nil, "location": nil, "organization": "",
		},
		"commit": map[string]any{
			"id": j.Commit, "short_id": j.Commit[:min(8, len(j.Commit))], "author_name": j.User, "author_email": j.Email,
			"created_at": gitlabTime(j.Created), "message": j.Message, "title": j.Message,
		},
	}
	if j.NoQueued {
		b["queued_duration"] = nil
	}
	if j.Status == "failed" {
		b["failure_reason"] = "script_failure"
	}
	if j.RunnerID != 0 {
		b["runner"] = map[string]any{
			"id": j.RunnerID, "description": j.Runner, "ip_address": nil, "active": true, "paused": false, "is_shared": false,
			"runner_type": "group_type", "name": nil, "online": true, "status": "online",
		}
	}
	if j.SystemID != "" {
		b["runner_manager"] = map[string]any{
			"id": 1, "system_id": j.SystemID, "version": "18.4.0", "revision": "139a0ac0", "platform": "linux", "architecture": "amd64",
			"ip_address": "127.0.0.1", "status": "online",
		}
	}
	return b
}
