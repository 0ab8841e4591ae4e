package supervisor

import (
	"fmt"
	"os/exec"
	"sync"
	"syscall"
)

// guardScript waits until its input ends, which it does when the program that
// supervises ends in whatever way, and then kills the processes that bear the
// marker $1. Three passes, since what is killed may just be forking.
const guardScript = `read -r _
for pass in 1 2 3; do
	for p in /proc/[0-9]*; do
		grep -qzxF "$1" "$p/environ" 2>/dev/null && kill -KILL "${p#/proc/}" 2>/dev/null
	done
done`

// guardian is a small process that outlives this program if that is killed. The
// units' main processes then die by their parent-death signal, but not what
// they started: the jobs.
type guardian struct {
	cmd  *exec.Cmd
	once sync.Once
}

func newGuardian(instance string) (*guardian, error) {
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guardian", instanceVariable+"="+instance) //nolint:gosec // the script is ours, the id an argument of it
	// In a session of its own: Ctrl-C at the terminal is not for it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Without this program's environment: it may bear the marker of another
	// instance, in which this one is nested.
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	// The pipe stays open for as long as this program lives.
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start guardian of %s: %w", instance, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start guardian of %s: %w", instance, err)
	}
	return &guardian{cmd: cmd}, nil
}

// close ends the guardian, after the instance's last process.
func (g *guardian) close() {
	g.once.Do(func() {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait() // closes the pipe
	})
}
