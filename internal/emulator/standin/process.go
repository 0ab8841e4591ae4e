package standin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Options says how a Process runs. The zero value of everything but Config is
// what the real runner does.
type Options struct {
	Config        string // path of config.toml
	WorkDir       string // builds lie below it; empty means the current directory
	ListenAddress string // of the metrics; empty takes config.toml's, "" there too serves none
	Flavour       string // 19.4 (default) or 17.5
	Log           io.Writer
	Timing        Timing
	Now           func() time.Time // what a disabled runner's hour is measured by
}

// Timing shortens waits in tests. Zero values are the real runner's.
type Timing struct {
	Second     time.Duration // what the seconds of config.toml and of Retry-After last
	ConfigPoll time.Duration // between looks at config.toml: 3 s
	Trace      time.Duration // between pieces of a trace: 3 s, or what GitLab asks for
	JobKill    time.Duration // from SIGTERM to SIGKILL of an aborted job: 10 min
}

// The real runner's waits, measured but the last, which its source says.
const (
	defaultConfigPoll = 3 * time.Second
	defaultTrace      = 3 * time.Second
	defaultJobKill    = 10 * time.Minute
)

func (t *Timing) fill() {
	for _, f := range []struct {
		d    *time.Duration
		real time.Duration
	}{{&t.Second, time.Second}, {&t.ConfigPoll, defaultConfigPoll}, {&t.Trace, defaultTrace}, {&t.JobKill, defaultJobKill}} {
		if *f.d == 0 {
			*f.d = f.real
		}
	}
}

// Process is one stand-in runner. Run may be called once.
type Process struct {
	options Options
	flavour flavour
	log     *logger
	metrics *metrics
	health  *health

	mu       sync.Mutex
	config   *configuration
	clients  map[string]*client // by URL and token, kept as long as the process
	polls    map[string]int     // polls in flight, by the same key
	builds   map[string]int     // slots taken (polling or running), by the same key
	running  map[string]int     // jobs running, by the same key
	aborting bool
	aborts   map[*build]context.CancelCauseFunc

	feed       chan section  // runners whose turn it is to poll
	stopWorker chan struct{} // ends one worker
	reload     chan struct{} // SIGHUP
	fatal      chan error
	stopping   context.Context // done from the first stop signal on
	stop       context.CancelFunc
	loops      sync.WaitGroup // feeder and configuration
	workers    sync.WaitGroup
	address    net.Addr
}

// New checks the options and loads the configuration.
func New(o Options) (*Process, error) {
	o.Timing.fill()
	f, err := flavourNamed(o.Flavour)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	p := &Process{
		options: o, flavour: f, metrics: newMetrics(f),
		clients: map[string]*client{}, polls: map[string]int{}, builds: map[string]int{}, running: map[string]int{},
		aborts: map[*build]context.CancelCauseFunc{},
		feed:   make(chan section), stopWorker: make(chan struct{}), reload: make(chan struct{}, 1), fatal: make(chan error, 1),
	}
	p.log = &logger{out: o.Log, count: p.metrics.logged}
	p.health = newHealth(o.Now, p.log, p.metrics)
	p.stopping, p.stop = context.WithCancel(context.Background())
	if p.config, err = loadConfiguration(o.Config); err != nil {
		return nil, err
	}
	if err := p.config.validate(); err != nil {
		return nil, err
	}
	p.metrics.configure(p.config)
	p.log.info("Configuration loaded", fields{"max_builds": p.config.Concurrent})
	return p, nil
}

// errNoConcurrency is how the real runner dies of concurrent = 0, at its start
// and in the middle of its life.
var errNoConcurrency = errors.New("current configuration 'concurrent = 0' means that no jobs will be processed")

func (c *configuration) validate() error {
	if c.Concurrent < 1 {
		return errNoConcurrency
	}
	return nil
}

// Run polls and runs jobs until a stop signal, and returns the exit status.
// SIGQUIT lets the running jobs finish; SIGTERM and SIGINT abort them; SIGHUP
// loads the configuration anew.
func (p *Process) Run(signals <-chan os.Signal) int {
	defer p.closeClients()
	server, err := p.serveMetrics()
	if err != nil {
		p.log.fatal("Failed to create listener for metrics server", fields{"error": err.Error()})
		return 1
	}
	defer func() { _ = server.Close() }()
	p.loops.Go(p.feedRunners)
	p.loops.Go(p.followConfiguration)
	for {
		select {
		case err := <-p.fatal:
			p.log.fatal(err.Error(), nil)
			p.stop()
			return 1
		case s := <-signals:
			if s == syscall.SIGHUP {
				p.hangup()
				continue
			}
			return p.shutDown(s, signals)
		}
	}
}

func (p *Process) hangup() {
	select {
	case p.reload <- struct{}{}:
	default: // one is pending already
	}
}

// shutDown ends the process: gracefully while the signals are SIGQUIT, by
// aborting the jobs from any other on.
func (p *Process) shutDown(s os.Signal, signals <-chan os.Signal) int {
	p.stop()
	finished := make(chan struct{})
	go func() {
		p.loops.Wait()
		p.workers.Wait()
		close(finished)
	}()
	for s == syscall.SIGQUIT {
		p.metrics.setState("graceful-shutdown")
		p.log.warn("Starting graceful shutdown, waiting for builds to finish", fields{"StopSignal": s})
		select {
		case s = <-nextStop(signals, finished):
			if s == nil {
				return p.exit()
			}
		case <-finished:
			return p.exit()
		}
	}
	return p.forcefulShutdown(s, signals, finished)
}

// nextStop passes on the next signal that is not SIGHUP, which a runner that
// shuts down no longer heeds; nil once it has finished.
func nextStop(signals <-chan os.Signal, finished <-chan struct{}) <-chan os.Signal {
	out := make(chan os.Signal, 1)
	go func() {
		for {
			select {
			case s := <-signals:
				if s != syscall.SIGHUP {
					out <- s
					return
				}
			case <-finished:
				close(out)
				return
			}
		}
	}()
	return out
}

func (p *Process) exit() int {
	p.log.info("All workers stopped.", nil)
	p.log.info("Can exit now!", nil)
	return 0
}

// forcefulShutdown aborts the jobs and waits for their reports. What is not
// reported when the time is over, or at a second signal, never will be.
func (p *Process) forcefulShutdown(s os.Signal, signals <-chan os.Signal, finished <-chan struct{}) int {
	p.metrics.setState("forceful-shutdown")
	timeout := p.configuration().shutdownTimeout(p.options.Timing.Second)
	p.log.warn("Starting forceful shutdown", fields{"StopSignal": s, "shutdown-timeout": timeout})
	p.abortAll(fmt.Errorf("aborted: %v", s))
	t := time.NewTimer(timeout)
	defer t.Stop()
	for {
		select {
		case <-finished:
			return p.exit()
		case <-t.C:
			p.log.warn("Forceful shutdown not finished properly", fields{"error": "shutdown timed out"})
			return 1
		case s := <-signals:
			if s == syscall.SIGHUP {
				continue
			}
			p.log.warn("Forceful shutdown not finished properly", fields{"error": fmt.Sprintf("forced exit with stop signal: %v", s)})
			return 1
		}
	}
}

func (p *Process) abortAll(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aborting = true
	for _, abort := range p.aborts {
		abort(&aborted{cause})
	}
}

func (p *Process) configuration() *configuration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config
}

// serveMetrics listens where the options or config.toml say. The address is
// fixed for the life of the process, as in the real one.
func (p *Process) serveMetrics() (*http.Server, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", p.metrics)
	// A scrape is short; a client that dribbles its header must not hold a socket.
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	address := p.options.ListenAddress
	if address == "" {
		address = p.configuration().ListenAddress
	}
	if address == "" {
		p.log.info("[metrics_server].listen_address not defined, metrics endpoints disabled", nil)
		return server, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.address = l.Addr()
	p.mu.Unlock()
	p.log.info("Metrics server listening", fields{"address": l.Addr().String()})
	go func() { _ = server.Serve(l) }()
	return server, nil
}

// Address is where the metrics are served, nil before they are.
func (p *Process) Address() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.address
}

func (p *Process) buildsDir(s section) (string, error) {
	dir := s.BuildsDir
	if dir == "" {
		dir = filepath.Join(p.options.WorkDir, "builds")
	}
	return filepath.Abs(dir)
}

// client returns the section's client; it outlives the section, since a job
// that a late poll brought has to be reported through it.
func (p *Process) client(s section, systemID string) (*client, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[s.key()]; c != nil && c.systemID == systemID && c.section.CAFile == s.CAFile && c.section.Name == s.Name {
		return c, nil
	}
	c, err := newClient(p.flavour, s, systemID, p.metrics, p.options.Timing.Second)
	if err == nil {
		p.clients[s.key()] = c
	}
	return c, err
}

func (p *Process) closeClients() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.clients {
		c.close()
	}
}

func (s section) key() string { return s.URL + "/" + s.Token }
