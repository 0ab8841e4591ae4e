package autoscaling

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testRegion = "eu-west-1"

// cleanEnvironment gives static credentials and keeps the AWS variables and
// files of the machine out of a test.
func cleanEnvironment(t *testing.T) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CA_BUNDLE": "",
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_AUTO_SCALING": "", "AWS_MAX_ATTEMPTS": "", "AWS_RETRY_MODE": "",
		"HTTP_PROXY": "", "http_proxy": "", "HTTPS_PROXY": "", "https_proxy": "",
	} {
		t.Setenv(name, value)
	}
}

// server is an Auto Scaling API that answers with recorded bodies.
type server struct {
	url string

	mu       sync.Mutex
	requests []url.Values
}

// serve starts a server; answer is asked for the n-th request (from 1).
func serve(t *testing.T, answer func(w http.ResponseWriter, n int, form url.Values)) *server {
	t.Helper()
	s := &server{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		s.mu.Lock()
		s.requests = append(s.requests, form)
		n := len(s.requests)
		s.mu.Unlock()
		answer(w, n, form)
	}))
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

func (s *server) seen() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values(nil), s.requests...)
}

// always answers every request alike.
func always(status int, body string) func(http.ResponseWriter, int, url.Values) {
	return func(w http.ResponseWriter, _ int, _ url.Values) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// client returns a client led to url by the SDK's own variable.
func client(t *testing.T, url string) *Client {
	t.Helper()
	cleanEnvironment(t)
	t.Setenv("AWS_ENDPOINT_URL_AUTO_SCALING", url)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return newClient(t, &http.Client{Transport: transport})
}

func newClient(t *testing.T, hc *http.Client) *Client {
	t.Helper()
	c, err := New(Options{Load: func(ctx context.Context) (aws.Config, error) { return LoadConfig(ctx, testRegion, hc) }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// errorBody is an error as the Query protocol documents it.
func errorBody(code, message string) string {
	return fmt.Sprintf(`<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
  <Error>
    <Type>Sender</Type>
    <Code>%s</Code>
    <Message>%s</Message>
  </Error>
  <RequestId>1ec5cca3-2ad2-4c0a-9d7c-6f6d2b1f3c55</RequestId>
</ErrorResponse>
`, code, message)
}

// okBody is the answer of SetDesiredCapacity, which has no result.
const okBody = `<SetDesiredCapacityResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">
  <ResponseMetadata>
    <RequestId>9fb7e2db-6998-11e2-a985-57c82EXAMPLE</RequestId>
  </ResponseMetadata>
</SetDesiredCapacityResponse>
`
