package standin

import (
	"fmt"
	"sync"
	"time"
)

// health disables a runner that GitLab has refused too often. The process
// lives on: to systemd it looks well, and only the metrics tell.
type health struct {
	now     func() time.Time
	log     *logger
	metrics *metrics

	mu      sync.Mutex
	runners map[string]*record
}

type record struct {
	failures int
	since    time.Time // the latest healthy answer, or forced try
}

func newHealth(now func() time.Time, log *logger, m *metrics) *health {
	return &health{now: now, log: log, metrics: m, runners: map[string]*record{}}
}

func (h *health) record(s section) *record {
	id := s.URL + "/" + s.Token
	r := h.runners[id]
	if r == nil {
		r = &record{since: h.now()}
		h.runners[id] = r
	}
	return r
}

// ok tells whether the runner may poll: it may again once its time is over.
func (h *health) ok(s section) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.record(s)
	if r.failures < s.unhealthyRequests() {
		return true
	}
	if h.now().Sub(r.since) <= s.unhealthyInterval() {
		return false
	}
	*r = record{since: h.now()}
	return true
}

// mark notes how a poll ended.
func (h *health) mark(s section, l runnerLabels, healthy bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.record(s)
	if healthy {
		*r = record{since: h.now()}
		return
	}
	r.failures++
	if r.failures < s.unhealthyRequests() {
		return
	}
	h.metrics.unhealthy.With(workerLabels(l)).Inc()
	h.log.error(fmt.Sprintf("Runner %q is unhealthy and will be disabled for %s seconds!", s.URL+"/"+l.runner, s.unhealthyInterval()),
		fields{"unhealthy_requests": r.failures, "unhealthy_requests_limit": s.unhealthyRequests()})
}
