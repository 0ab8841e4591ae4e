package gitlab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// mostProjects bounds a group: more is a whole GitLab, named by mistake.
	mostProjects = 10_000
	// mostCursor bounds what GitLab has us send back; its own have 40 bytes.
	mostCursor = 1 << 10
	// listTries is how often a list that changed while it was read is read anew.
	listTries = 5
	// mostSeconds bounds a duration that GitLab tells: a hundred years.
	mostSeconds = 100 * 366 * 24 * 3600
)

// History reads the jobs that a GitLab ran. Its methods may be called again, by one
// goroutine at a time.
type History struct {
	client *Client
	token  fleet.Token
	key    string
}

// History returns a reader of the jobs' history with a token of scope read_api; key
// is what names the token, for the words of a refusal.
func (c *Client) History(token fleet.Token, key string) *History { return &History{c, token, key} }

func (h *History) ask(op string, n needs) *question {
	n.who, n.scope, n.key = apiToken, jobScope, h.key
	return h.client.ask(op, n, h.token)
}

// get is one request for a list or an object that is decoded into into.
func (q *question) get(ctx context.Context, path string, query url.Values, into any) (resp *api.Response, err error) {
	err = q.do(ctx, func(opts ...api.RequestOptionFunc) error {
		req, err := q.client.api.NewRequest(http.MethodGet, path, nil, opts)
		if err != nil {
			return err
		}
		req.URL.RawQuery = query.Encode()
		resp, err = q.client.api.Do(req, into)
		return err
	})
	return resp, err
}

// Project finds a project's id by its id or path; NotFound when there is none that
// the token's user sees.
func (h *History) Project(ctx context.Context, ref string) (int64, error) {
	q := h.ask(fmt.Sprintf("look up project %q", ref), needs{place: "project " + ref})
	var got struct {
		ID int64 `json:"id"`
	}
	if _, err := q.get(ctx, "projects/"+api.PathEscape(ref), nil, &got); err != nil {
		return 0, err
	}
	if got.ID <= 0 {
		return 0, q.strange("the answer has no id")
	}
	return got.ID, nil
}

// Projects lists the ids of a group's own projects and its subgroups', in order,
// archived ones too: their jobs took capacity once. The list is read again where it
// changed meanwhile, for a project that goes shifts another out of the next page.
func (h *History) Projects(ctx context.Context, group string) ([]int64, error) {
	q := h.ask(fmt.Sprintf("list the projects of group %q", group), needs{place: "group " + group})
	for range listTries {
		ids, whole, err := q.projects(ctx, group)
		if err != nil || whole {
			return ids, err
		}
	}
	return nil, q.strange("the list changes as often as it is read")
}

func (q *question) projects(ctx context.Context, group string) (ids []int64, whole bool, err error) {
	total := ""
	for page := 1; ; page++ {
		var list []struct {
			ID int64 `json:"id"`
		}
		resp, err := q.get(ctx, "groups/"+api.PathEscape(group)+"/projects", url.Values{
			"include_subgroups": {"true"}, "with_shared": {"false"}, "simple": {"true"}, "order_by": {"id"}, "sort": {"asc"},
			"per_page": {strconv.Itoa(perPage)}, "page": {strconv.Itoa(page)},
		}, &list)
		if err != nil {
			return nil, false, err
		}
		for _, p := range list {
			if p.ID <= 0 || len(ids) > 0 && p.ID <= ids[len(ids)-1] {
				return nil, false, nil
			}
			ids = append(ids, p.ID)
		}
		now := resp.Header.Get("X-Total")
		switch {
		case page > 1 && now != total:
			return nil, false, nil
		case len(ids) > mostProjects:
			return nil, false, &fleet.Failure{
				Kind: fleet.Invalid, Op: q.op, Message: fmt.Sprintf("it has more than %d projects", mostProjects), Mend: "name a group below it, or single projects",
			}
		case resp.NextLink == "" && resp.NextPage == 0:
			return ids, true, nil
		}
		total = now
	}
}

// pastJob is a job of GitLab's list. What may be null is a pointer.
type pastJob struct {
	ID             int64      `json:"id"`
	Name           string     `json:"name"`
	Stage          string     `json:"stage"`
	Status         string     `json:"status"`
	TagList        []string   `json:"tag_list"`
	CreatedAt      *time.Time `json:"created_at"`
	StartedAt      *time.Time `json:"started_at"`
	FinishedAt     *time.Time `json:"finished_at"`
	Duration       *float64   `json:"duration"`
	QueuedDuration *float64   `json:"queued_duration"`
	Pipeline       struct {
		ID int64 `json:"id"`
	} `json:"pipeline"`
	Runner *struct {
		ID          int64  `json:"id"`
		Description string `json:"description"`
	} `json:"runner"`
	RunnerManager *struct {
		SystemID string `json:"system_id"`
	} `json:"runner_manager"`
}

// Jobs reads one page of a project's jobs, of every status, from a cursor on; empty
// is the beginning. The pages are by id (GitLab's keyset pagination), so that jobs
// which come meanwhile shift nothing. A page too large to be read is asked for again
// with fewer jobs: commits' messages, which are of no use here, may be long.
func (h *History) Jobs(ctx context.Context, project int64, cursor string) (fleet.HistoryPage, error) {
	q := h.ask(fmt.Sprintf("list the jobs of project %d", project), needs{project: project})
	for n := perPage; ; n /= 2 {
		page, err := q.jobs(ctx, project, cursor, n)
		if err == nil && page.Next == "" {
			page, err = q.isEnd(ctx, project, cursor, n, page)
		}
		if n == 1 || !errors.Is(err, errTooLarge) {
			return page, err
		}
	}
}

// isEnd makes sure of a page that ends the list: everything after it would be missing
// without a word. It has to come twice alike, for what stands between may have answered
// in GitLab's place, or lost the link. What differs is an error that is tried again.
func (q *question) isEnd(ctx context.Context, project int64, cursor string, n int, page fleet.HistoryPage) (fleet.HistoryPage, error) {
	again, err := q.jobs(ctx, project, cursor, n)
	switch {
	case err != nil:
		return page, err
	case again.Next != "":
		return again, nil
	case !slices.EqualFunc(page.Jobs, again.Jobs, func(a, b fleet.PastJob) bool { return a.ID == b.ID }):
		return page, q.strange("the end of the list came twice, and not alike")
	case cursor == "" && len(page.Jobs) == n:
		return page, q.isWhole(ctx, project, page.Jobs[n-1].ID, n)
	}
	return page, nil
}

// isWhole makes sure of a first page that is full and has no link to another one:
// where a proxy takes the links away, nobody else would tell that there are more jobs.
func (q *question) isWhole(ctx context.Context, project, last int64, n int) error {
	var list []*pastJob
	query := url.Values{"per_page": {strconv.Itoa(n)}, "page": {"2"}}
	if _, err := q.get(ctx, fmt.Sprintf("projects/%d/jobs", project), query, &list); err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(j *pastJob) bool { return j != nil && j.ID < last }) {
		return q.noCursor()
	}
	return nil
}

func (q *question) jobs(ctx context.Context, project int64, cursor string, n int) (fleet.HistoryPage, error) {
	query := url.Values{"pagination": {"keyset"}, "order_by": {"id"}, "sort": {"desc"}, "per_page": {strconv.Itoa(n)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	var list []*pastJob
	resp, err := q.get(ctx, fmt.Sprintf("projects/%d/jobs", project), query, &list)
	if err != nil {
		return fleet.HistoryPage{}, err
	}
	next, err := q.cursor(resp)
	if err != nil {
		return fleet.HistoryPage{}, err
	}
	page := fleet.HistoryPage{Next: next, Jobs: make([]fleet.PastJob, 0, len(list))}
	for _, j := range list {
		if j == nil || j.ID <= 0 {
			return fleet.HistoryPage{}, q.strange("something in the list is no job")
		}
		if j.Pipeline.ID <= 0 || j.CreatedAt == nil { // one of its kind is no reason to have none
			page.Odd++
			continue
		}
		page.Jobs = append(page.Jobs, j.read(project))
	}
	return page, nil
}

// cursor is where the next page begins. Of the link only this parameter is used: it
// never leads to another server.
func (q *question) cursor(resp *api.Response) (string, error) {
	if resp.NextLink == "" && resp.NextPage == 0 {
		return resp.Header.Get("X-Next-Cursor"), nil // where a proxy took the link away
	}
	if u, err := url.Parse(resp.NextLink); err == nil {
		if cursor := u.Query().Get("cursor"); cursor != "" && len(cursor) <= mostCursor {
			return cursor, nil
		}
	}
	return "", q.noCursor()
}

func (q *question) noCursor() error {
	return &fleet.Failure{
		Kind: fleet.Invalid, Op: q.op, Message: "this GitLab gives no cursor to the next page, and pages by number shift while jobs come",
		Mend: "GitLab 15.9 or later is needed; does a proxy change the Link header?",
	}
}

func (j *pastJob) read(project int64) fleet.PastJob {
	p := fleet.PastJob{
		ID: j.ID, Project: project, Pipeline: j.Pipeline.ID, Name: j.Name, Stage: j.Stage, Status: j.Status, Tags: j.TagList,
		Created: *j.CreatedAt, Started: unlessNil(j.StartedAt), Finished: unlessNil(j.FinishedAt),
		Duration: secondsOf(j.Duration), Queued: secondsOf(j.QueuedDuration),
	}
	if j.Runner != nil {
		p.Runner, p.RunnerName = j.Runner.ID, j.Runner.Description
	}
	if j.RunnerManager != nil {
		p.Machine = j.RunnerManager.SystemID
	}
	return p
}

func unlessNil(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// secondsOf is a duration; below 0 where there is none, or none that can be.
func secondsOf(s *float64) time.Duration {
	if s == nil || *s < 0 || *s > mostSeconds {
		return -1
	}
	return time.Duration(math.Round(*s * float64(time.Second)))
}
