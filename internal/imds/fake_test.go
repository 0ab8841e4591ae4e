package imds

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const identityBody = `{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "eu-west-1a",
  "imageId" : "ami-0abc",
  "instanceId" : "i-0123456789abcdef0",
  "instanceType" : "m5.large",
  "marketplaceProductCodes" : null,
  "pendingTime" : "2026-01-01T00:00:00Z",
  "region" : "eu-west-1",
  "version" : "2017-09-30"
}`

const (
	identityPath    = "/latest/dynamic/instance-identity/document"
	tagPath         = "/latest/meta-data/tags/instance/aws:autoscaling:groupName"
	targetPath      = "/latest/meta-data/autoscaling/target-lifecycle-state"
	spotPath        = "/latest/meta-data/spot/instance-action"
	rebalancePath   = "/latest/meta-data/events/recommendations/rebalance"
	maintenancePath = "/latest/meta-data/events/maintenance/scheduled"
)

// service is a metadata service as documented: IMDSv2 only, tokens that end.
type service struct {
	mu      sync.Mutex
	values  map[string]string    // by path; absent is 404
	tokens  map[string]time.Time // with their end
	made    int                  // tokens made
	gets    int                  // GETs that arrived
	refused int                  // GETs answered with 401
	// fault, where set, may answer a request itself and then returns true.
	fault func(w http.ResponseWriter, r *http.Request) bool
}

func newService() *service {
	return &service{tokens: map[string]time.Time{}, values: map[string]string{
		identityPath: identityBody, tagPath: "ci", targetPath: "InService", maintenancePath: "[]",
	}}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil && s.fault(w, r) {
		return
	}
	if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" {
		s.makeToken(w, r)
		return
	}
	s.gets++
	if end, ok := s.tokens[r.Header.Get("X-Aws-Ec2-Metadata-Token")]; !ok || !time.Now().Before(end) {
		s.refused++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	v, ok := s.values[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, v)
}

func (s *service) makeToken(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.Header.Get(ttlHeader))
	if err != nil || seconds < 1 || seconds > 21600 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.made++
	token := fmt.Sprintf("token-%d", s.made)
	s.tokens[token] = time.Now().Add(time.Duration(seconds) * time.Second)
	w.Header().Set(ttlHeader, strconv.Itoa(seconds))
	_, _ = io.WriteString(w, token)
}

func (s *service) set(path, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[path] = value
}

func (s *service) setFault(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

func (s *service) counts() (made, gets, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made, s.gets, s.refused
}

// overHTTP serves s on a loopback port and returns a client led there by the
// SDK's own variable.
func overHTTP(t testing.TB, s http.Handler) *Client {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return at(t, h.URL)
}

func at(t testing.TB, endpoint string) *Client {
	t.Helper()
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "")
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// direct is a RoundTripper that calls a handler: no sockets, so that virtual
// time runs.
type direct struct {
	handler http.Handler
	// skew is how long the answer travels.
	skew time.Duration
}

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	if d.skew > 0 {
		time.Sleep(d.skew) // virtual: inside a bubble only
	}
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func overNothing(t *testing.T, d direct) *Client {
	t.Helper()
	c, err := New(Options{HTTPClient: &http.Client{Transport: d}, Endpoint: "http://169.254.169.254"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func endless() io.Reader { return strings.NewReader(strings.Repeat("x", 4*maxBody)) }
