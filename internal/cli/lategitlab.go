package cli

import (
	"context"
	"sync"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/gitlab"
)

// lateGitLab is GitLab's client, made at the first request. Making it reads the
// certificates of gitlab.ca_file: that this file is gone must stop neither a
// monitor, which never asks GitLab, nor a drain, which ends without it.
type lateGitLab struct {
	options gitlab.Options
	mu      sync.Mutex // the webhook asks from several goroutines
	made    *gitlab.Client
}

func (g *lateGitLab) client() (*gitlab.Client, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.made != nil {
		return g.made, nil
	}
	c, err := gitlab.New(g.options)
	if err != nil {
		return nil, err // tried again at the next request: the file may have come back
	}
	g.made = c
	return c, nil
}

// late makes one request with the client.
func late[T any](g *lateGitLab, request func(*gitlab.Client) (T, error)) (T, error) {
	c, err := g.client()
	if err != nil {
		var none T
		return none, err
	}
	return request(c)
}

// done is the answer of a request whose answer holds nothing.
func done(err error) (struct{}, error) { return struct{}{}, err }

func (g *lateGitLab) Create(ctx context.Context, auth fleet.Token, r fleet.NewRunner) (fleet.RegisteredRunner, error) {
	return late(g, func(c *gitlab.Client) (fleet.RegisteredRunner, error) { return c.Create(ctx, auth, r) })
}

func (g *lateGitLab) Register(ctx context.Context, registration fleet.Token, r fleet.NewRunner) (fleet.RegisteredRunner, error) {
	return late(g, func(c *gitlab.Client) (fleet.RegisteredRunner, error) { return c.Register(ctx, registration, r) })
}

func (g *lateGitLab) Verify(ctx context.Context, runner fleet.Token, systemID string) (int64, error) {
	return late(g, func(c *gitlab.Client) (int64, error) { return c.Verify(ctx, runner, systemID) })
}

func (g *lateGitLab) Delete(ctx context.Context, runner fleet.Token) error {
	_, err := late(g, func(c *gitlab.Client) (struct{}, error) { return done(c.Delete(ctx, runner)) })
	return err
}

func (g *lateGitLab) DeleteManager(ctx context.Context, runner fleet.Token, systemID string) error {
	_, err := late(g, func(c *gitlab.Client) (struct{}, error) { return done(c.DeleteManager(ctx, runner, systemID)) })
	return err
}

func (g *lateGitLab) Find(ctx context.Context, auth fleet.Token, r fleet.NewRunner) ([]int64, error) {
	return late(g, func(c *gitlab.Client) ([]int64, error) { return c.Find(ctx, auth, r) })
}

func (g *lateGitLab) ResetToken(ctx context.Context, auth fleet.Token, id int64) (fleet.RegisteredRunner, error) {
	return late(g, func(c *gitlab.Client) (fleet.RegisteredRunner, error) { return c.ResetToken(ctx, auth, id) })
}

func (g *lateGitLab) List(ctx context.Context, auth fleet.Token, where fleet.NewRunner, page string) (fleet.RunnerPage, error) {
	return late(g, func(c *gitlab.Client) (fleet.RunnerPage, error) { return c.List(ctx, auth, where, page) })
}

func (g *lateGitLab) Details(ctx context.Context, auth fleet.Token, id int64) (fleet.RunnerDetails, error) {
	return late(g, func(c *gitlab.Client) (fleet.RunnerDetails, error) { return c.Details(ctx, auth, id) })
}

func (g *lateGitLab) DeleteByID(ctx context.Context, auth fleet.Token, id int64) error {
	_, err := late(g, func(c *gitlab.Client) (struct{}, error) { return done(c.DeleteByID(ctx, auth, id)) })
	return err
}

func (g *lateGitLab) Jobs(ctx context.Context, auth fleet.Token, project int64) (fleet.JobList, error) {
	return late(g, func(c *gitlab.Client) (fleet.JobList, error) { return c.Jobs(ctx, auth, project) })
}

func (g *lateGitLab) Job(ctx context.Context, auth fleet.Token, project, id int64) (fleet.Job, error) {
	return late(g, func(c *gitlab.Client) (fleet.Job, error) { return c.Job(ctx, auth, project, id) })
}
