package demand

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
)

// bounded lets a listener have so many connections at once; the next waits until one
// is closed. Of one address fewer may be open that have shown no secret: the next is
// closed at once, and crowded told, or whoever opens them keeps GitLab out.
func bounded(l net.Listener, crowded func(net.Addr)) net.Listener {
	return &boundedListener{Listener: l, crowded: crowded, room: make(chan struct{}, maxConnections), closed: make(chan struct{}), strangers: map[netip.Prefix]int{}}
}

type boundedListener struct {
	net.Listener
	crowded func(net.Addr)
	room    chan struct{}
	closed  chan struct{}
	once    sync.Once

	mu        sync.Mutex
	strangers map[netip.Prefix]int
}

// Accept implements net.Listener.
func (b *boundedListener) Accept() (net.Conn, error) {
	for {
		select {
		case b.room <- struct{}{}:
		case <-b.closed:
			return nil, net.ErrClosed
		}
		c, err := b.Listener.Accept()
		if err != nil {
			<-b.room
			return nil, err
		}
		from := origin(c.RemoteAddr())
		if b.enter(from) {
			return &boundedConn{Conn: c, known: sync.OnceFunc(func() { b.leave(from) }), leave: sync.OnceFunc(func() { <-b.room })}, nil
		}
		b.crowded(c.RemoteAddr())
		_ = c.Close()
		<-b.room
	}
}

// enter counts a stranger, or tells that there are too many from there.
func (b *boundedListener) enter(from netip.Prefix) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if from.IsValid() && b.strangers[from] >= maxStrangers {
		return false
	}
	b.strangers[from]++
	return true
}

func (b *boundedListener) leave(from netip.Prefix) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.strangers[from]--; b.strangers[from] == 0 {
		delete(b.strangers, from)
	}
}

// Close implements net.Listener.
func (b *boundedListener) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// origin is an address, or what one customer has of them where it is a version 6 one; none
// of a connection without one, which is not counted.
func origin(a net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := at.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // of so many bits there is always one
	return p
}

type boundedConn struct {
	net.Conn
	known, leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	defer c.leave()
	defer c.known()
	return c.Conn.Close()
}

type guestKey struct{}

// withGuest lets a request find its connection.
func withGuest(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, guestKey{}, c)
}

// noStranger notes that a request's connection has shown the secret.
func noStranger(ctx context.Context) {
	if c, ok := ctx.Value(guestKey{}).(*boundedConn); ok {
		c.known()
	}
}
