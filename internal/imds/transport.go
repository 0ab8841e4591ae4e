package imds

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxBody bounds an answer. The longest real one, the identity document, has
	// about 500 bytes; a list of maintenance events may have a few thousand.
	maxBody = 64 << 10

	ttlHeader = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	// maxTTL is how long a token is used at most; the SDK asks for as much. A
	// longer one would only be a longer time with a token that a service restart
	// has made void.
	maxTTL = 5 * time.Minute
	// renewBefore is how long before its end a token is no longer used. The SDK
	// counts from when the answer arrived and uses a token to the last instant, at
	// which the service, counting from when it was made, answers 401 already.
	renewBefore = 30 * time.Second
)

// careful is what the SDK's client lacks: bounded bodies, success only for a
// plain 200, and a token that ends for us before it does for the service.
type careful struct{ next http.RoundTripper }

// RoundTrip sends the request and reads the whole answer.
func (c careful) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := readAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if resp.StatusCode != http.StatusOK && resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil, fmt.Errorf("unexpected status HTTP %d", resp.StatusCode)
	}
	if req.Method == http.MethodPut {
		shorten(resp.Header)
	}
	return resp, nil
}

// CloseIdleConnections passes the wish on, for http.Client.
func (c careful) CloseIdleConnections() {
	if t, ok := c.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

func readAll(body io.ReadCloser) ([]byte, error) {
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxBody {
		return nil, fmt.Errorf("the body is longer than %d bytes", maxBody)
	}
	return b, nil
}

// shorten takes renewBefore off the token's time to live, or half of a very
// short one. What is no number is left for the SDK to refuse.
func shorten(h http.Header) {
	seconds, err := strconv.Atoi(h.Get(ttlHeader))
	if err != nil {
		return
	}
	ttl := min(seconds, int(maxTTL.Seconds()))
	h.Set(ttlHeader, strconv.Itoa(max(ttl-int(renewBefore.Seconds()), ttl/2)))
}
