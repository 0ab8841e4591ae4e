package gitlab

import (
	"context"
	"fmt"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// reapScope is what a token needs to list and delete runners that it did not make.
const reapScope = "manage_runner or api"

// List reads one page of the runners of a group, project or the whole instance,
// as where has it. page is what the page before said of the next; empty for the
// first.
func (c *Client) List(ctx context.Context, auth fleet.Token, where fleet.NewRunner, page string) (fleet.RunnerPage, error) {
	q := c.ask("list runners", needs{who: apiToken, scope: reapScope, runner: where, key: "reap.token"}, auth)
	var more []api.RequestOptionFunc
	if page != "" {
		// Only its parameters are used: a link never leads to another server.
		more = append(more, api.WithKeysetPaginationParameters(page))
	}
	list, resp, err := q.page(ctx, where, more)
	if err != nil {
		return fleet.RunnerPage{}, err
	}
	var p fleet.RunnerPage
	for _, r := range list {
		if r != nil && r.ID > 0 {
			p.Runners = append(p.Runners, fleet.ListedRunner{ID: r.ID, Description: r.Description})
		}
	}
	switch {
	case resp.NextLink != "":
		p.Next = resp.NextLink
	case resp.NextPage != 0: // a proxy took the links away
		p.Next = fmt.Sprintf("?page=%d", resp.NextPage)
	}
	return p, nil
}

// Details reads one runner's own page; NotFound when there is none.
func (c *Client) Details(ctx context.Context, auth fleet.Token, id int64) (fleet.RunnerDetails, error) {
	q := c.ask(fmt.Sprintf("look at runner %d", id), needs{who: apiToken, scope: reapScope, key: "reap.token"}, auth)
	var got *api.RunnerDetails
	err := q.do(ctx, func(o ...api.RequestOptionFunc) (err error) {
		got, _, err = c.api.Runners.GetRunnerDetails(id, o...)
		return err
	})
	if err != nil {
		return fleet.RunnerDetails{}, err
	}
	if got == nil || got.ID != id {
		return fleet.RunnerDetails{}, q.strange("the answer is not about this runner")
	}
	d := fleet.RunnerDetails{ListedRunner: fleet.ListedRunner{ID: id, Description: got.Description}}
	if got.ContactedAt != nil {
		d.ContactedAt = *got.ContactedAt
	}
	return d, nil
}

// DeleteByID deletes a runner with DELETE /runners/:id, whoever made it; NotFound
// when it is gone already.
func (c *Client) DeleteByID(ctx context.Context, auth fleet.Token, id int64) error {
	q := c.ask(fmt.Sprintf("delete runner %d", id), needs{who: apiToken, scope: reapScope, key: "reap.token"}, auth)
	return q.do(ctx, func(o ...api.RequestOptionFunc) error {
		_, err := c.api.Runners.RemoveRunner(id, o...)
		return err
	})
}
