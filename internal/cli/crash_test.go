package cli

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestCrashEndsBySignal: an exit code of 2 would be taken for bad usage, and the
// daemon not be started again.
func TestCrashEndsBySignal(t *testing.T) {
	const crashing = "SHOAL_TEST_CRASH"
	if os.Getenv(crashing) != "" {
		dieBySignal()
		done := make(chan struct{})
		go func() { panic("a crash") }()
		<-done
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashEndsBySignal$") //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), crashing+"=1")
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the crash ended with %v", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGABRT {
		t.Errorf("a crash ends with %v, want SIGABRT", exit)
	}
}
