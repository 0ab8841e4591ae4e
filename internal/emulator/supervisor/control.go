package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// request and reply go over the control socket, one of each per connection.
type request struct {
	Args []string `json:"args"` // of systemctl
}

type reply struct {
	Code   int    `json:"code"`
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
}

const (
	// socketName is the control socket's, in the instance's run directory.
	socketName = "systemd.sock"
	// maxMessage bounds a request and a reply.
	maxMessage = 1 << 20
	// readTimeout bounds how long a client may take to say what it wants.
	readTimeout = 5 * time.Second
)

// controlServer answers the stand-in systemctl.
type controlServer struct {
	sup      *Supervisor
	path     string
	listener *net.UnixListener
	ctx      context.Context
	cancel   context.CancelFunc
	conns    sync.WaitGroup
	once     sync.Once
}

func (s *Supervisor) listen() error {
	path := filepath.Join(s.options.Root, "run", socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("listen for systemctl: %w", err)
	}
	var listener *net.UnixListener
	err := throughDirectory(path, func(short string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		if err == nil {
			l.SetUnlinkOnClose(false) // the short name is gone by then
			listener = l
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("listen for systemctl at %s: %w", path, err)
	}
	c := &controlServer{sup: s, path: path, listener: listener}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	s.control = c // before anybody can call
	c.conns.Go(c.accept)
	return nil
}

// throughDirectory calls f with a name of the socket that is short enough for
// the kernel (107 bytes), however long the path: through an open directory.
func throughDirectory(path string, f func(short string) error) error {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open directory of %s: %w", path, err)
	}
	defer func() { _ = unix.Close(dir) }()
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path)))
}

func (c *controlServer) accept() {
	for {
		conn, err := c.listener.AcceptUnix()
		if err != nil {
			return
		}
		c.conns.Go(func() { c.serve(conn) })
	}
}

func (c *controlServer) serve(conn *net.UnixConn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(readTimeout))
	var r request
	if json.NewDecoder(io.LimitReader(conn, maxMessage)).Decode(&r) != nil {
		return
	}
	a := c.sup.systemctl(c.ctx, r.Args)
	_ = conn.SetWriteDeadline(time.Now().Add(readTimeout))
	_ = json.NewEncoder(conn).Encode(a)
}

func (c *controlServer) close() {
	c.once.Do(func() {
		c.cancel()
		_ = c.listener.Close()
		_ = os.Remove(c.path)
	})
	c.conns.Wait()
}

// Systemctl is the stand-in systemctl: args are those after the program's name.
// It asks the supervisor of the instance it runs in and returns the exit status
// that the real one would. It imports next to nothing at start: the units' own
// programs call it every few seconds.
func Systemctl(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	path := getenv(ControlVariable)
	if path == "" {
		_, _ = fmt.Fprintln(stderr, "System has not been booted with systemd as init system (PID 1). Can't operate.")
		return 1
	}
	a, err := ask(path, request{Args: args})
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "Failed to connect to bus: %v\n", err)
		return 1
	}
	_, _ = io.WriteString(stdout, a.Stdout)
	_, _ = io.WriteString(stderr, a.Stderr)
	return a.Code
}

func ask(path string, r request) (reply, error) {
	var a reply
	err := throughDirectory(path, func(short string) error {
		conn, err := net.Dial("unix", short)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if err := json.NewEncoder(conn).Encode(r); err != nil {
			return fmt.Errorf("ask the supervisor: %w", err)
		}
		if err := json.NewDecoder(io.LimitReader(conn, maxMessage)).Decode(&a); err != nil {
			return fmt.Errorf("read the supervisor's answer: %w", err)
		}
		return nil
	})
	return a, err
}
