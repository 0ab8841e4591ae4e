package supervisor

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

const sigkill = syscall.SIGKILL

// starter starts processes on one thread that lives as long as the supervisor.
// The kernel sends a child's parent-death signal when the *thread* that forked
// it ends; on Go's own threads children would die whenever one is retired.
type starter struct {
	jobs chan func()
	done chan struct{}
	once sync.Once
}

func newStarter() *starter {
	s := &starter{jobs: make(chan func()), done: make(chan struct{})}
	go s.loop()
	return s
}

func (s *starter) loop() {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	defer close(s.done)
	for job := range s.jobs {
		job()
	}
}

// start starts a process in a session of its own, to die with this program.
func (s *starter) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	result := make(chan error, 1)
	s.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// close ends the thread. It may be called again.
func (s *starter) close() {
	s.once.Do(func() { close(s.jobs) })
	<-s.done
}
