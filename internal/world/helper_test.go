package world

import (
	"errors"
	"slices"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// rig is a world with a clock of its own that only moves when told.
type rig struct {
	*World
	t   *testing.T
	now time.Time
	log []string // every event
}

func newRig(t *testing.T, opt Options, specs ...GroupSpec) *rig {
	t.Helper()
	r := &rig{World: New(opt, epoch), t: t, now: epoch}
	for _, s := range specs {
		if err := r.CreateGroup(r.now, s); err != nil {
			t.Fatal(err)
		}
	}
	r.pass(0)
	return r
}

// pass lets time go by; d may be 0.
func (r *rig) pass(d time.Duration) []Event {
	r.now = r.now.Add(d)
	events := r.Advance(r.now)
	for _, e := range events {
		r.log = append(r.log, e.String())
	}
	return events
}

func (r *rig) group(name string) GroupView {
	r.t.Helper()
	g := r.Groups(r.now, name)
	if len(g) != 1 {
		r.t.Fatalf("got %d groups of name %q", len(g), name)
	}
	return g[0]
}

func (r *rig) ids() []string {
	var out []string
	for _, i := range r.Instances(r.now) {
		out = append(out, i.ID)
	}
	return out
}

func (r *rig) states() []State {
	var out []State
	for _, i := range r.Instances(r.now) {
		out = append(out, i.State)
	}
	return out
}

func (r *rig) wantStates(what string, want ...State) {
	r.t.Helper()
	if got := r.states(); !slices.Equal(got, want) {
		r.t.Errorf("%s: states %v, want %v", what, got, want)
	}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) refused(err error, code, message string) {
	r.t.Helper()
	var e *APIError
	if !errors.As(err, &e) || e.Code != code || e.Message != message {
		r.t.Errorf("got %v, want %s: %s", err, code, message)
	}
}

func (r *rig) record(id string) InstanceRecord {
	r.t.Helper()
	v, ok := r.Instance(r.now, id)
	if !ok {
		r.t.Fatalf("no instance %s", id)
	}
	return v
}

// hooked is a group with both hooks, a minute each.
func hooked(name string, low, high, desired int) GroupSpec {
	return GroupSpec{Name: name, Min: low, Max: high, Desired: desired, Hooks: []Hook{
		{Name: "start", Transition: AtLaunch, HeartbeatTimeout: time.Minute},
		{Name: "end", Transition: AtTermination, HeartbeatTimeout: time.Minute, DefaultResult: Continue},
	}}
}

func plain(name string, low, high, desired int) GroupSpec {
	return GroupSpec{Name: name, Min: low, Max: high, Desired: desired}
}
