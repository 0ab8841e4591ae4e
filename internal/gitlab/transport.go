package gitlab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// maxBody is the largest answer that is read: a page of a hundred runners has
	// 60 KB.
	maxBody = 4 << 20
	// maxErrorBody is the most that is read of an answer that says no.
	maxErrorBody = 64 << 10
	// maxCAFile is the largest file of certificates: the system's own has 220 KB.
	maxCAFile = 8 << 20
	// maxRedirects: one from http to https, one to the host's other name; more is a loop.
	maxRedirects = 3
)

// newTransport is Go's own, with its proxies and time-outs, and the operator's
// certificates among the roots.
func newTransport(caFile string) (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented to be one
	t.MaxIdleConns = 2
	if caFile == "" {
		return t, nil
	}
	roots, err := rootsWith(caFile)
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return t, nil
}

func rootsWith(caFile string) (*x509.CertPool, error) {
	f := &fleet.Failure{Kind: fleet.Invalid, Op: "read gitlab.ca_file " + caFile, Mend: "set gitlab.ca_file to a file with GitLab's CA certificate in PEM"}
	file, err := os.Open(caFile) //nolint:gosec // a path of the configuration
	if err != nil {
		f.Err = errors.Unwrap(err)
		return nil, f
	}
	defer file.Close() //nolint:errcheck // read only; nothing to lose
	pem, err := io.ReadAll(io.LimitReader(file, maxCAFile))
	if err != nil {
		f.Err = err
		return nil, f
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // no roots at all: the operator's alone
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		f.Message = "no certificate in it"
		return nil, f
	}
	return roots, nil
}

var errRedirect = errors.New("redirected")

// checkRedirect follows only what can be meant well. The library sends tokens in
// a header of GitLab's own, which Go would carry to another host; and a POST
// answered with 301 would become a GET.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("%w too often", errRedirect)
	case req.Method != first.Method:
		return fmt.Errorf("%w to %s, and as a %s", errRedirect, place(req.URL), req.Method)
	case req.URL.Hostname() != first.URL.Hostname():
		return fmt.Errorf("%w to another host, %s", errRedirect, req.URL.Host)
	case first.URL.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("%w from https to %s", errRedirect, req.URL.Scheme)
	}
	return nil
}

func place(u *url.URL) string { return u.Scheme + "://" + u.Host }

// answer is what came back, kept for the classification: the library throws some
// of it away.
type answer struct {
	status int
	header http.Header
	body   []byte // of an answer that says no
}

type answerKey struct{}

func withAnswer(ctx context.Context, a *answer) context.Context {
	return context.WithValue(ctx, answerKey{}, a)
}

// capture notes the answer and bounds its body.
type capture struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (c capture) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	a, _ := req.Context().Value(answerKey{}).(*answer)
	if a == nil {
		a = &answer{}
	}
	if !readable(resp.Header.Get("Link")) {
		_ = resp.Body.Close()
		return nil, errLink
	}
	a.status, a.header = resp.StatusCode, resp.Header
	if resp.StatusCode < 300 {
		resp.Body = &bounded{Reader: io.LimitReader(resp.Body, maxBody+1), Closer: resp.Body}
		return resp, nil
	}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(a.body))
	return resp, err
}

var errLink = errors.New("the answer's Link header has no links in it")

// readable tells whether the library can read a Link header: it panics at a parameter
// without a value.
func readable(header string) bool {
	for link := range strings.SplitSeq(header, ",") {
		if parts := strings.Split(link, ";"); len(parts) > 1 && !strings.Contains(parts[1], "=") {
			return false
		}
	}
	return true
}

// CloseIdleConnections lets http.Client reach the transport below.
func (c capture) CloseIdleConnections() {
	if t, ok := c.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxBody)

// bounded fails at the end of what may be read, so that a cut answer never looks
// whole.
type bounded struct {
	io.Reader
	io.Closer
	n int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.n += int64(n); b.n > maxBody {
		return n, errTooLarge
	}
	return n, err
}
