package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// maxPasses bounds the hunt: a job may start processes while its others are
	// killed, but not for ever.
	maxPasses = 25
	// settle is how long one pass waits for the killed to be gone. It takes a
	// millisecond, but for one that waits for a disk; all passes together stay
	// below the margin before EC2's deadline.
	settle = 200 * time.Millisecond
	// batch is how many processes are held at once: each takes a file descriptor,
	// and the usual limit is 1024.
	batch = 256
)

// KillJobs kills every process of the unit but the main one with SIGKILL: the
// jobs', so that the runner sees them end and reports them. They are those in the
// unit's control group, the main process' descendants wherever they are, and those
// in the sessions that these opened.
//
// The last are there because gitlab-runner's shell executor starts a job as its
// user by su, and su, where PAM has pam_systemd, puts it into a login session:
// session-c1.scope, out of the unit's group. There a job leaves a child that has a
// process session of its own and ignores SIGTERM. The runner ends the job, su and
// the shell die, and the child, whose parent is now process 1, is in neither group
// nor descent; but it holds the pipe that the runner reads the job's output from,
// and until that is closed the runner does not report the job. So the sessions are
// noted while su still leads to them: when the unit is stopped, before SIGTERM is
// sent to it, and at each listing here.
//
// A session that no descendant of the main process has been seen in, such as an
// operator's, is never touched.
func (u *Units) KillJobs(ctx context.Context, unit string) error {
	p, err := u.show(ctx, unit)
	if err != nil {
		return err
	}
	list := u.lister(unit, p)
	for range maxPasses {
		if ctx.Err() != nil {
			return &fleet.Failure{Kind: fleet.Temporary, Op: "kill the jobs of " + unit, Message: "no time left", Err: ctx.Err()}
		}
		killed, err := killOnce(list)
		if err != nil {
			return killFailed(unit, err)
		}
		if killed == 0 {
			return nil
		}
	}
	return &fleet.Failure{Kind: fleet.Temporary, Op: "kill the jobs of " + unit, Message: "some do not end, or new ones appear as fast as they are killed"}
}

func killFailed(unit string, err error) *fleet.Failure {
	f := &fleet.Failure{Kind: fleet.Local, Op: "kill the jobs of " + unit, Err: err}
	if errors.Is(err, unix.EPERM) {
		f.Kind, f.Mend = fleet.Denied, "the unit that runs Shoal needs CAP_KILL"
	}
	return f
}

// killOnce kills what is listed twice, once before and once after a handle on
// each process is taken: a number that went to another process in between is
// listed no more, or is the unit's own again. It returns how many it killed.
func killOnce(list func() (map[int]bool, error)) (int, error) {
	before, err := list()
	if err != nil {
		return 0, err
	}
	handles := map[int]int{}
	defer func() {
		for _, fd := range handles {
			_ = unix.Close(fd)
		}
	}()
	for pid := range before {
		if len(handles) == batch {
			break
		}
		fd, err := unix.PidfdOpen(pid, 0)
		switch {
		case err == nil:
			handles[pid] = fd
		case !errors.Is(err, unix.ESRCH):
			return 0, fmt.Errorf("take hold of process %d: %w", pid, err)
		}
	}
	after, err := list()
	if err != nil {
		return 0, err
	}
	return killHandles(handles, after)
}

func killHandles(handles map[int]int, listed map[int]bool) (int, error) {
	killed := 0
	for pid, fd := range handles {
		if !listed[pid] {
			_ = unix.Close(fd) // not ours any longer: nothing to wait for
			delete(handles, pid)
			continue
		}
		err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return killed, fmt.Errorf("kill process %d: %w", pid, err)
		}
		killed++
	}
	awaitEnd(handles)
	return killed, nil
}

// awaitEnd waits until the processes have ended, or the settling time is over.
func awaitEnd(handles map[int]int) {
	end := time.Now().Add(settle)
	for _, fd := range handles {
		left := time.Until(end)
		if left <= 0 {
			return
		}
		// A handle is readable once its process has ended. A failure only means
		// that the next pass looks sooner.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1) //nolint:gosec // a file descriptor fits
	}
}

// lister returns what lists the unit's processes but the main one, ours and
// those that are dead already.
func (u *Units) lister(unit string, p properties) func() (map[int]bool, error) {
	dir := u.cgroupDir(unit, p.cgroup)
	list := func() (map[int]bool, error) {
		pids, err := u.descendants(p.state.MainPID)
		if err != nil {
			return nil, err
		}
		u.noteSessionsOf(unit, p.state.MainPID, pids)
		left, err := u.inSessions(unit)
		maps.Copy(pids, left)
		if err != nil || dir == "" {
			return pids, err
		}
		grouped, err := cgroupProcs(dir)
		maps.Copy(pids, grouped)
		return pids, err
	}
	return func() (map[int]bool, error) {
		pids, err := list()
		if err != nil {
			return nil, err
		}
		delete(pids, p.state.MainPID)
		delete(pids, os.Getpid())
		delete(pids, 0) // a process outside of our pid namespace
		for pid := range pids {
			if s, err := u.stat(pid); err != nil || s.zombie {
				delete(pids, pid)
			}
		}
		return pids, nil
	}
}

// cgroupDir is the folder of a unit's control group, "" when it is not to be
// trusted or read. The group's name must be the unit's: "/" holds the whole
// machine.
func (u *Units) cgroupDir(unit, group string) string {
	group = path.Clean("/" + group)
	if path.Base(group) != unit {
		return ""
	}
	// The second and third are where cgroup v1 and the hybrid of both have it.
	for _, sub := range []string{"", "unified", "systemd"} {
		dir := filepath.Join(u.opts.CgroupFS, sub, group)
		if _, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err == nil { //nolint:gosec // cgroup path from systemd, checked above
			return dir
		}
	}
	return ""
}

// cgroupProcs lists the processes in a control group and those below it. A group
// that goes away meanwhile has none.
func cgroupProcs(dir string) (map[int]bool, error) {
	pids := map[int]bool{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.Name() != "cgroup.procs" {
			return err
		}
		data, err := os.ReadFile(name) //nolint:gosec // below the unit's control group
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			return err
		}
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids[pid] = true
			}
		}
		return nil
	})
	return pids, err
}
