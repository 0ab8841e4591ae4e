package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	perPage = 100 // the most that GitLab gives
	// maxPages bounds a search: five thousand runners are more than any group
	// should have, and a server that pages for ever must not hold an instance.
	maxPages = 50
)

// Create makes a runner with POST /user/runners.
func (c *Client) Create(ctx context.Context, auth fleet.Token, r fleet.NewRunner) (fleet.RegisteredRunner, error) {
	q := c.ask(fmt.Sprintf("create runner %q", r.Description), needs{who: apiToken, scope: "create_runner", runner: r}, auth)
	var got *api.UserRunner
	err := q.do(ctx, func(o ...api.RequestOptionFunc) (err error) {
		got, _, err = c.api.Users.CreateUserRunner(createOptions(r), o...)
		return err
	})
	if err != nil {
		return fleet.RegisteredRunner{}, err
	}
	if got == nil {
		return q.registered(0, "")
	}
	return q.registered(got.ID, got.Token)
}

func createOptions(r fleet.NewRunner) *api.CreateUserRunnerOptions {
	o := &api.CreateUserRunnerOptions{
		RunnerType:      &r.Type,
		Description:     &r.Description,
		RunUntagged:     &r.RunUntagged,
		Locked:          &r.Locked,
		AccessLevel:     unlessZero(r.AccessLevel),
		MaximumTimeout:  unlessZero(int64(r.MaximumTimeout / time.Second)),
		MaintenanceNote: unlessZero(r.MaintenanceNote),
	}
	switch r.Type {
	case "group_type":
		o.GroupID = &r.GroupID
	case "project_type":
		o.ProjectID = &r.ProjectID
	}
	if len(r.Tags) > 0 {
		o.TagList = &r.Tags
	}
	return o
}

// Register makes a runner with a registration token, POST /runners.
func (c *Client) Register(ctx context.Context, registration fleet.Token, r fleet.NewRunner) (fleet.RegisteredRunner, error) {
	q := c.ask(fmt.Sprintf("register runner %q", r.Description), needs{who: registrationToken, runner: r}, registration)
	token := registration.Reveal()
	o := &api.RegisterNewRunnerOptions{
		Token:           &token,
		Description:     &r.Description,
		RunUntagged:     &r.RunUntagged,
		Locked:          &r.Locked,
		AccessLevel:     unlessZero(r.AccessLevel),
		MaximumTimeout:  unlessZero(int64(r.MaximumTimeout / time.Second)),
		MaintenanceNote: unlessZero(r.MaintenanceNote),
	}
	if len(r.Tags) > 0 {
		o.TagList = &r.Tags
	}
	var got *api.Runner
	err := q.do(ctx, func(opts ...api.RequestOptionFunc) (err error) {
		got, _, err = c.api.Runners.RegisterNewRunner(o, opts...) //nolint:staticcheck // deprecated by GitLab; mode legacy is for those who still have it
		return err
	})
	if err != nil {
		return fleet.RegisteredRunner{}, err
	}
	if got == nil {
		return q.registered(0, "")
	}
	return q.registered(got.ID, got.Token)
}

// credentials is what a runner shows of itself. The library has no system_id,
// and would send a DELETE's token in the address, where every proxy logs it.
type credentials struct {
	Token    string `json:"token"`
	SystemID string `json:"system_id,omitempty"`
}

// Verify checks a runner token and announces this machine as its manager with
// POST /runners/verify. The id is 0 where GitLab does not tell it.
func (c *Client) Verify(ctx context.Context, runner fleet.Token, systemID string) (int64, error) {
	q := c.ask("verify the runner's token", needs{who: runnerToken}, runner)
	var got struct {
		ID int64 `json:"id"`
	}
	err := q.send(ctx, http.MethodPost, "runners/verify", credentials{runner.Reveal(), systemID}, &got)
	if err != nil {
		return 0, err
	}
	if got.ID < 0 {
		return 0, q.strange("the answer has no id")
	}
	return got.ID, nil
}

// Delete deletes the runner of a token with DELETE /runners.
func (c *Client) Delete(ctx context.Context, runner fleet.Token) error {
	q := c.ask("delete the runner", needs{who: runnerToken}, runner)
	return q.send(ctx, http.MethodDelete, "runners", credentials{Token: runner.Reveal()}, nil)
}

// DeleteManager deletes one machine's record of a shared runner with DELETE
// /runners/managers; NotFound when there is none.
func (c *Client) DeleteManager(ctx context.Context, runner fleet.Token, systemID string) error {
	q := c.ask("delete the runner manager "+systemID, needs{who: runnerToken}, runner)
	return q.send(ctx, http.MethodDelete, "runners/managers", credentials{runner.Reveal(), systemID}, nil)
}

// ResetToken gives a runner a new token; the old one is refused from then on.
func (c *Client) ResetToken(ctx context.Context, auth fleet.Token, id int64) (fleet.RegisteredRunner, error) {
	q := c.ask(fmt.Sprintf("reset the token of runner %d", id), needs{who: apiToken, scope: "manage_runner or api"}, auth)
	var got *api.RunnerAuthenticationToken
	err := q.do(ctx, func(o ...api.RequestOptionFunc) (err error) {
		got, _, err = c.api.Runners.ResetRunnerAuthenticationToken(id, o...)
		return err
	})
	if err != nil {
		return fleet.RegisteredRunner{}, err
	}
	if got == nil || got.Token == nil {
		return q.registered(0, "")
	}
	return q.registered(id, *got.Token)
}

// Find lists the runners of the new runner's group, project or instance and
// returns the ids of those with exactly its description: GitLab cannot search
// by it.
func (c *Client) Find(ctx context.Context, auth fleet.Token, r fleet.NewRunner) ([]int64, error) {
	op := fmt.Sprintf("find runner %q", r.Description)
	q := c.ask(op, needs{who: apiToken, scope: "manage_runner or api", runner: r}, auth)
	var found []int64
	var more []api.RequestOptionFunc
	for range maxPages {
		page, resp, err := q.page(ctx, r, more)
		if err != nil {
			return nil, err
		}
		for _, x := range page {
			if x != nil && x.Description == r.Description {
				found = append(found, x.ID)
			}
		}
		next, ok := api.WithNext(resp)
		if !ok {
			return found, nil
		}
		more = []api.RequestOptionFunc{next}
	}
	return nil, &fleet.Failure{
		Kind: fleet.Temporary, Op: op, Message: fmt.Sprintf("more than %d runners are listed", maxPages*perPage),
		Mend: "delete the runners of instances that are gone: shoal reap",
	}
}

// page reads one page of runners.
func (q *question) page(ctx context.Context, r fleet.NewRunner, more []api.RequestOptionFunc) (page []*api.Runner, resp *api.Response, err error) {
	list := api.ListOptions{PerPage: perPage}
	runners := q.client.api.Runners
	err = q.do(ctx, func(o ...api.RequestOptionFunc) (err error) {
		o = append(o, more...)
		switch r.Type {
		case "group_type":
			page, resp, err = runners.ListGroupsRunners(r.GroupID, &api.ListGroupsRunnersOptions{ListOptions: list, Type: &r.Type}, o...)
		case "project_type":
			page, resp, err = runners.ListProjectRunners(r.ProjectID, &api.ListProjectRunnersOptions{ListOptions: list, Type: &r.Type}, o...)
		case "instance_type":
			page, resp, err = runners.ListAllRunners(&api.ListRunnersOptions{ListOptions: list, Type: &r.Type}, o...)
		default:
			err = errNoType
		}
		return err
	})
	return page, resp, err
}

var errNoType = errors.New("gitlab.runner_type does not say where to look")

func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
