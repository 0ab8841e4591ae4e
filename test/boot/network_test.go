package boot_test

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses in an instance's own network, which is nothing but a loopback
// interface: the metadata service where EC2 has it, the other services where the
// image's hosts file says.
const (
	metadataAddress = "169.254.169.254"
	gitlabAddress   = "127.0.0.80"
	awsAddress      = "127.0.0.81"
)

// listenIn listens on port 80 of an address in the network of another process.
// The socket stays in that network, whoever uses it.
func listenIn(pid int, address string) (net.Listener, error) {
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		// Never unlocked: the thread is in the other network for good, and ends
		// with this goroutine.
		runtime.LockOSThread()
		l, err := listenHere(pid, address)
		done <- result{l, err}
	}()
	r := <-done
	return r.l, r.err
}

func listenHere(pid int, address string) (net.Listener, error) {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the network of process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the network of process %d: %w", pid, err)
	}
	return net.Listen("tcp4", net.JoinHostPort(address, "80"))
}

// serve answers on a listener until the server is closed.
func serve(l net.Listener, h http.Handler) *http.Server {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }() // ends with the server
	return s
}
