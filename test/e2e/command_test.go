package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// outcome is what a command that was typed on an instance came to.
type outcome struct {
	code           int
	stdout, stderr string
}

// run runs a program of an instance's PATH as an operator would.
func (s *site) run(id, name string, args ...string) outcome {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd, err := s.machines.Command(ctx, id, name, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	for _, out := range []string{stdout.String(), stderr.String()} {
		s.journal.add(id, name+" by hand", out)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// pid is a unit's main process, 0 for none.
func (s *site) pid(id, unit string) int {
	s.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(s.run(id, "systemctl", "show", "--property=MainPID", "--value", unit).stdout))
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

// kill kills a unit's main process and returns what its id was.
func (s *site) kill(id, unit string) int {
	s.t.Helper()
	pid := s.pid(id, unit)
	if pid == 0 {
		s.t.Fatalf("%s of %s does not run", unit, id)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	return pid
}

func (s *site) path(id, name string) string { return filepath.Join(s.machines.Root(id), name) }

func (s *site) exists(id, name string) bool {
	_, err := os.Stat(s.path(id, name))
	return err == nil
}
