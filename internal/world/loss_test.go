package world

import (
	"strings"
	"testing"
	"time"
)

// TestSpot: the notice stands for its lead, then the machine is dead, whatever
// the hook says; the group sees it late and waits out the heartbeat.
func TestSpot(t *testing.T) {
	r := newRig(t, Options{HealthCheck: 30 * time.Second}, hooked("ci", 0, 2, 1))
	id := r.ids()[0]
	r.must(r.Complete(r.now, "ci", "start", id, Continue))
	r.must(r.Interrupt(r.now, id, 0))
	r.must(r.Interrupt(r.now, id, time.Hour)) // no second thoughts
	d, up := r.Metadata(r.now, id)
	if !up || d.Spot == nil || d.Spot.Action != "terminate" || !d.Spot.Time.Equal(epoch.Add(2*time.Minute)) || d.Target != InService {
		t.Fatalf("metadata %+v, %t", d, up)
	}
	r.pass(2 * time.Minute)
	if _, up := r.Metadata(r.now, id); up || r.record(id).Alive() {
		t.Error("the machine outlives its deadline")
	}
	r.wantStates("the group does not know yet", InService)
	r.pass(30 * time.Second)
	r.wantStates("it knows, and replaces", TerminatingWait, PendingWait)
	r.pass(time.Minute - time.Nanosecond)
	if r.record(id).State != TerminatingWait {
		t.Error("the dead instance's hook must wait out its heartbeat")
	}
	r.pass(time.Nanosecond)
	got := r.record(id)
	if got.State != Terminated || got.Reason != ReasonSpot || got.DeathReason != ReasonSpot || !got.SpotNoticeAt.Equal(epoch) || !got.DeadAt.Equal(epoch.Add(2*time.Minute)) {
		t.Errorf("record %+v", got)
	}
	acts, err := r.Activities(r.now, "ci")
	r.must(err)
	found := false
	for _, a := range acts {
		found = found || strings.Contains(a.Cause, "in response to an EC2 health check indicating it has been terminated or stopped")
	}
	if !found {
		t.Errorf("activities %+v", acts)
	}
}

// TestSpotInTheMiddle: EC2 takes the machine in every state.
func TestSpotInTheMiddle(t *testing.T) {
	for name, prepare := range map[string]func(*rig, string){
		"launch hook waits": func(*rig, string) {},
		"in service":        func(r *rig, id string) { r.must(r.Complete(r.now, "ci", "start", id, Continue)) },
		"leaving": func(r *rig, id string) {
			_, err := r.Terminate(r.now, id, true)
			r.must(err)
		},
		"shutting down": func(r *rig, id string) {
			_, err := r.Terminate(r.now, id, true)
			r.must(err)
			r.must(r.Complete(r.now, "ci", "end", id, Continue))
		},
		"aside": func(r *rig, id string) {
			r.must(r.Complete(r.now, "ci", "start", id, Continue))
			_, err := r.EnterStandby(r.now, "ci", false, id)
			r.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{HealthCheck: time.Second, Shutdown: time.Hour}, hooked("ci", 0, 2, 1))
			id := r.ids()[0]
			prepare(r, id)
			r.must(r.Interrupt(r.now, id, 10*time.Second))
			r.pass(10 * time.Second)
			if got := r.record(id); got.DeathReason != ReasonSpot || !got.DeadAt.Equal(r.now) {
				t.Errorf("not taken: %+v", got)
			}
			r.pass(5 * time.Minute)
			if got := r.record(id); got.State != Terminated {
				t.Errorf("still %s", got.State)
			}
		})
	}
}

// TestDeadInService: one that died while its launch hook waited enters service
// when the hook is continued, and only then does the group look.
func TestDeadInService(t *testing.T) {
	r := newRig(t, Options{HealthCheck: 20 * time.Second}, hooked("ci", 0, 2, 1))
	id := r.ids()[0]
	r.must(r.Crash(r.now, id))
	r.pass(30 * time.Second)
	r.wantStates("nobody looks while the hook waits", PendingWait)
	r.must(r.Complete(r.now, "ci", "start", id, Continue))
	r.wantStates("continued", InService)
	r.pass(20 * time.Second)
	if got := r.record(id); got.Reason != ReasonCrash || got.State != TerminatingWait {
		t.Errorf("record %+v", got)
	}
}

// TestCrash: no notice, at any age.
func TestCrash(t *testing.T) {
	r := newRig(t, Options{Boot: time.Minute, HealthCheck: time.Second}, plain("ci", 0, 2, 1))
	id := r.ids()[0]
	r.must(r.Crash(r.now, id))
	r.pass(time.Second)
	if got := r.record(id); got.State != Terminated || got.Reason != ReasonCrash || !got.BootedAt.IsZero() {
		t.Errorf("record %+v", got)
	}
	if len(r.ids()) != 1 {
		t.Error("it was not replaced")
	}
	r.refused(r.Crash(r.now, id), "ValidationError", "Instance Id not found - No managed instance found for instance ID: "+id)
	for _, err := range []error{r.Interrupt(r.now, id, 0), r.RecommendRebalance(r.now, id), r.ScheduleMaintenance(r.now, id, Maintenance{})} {
		if err == nil {
			t.Error("a dead machine got a notice")
		}
	}
	if _, ok := r.Instance(r.now, "i-none"); ok {
		t.Error("an instance that never was")
	}
}

// TestNotices: rebalance and maintenance.
func TestNotices(t *testing.T) {
	r := newRig(t, Options{}, plain("ci", 0, 2, 1))
	id := r.ids()[0]
	r.must(r.RecommendRebalance(r.now, id))
	r.must(r.ScheduleMaintenance(r.now, id, Maintenance{Code: "instance-stop"}))
	r.must(r.ScheduleMaintenance(r.now, id, Maintenance{Code: "system-reboot", EventID: "e"}))
	r.must(r.ScheduleMaintenance(r.now, id, Maintenance{Code: "system-reboot", EventID: "e", State: "completed"}))
	d, _ := r.Metadata(r.now, id)
	if !d.Rebalance.Equal(epoch) || len(d.Maintenance) != 2 || d.Maintenance[0].State != "active" || d.Maintenance[1].State != "completed" {
		t.Errorf("metadata %+v", d)
	}
}
