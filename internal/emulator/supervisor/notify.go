package supervisor

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// notifySocket is where a Type=notify service says that it is ready. Its
// address is an abstract one: the path would have to be shorter than 108 bytes,
// which an instance's folder need not be.
type notifySocket struct {
	svc     *service
	conn    *net.UnixConn
	address string
	ready   chan struct{}
	isReady atomic.Bool
	main    atomic.Int64 // the main process, once it is known
	done    chan struct{}
}

var notifyCount atomic.Int64

func (svc *service) listenNotify() (*notifySocket, error) {
	address := fmt.Sprintf("@emulated-notify-%d-%d", os.Getpid(), notifyCount.Add(1))
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for notifications of %s: %w", svc.unit.name, err)
	}
	if err := passCredentials(conn); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listen for notifications of %s: %w", svc.unit.name, err)
	}
	return &notifySocket{svc: svc, conn: conn, address: address, ready: make(chan struct{}), done: make(chan struct{})}, nil
}

// passCredentials has the kernel say who sent a datagram: anyone on the machine
// can write to an abstract address.
func passCredentials(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}); err != nil {
		return err
	}
	return set
}

// listen reads notifications once the main process is known: what came before
// waits in the socket.
func (n *notifySocket) listen(main int) {
	n.main.Store(int64(main))
	go n.loop()
}

func (n *notifySocket) loop() {
	defer close(n.done)
	message, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		size, controlSize, _, _, err := n.conn.ReadMsgUnix(message, control)
		if err != nil {
			return
		}
		if n.trusted(control[:controlSize]) {
			n.heed(strings.Split(string(message[:size]), "\n"))
		}
	}
}

// trusted tells whether the sender is the unit's main process, or one of the
// unit's where NotifyAccess=all.
func (n *notifySocket) trusted(control []byte) bool {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 {
		return false
	}
	who, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		return false
	}
	return int64(who.Pid) == n.main.Load() || n.svc.unit.notifyAll && slices.Contains(n.svc.processes(), int(who.Pid))
}

func (n *notifySocket) heed(lines []string) {
	for _, line := range lines {
		switch {
		case line == "READY=1":
			if n.isReady.CompareAndSwap(false, true) {
				close(n.ready)
			}
		case line == "STOPPING=1":
			n.svc.setState("deactivating", "stop")
		case strings.HasPrefix(line, "STATUS="):
			n.svc.sup.mu.Lock()
			n.svc.status = strings.TrimPrefix(line, "STATUS=")
			n.svc.sup.mu.Unlock()
		}
	}
}

func (n *notifySocket) close() {
	_ = n.conn.Close()
	if n.main.Load() != 0 {
		<-n.done
	}
}
