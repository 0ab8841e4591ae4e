package agent_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// sleeper sleeps for a day at a time, and ends at the third event.
type sleeper struct{ heard []life.Event }

func (s *sleeper) Step(e life.Event, now time.Time) (*sleeper, []life.Action) {
	if s.heard = append(s.heard, e); len(s.heard) == 3 {
		return s, []life.Action{life.Exit{}}
	}
	return s, []life.Action{life.Sleep{Until: now.Add(24 * time.Hour)}}
}

// TestInboxWakes: what comes from outside is taken in at once, in order, also what
// came before anybody slept.
func TestInboxWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inbox := make(chan life.Event, 1)
		inbox <- life.JobEvent{Job: fleet.Job{ID: 1}}
		time.AfterFunc(time.Hour, func() { inbox <- life.JobEvent{Job: fleet.Job{ID: 2}} })
		began, s := time.Now(), &sleeper{}
		agent.Run(context.Background(), s, agent.Options{Inbox: inbox, Log: slog.New(slog.DiscardHandler)})
		if took := time.Since(began); took != time.Hour {
			t.Errorf("it took %s", took)
		}
		for i, e := range s.heard[1:] {
			if j, ok := e.(life.JobEvent); !ok || j.Job.ID != int64(i+1) {
				t.Errorf("event %d is %+v", i, e)
			}
		}
	})
}

// ender ends once it is interrupted.
type ender struct{ heard []life.Event }

func (s *ender) Step(e life.Event, now time.Time) (*ender, []life.Action) {
	s.heard = append(s.heard, e)
	if _, ok := e.(life.Interrupted); ok {
		return s, []life.Action{life.Exit{}}
	}
	return s, []life.Action{life.Sleep{Until: now.Add(24 * time.Hour)}}
}

// TestInboxBeforeTheEnd: a machine that is asked to stop hears first what waits for
// it, but not without end.
func TestInboxBeforeTheEnd(t *testing.T) {
	inbox := make(chan life.Event, 100)
	for id := range int64(100) {
		inbox <- life.JobEvent{Job: fleet.Job{ID: id}}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := &ender{}
	agent.Run(ctx, s, agent.Options{Inbox: inbox, Log: slog.New(slog.DiscardHandler)})
	if n := len(s.heard); n != 102 || len(inbox) > 0 {
		t.Errorf("it heard %d events, %d are left", n, len(inbox))
	}

	endless := make(chan life.Event, 10)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case endless <- life.Woke{}:
			case <-stop:
				return
			}
		}
	}()
	s = &ender{}
	agent.Run(ctx, s, agent.Options{Inbox: endless, Log: slog.New(slog.DiscardHandler)})
	close(stop)
	<-ended
	if n := len(s.heard); n > 12 {
		t.Errorf("it heard %d events", n)
	}
}
