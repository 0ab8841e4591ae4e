package demand

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// The headers of GitLab's hooks.
const (
	headerToken = "X-Gitlab-Token" //nolint:gosec // a header's name
	headerEvent = "X-Gitlab-Event"
	jobHook     = "Job Hook"
)

// maxBody is the longest event that is read. GitLab's have five kilobytes, and more
// with a long commit message.
const maxBody = 1 << 20

// Handler answers GitLab at every path, and whoever watches at three of them. No
// ServeMux: it redirects paths that it would rather have, and GitLab follows none.
func (s *Service) Handler() http.Handler {
	watch := map[string]http.HandlerFunc{"/healthz": healthz, "/readyz": s.readyz, "/metrics": s.metrics.ServeHTTP}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := watch[r.URL.Path]
		if h == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
			h = s.hook
		} else {
			hangUp(w)
		}
		h(w, r)
	})
}

// hangUp has the connection closed after the answer. Whoever shows no secret keeps
// none: connections are bounded, and strangers would hold all of them.
func hangUp(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

func (s *Service) hook(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	code, text := s.answer(w, r)
	s.metrics.answered(code, time.Since(began))
	say(w, code, text)
}

func healthz(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") }

func say(w http.ResponseWriter, code int, text string) {
	if code == http.StatusNoContent {
		w.WriteHeader(code)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n") // who does not listen is not waited for
}

func (s *Service) readyz(w http.ResponseWriter, _ *http.Request) {
	switch {
	case !s.ready.Load():
		say(w, http.StatusServiceUnavailable, "not ready")
	case s.keys.empty():
		say(w, http.StatusServiceUnavailable, "not ready: no secret is left")
	default:
		say(w, http.StatusOK, "ready")
	}
}

// answer takes one request in. What it takes in is routed before the answer, which
// waits for nobody; what follows is done after it.
func (s *Service) answer(w http.ResponseWriter, r *http.Request) (code int, text string) {
	if r.Method != http.MethodPost { // the secret is not looked at
		hangUp(w)
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed, "GitLab's job events are sent by POST"
	}
	if !s.allowed(r) {
		hangUp(w) // its body is not read
		return http.StatusUnauthorized, "unauthorized"
	}
	if r.Header.Get(headerEvent) != jobHook {
		s.metrics.events.WithLabelValues("other").Inc()
		return http.StatusNoContent, ""
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return http.StatusRequestEntityTooLarge, "the event is too long"
	case err != nil:
		return http.StatusRequestTimeout, "the event did not come whole"
	}
	j, err := decode(body)
	if err != nil {
		if s.badEvents.now() {
			s.Log.Warn("refuse an event", "verb", "webhook", "error", err.Error())
		}
		return http.StatusBadRequest, err.Error()
	}
	s.metrics.heard(j.State)
	s.route(j)
	return http.StatusOK, "thanks"
}

// allowed tells whether the request shows one of the secrets, in exactly one header:
// of two, which one counts would be another's choice.
func (s *Service) allowed(r *http.Request) bool {
	given := r.Header.Values(headerToken)
	if len(given) == 1 && s.keys.holds(given[0]) {
		noStranger(r.Context())
		return true
	}
	if s.strangers.now() {
		s.Log.Warn("refuse a request without the secret", "verb", "webhook",
			"why", "from "+r.RemoteAddr, "error", "is the hook's secret token in GitLab one of webhook.secrets?")
	}
	return false
}

// crowded says that an address has too many connections without a secret.
func (s *Service) crowded(from net.Addr) {
	if s.crowd.now() {
		s.Log.Warn("close a connection at once", "verb", "webhook", "why", fmt.Sprintf("from %s; %d from there are open and have shown no secret", from, maxStrangers))
	}
}
