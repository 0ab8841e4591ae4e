// Package direct carries a test's requests to a handler without a connection, as
// to those of an emulator that does not listen: nothing waits for a socket, so virtual
// time runs on. It guarantees that a handler which breaks off is a connection that was
// reset, and leaves slow answers and lost ones to the emulator's faults.
//
// It stands apart from package emulator because httptest adds a flag to any program
// that has it in, and shoal has the emulator in.
package direct

import (
	"errors"
	"net/http"
	"net/http/httptest"
)

// To is the transport to a handler. It calls it in the caller's goroutine.
type To struct{ Handler http.Handler }

// RoundTrip implements http.RoundTripper. A request whose context has ended by the
// time it is served has its error, and the handler's effect all the same.
func (d To) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler { //nolint:errorlint // as it was thrown
			err = errors.New("connection reset")
		} else if p != nil {
			panic(p)
		}
	}()
	if r.Body == nil {
		r.Body = http.NoBody // as a server has it
	}
	w := httptest.NewRecorder()
	d.Handler.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}
