package world

import (
	"fmt"
	"testing"
	"time"
)

// TestEC2 goes through what EC2 says of a life, and after it.
func TestEC2(t *testing.T) {
	r := newRig(t, Options{Boot: time.Minute, Shutdown: 30 * time.Second, Staleness: 5 * time.Second}, hooked("ci", 0, 3, 1))
	m := r.byID[r.machines[0].ID]
	want := func(what, states string) {
		t.Helper()
		var got []string
		for _, v := range r.EC2(r.now, m.ID) {
			got = append(got, v.State)
		}
		if fmt.Sprint(got) != states {
			t.Errorf("%s: got %v, want %s", what, got, states)
		}
	}
	want("just launched", "[]")
	r.pass(6 * time.Second)
	want("booting", "[pending]")
	r.pass(time.Minute)
	want("held at launch", "[running]")
	r.must(r.Complete(r.now, "ci", "start", m.ID, Continue))
	_, err := r.Detach(r.now, "ci", true, m.ID)
	r.must(err)
	want("detached", "[running]")
	r.must(r.Crash(r.now, m.ID))
	want("dead", "[terminated]")
	r.pass(59 * time.Minute)
	want("dead for a while", "[terminated]")
	r.pass(2 * time.Minute)
	want("forgotten", "[]")
	if len(r.EC2(r.now, "i-0123456789abcdef0")) != 0 {
		t.Error("EC2 knows an instance that never was")
	}
}

// TestEC2ShuttingDown: what goes is there until it has gone.
func TestEC2ShuttingDown(t *testing.T) {
	r := newRig(t, Options{Shutdown: 30 * time.Second}, plain("ci", 0, 3, 1))
	id := r.ids()[0]
	_, err := r.Terminate(r.now, id, true)
	r.must(err)
	if v := r.EC2(r.now); len(v) != 1 || v[0].State != EC2ShuttingDown {
		t.Errorf("got %+v", v)
	}
	r.pass(time.Minute)
	if v := r.EC2(r.now); len(v) != 1 || v[0].State != EC2Terminated {
		t.Errorf("got %+v", v)
	}
}
