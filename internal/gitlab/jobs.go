package gitlab

import (
	"context"
	"fmt"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// jobScope is what a token needs to read jobs.
	jobScope = "read_api or api"
	// jobPages bounds a list: five thousand jobs of one project, more than matter.
	jobPages = 50
)

// Jobs lists a project's jobs that wait or run, with their tags. Page by page, but
// by id, so that a job which ends meanwhile shifts none of the others out.
func (c *Client) Jobs(ctx context.Context, auth fleet.Token, project int64) (fleet.JobList, error) {
	q := c.ask(fmt.Sprintf("list jobs of project %d", project), needs{who: apiToken, scope: jobScope, key: "webhook.token", project: project}, auth)
	scope := []api.BuildStateValue{api.Pending, api.Running}
	opts := api.ListJobsOptions{ListOptions: api.ListOptions{Pagination: "keyset", OrderBy: "id", Sort: "desc", PerPage: perPage}, Scope: &scope}
	var list fleet.JobList
	var more []api.RequestOptionFunc
	for range jobPages {
		var page []*api.Job
		var resp *api.Response
		err := q.do(ctx, func(o ...api.RequestOptionFunc) (err error) {
			page, resp, err = c.api.Jobs.ListProjectJobs(project, &opts, append(o, more...)...)
			return err
		})
		if err != nil {
			return fleet.JobList{}, err
		}
		for _, j := range page {
			if j != nil && j.ID > 0 {
				list.Jobs = append(list.Jobs, readJob(project, j))
			}
		}
		switch {
		case resp.NextLink != "": // only its parameters are used: a link never leads to another server
			more = []api.RequestOptionFunc{api.WithKeysetPaginationParameters(resp.NextLink)}
		case resp.NextPage != 0: // a proxy took the links away
			more = []api.RequestOptionFunc{api.WithKeysetPaginationParameters(fmt.Sprintf("?page=%d", resp.NextPage))}
		default:
			list.Whole = true
			return list, nil
		}
	}
	return list, nil
}

// Job reads one job; NotFound when there is none.
func (c *Client) Job(ctx context.Context, auth fleet.Token, project, id int64) (fleet.Job, error) {
	q := c.ask(fmt.Sprintf("look at job %d of project %d", id, project), needs{who: apiToken, scope: jobScope, key: "webhook.token", project: project}, auth)
	var got *api.Job
	err := q.do(ctx, func(o ...api.RequestOptionFunc) (err error) {
		got, _, err = c.api.Jobs.GetJob(project, id, o...)
		return err
	})
	if err != nil {
		return fleet.Job{}, err
	}
	if got == nil || got.ID != id {
		return fleet.Job{}, q.strange("the answer is not about this job")
	}
	return readJob(project, got), nil
}

func readJob(project int64, j *api.Job) fleet.Job {
	return fleet.Job{
		ID: j.ID, Project: project, Pipeline: j.Pipeline.ID, Stage: j.Stage, Name: j.Name,
		State: fleet.JobStateOf(j.Status), Tags: append([]string{}, j.TagList...),
	}
}
