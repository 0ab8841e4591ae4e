package edges_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/simulate"
)

var (
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	errReset   = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
)

// page is what a proxy says in a service's stead.
const page = "<html><head><title>Service Unavailable</title></head><body>try again later</body></html>\n"

// instead is a fault as it looks on this wire. Where it has several looks, the
// fate's draw says which.
func (w *wire) instead(ctx context.Context, req *http.Request, f simulate.Fate) (*http.Response, error) {
	switch f.Instead {
	case simulate.Hang, simulate.HeartbeatsLost:
		return w.silent(ctx)
	case simulate.AnswerLost:
		if f.Draw%2 == 0 {
			return nil, errReset
		}
		return w.silent(ctx)
	case simulate.Throttled, simulate.AWSThrottles:
		return w.throttled(req, f.RetryAfter), nil
	case simulate.Unauthorized:
		return answer(req, http.StatusUnauthorized, "text/plain", "Unauthorized\n"), nil
	case simulate.Garbage:
		return garbage(req, f.Draw), nil
	case simulate.MetadataSick:
		return w.sick(ctx, req, f.Draw)
	}
	return w.away(req, f.Draw)
}

// silent is no answer for as long as anybody waits.
func (w *wire) silent(ctx context.Context) (*http.Response, error) {
	return nil, w.wait(ctx, time.Hour)
}

// away is a service that is not there, or whose front is all that is.
func (w *wire) away(req *http.Request, draw uint64) (*http.Response, error) {
	switch draw % 3 {
	case 0:
		return nil, errRefused
	case 1:
		return answer(req, http.StatusServiceUnavailable, "text/html", page), nil
	}
	if w.to == toAWS {
		f := emulator.AWSFault(http.StatusServiceUnavailable, "ServiceUnavailable", "Service is unavailable. Please try again later.")
		return answer(req, f.Status, "text/xml", f.Body), nil
	}
	return answer(req, http.StatusBadGateway, "text/plain", ""), nil
}

func (w *wire) throttled(req *http.Request, after time.Duration) (a *http.Response) {
	switch {
	case w.to == toGitLab:
		a = answer(req, http.StatusTooManyRequests, "text/plain", "Retry later\n")
	case req.Header.Get("X-Amz-Target") != "":
		a = answer(req, http.StatusBadRequest, "application/x-amz-json-1.1", `{"__type":"ThrottlingException","message":"Rate exceeded"}`)
	default:
		f := emulator.Throttling()
		a = answer(req, f.Status, "text/xml", f.Body)
	}
	if after > 0 {
		a.Header.Set("Retry-After", strconv.Itoa(int(after.Seconds())))
	}
	return a
}

// sick is a metadata service that is ill.
func (w *wire) sick(ctx context.Context, req *http.Request, draw uint64) (*http.Response, error) {
	switch draw % 8 {
	case 0:
		return w.silent(ctx)
	case 1, 2:
		return answer(req, http.StatusUnauthorized, "text/plain", "Unauthorized\n"), nil
	case 3:
		return nil, errReset
	case 4:
		return garbage(req, draw>>3), nil
	}
	return answer(req, http.StatusServiceUnavailable, "text/html", page), nil
}

// garbage is a success that is none.
func garbage(req *http.Request, draw uint64) *http.Response {
	text := []string{"", page, `{"action":"termin`, "\x00\xff\x00", "Terminat", "null"}
	return answer(req, http.StatusOK, "text/plain", text[draw%uint64(len(text))])
}

func answer(req *http.Request, status int, kind, body string) *http.Response {
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}
}
