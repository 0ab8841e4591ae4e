package emulator

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// Bounds of the servers. Nothing that a client of the real services sends is
// bigger or slower; a client that is must not hold the emulator up.
const (
	maxBody           = 8 << 20          // a piece of a job's log is the biggest
	readHeaderTimeout = 10 * time.Second // a header comes in one piece
	readTimeout       = time.Minute      // a body may come from a loaded machine
	idleTimeout       = 5 * time.Minute  // runners keep a connection between polls
)

// face is one service: its handler, and where it listens if it does.
type face struct {
	handler http.Handler
	server  *http.Server
	url     string
}

func newFace(h http.Handler) *face { return &face{handler: h} }

// listen has a face served on a free port of loopback.
func (c *Cloud) listen(f *face) error {
	if c.opt.NoListen {
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	f.url = "http://" + l.Addr().String()
	f.server = &http.Server{
		Handler: f.handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
		ErrorLog:    log.New(io.Discard, "", 0), // dropped connections are what the fault hooks are for
		BaseContext: func(net.Listener) context.Context { return c.done },
	}
	c.tasks.Go(func() { _ = f.server.Serve(l) }) // ends with ErrServerClosed, which is no news
	return nil
}

func (f *face) close() {
	if f != nil && f.server != nil {
		_ = f.server.Close()
	}
}

// mailbox keeps events in order until they are read, so that the world never
// waits for its driver.
type mailbox struct {
	mu   sync.Mutex
	list []world.Event
	news chan struct{}
	out  chan world.Event
}

func newMailbox() *mailbox {
	return &mailbox{news: make(chan struct{}, 1), out: make(chan world.Event)}
}

func (m *mailbox) put(e world.Event) {
	m.mu.Lock()
	m.list = append(m.list, e)
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []world.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.list
	m.list = nil
	return list
}

// deliver hands events out until done, then closes the channel.
func (m *mailbox) deliver(done context.Context) {
	defer close(m.out)
	for {
		for _, e := range m.take() {
			select {
			case m.out <- e:
			case <-done.Done():
				return
			}
		}
		select {
		case <-m.news:
		case <-done.Done():
			return
		}
	}
}
