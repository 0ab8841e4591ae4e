package secret

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/shoal-ci/shoal/internal/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testRegion = "eu-west-1"
	// hidden is the secret of all tests: no error may carry a part of it.
	hidden = "glrt-Zz9VERYsecretQq7"
)

// resolver returns a resolver whose AWS is at url.
func resolver(t *testing.T, url string) *Resolver {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return New(Options{Load: func(context.Context) (aws.Config, error) {
		return aws.Config{
			Region: testRegion, BaseEndpoint: &url, HTTPClient: &http.Client{Transport: transport},
			Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", ""),
		}, nil
	}})
}

// serve starts a server of the JSON protocol that answers every request alike.
func serve(t *testing.T, status int, body string) string {
	t.Helper()
	return serveFunc(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func serveFunc(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	h := httptest.NewServer(f)
	t.Cleanup(h.Close)
	return h.URL
}

// expect checks the kind of a failure, and that it hides the secret.
func expect(t *testing.T, err error, want fleet.FailureKind) {
	t.Helper()
	_ = failed(t, err, want)
}

// failed is expect for who wants to look further.
func failed(t *testing.T, err error, want fleet.FailureKind) *fleet.Failure {
	t.Helper()
	var f *fleet.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a *fleet.Failure", err)
	}
	if f.Kind != want {
		t.Errorf("kind: got %q, want %q (%v)", f.Kind, want, f)
	}
	for e := error(f); e != nil; e = errors.Unwrap(e) {
		if s := e.Error(); strings.Contains(s, "VERY") || strings.Contains(s, "glrt-") {
			t.Errorf("the error shows the secret: %s", s)
		}
	}
	return f
}

func writeFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // past the umask
		t.Fatal(err)
	}
	return path
}
