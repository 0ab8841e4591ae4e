package demand

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// The server's time-outs. GitLab waits ten seconds for an answer, from its connect
// on: who is slower than that is no GitLab.
const (
	// headerTimeout: a header comes in one packet or two.
	headerTimeout = 5 * time.Second
	// readTimeout cuts bodies that are sent a byte at a time to hold connections.
	readTimeout = 10 * time.Second
	// writeTimeout: an answer has some bytes. It begins with the header's end.
	writeTimeout = 15 * time.Second
	// idleTimeout keeps a load balancer's connections; theirs is a minute. Only those
	// are kept that showed the secret last.
	idleTimeout = 2 * time.Minute
	// maxHeader is more than load balancers add.
	maxHeader = 16 << 10
	// maxConnections bounds what strangers can hold open, in files and in memory. GitLab
	// sends from some dozen workers at once.
	maxConnections = 1000
	// maxStrangers is how many of them one address may have that have shown no secret. A
	// load balancer's is everybody's: it passes requests on whole, and soon.
	maxStrangers = 250
)

// What a stop takes at the most, in this order; agent bounds the machines' last
// actions.
const (
	stopServing = 5 * time.Second // answers that are under way
	stopWorking = 5 * time.Second // look-ups, and events that wait for a machine
	stopLooks   = 50 * time.Millisecond
)

// Certificate is where TLS's files are; empty for none.
type Certificate struct{ File, Key string }

// Serve takes events in until ctx ends, then stops accepting, has what was accepted
// finished within bounds, and returns. drive runs one group's machine until its ctx
// ends. ready is called once requests are answered.
func (s *Service) Serve(ctx context.Context, l net.Listener, c Certificate, drive func(context.Context, *Group), ready func()) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		// Both would keep connections for whoever shows no secret: the server's own answer
		// to OPTIONS *, and HTTP/2, which GitLab does not speak, before the first request.
		DisableGeneralOptionsHandler: true, Protocols: new(http.Protocols), ConnContext: withGuest,
	}
	server.Protocols.SetHTTP1(true)
	if c.File != "" {
		pair := &certificate{Certificate: c, log: s.Log}
		if err := pair.load(); err != nil {
			return errors.Join(err, l.Close())
		}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
	}
	machines, stopMachines := context.WithCancel(context.WithoutCancel(ctx))
	defer stopMachines()
	var running, looking, serving sync.WaitGroup
	for _, g := range s.groups {
		running.Go(func() { drive(machines, g) })
	}
	for range lookupWorkers {
		looking.Go(func() { s.lookups.work(machines) })
	}
	failed := make(chan error, 1)
	serving.Go(func() { failed <- serve(server, bounded(l, s.crowded)) })
	s.ready.Store(true)
	ready()
	var err error
	select {
	case <-ctx.Done():
		s.ready.Store(false)
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopServing)
		_ = server.Shutdown(bound) // who is still being answered then is cut off
		cancel()
		_ = server.Close()
		s.settle()
	case err = <-failed:
		s.ready.Store(false)
	}
	s.lookups.giveUp()
	stopMachines()
	running.Wait()
	serving.Wait()
	s.stopList()
	looking.Wait()
	s.lists.Wait()
	return err
}

func serve(server *http.Server, l net.Listener) error {
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	return fmt.Errorf("serve the webhook on %s: %w", l.Addr(), err)
}

// settle waits, within a bound, until the machines have taken in what was accepted.
func (s *Service) settle() {
	tick := time.NewTicker(stopLooks)
	defer tick.Stop()
	for until := time.Now().Add(stopWorking); !s.settled() && time.Now().Before(until); {
		<-tick.C
	}
}

func (s *Service) settled() bool {
	for _, g := range s.groups {
		if len(g.inbox) > 0 {
			return false
		}
	}
	return s.lookups.idle()
}

// certificate is read anew when its files change, as by certbot.
type certificate struct {
	Certificate
	log *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed [2]time.Time
	looked  time.Time
}

// certificateEvery is how often the files are looked at.
const certificateEvery = 10 * time.Second

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= certificateEvery {
		c.looked = now
		if c.times() != c.changed {
			if err := c.load(); err != nil { // half of a change, perhaps: the old one is still good
				c.log.Warn("keeping the old certificate", "verb", "webhook", "error", err.Error())
			}
		}
	}
	return c.pair, nil
}

func (c *certificate) load() error {
	times := c.times()
	pair, err := tls.LoadX509KeyPair(c.File, c.Key)
	if err != nil {
		return fmt.Errorf("read the certificate in webhook.tls_cert and its key in webhook.tls_key: %w", err)
	}
	c.pair, c.changed = &pair, times
	return nil
}

func (c *certificate) times() (times [2]time.Time) {
	for i, path := range []string{c.File, c.Key} {
		if info, err := os.Stat(path); err == nil {
			times[i] = info.ModTime()
		}
	}
	return times
}
