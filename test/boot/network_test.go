package boot_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The addresses in an instance's own network, which is nothing but a loopback
// interface: the metadata service where EC2 has it, the other services where the
// image's hosts file says.
const (
	metadataAddress  = "169.254.169.254:80"
	gitlabAddress    = gitlabHost + ":80"
	gitlabTLSAddress = gitlabHost + httpsPort
	awsAddress       = awsHost + ":80"
	shoalAddress     = shoalHost + httpsPort
	packagesAddress  = packagesHost + httpsPort
)

const (
	gitlabHost   = "127.0.0.80"
	awsHost      = "127.0.0.81"
	shoalHost    = "127.0.0.82"
	packagesHost = "127.0.0.83"
	httpsPort    = ":443"
)

// listenIn listens on an address in the network of another process. The socket
// stays in that network, whoever uses it.
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
	return net.Listen("tcp4", address)
}

// serve answers on a listener until the server is closed, by TLS on its port.
func serve(l net.Listener, h http.Handler) *http.Server {
	if strings.HasSuffix(l.Addr().String(), httpsPort) {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{authority().server}, MinVersion: tls.VersionTLS12})
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }() // ends with the server
	return s
}
