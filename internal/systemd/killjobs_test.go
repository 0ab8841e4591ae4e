package systemd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// job is a real process tree: a main process that stays, with children and
// grandchildren that ignore SIGTERM.
type job struct {
	cmd  *exec.Cmd
	pids []int // main first
}

func startJob(t *testing.T) *job {
	t.Helper()
	const script = `trap "" TERM
sleep 600 & echo $!
bash -c 'trap "" TERM; sleep 600 & echo $!; wait' & echo $!
echo done
wait; wait; while :; do read -t 600 || exit; done`
	cmd := exec.Command("bash", "-c", script)
	stdin, err := cmd.StdinPipe() // the main process lives as long as this is open
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	j := &job{cmd: cmd, pids: []int{cmd.Process.Pid}}
	t.Cleanup(func() {
		for _, pid := range j.pids[1:] {
			if isChildOf(t, pid, j.pids) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		_ = cmd.Process.Kill()
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	j.readPids(t, stdout)
	return j
}

// readPids reads the three numbers; "done" may come before the grandchild's.
func (j *job) readPids(t *testing.T, r io.Reader) {
	t.Helper()
	lines := bufio.NewScanner(r)
	for done := false; (!done || len(j.pids) < 4) && lines.Scan(); {
		if lines.Text() == "done" {
			done = true
			continue
		}
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		j.pids = append(j.pids, pid)
	}
	if len(j.pids) != 4 {
		t.Fatalf("got processes %v, want four", j.pids)
	}
}

func isChildOf(t *testing.T, pid int, parents []int) bool {
	t.Helper()
	s, err := New(Options{}).stat(pid)
	if err != nil {
		return false
	}
	for _, p := range parents {
		if s.parent == p {
			return true
		}
	}
	return false
}

func alive(pid int) bool {
	s, err := New(Options{}).stat(pid)
	return err == nil && !s.zombie
}

func (j *job) check(t *testing.T, wantChildren bool) {
	t.Helper()
	if !alive(j.pids[0]) {
		t.Error("the main process is dead")
	}
	for _, pid := range j.pids[1:] {
		// SIGKILL was sent; the end is a matter of the scheduler.
		deadline := time.Now().Add(5 * time.Second)
		for alive(pid) != wantChildren && time.Now().Before(deadline) {
			syscall.Sync()
		}
		if alive(pid) != wantChildren {
			t.Errorf("process %d alive: %v, want %v", pid, !wantChildren, wantChildren)
		}
	}
}

func show(pid int, group string) map[string]answer {
	return map[string]answer{"show ": {out: fmt.Sprintf("MainPID=%d\nControlGroup=%s\nLoadState=loaded\nActiveState=active\n", pid, group)}}
}

func TestKillJobsByControlGroup(t *testing.T) {
	j := startJob(t)
	u, _ := fake(t, show(j.pids[0], "/system.slice/job.service"))
	u.opts.CgroupFS = t.TempDir()
	group := filepath.Join(u.opts.CgroupFS, "system.slice/job.service")
	// The main process and one child in the group, the others in one below; 0 is a
	// process of another pid namespace, ours is never killed.
	writePids(t, group, j.pids[0], j.pids[1], 0, os.Getpid())
	writePids(t, filepath.Join(group, "sub/deeper"), j.pids[2], j.pids[3])
	if err := u.KillJobs(t.Context(), "job.service"); err != nil {
		t.Fatal(err)
	}
	j.check(t, false)
	if err := u.KillJobs(t.Context(), "job.service"); err != nil {
		t.Errorf("with nothing left: %v", err)
	}
}

// su puts a job into the control group of a session where PAM says so.
func TestKillJobsInASessionsGroup(t *testing.T) {
	j := startJob(t)
	u, _ := fake(t, show(j.pids[0], "/system.slice/job.service"))
	u.opts.CgroupFS = t.TempDir()
	writePids(t, filepath.Join(u.opts.CgroupFS, "system.slice/job.service"), j.pids[0], j.pids[1])
	if err := u.KillJobs(t.Context(), "job.service"); err != nil {
		t.Fatal(err)
	}
	j.check(t, false)
}

func writePids(t *testing.T, dir string, pids ...int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(pids)), "\n"), "[]") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKillJobsByDescent(t *testing.T) {
	for name, group := range map[string]string{
		"no group": "", "the whole machine": "/", "another unit's": "/system.slice/sshd.service",
		"a group that is not there": "/system.slice/job.service", "out of the tree": "/../job.service",
	} {
		t.Run(name, func(t *testing.T) {
			j, other := startJob(t), startJob(t)
			u, _ := fake(t, show(j.pids[0], group))
			u.opts.CgroupFS = t.TempDir()
			writePids(t, u.opts.CgroupFS, other.pids...)
			writePids(t, filepath.Join(u.opts.CgroupFS, "system.slice/sshd.service"), other.pids...)
			if err := u.KillJobs(t.Context(), "job.service"); err != nil {
				t.Fatal(err)
			}
			j.check(t, false)
			other.check(t, true)
		})
	}
}

func TestKillJobsWithoutMainProcess(t *testing.T) {
	j := startJob(t)
	u, _ := fake(t, show(0, ""))
	if err := u.KillJobs(t.Context(), "job.service"); err != nil {
		t.Fatal(err)
	}
	j.check(t, true)
}

// A number that was listed before the handle on its process was taken, and is not
// listed after it, is another process now.
func TestKillOnceSparesReusedNumbers(t *testing.T) {
	j := startJob(t)
	lists := []map[int]bool{{j.pids[1]: true, j.pids[2]: true}, {j.pids[1]: true}}
	next := 0
	killed, err := killOnce(func() (map[int]bool, error) { next++; return lists[next-1], nil })
	if killed != 1 || err != nil {
		t.Errorf("killed %d, %v; want 1", killed, err)
	}
	if !alive(j.pids[2]) {
		t.Error("a process that is not listed any longer was killed")
	}
}

func TestKillJobsOfNoUnit(t *testing.T) {
	u, _ := fake(t, map[string]answer{"show ": {out: "MainPID=0\nControlGroup=\nLoadState=not-found\nActiveState=inactive\n"}})
	_ = failure(t, u.KillJobs(t.Context(), "job.service"), fleet.NotFound)
}

func TestKillWithoutThePermission(t *testing.T) {
	f := killFailed("job.service", fmt.Errorf("kill process 7: %w", syscall.EPERM))
	if f.Kind != fleet.Denied || !strings.Contains(f.Mend, "CAP_KILL") {
		t.Errorf("got %+v", f)
	}
}

func TestParseStat(t *testing.T) {
	for line, want := range map[string]stat{
		"12 (bash) S 1 12 12":                 {parent: 1},
		"12 (a) b) (c) Z 7 12 12":             {parent: 7, zombie: true},
		"12 (name with) 9 9 9 in it) R 3 1 1": {parent: 3},
	} {
		if got, err := parseStat(line); got != want || err != nil {
			t.Errorf("%q: got %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{"", "12 bash S 1", "12 (bash) S", "12 (bash) S x"} {
		if _, err := parseStat(line); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
}
