// Package gitlab is the part of GitLab's API that an instance needs: making,
// checking, finding and deleting its runners; and the jobs' history.
//
// Every method is one attempt, bounded in time and in what it reads; trying
// again is left to the machine above, which knows how much time is left. Errors
// are sorted by what follows from them and say what to mend, in the words of
// Shoal's configuration; what a proxy or a login page answers in GitLab's stead
// is never taken for GitLab's word. Tokens go into headers and bodies only, never
// into an address or an error.
//
// The client follows the standard variables for proxies (HTTPS_PROXY, NO_PROXY)
// and for the system's roots (SSL_CERT_FILE).
package gitlab

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// requestTimeout bounds one request. GitLab answers these calls in well under
// five seconds and gives up by itself after sixty; a longer wait would eat the
// time that the launch hook has left for another attempt.
const requestTimeout = 30 * time.Second

// Options are where GitLab is.
type Options struct {
	URL       string            // gitlab.url; may have a path: https://host/gitlab
	CAFile    string            // gitlab.ca_file: PEM certificates added to the system's roots; empty for none
	Transport http.RoundTripper // what carries the requests; nil makes the usual one, and CAFile counts for that one only
	Timeout   time.Duration     // of one request; 0 means thirty seconds
}

// Client talks to one GitLab. Its methods may be called by several goroutines at
// once.
type Client struct {
	api     *api.Client
	http    *http.Client
	timeout time.Duration
}

// New returns a client, or an Invalid failure that names the key to mend. It
// talks to nobody yet.
func New(opts Options) (*Client, error) {
	base, err := checkURL(opts.URL)
	if err != nil {
		return nil, err
	}
	transport := opts.Transport
	if transport == nil {
		if transport, err = newTransport(opts.CAFile); err != nil {
			return nil, err
		}
	}
	c := &Client{http: &http.Client{Transport: capture{transport}, CheckRedirect: checkRedirect}, timeout: opts.Timeout}
	if c.timeout == 0 {
		c.timeout = requestTimeout
	}
	c.api, err = api.NewAuthSourceClient(api.Unauthenticated{}, // each request brings its own token
		api.WithURLWarningLogger(slog.New(slog.DiscardHandler)),
		api.WithBaseURL(base),
		api.WithHTTPClient(c.http),
		api.WithoutRetries(),
		api.WithCustomLimiter(unlimited{}),
		api.WithUserAgent("shoal"),
	)
	if err != nil {
		return nil, badURL("it cannot be used")
	}
	return c, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// unlimited replaces the library's limiter, which may sleep for long on a header
// of the first answer.
type unlimited struct{}

func (unlimited) Wait(context.Context) error { return nil }

// checkURL returns the address without what has no place in it.
func checkURL(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, raw == "":
		return "", badURL("it is not an address")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", badURL("it does not begin with https:// or http://")
	case u.Host == "":
		return "", badURL("it names no host")
	case u.User != nil:
		return "", badURL("it has a name or password in it")
	case u.RawQuery != "" || u.Fragment != "":
		return "", badURL("it has a ? or # in it")
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/")+"/", ""
	return u.String(), nil
}

func badURL(message string) error {
	return &fleet.Failure{
		Kind: fleet.Invalid, Op: "use gitlab.url", Message: message,
		Mend: "set gitlab.url to GitLab's address, such as https://gitlab.example.com",
	}
}
