package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	unitsGroup  = "/system.slice/job.service"
	jobsSession = "/user.slice/user-999.slice/session-c1.scope"
)

// machine is a proc and a control group folder around real processes: what it says
// of their state is true, what of their groups is the test's.
type machine struct {
	t *testing.T
	u *Units
}

func newMachine(t *testing.T, main int) machine {
	t.Helper()
	u, _ := fake(t, map[string]answer{
		"show ": show(main, unitsGroup)["show "], "kill --kill-whom=main --signal=SIG": {}, "--no-block stop": {},
	})
	u.opts.CgroupFS, u.opts.ProcFS = t.TempDir(), t.TempDir()
	return machine{t, u}
}

// put has processes in a group, and their proc say what it says of it there; where
// a version 2 hierarchy is not mounted at the top, sub is its place.
func (m machine) put(sub, lines, group string, pids ...int) {
	m.t.Helper()
	writePids(m.t, filepath.Join(m.u.opts.CgroupFS, sub, group), pids...)
	for _, pid := range pids {
		dir := filepath.Join(m.u.opts.ProcFS, strconv.Itoa(pid))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			m.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup"), fmt.Appendf(nil, lines, group), 0o600); err != nil {
			m.t.Fatal(err)
		}
		_ = os.Symlink(fmt.Sprintf("/proc/%d/stat", pid), filepath.Join(dir, "stat"))
	}
}

const version2 = "0::%s\n"

// orphan starts a process that is no descendant of any job.
func orphan(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func wantAlive(t *testing.T, pid int, want bool) {
	t.Helper()
	if alive(pid) != want {
		t.Errorf("process %d alive: %v, want %v", pid, !want, want)
	}
}

// TestKillJobsAfterTheirSessionsLeader is a runner that got SIGTERM, or was
// stopped, and ended su and the shell; the job's orphan is left in their session.
func TestKillJobsAfterTheirSessionsLeader(t *testing.T) {
	hybrid := "12:pids:/system.slice\n1:name=systemd:%[1]s\n0::%[1]s\n"
	version1 := "12:pids:/user.slice/session-c9.scope\n1:name=systemd:%s\n0::/\n"
	for name, layout := range map[string]struct{ sub, lines string }{
		"version 2": {"", version2}, "hybrid": {"unified", hybrid}, "version 1": {"systemd", version1},
	} {
		for _, how := range []string{"TERM", "SIGTERM", "stop"} {
			t.Run(name+", "+how, func(t *testing.T) {
				j, left, operators := startJob(t), orphan(t), orphan(t)
				m := newMachine(t, j.pids[0])
				m.put(layout.sub, layout.lines, unitsGroup, j.pids[0], j.pids[1])
				m.put(layout.sub, layout.lines, jobsSession, j.pids[2], j.pids[3], left)
				m.put(layout.sub, layout.lines, "/user.slice/user-0.slice/session-7.scope", operators)
				m.end(how)
				j.kill(t, 2, 3)
				m.killJobs()
				j.check(t, false)
				wantAlive(t, left, false)
				wantAlive(t, operators, true)
				if dirs := m.u.sessions.of("other.service"); len(dirs) != 0 {
					t.Errorf("another unit has %q", dirs)
				}
			})
		}
	}
}

func (m machine) end(how string) {
	m.t.Helper()
	var err error
	if how == "stop" {
		_, err = m.u.Stop(m.t.Context(), "job.service")
	} else {
		err = m.u.Signal(m.t.Context(), "job.service", how)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) killJobs() {
	m.t.Helper()
	if err := m.u.KillJobs(m.t.Context(), "job.service"); err != nil {
		m.t.Fatal(err)
	}
}

// kill ends some of the job's processes.
func (j *job) kill(t *testing.T, which ...int) {
	t.Helper()
	for _, i := range which {
		if err := syscall.Kill(j.pids[i], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKillJobsNotesSessionsItself: nobody sent a signal before; the first pass
// kills the way to the orphan, and the orphan.
func TestKillJobsNotesSessionsItself(t *testing.T) {
	j, left := startJob(t), orphan(t)
	m := newMachine(t, j.pids[0])
	m.put("", version2, unitsGroup, j.pids[0], j.pids[1])
	m.put("", version2, jobsSession, j.pids[2], j.pids[3], left)
	m.killJobs()
	j.check(t, false)
	wantAlive(t, left, false)
}

// TestOtherSessionsAreSpared: what is not a session, or not one of a job's alone.
func TestOtherSessionsAreSpared(t *testing.T) {
	for name, c := range map[string]struct {
		group   string
		members func(j *job, other int) []int // of the group as the file system has it
	}{
		"a user's own manager": {"/user.slice/user-999.slice/user@999.service", withJob},
		"another service":      {"/system.slice/ssh.service", withJob},
		"a machine":            {"/machine.slice/machine-a.scope", withJob},
		"a name beside it":     {"/user.slice/session-c1-x.scope", withJob},
		"no session's number":  {"/user.slice/session-.scope", withJob},
		"below a session":      {"/user.slice/session-c1.scope/app.slice", withJob},
		"the whole machine":    {"/", withJob},
		"the main process' own": {jobsSession, func(j *job, other int) []int {
			return []int{j.pids[0], j.pids[1], j.pids[2], j.pids[3], other}
		}},
		"one that the job has left": {jobsSession, func(_ *job, other int) []int { return []int{other} }},
	} {
		t.Run(name, func(t *testing.T) {
			j, other := startJob(t), orphan(t)
			m := newMachine(t, j.pids[0])
			m.put("", version2, c.group, j.pids[1], j.pids[2], j.pids[3], other)
			m.put("", version2, unitsGroup, j.pids[0])
			writePids(t, filepath.Join(m.u.opts.CgroupFS, c.group), c.members(j, other)...)
			m.end("TERM")
			m.killJobs()
			j.check(t, false)
			wantAlive(t, other, true)
		})
	}
}

func withJob(j *job, other int) []int { return []int{j.pids[1], j.pids[2], j.pids[3], other} }

// A session's name may go to somebody else's once it has ended.
func TestASessionOfTheSameNameIsSpared(t *testing.T) {
	j, other := startJob(t), orphan(t)
	m := newMachine(t, j.pids[0])
	m.put("", version2, unitsGroup, j.pids[0])
	m.put("", version2, jobsSession, j.pids[1], j.pids[2], j.pids[3])
	m.end("TERM")
	dir := filepath.Join(m.u.opts.CgroupFS, jobsSession)
	if err := os.Rename(dir, filepath.Join(m.u.opts.CgroupFS, "was")); err != nil {
		t.Fatal(err)
	}
	j.kill(t, 1, 2, 3)
	m.put("", version2, jobsSession, other)
	m.killJobs()
	wantAlive(t, other, true)
}

// A number that was listed as a job's may be a login shell's by the time its
// session is looked up.
func TestASessionOfAReusedNumberIsSpared(t *testing.T) {
	j, other := startJob(t), orphan(t)
	m := newMachine(t, j.pids[0])
	m.put("", version2, unitsGroup, j.pids...)
	m.put("", version2, "/user.slice/session-7.scope", other)
	m.u.noteSessionsOf("job.service", j.pids[0], map[int]bool{other: true})
	if dirs := m.u.sessions.of("job.service"); len(dirs) != 0 {
		t.Errorf("noted %q", dirs)
	}
}

func TestSessionsAreBoundedAndForgotten(t *testing.T) {
	var s sessions
	dir := t.TempDir()
	for i := range maxSessions + 1 {
		name := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		is, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		s.add("job.service", name, is)
	}
	if n := len(s.of("job.service")); n != maxSessions {
		t.Errorf("%d are remembered, want %d", n, maxSessions)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if n := len(s.of("job.service")) + len(s.byUnit["job.service"]); n != 0 {
		t.Errorf("%d are remembered that are gone", n)
	}
}

// TestTermIsSentWhateverTheLookSays: without systemd's answer nothing is noted,
// and the runner gets its signal all the same.
func TestTermIsSentWhateverTheLookSays(t *testing.T) {
	for name, look := range map[string]answer{
		"fails": {code: 1, err: "Failed to get properties: Connection timed out\n"}, "is empty": {}, "no process": {out: "ActiveState=active\nMainPID=0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			u, asked := fake(t, map[string]answer{"show ": look, "kill --kill-whom=main --signal=SIGTERM job.service": {}})
			u.opts.ProcFS = t.TempDir()
			if err := u.Signal(t.Context(), "job.service", "TERM"); err != nil {
				t.Fatal(err)
			}
			if got := asked(); len(got) != 2 || got[1] != "C kill --kill-whom=main --signal=SIGTERM job.service" {
				t.Errorf("asked %q", got)
			}
		})
	}
	u, _ := fake(t, map[string]answer{"show ": {}, "kill ": {code: 1, err: "Failed to kill unit job.service: Unit job.service not loaded.\n"}})
	_ = failure(t, u.Signal(t.Context(), "job.service", "TERM"), fleet.NotFound)
}
