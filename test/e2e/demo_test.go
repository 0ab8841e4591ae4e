package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// demo is `shoal demo` under way.
type demo struct {
	*exec.Cmd
	stdout, stderr buffer
	tmp            string
	family         map[int]string // its processes by id, with when they began
}

// buffer may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func startDemo(t *testing.T, more ...string) *demo {
	t.Helper()
	d := newDemo(t, more...)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	return d
}

// newDemo is one that has not begun.
func newDemo(t *testing.T, more ...string) *demo {
	t.Helper()
	d := &demo{Cmd: exec.Command(program, append([]string{"demo", "--duration", "60s", "--json"}, more...)...), family: map[int]string{}}
	tmp, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // short: sockets' paths are bounded
	if err != nil {
		t.Fatal(err)
	}
	d.tmp = tmp
	d.Env = append(os.Environ(), "TMPDIR="+tmp)
	d.Stdout, d.Stderr = &d.stdout, &d.stderr
	t.Cleanup(func() {
		if d.Process != nil {
			_ = d.Process.Kill() // nothing where it has ended
		}
		_ = os.RemoveAll(tmp)
		if t.Failed() {
			t.Logf("the demo said:\n%s%s", d.stdout.String(), d.stderr.String())
		}
	})
	return d
}

// end waits for the demo's end, noting its processes meanwhile, and returns its
// exit code.
func (d *demo) end(t *testing.T) int {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.Wait() // the exit code says how
	}()
	looks := time.NewTicker(500 * time.Millisecond)
	defer looks.Stop()
	for deadline := time.After(demoPatience); ; {
		select {
		case <-ended:
			return d.ProcessState.ExitCode()
		case <-looks.C:
			d.look()
		case <-deadline:
			t.Fatalf("the demo has not ended within %s", demoPatience)
		}
	}
}

// look notes the demo's children, and the processes of its instances.
func (d *demo) look() {
	pids := processes("TMPDIR=" + d.tmp + "/shoal-demo-")
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.Process.Pid)) // only a bad pattern is an error
	for _, path := range threads {
		children, _ := os.ReadFile(path)
		for _, field := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	for _, pid := range pids {
		if since := startedAt(pid); since != "" {
			d.family[pid] = since
		}
	}
}

// leavesNothing asserts that no process and no file of the demo is left.
func (d *demo) leavesNothing(t *testing.T) {
	t.Helper()
	if len(d.family) < 3 {
		t.Errorf("only %d processes of the demo were seen: this test looks at the wrong ones", len(d.family))
	}
	until(t, "the demo's processes to be gone", func() bool {
		for pid, since := range d.family {
			if startedAt(pid) == since {
				return false
			}
		}
		return len(processes("TMPDIR="+d.tmp)) == 0
	})
	left, err := os.ReadDir(d.tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("the demo left %v (%v)", left, err)
	}
}

// startedAt tells a process from another that got its id later; empty for none,
// and for one that is dead.
func startedAt(pid int) string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// demoPatience is far more than a minute's show may take to settle.
const demoPatience = 2 * time.Minute

func TestDemo(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	if code := d.end(t); code != 0 {
		t.Errorf("the demo exits with %d, want 0", code)
	}
	var got struct {
		Jobs      struct{ Submitted, Succeeded, Interrupted, Lost int }
		Wait      struct{ Mean, P95 float64 } `json:"wait_seconds"`
		Instances struct {
			Launched, Peak int
			AtEnd          int `json:"at_end"`
		}
		Ghosts int                               `json:"ghost_runners"`
		Calls  struct{ AutoScaling, GitLab int } `json:"api_calls"`
	}
	if err := json.Unmarshal([]byte(d.stdout.String()), &got); err != nil {
		t.Fatalf("stdout is not one object: %v", err)
	}
	switch j := got.Jobs; {
	case j.Submitted < 30, j.Lost != 0, j.Interrupted < 1, j.Succeeded+j.Interrupted != j.Submitted:
		t.Errorf("jobs are %+v, want 30 or more, none lost, one or more interrupted", j)
	}
	if i := got.Instances; i.Peak < 3 || i.AtEnd != 0 || i.Launched < i.Peak {
		t.Errorf("instances are %+v, want 3 or more at the peak, none at the end", i)
	}
	if got.Ghosts != 0 {
		t.Errorf("%d ghosts are left, want 0", got.Ghosts)
	}
	seesTheSpotDrainThrough(t, d.stderr.String())
	if got.Wait.P95 <= 0 || got.Calls.AutoScaling == 0 || got.Calls.GitLab == 0 {
		t.Errorf("waits %+v and calls %+v are not told", got.Wait, got.Calls)
	}
	d.leavesNothing(t)
}

var interruption = regexp.MustCompile(`demo: a spot interruption: EC2 takes (i-\S+) in`)

// seesTheSpotDrainThrough asserts that the show ends only when the interrupted
// instance has gone, its hook completed, and another has come in its place.
func seesTheSpotDrainThrough(t *testing.T, shown string) {
	t.Helper()
	m := interruption.FindStringSubmatch(shown)
	if m == nil {
		t.Fatal("no interruption was shown")
	}
	_, after, _ := strings.Cut(shown, m[0])
	drained := strings.Index(after, m[1]+" unregister      completed termination hook")
	gone := strings.Index(after, m[1]+" Terminating:Proceed → Terminated")
	if gone < 0 || drained < 0 || !strings.Contains(after[gone:], "Pending:Proceed → InService") {
		t.Errorf("the end of %s was not shown, or not its replacement:\n%s", m[1], after)
	}
}

func TestDemoInterrupt(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	until(t, "instances that run jobs", func() bool { return len(processes("TMPDIR="+d.tmp+"/shoal-demo-")) > 8 })
	d.look()
	if err := d.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := d.end(t); code == 0 {
		t.Errorf("an interrupted demo exits with 0")
	}
	mentions(t, d.stderr.String(), "interrupted; everything is cleaned up")
	if d.stdout.String() != "" {
		t.Errorf("an interrupted demo prints %q on stdout, want nothing", d.stdout.String())
	}
	d.leavesNothing(t)
}

// TestDemoUnread: nobody reads the picture to its end, as in shoal demo | head.
func TestDemoUnread(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	d := newDemo(t, "--json=false")
	d.Stdout = write
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "instances that run jobs", func() bool { return len(processes("TMPDIR="+d.tmp+"/shoal-demo-")) > 8 })
	d.look()
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	if code := d.end(t); code != 1 {
		t.Errorf("a demo that nobody looks at exits with %d, want 1", code)
	}
	mentions(t, d.stderr.String(), "interrupted; everything is cleaned up")
	d.leavesNothing(t)
}
