package emulator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// TestItHappensByItself: hooks time out and machines go with nobody asking.
func TestItHappensByItself(t *testing.T) {
	c := start(t, Options{
		World: world.Options{Boot: 5 * time.Millisecond, Shutdown: 5 * time.Millisecond},
		Groups: []world.GroupSpec{{Name: "ci", Max: 1, Desired: 1, Hooks: []world.Hook{
			{Name: "start", Transition: world.AtLaunch, HeartbeatTimeout: 10 * time.Millisecond},
		}}},
	})
	gone := awaitEvent(t, c, anyEvent[world.InstanceTerminated])
	if gone.Reason != world.ReasonLaunchTimeout {
		t.Errorf("reason %q", gone.Reason)
	}
	if next := awaitEvent(t, c, anyEvent[world.InstanceBooted]); next.ID == gone.ID {
		t.Error("the instance was not replaced by another")
	}
}

// TestInterruption: EC2 takes the machine at its deadline.
func TestInterruption(t *testing.T) {
	c := start(t, Options{})
	id := instance(t, c)
	if got := call(t, "POST", c.GitLabURL()+"/emulator/instances/"+id+"/interrupt?lead=20ms", nil); got.status != http.StatusAccepted {
		t.Fatalf("%d %s", got.status, got.text)
	}
	notice := awaitEvent(t, c, anyEvent[world.InterruptionNoticed])
	dead := awaitEvent(t, c, anyEvent[world.InstanceDead])
	if dead.ID != id || dead.Reason != world.ReasonSpot || dead.At.Before(notice.Deadline) {
		t.Errorf("dead %+v after notice %+v", dead, notice)
	}
}

// TestControls: the emulator's own routes.
func TestControls(t *testing.T) {
	c := start(t, Options{})
	id := instance(t, c)
	url := c.GitLabURL() + "/emulator"
	for _, tt := range []struct {
		method, path string
		body         any
		status       int
		says         string
	}{
		{"POST", "/jobs", map[string]any{"script": []string{"echo hi"}, "tags": []string{"x"}, "variables": map[string]string{"B": "1", "A": "2"}, "timeout_seconds": 90}, 201, `"id":1`},
		{"POST", "/jobs", "{", 400, "no job"},
		{"GET", "/jobs", nil, 200, `"timeout_seconds":90,"status":"pending"`},
		{"POST", "/jobs/1/cancel", nil, 204, ""},
		{"POST", "/jobs/9/cancel", nil, 404, ""},
		{"GET", "/instances", nil, 200, c.MetadataURL(id)},
		{"POST", "/instances/i-none/interrupt", nil, 404, ""},
		{"POST", "/instances/" + id + "/interrupt?lead=soon", nil, 400, ""},
		{"POST", "/instances/" + id + "/crash", nil, 202, ""},
		{"POST", "/instances/" + id + "/crash", nil, 404, ""},
		{"GET", "/calls", nil, 200, `"GET /emulator/jobs":1`},
	} {
		got := call(t, tt.method, url+tt.path, tt.body)
		if got.status != tt.status || !strings.Contains(got.text, tt.says) {
			t.Errorf("%s %s: %d %s, want %d with %q", tt.method, tt.path, got.status, got.text, tt.status, tt.says)
		}
	}
}

// TestCloseEndsPolls: nothing outlives Close, and it may be called again.
func TestCloseEndsPolls(t *testing.T) {
	c := start(t, Options{Groups: []world.GroupSpec{{Name: "ci", Max: 2, Desired: 2}}})
	out := heldPoll(t.Context(), t, c, emptyPoll(t, c))
	c.Close()
	c.Close()
	<-out
	for range c.Events() { // closed, whatever was left
	}
	if _, err := tryCall("GET", c.GitLabURL(), nil); err == nil {
		t.Error("it still listens")
	}
}

// TestFaultsOnTheWire: latency, a body that is too big, an answer instead.
func TestFaultsOnTheWire(t *testing.T) {
	c := start(t, Options{Fault: func(q Request) Fault {
		switch q.Operation {
		case "GET /api/v4/runners/all":
			return Fault{Latency: 30 * time.Millisecond, Status: 429, Header: http.Header{"retry-after": {"7"}}, Body: "{}"}
		case "POST /api/v4/runners":
			if q.N == 1 {
				return Fault{Drop: true}
			}
		}
		return Fault{}
	}})
	began := time.Now()
	got := call(t, "GET", c.GitLabURL()+"/api/v4/runners/all", nil, "PRIVATE-TOKEN", adminToken)
	if got.status != 429 || got.header.Get("Retry-After") != "7" || time.Since(began) < 30*time.Millisecond {
		t.Errorf("%d %v after %v", got.status, got.header, time.Since(began))
	}
	body := map[string]any{"token": legacyToken}
	if _, err := tryCall("POST", c.GitLabURL()+"/api/v4/runners", body); err == nil {
		t.Error("the first registration should be dropped")
	}
	if got := call(t, "POST", c.GitLabURL()+"/api/v4/runners", body); got.status != 201 {
		t.Errorf("the second: %d %s", got.status, got.text)
	}
	if n := len(c.Records().Runners); n != 2 {
		t.Errorf("%d runners, want the shared one and one more: a dropped request has no effect", n)
	}
	if got, err := tryCall("PATCH", c.GitLabURL()+"/api/v4/jobs/1/trace", strings.Repeat("x", maxBody+1)); err == nil && got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge body: %d", got.status)
	}
}

func TestStartFails(t *testing.T) {
	if _, err := Start(Options{Groups: []world.GroupSpec{{Name: "ci", Min: 2, Max: 1}}}); err == nil {
		t.Error("a group that cannot be was made")
	}
}

// TestVirtualTime: without sockets the emulation runs in a bubble, where an hour
// is nothing.
func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Start(Options{
			NoListen: true, Runners: []world.NewRunner{{Token: sharedToken, RunUntagged: true}},
			Groups: []world.GroupSpec{{Name: "ci", Max: 1, Desired: 1, Hooks: []world.Hook{
				{Name: "start", Transition: world.AtLaunch, HeartbeatTimeout: time.Hour, DefaultResult: world.Continue},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		began := time.Now()
		for e := range c.Events() {
			if v, ok := e.(world.InstanceChanged); ok && v.To == world.InService {
				if d := v.At.Sub(began); d != time.Hour {
					t.Errorf("in service after %v, want 1h", d)
				}
				break
			}
		}
		w := httptest.NewRecorder()
		c.GitLabHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/api/v4/jobs/request", strings.NewReader(`{"token":"`+sharedToken+`"}`)))
		if w.Code != 204 {
			t.Errorf("poll: %d %s", w.Code, w.Body)
		}
		if c.AutoScalingHandler() == nil || c.MetadataHandler(c.Records().Instances[0].ID) == nil {
			t.Error("a handler is missing")
		}
	})
}
