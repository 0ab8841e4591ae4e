package fleet_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

func TestTokenNeverShows(t *testing.T) {
	const clear = "glrt-abcdefghij"
	token := fleet.NewToken(clear)
	type hidden struct{ token fleet.Token } // fmt asks no method of an unexported field
	type shown struct{ Token fleet.Token }
	for _, v := range []any{token, &token, shown{token}, &shown{token}, hidden{token}, []fleet.Token{token}, map[string]fleet.Token{"a": token}, fleet.RegisteredRunner{ID: 1, Token: token}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, clear) || strings.Contains(got, fmt.Sprintf("%x", clear)) {
				t.Errorf("%s of %T: %s", verb, v, got)
			}
		}
		data, err := json.Marshal(v)
		if err != nil || strings.Contains(string(data), clear) {
			t.Errorf("JSON of %T: %s, %v", v, data, err)
		}
	}
	if token.Reveal() != clear || token.IsZero() || !fleet.NewToken("").IsZero() || token != fleet.NewToken(clear) {
		t.Error("a token must be itself")
	}
}

func TestFailure(t *testing.T) {
	cause := errors.New("connection refused")
	f := &fleet.Failure{Kind: fleet.Denied, Op: `describe group "ci"`, Message: "not authorized", Mend: "allow it"}
	wrapped := fmt.Errorf("look at the group: %w", f)
	if got := fleet.AsFailure("x", wrapped); got != f {
		t.Errorf("a wrapped failure is itself, got %+v", got)
	}
	if got := fleet.AsFailure("ask", cause); got.Kind != fleet.Temporary || got.Op != "ask" || !errors.Is(got, cause) {
		t.Errorf("what nobody classified is temporary, got %+v", got)
	}
	if fleet.AsFailure("x", nil) != nil {
		t.Error("no error is no failure")
	}
	for want, f := range map[string]*fleet.Failure{
		`describe group "ci": not authorized (allow it)`: f,
		"ask: connection refused":                        {Op: "ask", Err: cause},
		"ask":                                            {Op: "ask"},
	} {
		if f.Error() != want {
			t.Errorf("%q, want %q", f.Error(), want)
		}
	}
	for k, want := range map[fleet.FailureKind]bool{
		fleet.Temporary: false, fleet.Throttled: false, fleet.NotWaiting: false, fleet.OutOfBounds: false, fleet.Local: false,
		fleet.Denied: true, fleet.BadToken: true, fleet.NotFound: true, fleet.Invalid: true,
	} {
		if (&fleet.Failure{Kind: k}).Final() != want {
			t.Errorf("%q final: want %v", k, want)
		}
	}
}

func TestObservation(t *testing.T) {
	o := fleet.Observation{Concurrent: 10, OtherRunning: 1, Runners: []fleet.RunnerReading{
		{Running: 2, Limit: 3, InFlight: 1, JobsTotal: 5, PollsAnswered: 1, PollsRefused: 2, PollsFailed: 3},
		{Running: 1, Limit: 4, InFlight: 0, JobsTotal: 2, PollsAnswered: 10, PollsRefused: 20, PollsFailed: 30},
	}}
	if o.Running() != 4 || o.Slots() != 7 || o.Free() != 3 || o.InFlight() != 1 || o.JobsTotal() != 7 ||
		o.PollsAnswered() != 11 || o.PollsRefused() != 22 || o.PollsFailed() != 33 {
		t.Errorf("%+v", o)
	}
	for _, c := range []struct {
		name   string
		change func(*fleet.Observation)
		slots  int
	}{
		{"a section without a limit", func(o *fleet.Observation) { o.Runners[0].Limit = 0 }, 10},
		{"more limits than concurrent", func(o *fleet.Observation) { o.Concurrent = 5 }, 5},
		{"a removed section", func(o *fleet.Observation) { o.Runners[0].Removed = true }, 4},
		{"all removed", func(o *fleet.Observation) { o.Runners = nil }, 10},
		{"more jobs than slots", func(o *fleet.Observation) { o.OtherRunning = 50 }, 7},
	} {
		x := o
		x.Runners = append([]fleet.RunnerReading(nil), o.Runners...)
		c.change(&x)
		if x.Slots() != c.slots || x.Free() < 0 {
			t.Errorf("%s: %d slots, %d free", c.name, x.Slots(), x.Free())
		}
	}
}

func TestStates(t *testing.T) {
	for s, want := range map[fleet.LifecycleState][3]bool{
		fleet.Pending: {true}, fleet.PendingWait: {true}, fleet.PendingProceed: {true}, fleet.InService: {},
		fleet.Terminating: {false, true}, fleet.TerminatingWait: {false, true}, fleet.TerminatingProceed: {false, true}, fleet.Terminated: {false, true},
		fleet.Standby: {}, fleet.Detached: {}, "Warmed:Stopped": {false, false, true}, "Warmed:": {}, "": {},
	} {
		if got := [3]bool{s.IsPending(), s.IsLeaving(), s.IsWarmed()}; got != want {
			t.Errorf("%q: pending, leaving, warmed %v, want %v", s, got, want)
		}
	}
	for s, want := range map[string]bool{"active": true, "activating": true, "reloading": true, "deactivating": true, "inactive": false, "failed": false, "": false} {
		if (fleet.UnitState{Active: s}).Running() != want {
			t.Errorf("unit %q running: want %v", s, want)
		}
	}
}

func TestDecisionIsOneLine(t *testing.T) {
	d := fleet.Decision{Action: "raise desired 2 → 5", Reasons: []fleet.Reason{"7 jobs wait", "2 busy"}}
	if got := d.String(); got != "raise desired 2 → 5: 7 jobs wait; 2 busy" {
		t.Error(got)
	}
	if got := (fleet.Decision{Action: "stay"}).String(); got != "stay" {
		t.Error(got)
	}
}

func TestGroupAndRegistration(t *testing.T) {
	g := fleet.Group{Instances: []fleet.Instance{{ID: "i-1"}, {ID: "i-2", Protected: true}}}
	if i, ok := g.Find("i-2"); !ok || !i.Protected {
		t.Error("i-2 is a member")
	}
	if _, ok := g.Find("i-3"); ok {
		t.Error("i-3 is none")
	}
	r := fleet.Registration{Runners: make([]fleet.RegisteredRunner, 2)}
	if !r.Done(2) || r.Done(3) || r.Done(0) {
		t.Error("done is a runner for each section")
	}
}

// TestNoticeFormat is the file's format: other programs may write and read it.
func TestNoticeFormat(t *testing.T) {
	deadline := time.Date(2026, 1, 1, 0, 2, 0, 0, time.UTC)
	data, err := json.Marshal(fleet.Notice{Kind: fleet.NoticeSpot, SeenAt: deadline.Add(-2 * time.Minute), Deadline: &deadline, Source: "x"})
	if want := `{"kind":"spot","seen_at":"2026-01-01T00:00:00Z","deadline":"2026-01-01T00:02:00Z","source":"x"}`; err != nil || string(data) != want {
		t.Errorf("%s, %v", data, err)
	}
	data, _ = json.Marshal(fleet.Notice{Kind: fleet.NoticeScaleIn})
	if !strings.Contains(string(data), `"deadline":null`) {
		t.Errorf("no deadline must be null: %s", data)
	}
}
