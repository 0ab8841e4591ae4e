package emulator

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// The services, as faults and call counts name them.
const (
	ServiceAutoScaling = "autoscaling"
	ServiceEC2         = "ec2"
	ServiceSSM         = "ssm"
	ServiceSecrets     = "secretsmanager"
	ServiceMetadata    = "imds"
	ServiceGitLab      = "gitlab"
)

// Request is what a fault hook is asked about.
type Request struct {
	Service string // one of the constants above
	// Operation is the action of an AWS service (SetDesiredCapacity); the method
	// and path pattern for GitLab (POST /api/v4/jobs/request); the method and
	// path for the metadata service (GET /latest/meta-data/spot/instance-action).
	Operation string
	Instance  string // whose metadata service
	N         int    // the how manieth call of this operation, from 1
	HTTP      *http.Request
}

// Fault is what goes wrong with a request. The zero value is nothing.
type Fault struct {
	Latency time.Duration // before anything else
	Hang    bool          // no answer for as long as the client waits
	Apply   bool          // the request takes effect first, and only then fails
	Drop    bool          // the connection is closed without an answer
	Cut     int           // the connection is closed after so many bytes of the answer's body; 0: it is not
	Status  int           // answered instead; 0: none
	Body    string
	Header  http.Header
}

// SetFault puts a hook before every request; nil takes it away. It is called
// concurrently and must not call methods of the Cloud.
func (c *Cloud) SetFault(f func(Request) Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = f
}

// AWSFault answers as Auto Scaling does when it refuses.
func AWSFault(status int, code, message string) Fault {
	return Fault{
		Status: status, Body: string(awsErrorBody(code, message, "00000000-0000-4000-8000-000000000000")),
		Header: http.Header{"Content-Type": {"text/xml"}},
	}
}

// Throttling answers as an AWS service does to too many calls.
func Throttling() Fault { return AWSFault(http.StatusBadRequest, "Throttling", "Rate exceeded") }

// AccessDenied answers as an AWS service does when the role lacks a permission.
func AccessDenied(role, action, resource string) Fault {
	return AWSFault(http.StatusForbidden, "AccessDenied",
		"User: "+role+" is not authorized to perform: "+action+" on resource: "+resource+" because no identity-based policy allows the "+action+" action")
}

// guard counts a request, has it fail as the hook says, and bounds its body.
func (c *Cloud) guard(service, instance string, operation func(*http.Request) string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := readBody(w, r); err != nil {
			http.Error(w, "the body is too big, or did not come", http.StatusRequestEntityTooLarge)
			return
		}
		f := c.faultOf(Request{Service: service, Operation: operation(r), Instance: instance, HTTP: r})
		if !c.pause(r, f.Latency) {
			return
		}
		if f.Apply {
			h.ServeHTTP(&blackHole{header: http.Header{}}, r)
		}
		if f.Hang {
			c.hang(r) // until the client goes
			panic(http.ErrAbortHandler)
		}
		switch {
		case f.Drop || f.Apply && f.Status == 0:
			panic(http.ErrAbortHandler) // the server's way to close a connection without an answer
		case f.Status != 0:
			f.answer(w)
		case f.Cut > 0:
			h.ServeHTTP(&cutter{ResponseWriter: w, left: f.Cut}, r)
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// readBody reads a whole request before anything is done about it. A server-wide
// read time-out would not do: it cancels requests that are held for longer.
func readBody(w http.ResponseWriter, r *http.Request) error {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(readTimeout)) // not supported without a socket
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = conn.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

func (c *Cloud) faultOf(q Request) Fault {
	if c.driven != nil {
		c.driven(func(w *world.World, _ time.Time) { w.CountCall(q.Service, q.Operation) })
		return Fault{}
	}
	c.mu.Lock()
	c.world.CountCall(q.Service, q.Operation)
	key := q.Service + " " + q.Operation + " " + q.Instance
	c.calls[key]++
	q.N = c.calls[key]
	hook := c.fault
	c.mu.Unlock()
	if hook == nil {
		return Fault{}
	}
	return hook(q)
}

// pause waits; false when the client or the Cloud has gone meanwhile.
func (c *Cloud) pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-c.done.Done():
	}
	return false
}

func (c *Cloud) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-c.done.Done():
	}
}

func (f Fault) answer(w http.ResponseWriter) {
	for k, v := range f.Header {
		w.Header()[http.CanonicalHeaderKey(k)] = v
	}
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Body)
}

// blackHole is the answer that nobody gets.
type blackHole struct{ header http.Header }

func (b *blackHole) Header() http.Header         { return b.header }
func (b *blackHole) Write(p []byte) (int, error) { return len(p), nil }
func (b *blackHole) WriteHeader(int)             {}

// cutter closes the connection in the middle of the answer.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush() // not supported without a socket
	panic(http.ErrAbortHandler)
}
