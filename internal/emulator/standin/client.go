package standin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxAnswer bounds an answer of GitLab's.
	maxAnswer = 16 << 20
	// updateTimeout bounds every request but the poll, which GitLab may hold.
	updateTimeout = 30 * time.Second
	// pollTimeout is longer than any server holds a poll.
	pollTimeout = 5 * time.Minute
	// maxRetryAfter bounds what a server can make the runner wait for.
	maxRetryAfter = time.Hour
	// maxThrottled is how often one request is tried again after a 429.
	maxThrottled = 5
	// failed stands for "no answer" where a status is counted.
	failed = -100
)

// client is one section's way to GitLab.
type client struct {
	flavour  flavour
	section  section
	systemID string
	http     *http.Client
	metrics  *metrics
	second   time.Duration

	mu         sync.Mutex
	lastUpdate string        // X-GitLab-Last-Update of the latest answer
	backoff    time.Duration // before the next poll, after a 5xx
}

func newClient(f flavour, s section, systemID string, m *metrics, second time.Duration) (*client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if s.CAFile != "" {
		pool, err := rootsWith(s.CAFile)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &client{
		flavour: f, section: s, systemID: systemID, metrics: m, second: second,
		http: &http.Client{Transport: transport},
	}, nil
}

// rootsWith is the system's roots and those of a PEM file.
func rootsWith(path string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read tls-ca-file: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read tls-ca-file %s: no certificate in it", path)
	}
	return pool, nil
}

// answer is what came back; status is failed when nothing did.
type answer struct {
	status int
	text   string // for the log
	header http.Header
	body   []byte
}

// requestJob polls once. It returns nil when there is no job, and whether the
// runner counts as healthy: only a refusal (403) and no answer at all do not.
func (c *client) requestJob(ctx context.Context, log *logger) (*job, bool) {
	if !c.waitBackoff(ctx) {
		return nil, true
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	request := jobRequest{Info: c.flavour.info(), Token: c.section.Token, SystemID: c.systemID, LastUpdate: c.last()}
	a := c.throttled(ctx, log, func() answer { return c.poll(ctx, request) })
	c.remember(a)
	f := fields{"runner": c.short(), "status": a.text}
	switch a.status {
	case http.StatusCreated:
		return c.received(a, log)
	case http.StatusNoContent:
		return nil, true
	case http.StatusForbidden:
		log.error("Checking for jobs... forbidden", f)
		return nil, false
	case failed:
		if !errors.Is(ctx.Err(), context.Canceled) {
			log.error("Checking for jobs... client error", f)
		}
		return nil, false
	}
	log.warn("Checking for jobs... failed", f)
	return nil, true
}

func (c *client) received(a answer, log *logger) (*job, bool) {
	var j job
	if err := json.Unmarshal(a.body, &j); err != nil || j.ID == 0 {
		log.error("Checking for jobs... client error", fields{"runner": c.short(), "error": fmt.Sprint(err)})
		return nil, false
	}
	log.info("Checking for jobs... received", fields{"runner": c.short(), "job": j.ID})
	return &j, true
}

func (c *client) poll(ctx context.Context, r jobRequest) answer {
	body, err := json.Marshal(r)
	if err != nil {
		return answer{status: failed, text: err.Error()}
	}
	h := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}, c.flavour.tokenHeader: {c.section.Token}}
	return c.do(ctx, "request_job", http.MethodPost, "/api/v4/jobs/request", "/api/v4/jobs/request", h, body)
}

// update reports a job's state.
func (c *client) update(ctx context.Context, id int64, u jobUpdate) answer {
	u.Info = c.flavour.info()
	body, err := json.Marshal(u)
	if err != nil {
		return answer{status: failed, text: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	h := http.Header{"Content-Type": {"application/json"}, c.flavour.jobHeader: {u.Token}}
	return c.do(ctx, "update_job", http.MethodPut, fmt.Sprintf("/api/v4/jobs/%d", id), "/api/v4/jobs/{id}", h, body)
}

// patch appends a piece of a job's trace that begins at offset.
func (c *client) patch(ctx context.Context, id int64, token string, offset int, piece []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	h := http.Header{
		"Content-Type":  {"text/plain"},
		"Job-Token":     {token},
		"Content-Range": {fmt.Sprintf("%d-%d", offset, offset+len(piece)-1)},
	}
	return c.do(ctx, "patch_trace", http.MethodPatch, fmt.Sprintf("/api/v4/jobs/%d/trace?debug_trace=false", id), "/api/v4/jobs/{id}/trace", h, piece)
}

// do sends one request and counts it.
func (c *client) do(ctx context.Context, endpoint, method, path, pattern string, h http.Header, body []byte) answer {
	start := time.Now()
	a := c.send(ctx, method, path, h, body)
	c.metrics.request(c.labels(), endpoint, strings.ToLower(method), pattern, a.status, time.Since(start))
	return a
}

func (c *client) send(ctx context.Context, method, path string, h http.Header, body []byte) answer {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.section.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return answer{status: failed, text: err.Error()}
	}
	r.Header = h
	r.Header.Set("User-Agent", c.flavour.userAgent())
	if c.flavour.requestIDs {
		r.Header.Set("X-Request-Id", requestID())
	}
	response, err := c.http.Do(r)
	if err != nil {
		return answer{status: failed, text: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{status: failed, text: err.Error()}
	}
	return answer{
		status: response.StatusCode,
		text:   fmt.Sprintf("%s %s%s: %s", method, c.section.URL, path, response.Status),
		header: response.Header, body: data,
	}
}

// throttled repeats a request that was answered 429, after as long as the
// server asked for.
func (c *client) throttled(ctx context.Context, log *logger, send func() answer) answer {
	for range maxThrottled {
		a := send()
		if a.status != http.StatusTooManyRequests {
			return a
		}
		wait := c.retryAfter(a.header)
		log.warn("Checking for jobs... failed", fields{"runner": c.short(), "status": a.text, "duration": wait})
		if !sleep(ctx, wait) {
			return answer{status: failed, text: ctx.Err().Error()}
		}
	}
	return answer{status: http.StatusTooManyRequests, text: "too many requests"}
}

func (c *client) retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(h.Get("Retry-After")))
	if err != nil || n < 1 {
		n = 1
	}
	return min(time.Duration(n)*c.second, maxRetryAfter)
}

const (
	// minBackoff and maxBackoff bound the wait after a 5xx, which doubles.
	minBackoff = 100 * time.Millisecond
	maxBackoff = time.Minute
)

func (c *client) waitBackoff(ctx context.Context) bool {
	c.mu.Lock()
	d := c.backoff
	c.mu.Unlock()
	return d == 0 || sleep(ctx, d)
}

// remember keeps from an answer what the next poll depends on.
func (c *client) remember(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.status >= http.StatusInternalServerError {
		c.backoff = min(max(minBackoff, 2*c.backoff), maxBackoff)
		return
	}
	c.backoff = 0
	if v := a.header.Get("X-GitLab-Last-Update"); v != "" {
		c.lastUpdate = v
	}
}

func (c *client) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastUpdate
}

func (c *client) short() string { return c.flavour.short(c.section.Token) }

func (c *client) labels() runnerLabels {
	return runnerLabels{runner: c.short(), name: c.section.Name, systemID: c.systemID}
}

func (c *client) close() { c.http.CloseIdleConnections() }

func requestID() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails on Linux
	return fmt.Sprintf("%x", raw)
}

// sleep waits; false when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
