package imds

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

func TestAnswersAreRead(t *testing.T) {
	s := newService()
	c := overHTTP(t, s)
	ctx := t.Context()

	id, err := c.Identity(ctx)
	want := fleet.Identity{
		InstanceID: "i-0123456789abcdef0", InstanceType: "m5.large", Region: "eu-west-1",
		AvailabilityZone: "eu-west-1a", AccountID: "123456789012", GroupTag: "ci",
	}
	if err != nil || id != want {
		t.Errorf("identity: got %+v, %v", id, err)
	}
	if state, err := c.TargetState(ctx); err != nil || state != fleet.InService {
		t.Errorf("target: got %q, %v", state, err)
	}
	if events, err := c.Maintenance(ctx); err != nil || events != nil {
		t.Errorf("maintenance: got %v, %v, want none", events, err)
	}

	s.set(spotPath, `{"action":"terminate","time":"2026-01-01T00:02:00Z"}`)
	spot, err := c.SpotAction(ctx)
	if err != nil || spot == nil || spot.Action != "terminate" || !spot.Time.Equal(time.Date(2026, 1, 1, 0, 2, 0, 0, time.UTC)) {
		t.Errorf("spot: got %+v, %v", spot, err)
	}
	s.set(rebalancePath, `{"noticeTime": "2026-01-01T00:00:00Z"}`)
	if there, err := c.Rebalance(ctx); err != nil || !there {
		t.Errorf("rebalance: got %t, %v", there, err)
	}
	s.set(maintenancePath, `[ {
  "NotBefore" : "21 Jan 2026 09:00:43 GMT",
  "Code" : "system-reboot",
  "Description" : "scheduled reboot",
  "EventId" : "instance-event-0d59937288b749b32",
  "NotAfter" : "21 Jan 2026 09:17:23 GMT",
  "State" : "active"
} ]`)
	events, err := c.Maintenance(ctx)
	wantEvents := []fleet.MaintenanceEvent{{
		ID: "instance-event-0d59937288b749b32", Code: "system-reboot", State: "active", Description: "scheduled reboot",
		NotBefore: time.Date(2026, 1, 21, 9, 0, 43, 0, time.UTC),
	}}
	if err != nil || !reflect.DeepEqual(events, wantEvents) {
		t.Errorf("maintenance: got %+v, %v", events, err)
	}
}

func TestNotFoundIsNone(t *testing.T) {
	s := newService()
	s.values = map[string]string{identityPath: identityBody}
	c := overHTTP(t, s)
	for name, r := range readings(t.Context(), c) {
		if v, err := r(); err != nil || v != none {
			t.Errorf("%s: got %v, %v, want none", name, v, err)
		}
	}
	if id, err := c.Identity(t.Context()); err != nil || id.GroupTag != "" {
		t.Errorf("identity without tags: got %+v, %v", id, err)
	}
}

// none marks the zero value of a reading in readings.
const none = "none"

// readings are the readings of which "none" is an answer.
func readings(ctx context.Context, c *Client) map[string]func() (string, error) {
	say := func(there bool) string {
		if there {
			return "something"
		}
		return none
	}
	return map[string]func() (string, error){
		"target":      func() (string, error) { v, err := c.TargetState(ctx); return say(v != ""), err },
		"spot":        func() (string, error) { v, err := c.SpotAction(ctx); return say(v != nil), err },
		"rebalance":   func() (string, error) { v, err := c.Rebalance(ctx); return say(v), err },
		"maintenance": func() (string, error) { v, err := c.Maintenance(ctx); return say(v != nil), err },
	}
}

// Defect 1 of what came before: every status but 404 counted as "terminating".
// Nothing but a 200 that parses is a notice, and nothing but a 404 is none.
func TestEverythingElseIsUnknown(t *testing.T) {
	status := func(code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				return false
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	onToken := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				w.WriteHeader(code)
			}
			return r.Method == http.MethodPut
		}
	}
	faults := map[string]func(http.ResponseWriter, *http.Request) bool{
		"401 for ever":  status(401, ""),
		"403":           status(403, ""),
		"429":           status(429, ""),
		"500":           status(500, "Terminated"),
		"503":           status(503, "Terminated"),
		"empty 200":     status(200, ""),
		"blank 200":     status(200, " \n"),
		"page 200":      status(200, "<html>Terminated</html>"),
		"half JSON 200": status(200, `{"action":"termi`),
		"null 200":      status(200, `null`),
		"object 200":    status(200, `{}`),
		"list 200":      status(200, `[{}]`),
		"unknown 200":   status(200, `Terminating`),
		"204":           status(204, ""),
		"206":           status(206, "Terminated"),
		"redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return true
		},
		"token 400":      onToken(400),
		"token 403":      onToken(403),
		"token 404":      onToken(404),
		"token 405":      onToken(405),
		"token 500":      onToken(500),
		"token no TTL":   onToken(200),
		"cut connection": func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"huge": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				return false
			}
			_, _ = io.Copy(w, endless())
			return true
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			s := newService()
			s.setFault(fault)
			expectUnknown(t, overHTTP(t, s))
		})
	}
}

func TestUnreachableIsUnknown(t *testing.T) {
	c := at(t, "http://127.0.0.1:1") // nothing listens on tcpmux
	expectUnknown(t, c)
	_, err := c.TargetState(t.Context())
	if !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v, want the reason", err)
	}
}

// Off EC2, or where the way to the service is cut, the error says what to look at.
func TestNoWaySaysWhatToLookAt(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dial(syscall.ENETUNREACH), "a route to the metadata service; only EC2 instances have it"},
		{dial(syscall.EHOSTUNREACH), "a route to the metadata service; only EC2 instances have it"},
		{dial(syscall.ECONNREFUSED), "AWS_EC2_METADATA_SERVICE_ENDPOINT does not lead elsewhere; only EC2 instances have it"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}, "hop limit is 2 where this is a container; only EC2 instances have it"},
		{context.DeadlineExceeded, "hop limit is 2 where this is a container; only EC2 instances have it"},
		{io.ErrUnexpectedEOF, ""},
	} {
		c, err := New(Options{HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, tt.err })}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.TargetState(t.Context())
		f := fleet.AsFailure("", err)
		if f == nil || f.Kind != fleet.Temporary || !strings.HasSuffix(f.Mend, tt.want) || (f.Mend == "") != (tt.want == "") || strings.Contains(f.Message, "ec2imds") {
			t.Errorf("%v: got %v, want %q", tt.err, err, tt.want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestDisabledSaysHowToMend(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.TargetState(t.Context())
	if f := fleet.AsFailure("", err); f.Kind != fleet.Temporary || !strings.Contains(f.Mend, "AWS_EC2_METADATA_DISABLED") {
		t.Errorf("got %v", err)
	}
}

func TestUnknownEndpointModeIsRefused(t *testing.T) {
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv5")
	_, err := New(Options{})
	if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Invalid || f.Mend == "" {
		t.Errorf("got %v, want Invalid with a way to mend it", err)
	}
}

func expectUnknown(t *testing.T, c *Client) {
	t.Helper()
	all := readings(t.Context(), c)
	all["identity"] = func() (string, error) { _, err := c.Identity(t.Context()); return "", err }
	for name, r := range all {
		v, err := r()
		var f *fleet.Failure
		if !errors.As(err, &f) || f.Kind != fleet.Temporary {
			t.Errorf("%s: got %q, %v, want a Temporary failure", name, v, err)
			continue
		}
		if !strings.HasPrefix(f.Error(), "read ") || len(f.Error()) > 3*maxMessage {
			t.Errorf("%s: got message %q", name, f)
		}
	}
}

func TestIdentityNotFoundIsUnknown(t *testing.T) {
	s := newService()
	s.values = nil
	_, err := overHTTP(t, s).Identity(t.Context())
	if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Temporary {
		t.Errorf("got %v, want Temporary", err)
	}
}

// A token that the service no longer takes, long before its end: renewed once,
// and the reading succeeds.
func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	s := newService()
	c := overHTTP(t, s)
	for range 3 {
		if _, err := c.TargetState(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		clear(s.tokens) // the service restarts
		s.mu.Unlock()
	}
	if _, err := c.TargetState(t.Context()); err != nil {
		t.Error(err)
	}
	if made, _, refused := s.counts(); made != 4 || refused != 3 {
		t.Errorf("got %d tokens and %d refusals, want 4 and 3", made, refused)
	}
}

// Three days of polls, every 5 s, with answers that take 20 ms: no poll is ever
// refused, since the token is renewed before its end.
func TestDaysOfPollsAreNeverRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		c := overNothing(t, direct{handler: s, skew: 20 * time.Millisecond})
		const days = 3
		for start := time.Now(); time.Since(start) < days*24*time.Hour; time.Sleep(5 * time.Second) {
			if state, err := c.TargetState(t.Context()); err != nil || state != fleet.InService {
				t.Fatalf("after %s: got %q, %v", time.Since(start), state, err)
			}
		}
		made, gets, refused := s.counts()
		if refused != 0 {
			t.Errorf("%d of %d polls were refused", refused, gets)
		}
		if most := int(days * 24 * time.Hour / (maxTTL - renewBefore - 5*time.Second)); made > most {
			t.Errorf("got %d tokens, want at most %d", made, most)
		}
	})
}

// The service is away for an hour, and has forgotten all tokens when it comes
// back: the next poll succeeds.
func TestOutageLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		c := overNothing(t, direct{handler: s})
		if _, err := c.TargetState(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.setFault(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		for start := time.Now(); time.Since(start) < time.Hour; time.Sleep(5 * time.Second) {
			if _, err := c.TargetState(t.Context()); err == nil {
				t.Fatal("got an answer in an outage")
			}
		}
		s.setFault(nil)
		if _, err := c.TargetState(t.Context()); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		clear(s.tokens)
		s.mu.Unlock()
		if _, err := c.TargetState(t.Context()); err != nil {
			t.Errorf("after a restart of the service: %v", err)
		}
	})
}

// A service that takes the request and says nothing: each reading ends within
// its bound, and so within a period of the poll.
func TestHangingServiceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c := overNothing(t, direct{handler: hang})
		for range 3 {
			start := time.Now()
			_, err := c.TargetState(t.Context())
			if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Temporary {
				t.Errorf("got %v, want Temporary", err)
			}
			if took := time.Since(start); took > callTimeout {
				t.Errorf("took %s", took)
			}
		}
	})
}

func TestCancelled(t *testing.T) {
	c := overHTTP(t, newService())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.TargetState(ctx)
	if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Temporary {
		t.Errorf("got %v, want Temporary", err)
	}
}

// One connection serves all polls.
func TestConnectionIsReused(t *testing.T) {
	s := newService()
	peers := map[string]bool{}
	s.setFault(func(_ http.ResponseWriter, r *http.Request) bool { peers[r.RemoteAddr] = true; return false })
	c := overHTTP(t, s)
	for range 20 {
		if _, err := c.TargetState(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.SpotAction(t.Context()); err != nil { // 404: its body must be read, too
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(peers) != 1 {
		t.Errorf("got %d connections, want 1", len(peers))
	}
}

func TestProxyIsNeverUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	tr, ok := c.http.Transport.(careful).next.(*http.Transport)
	if !ok || tr.Proxy != nil {
		t.Error("the transport has a proxy function")
	}
}

func TestShorten(t *testing.T) {
	for given, want := range map[string]string{
		"300": "270", "21600": "270", "60": "30", "30": "15", "1": "0", "0": "0", "soon": "soon", "": "",
	} {
		h := http.Header{}
		h.Set(ttlHeader, given)
		shorten(h)
		if got := h.Get(ttlHeader); got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

// BenchmarkPoll is what lifecycle-check does every 5 s: two readings.
func BenchmarkPoll(b *testing.B) {
	c := overHTTP(b, newService())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.TargetState(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := c.SpotAction(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
