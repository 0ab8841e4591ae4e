package edges_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate"
)

// wire carries the requests of one client of a process to a service, within the
// process's own goroutine: there are no connections.
type wire struct {
	*run
	to service
}

// service is where a wire leads.
type service int

const (
	toMetadata service = iota
	toAWS
	toGitLab
)

// RoundTrip implements http.RoundTripper. What the fleet has happen to a request
// takes the form here that it has on a wire.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	ctx := req.Context()
	var lead time.Duration
	w.have(func() { lead = w.p.Leads() })
	if err := w.wait(ctx, lead); err != nil {
		return nil, err
	}
	var answer *http.Response
	var fate simulate.Fate
	w.have(func() {
		fate = w.p.Arrives(func() { answer = w.serve(req, body) })
		if answer != nil && answer.StatusCode == http.StatusCreated && req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/runners") {
			w.p.Made(1)
		}
	})
	if err := w.wait(ctx, fate.Lag); err != nil {
		return nil, err
	}
	if fate.Instead != "" {
		return w.instead(ctx, req, fate)
	}
	if answer == nil {
		return nil, errReset
	}
	return answer, nil
}

func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(req.Body)
	return body, errors.Join(err, req.Body.Close())
}

// serve has the service answer; nil is a connection that was closed without one.
// The caller has the fleet.
func (w *wire) serve(req *http.Request, body []byte) (answer *http.Response) {
	in := req.Clone(context.Background())
	in.Body = io.NopCloser(bytes.NewReader(body))
	out := httptest.NewRecorder()
	defer func() {
		switch e := recover(); e {
		case nil:
			answer = out.Result()
			answer.Request = req
		case http.ErrAbortHandler:
		default:
			panic(e)
		}
	}()
	w.handler().ServeHTTP(out, in)
	return nil
}

// handler is the service. The caller has the fleet.
func (w *wire) handler() http.Handler {
	h := w.site
	switch w.to {
	case toAWS:
		h.params[strings.TrimPrefix(simulate.Secret, "ssm:")] = h.fleet.StoredToken()
		h.params[strings.TrimPrefix(simulate.ReapSecret, "ssm:")] = simulate.ReapToken
		return h.faces.AutoScalingHandler()
	case toGitLab:
		return h.faces.GitLabHandler()
	}
	return h.faces.MetadataHandler(w.instance)
}
