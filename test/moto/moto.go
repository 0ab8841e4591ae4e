// Package moto starts an independent emulation of AWS for tests: Python's moto,
// where moto_server is on the PATH. It checks the wire formats that our own
// emulator could have misread as our clients do.
package moto

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Start starts a server on a free port of 127.0.0.1 and returns its address. It is
// stopped with the test; where there is none the test is skipped.
func Start(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("SKIPPED: no moto_server on the PATH, so nothing is checked against an independent AWS (pip install 'moto[server]')")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Env = append(os.Environ(), "AWS_CA_BUNDLE=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a shim starts the real one
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	await(t, address, &log)
	return "http://" + address
}

func await(t *testing.T, address string, log *bytes.Buffer) {
	t.Helper()
	deadline := time.After(time.Minute) // Python on a loaded machine
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("moto_server does not listen on %s: %s", address, log.String())
		}
	}
}
