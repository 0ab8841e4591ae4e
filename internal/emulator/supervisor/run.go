package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is one command that was started.
type process struct {
	cmd  *exec.Cmd
	over chan struct{} // closed when it has ended
	end  ending        // set before over is closed
}

// runOnce is one run of the unit: everything from ExecStartPre= until its last
// process is gone, and ExecStopPost= after that.
func (svc *service) runOnce(a *activation) ending {
	e := svc.runUntilGone(a)
	if len(svc.unit.stopPost) == 0 {
		return e
	}
	svc.setState("deactivating", "stop-post")
	e = svc.stopSequence(svc.unit.stopPost, e, "SERVICE_RESULT="+svc.unit.resultOf(e))
	svc.clear()
	return e
}

func (svc *service) runUntilGone(a *activation) ending {
	svc.setState("activating", "start-pre")
	deadline := newDeadline(svc.unit.timeoutStart)
	defer deadline.stop()
	if e := svc.sequence(a, svc.unit.startPre, deadline); !svc.unit.clean(e) {
		svc.clear()
		return e
	}
	if svc.unit.kind == "oneshot" {
		svc.setState("activating", "start")
		e := svc.sequence(a, svc.unit.start, deadline)
		switch {
		case !svc.unit.remainAfterExit || !svc.unit.clean(e):
			svc.clear()
		case len(svc.unit.stop) > 0 && !a.stopping():
			deadline.stop()
			return svc.remain(a)
		}
		return e
	}
	return svc.runMain(a, deadline)
}

// remain keeps a unit without a process active until it is stopped, and runs
// ExecStop= then.
func (svc *service) remain(a *activation) ending {
	svc.setState("active", "exited")
	a.started(nil)
	select {
	case <-a.stop:
	case <-svc.sup.dead:
		return ending{}
	}
	svc.setState("deactivating", "stop")
	e := svc.stopSequence(svc.unit.stop, ending{})
	svc.clear()
	return e
}

// sequence runs commands one after the other, until one fails.
func (svc *service) sequence(a *activation, commands []command, deadline *deadline) ending {
	for _, c := range commands {
		p, err := svc.spawn(c)
		if err != nil {
			return svc.notStarted(err)
		}
		svc.setMain(p)
		e := svc.await(a, p, deadline)
		if !svc.unit.clean(e) && !c.mayFail {
			return e
		}
		if a.stopping() {
			return e
		}
	}
	return ending{}
}

// await waits for a command of the start phase; a stop or the time-out ends it.
func (svc *service) await(a *activation, p *process, deadline *deadline) ending {
	select {
	case <-p.over:
		return p.end
	case <-a.stop:
		svc.terminate(p)
		return p.end
	case <-deadline.c:
		svc.terminate(p)
		return ending{cause: "timeout"}
	}
}

// runMain runs the one main process of a service.
func (svc *service) runMain(a *activation, deadline *deadline) ending {
	var n *notifySocket
	var told []string
	if svc.unit.kind == "notify" {
		var err error
		if n, err = svc.listenNotify(); err != nil {
			return svc.notStarted(err)
		}
		defer n.close()
		told = append(told, "NOTIFY_SOCKET="+n.address)
	}
	svc.setState("activating", "start")
	p, err := svc.spawn(svc.unit.start[0], told...)
	if err != nil {
		return svc.notStarted(err)
	}
	svc.setMain(p)
	if n != nil {
		n.listen(p.cmd.Process.Pid)
		if e, ready := svc.awaitReady(a, p, n, deadline); !ready {
			svc.clear()
			return e
		}
	}
	deadline.stop()
	svc.setState("active", "running")
	a.started(nil)
	e := svc.untilStopped(a, p)
	svc.clear()
	return e
}

// untilStopped waits for the main process's end, or ends it. ExecStop= runs in
// both cases, but not after a failure.
func (svc *service) untilStopped(a *activation, p *process) ending {
	select {
	case <-p.over:
		if svc.unit.clean(p.end) && len(svc.unit.stop) > 0 {
			svc.setState("deactivating", "stop")
			return svc.stopSequence(svc.unit.stop, p.end)
		}
		return p.end
	case <-a.stop:
		return svc.stopMain(p)
	}
}

// awaitReady waits for READY=1. A notifying service that ends cleanly before it
// has said so broke the protocol.
func (svc *service) awaitReady(a *activation, p *process, n *notifySocket, deadline *deadline) (ending, bool) {
	select {
	case <-n.ready:
		return ending{}, true
	case <-p.over:
		if svc.unit.clean(p.end) && !a.stopping() {
			return ending{cause: "protocol"}, false
		}
		return p.end, false
	case <-a.stop:
		svc.terminate(p)
		return p.end, false
	case <-deadline.c:
		svc.terminate(p)
		return ending{cause: "timeout"}, false
	}
}

// stopMain takes a running service down: ExecStop=, then the kill signal.
func (svc *service) stopMain(p *process) ending {
	if len(svc.unit.stop) > 0 {
		svc.setState("deactivating", "stop")
	}
	e := svc.stopSequence(svc.unit.stop, ending{})
	svc.terminate(p)
	if !svc.unit.clean(e) {
		return e
	}
	return p.end
}

// stopSequence runs commands of the stop phase one after the other, bounded by
// TimeoutStopSec=, until one fails. Its failure is the unit's, unless that had
// failed before. A stop does not cut it short: it is part of stopping.
func (svc *service) stopSequence(commands []command, before ending, told ...string) ending {
	deadline := newDeadline(svc.unit.timeoutStop)
	defer deadline.stop()
	for _, c := range commands {
		e := svc.stopCommand(c, deadline, told...)
		if svc.unit.clean(e) || c.mayFail {
			continue
		}
		if !svc.unit.clean(before) {
			return before
		}
		return e
	}
	return before
}

func (svc *service) stopCommand(c command, deadline *deadline, told ...string) ending {
	p, err := svc.spawn(c, told...)
	if err != nil {
		return svc.notStarted(err)
	}
	return svc.await(newActivation(), p, deadline)
}

// terminate sends the kill signal as KillMode= has it and waits; when the time
// is over, SIGKILL.
func (svc *service) terminate(p *process) {
	pid := p.cmd.Process.Pid
	switch svc.unit.killMode {
	case "none":
		<-p.over
		return
	case "control-group":
		killAll(svc.others(pid), svc.unit.killSignal)
	}
	_ = p.cmd.Process.Signal(svc.unit.killSignal)
	// After the signal, as systemd does: who sees the unit go down and hurries it by
	// another signal must not be the first.
	svc.setState("deactivating", "stop-sigterm")
	deadline := newDeadline(svc.unit.timeoutStop)
	defer deadline.stop()
	select {
	case <-p.over:
		return
	case <-deadline.c:
	}
	if !svc.unit.sendSIGKILL {
		<-p.over
		return
	}
	if svc.unit.killMode != "process" {
		killAll(svc.others(pid), sigkill)
	}
	_ = p.cmd.Process.Kill()
	<-p.over
	p.end.cause = "timeout"
}

// clear ends what the main process has left behind, as KillMode= has it.
func (svc *service) clear() {
	switch svc.unit.killMode {
	case "process", "none":
		return
	case "control-group":
		killAll(svc.processes(), svc.unit.killSignal)
		if svc.gone(svc.unit.timeoutStop) || !svc.unit.sendSIGKILL {
			return
		}
	}
	for svc.unit.sendSIGKILL {
		pids := svc.processes()
		if len(pids) == 0 {
			return
		}
		killAndBury(pids)
	}
}

// gone waits until the unit has no process left; false when time is over first.
func (svc *service) gone(timeout time.Duration) bool {
	deadline := newDeadline(timeout)
	defer deadline.stop()
	for {
		if len(svc.processes()) == 0 {
			return true
		}
		select {
		case <-deadline.c:
			return false
		case <-time.After(sweepPause):
		}
	}
}

func (svc *service) setMain(p *process) {
	svc.sup.mu.Lock()
	defer svc.sup.mu.Unlock()
	svc.mainPID, svc.main = p.cmd.Process.Pid, p.cmd.Process
}

// execFailed is the status systemd gives a program that cannot be executed.
const execFailed = 203

func (svc *service) notStarted(err error) ending {
	svc.sup.options.Log(svc.unit.name, err.Error())
	return ending{code: execFailed}
}

// spawn starts a command with the unit's environment, and what systemd tells it more.
func (svc *service) spawn(c command, told ...string) (*process, error) {
	s := svc.sup
	program, err := s.lookUp(c.argv[0])
	if err != nil {
		return nil, err
	}
	env, err := svc.environment(told...)
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", svc.unit.name, err)
	}
	args := make([]string, 0, len(c.argv))
	for _, a := range dropUser(c.argv[1:]) {
		args = append(args, s.argument(a))
	}
	cmd := exec.Command(program, args...) //nolint:gosec // running the units' programs is what it is for
	cmd.Args[0] = filepath.Base(c.argv[0])
	cmd.Env, cmd.Stdout, cmd.Stderr = env, write, write
	cmd.Dir = s.options.Root
	if d := strings.TrimPrefix(svc.unit.workingDirectory, "-"); d != "" && d != "~" {
		cmd.Dir = s.path(d)
	}
	return svc.launch(cmd, read, write)
}

func (svc *service) launch(cmd *exec.Cmd, read, write *os.File) (*process, error) {
	s := svc.sup
	p := &process{cmd: cmd, over: make(chan struct{})}
	s.mu.Lock()
	if s.off { // no process may start after the sweep has begun
		s.mu.Unlock()
		_, _ = read.Close(), write.Close()
		return nil, fmt.Errorf("start %s: the instance is off", svc.unit.name)
	}
	err := s.starter.start(cmd)
	s.mu.Unlock()
	_ = write.Close()
	if err != nil {
		_ = read.Close()
		return nil, fmt.Errorf("start %s: %w", svc.unit.name, err)
	}
	s.work.Go(func() { svc.copyLines(read) })
	s.work.Go(func() {
		p.end = endingOf(cmd.Wait())
		close(p.over)
	})
	return p, nil
}

// maxLine bounds a line that a unit prints; the rest of it is a new line.
const maxLine = 64 << 10

// copyLines passes a unit's output on until its last process has closed it.
func (svc *service) copyLines(r io.ReadCloser) {
	defer func() { _ = r.Close() }()
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		line, _, err := lines.ReadLine()
		if len(line) > 0 {
			svc.sup.options.Log(svc.unit.name, string(line))
		}
		if err != nil {
			return
		}
	}
}

func endingOf(err error) ending {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return ending{}
	case errors.As(err, &exit):
		status, _ := exit.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			return ending{signal: status.Signal()}
		}
		return ending{code: status.ExitStatus()}
	}
	return ending{code: execFailed}
}

// deadline is a timer that forever never fires.
type deadline struct {
	c     <-chan time.Time
	timer *time.Timer
}

func newDeadline(d time.Duration) *deadline {
	if d == forever {
		return &deadline{}
	}
	t := time.NewTimer(d)
	return &deadline{c: t.C, timer: t}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
