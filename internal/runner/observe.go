package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// observeTimeout bounds one scrape. The page is made in memory and answers in
	// milliseconds; five seconds cover a machine whose jobs take all of its CPU,
	// and stay below the poll's ten.
	observeTimeout = 5 * time.Second
	// maxPage is the largest page that is read. The real one has 31 KB; a runner
	// with hundreds of sections stays below 2 MB.
	maxPage = 8 << 20
	// idleConnection keeps the connection from one poll to the next: a new one for
	// each costs more than the scrape.
	idleConnection = 2 * time.Minute
)

// newMetricsClient talks to loopback: no proxy, no compression (it would cost
// both sides more CPU than it saves), no redirects.
func newMetricsClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy:              nil,
			DisableCompression: true,
			MaxIdleConns:       1,
			IdleConnTimeout:    idleConnection,
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Observe reads the metrics page once. Nothing that listens is a Local failure;
// anything but gitlab-runner's whole page a Temporary one.
func (l *Local) Observe(ctx context.Context) (fleet.Observation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	if err := l.scrape(ctx); err != nil {
		return fleet.Observation{}, err
	}
	o, err := l.page.parse()
	if err != nil {
		return fleet.Observation{}, l.notThePage(err)
	}
	o.At = time.Now()
	return o, nil
}

// scrape reads the page into the buffer.
func (l *Local) scrape(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return &fleet.Failure{
			Kind: fleet.Invalid, Op: l.reach(), Message: "not an address",
			Mend: "set runner.listen_address to host:port", Err: err,
		}
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return l.unreachable(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only; nothing to lose
	if resp.StatusCode != http.StatusOK {
		// Read a little, so that the connection can be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, 4096)
		return l.notThePage(fmt.Errorf("it answers %s", resp.Status))
	}
	return l.readPage(ctx, resp.Body)
}

func (l *Local) readPage(ctx context.Context, body io.Reader) error {
	l.page.reset()
	n, err := l.page.raw.ReadFrom(io.LimitReader(body, maxPage+1))
	if err != nil {
		return l.unreachable(ctx, fmt.Errorf("page cut off after %d bytes: %w", n, err))
	}
	if n > maxPage {
		return l.notThePage(fmt.Errorf("page larger than %d bytes", maxPage))
	}
	return nil
}

func (l *Local) reach() string { return "reach gitlab-runner's metrics at " + l.url }

func (l *Local) unreachable(ctx context.Context, err error) *fleet.Failure {
	f := &fleet.Failure{Kind: fleet.Temporary, Op: l.reach(), Err: err}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Kind, f.Message = fleet.Local, "nothing listens there"
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		f.Message = "no answer in time"
	}
	return f
}

func (l *Local) notThePage(err error) *fleet.Failure {
	f := &fleet.Failure{Kind: fleet.Temporary, Op: "read gitlab-runner's metrics at " + l.url, Err: err}
	if errors.Is(err, errForeign) {
		f.Mend = "does another program listen there? let runner.listen_address and listen_address in config.toml name a free port"
	}
	return f
}
