package world

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func ptr[T any](v T) *T { return &v }

// TestBounds: what Auto Scaling refuses, in its words.
func TestBounds(t *testing.T) {
	r := newRig(t, Options{}, plain("ci", 1, 3, 1))
	id := r.ids()[0]
	r.refused(r.SetDesired(r.now, "ci", 4), "ValidationError", "New SetDesiredCapacity value 4 is above max value 3 for the AutoScalingGroup.")
	r.refused(r.SetDesired(r.now, "ci", 0), "ValidationError", "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup.")
	r.refused(r.SetDesired(r.now, "none", 1), "ValidationError", "AutoScalingGroup name not found - AutoScalingGroup none not found")
	_, err := r.Terminate(r.now, id, true)
	r.refused(err, "ValidationError", "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.")
	_, err = r.Terminate(r.now, "i-none", false)
	r.refused(err, "ValidationError", "Instance Id not found - No managed instance found for instance ID: i-none")
	r.refused(r.SetHealth(r.now, "i-none", false, false), "ValidationError", "Instance Id not found - No managed instance found for instance ID: i-none")
	r.refused(r.Protect(r.now, "ci", true, "i-none"), "ValidationError", "The instance i-none is not part of Auto Scaling group ci.")
	if r.Protect(r.now, "ci", true) == nil || r.Protect(r.now, "ci", true, make([]string, 51)...) == nil || r.Protect(r.now, "none", true, id) == nil {
		t.Error("protection of none, of too many, in no group")
	}
	r.refused(r.UpdateGroup(r.now, "ci", GroupUpdate{Desired: ptr(9)}), "ValidationError", "Desired capacity:9 must be between the specified min size:1 and max size:3")
	r.refused(r.UpdateGroup(r.now, "ci", GroupUpdate{Min: ptr(9)}), "ValidationError", "Max bound, 3, must be greater than or equal to min bound, 9")
	r.refused(r.CreateGroup(r.now, plain("ci", 0, 1, 0)), "AlreadyExists", "AutoScalingGroup by this name already exists - A group with the name ci already exists")
	if r.CreateGroup(r.now, plain("", 0, 1, 0)) == nil || r.CreateGroup(r.now, plain("x", 2, 1, 0)) == nil {
		t.Error("groups without a name, or with impossible bounds, were made")
	}
	for _, err := range []error{
		r.UpdateGroup(r.now, "none", GroupUpdate{}), r.DeleteGroup(r.now, "none", true), r.Suspend(r.now, "none"), r.Resume(r.now, "none"),
		r.PutHook(r.now, "none", Hook{}), r.DeleteHook(r.now, "none", "x"),
	} {
		r.refused(err, "ValidationError", "AutoScalingGroup name not found - AutoScalingGroup none not found")
	}
	if err := error((&APIError{Code: "A", Message: "b"})); err.Error() != "A: b" {
		t.Error(err)
	}
}

// TestUpdate: new bounds take desired with them.
func TestUpdate(t *testing.T) {
	r := newRig(t, Options{}, plain("ci", 0, 3, 1))
	r.must(r.UpdateGroup(r.now, "ci", GroupUpdate{Min: ptr(2), NewProtected: ptr(true), TemplateVersion: ptr("2"), HealthGrace: ptr(time.Minute)}))
	r.pass(0)
	if g := r.group("ci"); g.Desired != 2 || len(g.Instances) != 2 || !g.Instances[1].Protected || g.Instances[1].TemplateVersion != "2" || g.HealthGrace != time.Minute {
		t.Errorf("raised min: %+v", g)
	}
	r.must(r.UpdateGroup(r.now, "ci", GroupUpdate{Min: ptr(0), Max: ptr(1)}))
	r.pass(0)
	if g := r.group("ci"); g.Desired != 1 || len(g.Instances) != 1 || !g.Instances[0].Protected {
		t.Errorf("lowered max: %+v; want the unprotected one gone", g)
	}
	r.must(r.DeleteGroup(r.now, "ci", true))
	if len(r.Groups(r.now)) != 0 || len(r.ids()) != 0 {
		t.Error("the group is still there")
	}
}

// TestScaleInChoice: launches are spread, and scale-in takes from the fullest zone, then
// the oldest template, then the longest life.
func TestScaleInChoice(t *testing.T) {
	r := newRig(t, Options{}, plain("ci", 0, 9, 1))
	for n := range 3 {
		r.pass(time.Minute)
		r.must(r.SetDesired(r.now, "ci", n+2))
		r.pass(0)
	}
	var zones []string
	for _, i := range r.Instances(r.now) {
		zones = append(zones, i.Zone[len(i.Zone)-1:])
	}
	if strings.Join(zones, "") != "abca" {
		t.Errorf("zones %v, want a b c a", zones)
	}
	ids := r.ids()
	r.must(r.UpdateGroup(r.now, "ci", GroupUpdate{TemplateVersion: ptr("10"), Desired: ptr(6)}))
	r.pass(time.Minute) // a b c a b c, the last two with template 10
	r.must(r.SetDesired(r.now, "ci", 5))
	r.pass(0)
	if slices.Contains(r.ids(), ids[0]) {
		t.Errorf("left %v: want the first of the fullest zones' oldest gone", r.ids())
	}
	r.must(r.Protect(r.now, "ci", true, ids[1], ids[2], ids[3]))
	r.must(r.SetDesired(r.now, "ci", 4))
	r.pass(0)
	if slices.Contains(r.ids(), ids[1]) == false || len(r.ids()) != 4 {
		t.Errorf("left %v: a protected one was taken", r.ids())
	}
}

// TestProtection keeps the group from shrinking until it is cleared, and is said
// once; an explicit termination does not ask.
func TestProtection(t *testing.T) {
	r := newRig(t, Options{}, plain("ci", 0, 3, 2))
	r.must(r.Protect(r.now, "ci", true, r.ids()...))
	r.must(r.SetDesired(r.now, "ci", 0))
	r.pass(time.Hour)
	r.must(r.SetDesired(r.now, "ci", 0))
	r.pass(time.Hour)
	if len(r.ids()) != 2 {
		t.Fatalf("protected instances were taken: %v", r.ids())
	}
	acts, err := r.Activities(r.now, "ci")
	r.must(err)
	n := 0
	for _, a := range acts {
		if a.Status == "Failed" && strings.HasPrefix(a.Message, "Could not scale to desired capacity") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	ids := r.ids()
	r.must(r.Protect(r.now, "ci", false, ids[0]))
	r.pass(0)
	if got := r.ids(); len(got) != 1 || got[0] != ids[1] {
		t.Errorf("left %v, want %s", got, ids[1])
	}
	_, err = r.Terminate(r.now, ids[1], false)
	r.must(err)
	r.pass(0)
	if len(r.ids()) != 0 {
		t.Error("an explicit termination asked for protection; or was replaced although nothing is desired")
	}
}

// TestTerminate: with decrement desired falls, without it a replacement comes.
func TestTerminate(t *testing.T) {
	r := newRig(t, Options{}, hooked("ci", 0, 3, 2))
	ids := r.ids()
	_, err := r.Terminate(r.now, ids[0], true)
	r.must(err)
	r.pass(0)
	if g := r.group("ci"); g.Desired != 1 || len(g.Instances) != 2 || g.Instances[0].State != TerminatingWait {
		t.Errorf("with decrement: %+v", g)
	}
	act, err := r.Terminate(r.now, ids[0], true)
	r.must(err)
	if g := r.group("ci"); g.Desired != 1 || act.InstanceID != ids[0] {
		t.Errorf("again: %+v %+v; want nothing more", g, act)
	}
	act, err = r.Terminate(r.now, ids[1], false)
	r.must(err)
	if act.Cause != "At 2026-01-01T00:00:00Z instance "+ids[1]+" was taken out of service in response to a user request." {
		t.Errorf("cause %q", act.Cause)
	}
	r.pass(0)
	if g := r.group("ci"); g.Desired != 1 || len(g.Instances) != 3 || g.Instances[2].State != PendingWait {
		t.Errorf("without decrement: %+v; want a replacement at once", g)
	}
}

// TestHealth: the unhealthy are replaced, unless in grace, suspended or aside.
func TestHealth(t *testing.T) {
	s := plain("ci", 0, 3, 1)
	s.HealthGrace = time.Minute
	r := newRig(t, Options{React: time.Second}, s)
	r.pass(time.Second)
	id := r.ids()[0]
	r.must(r.SetHealth(r.now, id, false, true))
	r.pass(time.Second)
	r.wantStates("in grace", InService)
	r.must(r.Suspend(r.now, "ci", "ReplaceUnhealthy", "Launch"))
	r.must(r.SetHealth(r.now, id, false, false))
	r.pass(time.Second)
	if v := r.Instances(r.now, id)[0]; v.Healthy || v.State != InService {
		t.Errorf("suspended: %+v", v)
	}
	r.must(r.Resume(r.now, "ci"))
	r.pass(time.Second)
	if got := r.record(id); got.Reason != ReasonUnhealthy {
		t.Errorf("reason %q", got.Reason)
	}
	acts, err := r.Activities(r.now, "ci")
	r.must(err)
	want := "At 2026-01-01T00:00:04Z an instance was taken out of service in response to a user health-check."
	if !slices.ContainsFunc(acts, func(a Activity) bool { return a.Cause == want }) {
		t.Errorf("no activity says %q: %+v", want, acts)
	}
	r.pass(time.Second)
	r.wantStates("replaced", InService)
}

// TestSuspend: a group that may not launch or terminate does neither.
func TestSuspend(t *testing.T) {
	r := newRig(t, Options{}, plain("ci", 0, 3, 1))
	r.must(r.Suspend(r.now, "ci", "launch", "Terminate", "Launch"))
	if got := r.group("ci").Suspended; !slices.Equal(got, []string{"Terminate", "launch"}) {
		t.Errorf("suspended %v", got)
	}
	r.must(r.SetDesired(r.now, "ci", 3))
	r.pass(0)
	r.must(r.SetDesired(r.now, "ci", 0))
	r.pass(0)
	if len(r.ids()) != 1 {
		t.Errorf("%d instances, want the one there was", len(r.ids()))
	}
	r.must(r.Resume(r.now, "ci", "Terminate"))
	r.pass(0)
	if len(r.ids()) != 0 {
		t.Error("resumed, and nothing happened")
	}
}

// TestStandby: aside and back; desired goes with it.
func TestStandby(t *testing.T) {
	r := newRig(t, Options{}, hooked("ci", 1, 2, 2))
	ids := r.ids()
	for _, id := range ids {
		r.must(r.Complete(r.now, "ci", "start", id, Continue))
	}
	_, err := r.EnterStandby(r.now, "ci", true, ids[0])
	r.must(err)
	r.pass(0)
	r.wantStates("aside", Standby, InService)
	if d, _ := r.Metadata(r.now, ids[0]); d.Target != Standby || r.group("ci").Desired != 1 {
		t.Errorf("target %s, desired %d", d.Target, r.group("ci").Desired)
	}
	r.must(r.Protect(r.now, "ci", true, ids[0]))
	_, err = r.EnterStandby(r.now, "ci", true, ids[1])
	r.refused(err, "ValidationError", "Currently, desiredSize equals minSize (1). Instances can't be moved to standby without replacement.")
	_, err = r.EnterStandby(r.now, "ci", true, ids[0])
	r.refused(err, "ValidationError", "The instance "+ids[0]+" is not in InService.")
	_, err = r.ExitStandby(r.now, "ci", ids[1])
	r.refused(err, "ValidationError", "The instance "+ids[1]+" is not in Standby.")
	acts, err := r.ExitStandby(r.now, "ci", ids[0])
	r.must(err)
	if len(acts) != 1 || !strings.Contains(acts[0].Cause, "increasing the capacity from 1 to 2") {
		t.Errorf("activities %+v", acts)
	}
	r.wantStates("back", InService, InService)
	_, err = r.EnterStandby(r.now, "ci", false, ids[1])
	r.must(err)
	r.pass(0)
	_, err = r.ExitStandby(r.now, "ci", ids[1])
	r.refused(err, "ValidationError", "Your requested DesiredCapacity of 3 is above the maximum capacity of 2.")
	for _, err := range []error{errOf(r.EnterStandby(r.now, "none", true)), errOf(r.ExitStandby(r.now, "none")), errOf(r.ExitStandby(r.now, "ci", "i-none")), errOf(r.Activities(r.now, "none")), errOf(r.Hooks(r.now, "none"))} {
		if err == nil {
			t.Error("something that is not there was found")
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

// TestDetach: the machine lives on without its group.
func TestDetach(t *testing.T) {
	r := newRig(t, Options{}, plain("ci", 0, 2, 1))
	id := r.ids()[0]
	_, err := r.Detach(r.now, "ci", false, id)
	r.must(err)
	r.pass(0)
	if got := r.ids(); len(got) != 1 || got[0] == id {
		t.Errorf("members %v, want a replacement", got)
	}
	if d, up := r.Metadata(r.now, id); !up || d.Target != Detached || d.Group != "" {
		t.Errorf("metadata %+v, %t", d, up)
	}
	if got := r.record(id); !got.Alive() || got.Reason != ReasonDetached || got.State != Detached {
		t.Errorf("record %+v", got)
	}
	r.must(r.Crash(r.now, id))
	if r.record(id).Alive() {
		t.Error("a detached machine cannot die")
	}
}

// TestStaleness: descriptions lag behind, and catch up.
func TestStaleness(t *testing.T) {
	r := newRig(t, Options{Staleness: 5 * time.Second}, plain("ci", 0, 3, 0))
	r.pass(10 * time.Second)
	r.must(r.SetDesired(r.now, "ci", 2))
	r.pass(0)
	if g := r.group("ci"); g.Desired != 0 || len(g.Instances) != 0 {
		t.Errorf("at once: %+v, want the past", g)
	}
	r.pass(4 * time.Second)
	r.must(r.SetDesired(r.now, "ci", 3))
	r.pass(time.Second)
	if g := r.group("ci"); g.Desired != 2 || len(g.Instances) != 2 {
		t.Errorf("5 s later: desired %d with %d instances, want what was 5 s ago", g.Desired, len(g.Instances))
	}
	if g := r.Records(r.now).Groups[0]; g.Desired != 3 {
		t.Errorf("a judge sees %d, want the truth", g.Desired)
	}
}
