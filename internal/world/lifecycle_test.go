package world

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLife follows one instance through every state, and what its metadata says.
func TestLife(t *testing.T) {
	r := newRig(t, Options{Boot: 90 * time.Second, React: time.Second, Shutdown: 10 * time.Second}, hooked("ci", 0, 3, 1))
	r.wantStates("before the group reacts")
	r.pass(time.Second)
	r.wantStates("launched", Pending)
	id := r.ids()[0]
	if _, up := r.Metadata(r.now, id); up {
		t.Error("a machine that boots has no metadata service")
	}
	r.pass(90 * time.Second)
	r.wantStates("up", PendingWait)
	if d, up := r.Metadata(r.now, id); !up || d.Target != InService || d.Group != "ci" || d.Zone != "eu-central-1a" {
		t.Errorf("metadata while the launch hook waits: %+v, %t; want target InService", d, up)
	}
	r.must(r.Complete(r.now, "ci", "start", id, Continue))
	r.wantStates("completed", InService)
	r.must(r.SetDesired(r.now, "ci", 0))
	r.pass(time.Second)
	r.wantStates("scaled in", TerminatingWait)
	if d, _ := r.Metadata(r.now, id); d.Target != Terminated {
		t.Errorf("target %s, want Terminated", d.Target)
	}
	r.must(r.Complete(r.now, "ci", "end", id, Continue))
	r.wantStates("completed", TerminatingProceed)
	r.pass(10 * time.Second)
	r.wantStates("gone")
	got := r.record(id)
	if got.Reason != ReasonScaleIn || got.DeathReason != ReasonScaleIn || got.State != Terminated || got.Alive() ||
		!got.BootedAt.Equal(epoch.Add(91*time.Second)) || !got.InServiceAt.Equal(got.BootedAt) || !got.TerminatedAt.Equal(epoch.Add(102*time.Second)) {
		t.Errorf("record: %+v", got)
	}
	if r.pass(time.Second); !r.Next().IsZero() { // the group has looked once more
		t.Errorf("something will still happen at %v", r.Next())
	}
}

// TestHookTimeouts: at the time-out the default result is applied.
func TestHookTimeouts(t *testing.T) {
	for _, tt := range []struct {
		result string
		want   State
	}{{Abandon, Terminated}, {Continue, InService}} {
		s := hooked("ci", 0, 1, 1)
		s.Hooks[0].DefaultResult = tt.result
		r := newRig(t, Options{}, s)
		id := r.ids()[0]
		r.pass(time.Minute - time.Nanosecond)
		r.wantStates("just before", PendingWait)
		r.pass(time.Nanosecond)
		if got := r.record(id).State; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.result, got, tt.want)
		}
		if tt.result == Abandon && (len(r.ids()) != 1 || r.ids()[0] == id || r.record(id).Reason != ReasonLaunchTimeout) {
			t.Errorf("an abandoned launch is replaced: %v", r.ids())
		}
	}
}

// TestAbandon: a completed ABANDON terminates and replaces a launching instance,
// and lets a terminating one go.
func TestAbandon(t *testing.T) {
	r := newRig(t, Options{}, hooked("ci", 0, 1, 1))
	id := r.ids()[0]
	r.must(r.Complete(r.now, "ci", "start", id, Abandon))
	r.pass(0)
	if got := r.record(id); got.Reason != ReasonLaunchAbandon || got.TerminatedAt.IsZero() {
		t.Errorf("record: %+v", got)
	}
	next := r.ids()[0]
	r.must(r.Complete(r.now, "ci", "start", next, Continue))
	_, err := r.Terminate(r.now, next, true)
	r.must(err)
	r.must(r.Complete(r.now, "ci", "end", next, Abandon))
	if got := r.record(next); got.TerminatedAt.IsZero() {
		t.Errorf("ABANDON of a terminating instance must let it go: %+v", got)
	}
	acts, err := r.Activities(r.now, "ci")
	r.must(err)
	if !slices.ContainsFunc(acts, func(a Activity) bool {
		return a.InstanceID == id && a.Status == "Cancelled" && strings.HasPrefix(a.Message, "Instance failed to complete user's Lifecycle Action")
	}) {
		t.Errorf("no activity tells of the failed launch: %+v", acts)
	}
}

// TestHeartbeats: each starts the time-out afresh, but not beyond the cap.
func TestHeartbeats(t *testing.T) {
	r := newRig(t, Options{}, hooked("ci", 0, 1, 1))
	id := r.ids()[0]
	beats := 0
	for ; len(r.ids()) == 1 && r.ids()[0] == id; beats++ {
		if beats > 1000 {
			t.Fatal("heartbeats hold the instance for ever")
		}
		if err := r.Heartbeat(r.now, "ci", "start", id); err != nil {
			t.Fatal(err)
		}
		r.pass(59 * time.Second)
	}
	if held := r.record(id).LeavingAt.Sub(epoch); held != 100*time.Minute {
		t.Errorf("held for %v, want 100 × the heartbeat's minute", held)
	}
	r.refused(r.Heartbeat(r.now, "ci", "start", id), "ValidationError", "No active Lifecycle Action found with instance ID "+id)
	if got := (Hook{HeartbeatTimeout: time.Hour}).GlobalTimeout(); got != 48*time.Hour {
		t.Errorf("cap of an hour's heartbeat: %v, want 48h", got)
	}
}

// TestTwoHooks: all must be done; ABANDON ends the others' wait with it.
func TestTwoHooks(t *testing.T) {
	s := hooked("ci", 0, 1, 1)
	s.Hooks = append(s.Hooks, Hook{Name: "also", Transition: AtLaunch, HeartbeatTimeout: time.Hour})
	r := newRig(t, Options{}, s)
	id := r.ids()[0]
	r.must(r.Complete(r.now, "ci", "start", id, Continue))
	r.wantStates("one of two", PendingWait)
	r.must(r.Complete(r.now, "ci", "also", id, Continue))
	r.wantStates("both", InService)
}

// TestPutHook: bounds, change, deletion while an instance waits.
func TestPutHook(t *testing.T) {
	r := newRig(t, Options{}, hooked("ci", 0, 1, 1))
	id := r.ids()[0]
	for _, h := range []Hook{
		{Name: "x", Transition: "autoscaling:NOTHING"},
		{Name: "x", Transition: AtLaunch, HeartbeatTimeout: time.Second},
		{Name: "x", Transition: AtLaunch, HeartbeatTimeout: 3 * time.Hour},
		{Name: "x", Transition: AtLaunch, DefaultResult: "PERHAPS"},
	} {
		if err := r.PutHook(r.now, "ci", h); err == nil {
			t.Errorf("%+v was taken", h)
		}
	}
	r.must(r.PutHook(r.now, "ci", Hook{Name: "x", Transition: AtLaunch}))
	r.must(r.PutHook(r.now, "ci", Hook{Name: "x", Transition: AtTermination, HeartbeatTimeout: time.Minute}))
	hooks, err := r.Hooks(r.now, "ci")
	r.must(err)
	if len(hooks) != 3 || hooks[2].Transition != AtTermination || hooks[2].DefaultResult != Abandon {
		t.Errorf("hooks: %+v", hooks)
	}
	r.must(r.DeleteHook(r.now, "ci", "start"))
	r.pass(0)
	if r.record(id).Reason == "" {
		t.Error("deleting a hook must apply its default to those who wait")
	}
	r.refused(r.DeleteHook(r.now, "ci", "start"), "ValidationError", "No Lifecycle Hook found with name: start")
	r.refused(r.Complete(r.now, "ci", "end", "i-none", Continue), "ValidationError", "No active Lifecycle Action found with instance ID i-none")
	r.refused(r.Complete(r.now, "ci", "end", id, "PERHAPS"), "ValidationError", "Lifecycle Action Result must be one of [CONTINUE, ABANDON]")
	r.refused(r.Heartbeat(r.now, "none", "end", id), "ValidationError", "AutoScalingGroup name not found - AutoScalingGroup none not found")
}

// TestWarmPool: instances are made ready, rest, and enter service by booting
// again.
func TestWarmPool(t *testing.T) {
	for _, rest := range []State{"", WarmedRunning} {
		s := hooked("ci", 0, 3, 0)
		s.Warm = &WarmPool{Size: 1, State: rest}
		r := newRig(t, Options{Boot: time.Second}, s)
		r.pass(time.Second)
		r.wantStates("prepared", WarmedPendingWait)
		id := r.ids()[0]
		want := WarmedStopped
		if rest != "" {
			want = rest
		}
		if d, up := r.Metadata(r.now, id); !up || d.Target != want {
			t.Errorf("target %s, want %s", d.Target, want)
		}
		r.refused(r.Protect(r.now, "ci", true, id), "ValidationError", "The instance "+id+" is not in InService or EnteringStandby or Standby.")
		r.must(r.Complete(r.now, "ci", "start", id, Continue))
		r.wantStates("resting", want)
		if len(r.group("ci").Instances) != 0 {
			t.Error("the pool's instances are no members for DescribeAutoScalingGroups")
		}
		r.must(r.SetDesired(r.now, "ci", 1))
		r.pass(time.Second)
		if got := r.record(id).State; got != PendingWait {
			t.Errorf("from the pool: %s, want Pending:Wait", got)
		}
		if d, _ := r.Metadata(r.now, id); d.Target != InService {
			t.Errorf("target %s, want InService", d.Target)
		}
		r.must(r.Complete(r.now, "ci", "start", id, Continue))
		if got := r.record(id).State; got != InService || len(r.ids()) != 2 {
			t.Errorf("in service: %s, and %d instances; want the pool filled again", got, len(r.ids()))
		}
		_, err := r.Terminate(r.now, r.ids()[1], false)
		r.must(err)
	}
}

// TestWarmPoolWithoutHooks: nothing to wait for.
func TestWarmPoolWithoutHooks(t *testing.T) {
	s := plain("ci", 0, 3, 0)
	s.Warm = &WarmPool{Size: 1, State: WarmedRunning}
	r := newRig(t, Options{}, s)
	r.wantStates("resting", WarmedRunning)
	r.must(r.SetDesired(r.now, "ci", 1))
	r.pass(0)
	if got := r.states(); !slices.Contains(got, InService) {
		t.Errorf("states %v, want one in service", got)
	}
}

// TestHoldLag: until the group holds the launch nothing waits that could be
// completed or extended.
func TestHoldLag(t *testing.T) {
	r := newRig(t, Options{HoldLag: 10 * time.Second}, hooked("ci", 0, 1, 1))
	id := r.ids()[0]
	r.pass(9 * time.Second)
	r.wantStates("before", Pending)
	if err := r.Heartbeat(r.now, "ci", "start", id); err == nil {
		t.Error("a heartbeat is accepted before anything waits")
	}
	r.pass(time.Second)
	r.wantStates("then", PendingWait)
	r = newRig(t, Options{HoldLag: 10 * time.Second}, hooked("ci", 0, 1, 1))
	id = r.ids()[0]
	if err := r.Crash(r.now, id); err != nil {
		t.Fatal(err)
	}
	r.pass(10 * time.Second)
	if got := r.record(id).State; got == PendingWait {
		t.Error("a dead machine's launch is held")
	}
}
