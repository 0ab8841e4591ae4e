// Package runner is gitlab-runner's face on this machine: its metrics page and
// its config.toml.
//
// It reads the page with Prometheus' own parser and says in numbers what each
// [[runners]] section does; a page that is cut off, too large or another
// program's is a failure, never a quiet runner. It writes config.toml from the
// operator's template and keeps all that the operator wrote, comments and order
// too; a file is either the old one or the new one, whatever happens in between,
// and readable by its owner only. Which runner a section is (url, id, token and
// its dates) is never the template's to say: one that does is refused before
// anything is registered, by its lines and without their values.
//
//	local := runner.New(runner.Options{
//		ConfigPath:      "/etc/gitlab-runner/config.toml",
//		TemplatePath:    "/etc/shoal/config.template.toml",
//		ListenAddress:   "localhost:9090",
//		ShutdownTimeout: 8 * time.Second,
//	})
//	defer local.Close()
//	o, err := local.Observe(ctx)
//
// Starting, stopping and signalling the process is left to package systemd;
// what the numbers mean for the fleet to scaling and life.
package runner

import (
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"
)

// Options are where gitlab-runner's files and metrics are.
type Options struct {
	ConfigPath      string        // config.toml; its folder also holds .runner_system_id and the held copy
	TemplatePath    string        // the operator's template; an absent file means the built-in one
	ListenAddress   string        // host:port of the metrics page, as config.toml has it
	ShutdownTimeout time.Duration // shutdown_timeout where the operator set none; 0 writes none
	// Transport carries the requests for the metrics page; nil makes the usual one.
	Transport http.RoundTripper

	// A shutdown_timeout of the operator's must be longer than KillAfter and
	// shorter than Margin; 0 leaves it unchecked. What they are is
	// unregister.kill_after and unregister.margin.
	KillAfter time.Duration
	Margin    time.Duration
}

// Local is the gitlab-runner of this machine. Its methods may be called by
// several goroutines at once.
type Local struct {
	opts   Options
	client *http.Client
	url    string

	mu   sync.Mutex // one scrape at a time: they share the page's buffer
	page page

	disk disk // the file system; tests put a failing one here
}

// New returns the gitlab-runner that the options describe. It does nothing yet.
func New(opts Options) *Local {
	return &Local{
		opts:   opts,
		client: newMetricsClient(opts.Transport),
		url:    metricsURL(opts.ListenAddress),
		page:   newPage(),
		disk:   osDisk{},
	}
}

// Close drops the connection that Observe keeps open between polls.
func (l *Local) Close() { l.client.CloseIdleConnections() }

func (l *Local) heldPath() string {
	return filepath.Join(filepath.Dir(l.opts.ConfigPath), ".config.toml.held")
}

func (l *Local) systemIDPath() string {
	return filepath.Join(filepath.Dir(l.opts.ConfigPath), ".runner_system_id")
}

// metricsURL is where a listen address is reached from this machine: an address
// that listens everywhere is asked for on loopback.
func metricsURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen + "/metrics"
	}
	if wildcard(host) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/metrics"
}

func wildcard(host string) bool {
	return host == "" || host == "0.0.0.0" || host == "::"
}
