package edges_test

import (
	"context"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// units is systemctl: the units are the fleet's.
type units struct{ *run }

// ask has the fleet carry out the action that the process is at.
func (u units) ask(ctx context.Context) (value any, err error) {
	var failure *fleet.Failure
	var wait time.Duration
	u.have(func() { value, failure, wait = u.p.Unit() })
	if err := u.wait(ctx, wait); err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, failure
	}
	return value, nil
}

// Start implements agent.Units.
func (u units) Start(ctx context.Context, _ string) (bool, error) {
	_, err := u.ask(ctx)
	return true, err
}

// Stop implements agent.Units.
func (u units) Stop(ctx context.Context, _ string) (bool, error) {
	_, err := u.ask(ctx)
	return true, err
}

// State implements agent.Units.
func (u units) State(ctx context.Context, _ string) (fleet.UnitState, error) {
	v, err := u.ask(ctx)
	s, _ := v.(fleet.UnitState)
	return s, err
}

// Signal implements agent.Units.
func (u units) Signal(ctx context.Context, _, _ string) error {
	_, err := u.ask(ctx)
	return err
}

// KillJobs implements agent.Units.
func (u units) KillJobs(ctx context.Context, _ string) error {
	_, err := u.ask(ctx)
	return err
}

// Shutdown implements agent.Units.
func (u units) Shutdown(ctx context.Context) (fleet.Shutdown, error) {
	v, err := u.ask(ctx)
	s, _ := v.(fleet.Shutdown)
	return s, err
}
