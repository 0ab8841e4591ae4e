package boot_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// instance is a machine under a real systemd.
type instance struct {
	id     string
	dir    string // its disk and console
	number int64  // among all machines of this run

	cmd     *exec.Cmd
	stdin   io.Closer
	servers []*http.Server
	ended   chan struct{}   // closed when nothing of it is left
	off     func(*instance) // it switched itself off

	complaints bytes.Buffer // what machine.sh said; to be read when it has ended

	mu     sync.Mutex
	killed bool
	boots  int
	last   string // that machine.sh said
	lines  []line
	cursor string // of the journal, up to where it is in lines
}

// start makes an instance of an image and boots it. handlers are served in its network.
func start(id, dir, image string, handlers map[string]http.Handler, off func(*instance)) (*instance, error) {
	m := &instance{id: id, dir: dir, number: numbers.Add(1), ended: make(chan struct{}), off: off}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// With the first process of them the namespaces end, and everything in them.
	m.cmd = exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "--propagation", "private",
		"./machine.sh", image, dir, m.control())
	m.cmd.Stderr = &m.complaints
	stdin, err := m.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	m.stdin = stdin
	out := bufio.NewScanner(stdout)
	if !out.Scan() || out.Text() != "ready" {
		m.kill()
		_ = m.cmd.Wait()
		return nil, fmt.Errorf("prepare the machine of %s: %s", id, m.complaints.String())
	}
	for address, h := range handlers {
		l, err := listenIn(m.cmd.Process.Pid, address)
		if err != nil {
			m.kill()
			_ = m.cmd.Wait()
			return nil, err
		}
		m.servers = append(m.servers, serve(l, h))
	}
	go m.follow(out)
	_, err = io.WriteString(stdin, "go\n")
	return m, err
}

// control is the name of the machine and of its control group: its own, though the
// worlds of two tests give their instances the same ids.
func (m *instance) control() string { return fmt.Sprintf("shoal-%d-%d", os.Getpid(), m.number) }

var numbers atomic.Int64

// follow waits for the machine's end.
func (m *instance) follow(out *bufio.Scanner) {
	for out.Scan() {
		m.mu.Lock()
		if out.Text() == "up" {
			m.boots++
		}
		m.last = out.Text()
		m.mu.Unlock()
	}
	_ = m.cmd.Wait()
	for _, s := range m.servers {
		_ = s.Close()
	}
	m.removeControl()
	m.mu.Lock()
	killed := m.killed
	m.mu.Unlock()
	if !killed {
		m.off(m)
	}
	close(m.ended)
}

// removeControl removes the machine's control groups, deepest first.
func (m *instance) removeControl() {
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		top := filepath.Join(root, m.control())
		if _, err := os.Stat(top); err != nil {
			continue
		}
		waitFor(10*time.Second, func() bool { // its processes are gone, but may not be counted out yet
			_ = exec.Command("find", top, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+").Run()
			_, err := os.Stat(top)
			return errors.Is(err, os.ErrNotExist)
		})
	}
}

// kill takes the power from the machine.
func (m *instance) kill() {
	m.mu.Lock()
	m.killed = true
	m.mu.Unlock()
	_ = m.cmd.Process.Kill()
	_ = m.stdin.Close()
}

// times is how often the machine has booted.
func (m *instance) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boots
}

// leader is the machine's first process as this machine numbers it, 0 while there
// is none: systemd-nspawn's child that is the first of its own namespace.
func (m *instance) leader() int {
	queue := []int{m.cmd.Process.Pid}
	for len(queue) > 0 {
		pid := queue[0]
		queue = append(queue[1:], children(pid)...)
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // empty when it is gone
		for line := range strings.Lines(string(data)) {
			// its number here, in the machine's outer namespace, in its own
			if f := strings.Fields(line); f[0] == "NSpid:" && len(f) > 3 && f[len(f)-1] == "1" {
				return pid
			}
		}
	}
	return 0
}

func children(pid int) (found []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // only a bad pattern is an error
	for _, f := range files {
		data, _ := os.ReadFile(f)
		for _, field := range strings.Fields(string(data)) {
			if n, err := strconv.Atoi(field); err == nil {
				found = append(found, n)
			}
		}
	}
	return found
}

// upTime is how long a machine may take to have a first process, at its boot and
// when it boots again.
const upTime = 10 * time.Second

// commandTime bounds what a test types on an instance.
const commandTime = 30 * time.Second

// run runs a program on the machine as root, and returns what it printed.
func (m *instance) run(args ...string) (string, error) { return m.pipe(commandTime, nil, args...) }

// write writes a file on the machine.
func (m *instance) write(path string, data []byte) error {
	_, err := m.pipe(commandTime, bytes.NewReader(data), "dd", "of="+path, "status=none")
	return err
}

func (m *instance) pipe(most time.Duration, stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	leader := 0
	if !waitFor(upTime, func() bool { leader = m.leader(); return leader != 0 }) {
		return "", fmt.Errorf("%s on %s: the machine is not up", args[0], m.id)
	}
	enter := []string{"--target", strconv.Itoa(leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root", "TERM=dumb"}
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s on %s: %w: %s", strings.Join(args, " "), m.id, err, stderr.String())
	}
	return stdout.String(), nil
}

// show is one property of a unit, as systemd says it; empty while it cannot say.
func (m *instance) show(unit, property string) string {
	out, _ := m.run("systemctl", "show", "--property="+property, "--value", unit)
	return strings.TrimSpace(out)
}

// pid is a unit's main process, 0 when it has none.
func (m *instance) pid(unit string) int {
	n, _ := strconv.Atoi(m.show(unit, "MainPID"))
	return n
}

// exists tells whether a file is on the machine.
func (m *instance) exists(path string) bool {
	_, err := m.run("test", "-e", path)
	return err == nil
}
