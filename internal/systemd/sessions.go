package systemd

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// maxSessions bounds what is remembered of one unit: a session for each step of
// each job that runs, some dozens where a machine has many.
const maxSessions = 1024

// sessions remembers the control groups of the sessions that a unit's jobs opened:
// once su has ended, nothing leads from the unit to what it left behind in its
// session. Each is the folder as it was seen, so that another session of the same
// name, which is somebody else's, is told apart.
type sessions struct {
	mu     sync.Mutex
	byUnit map[string]map[string]os.FileInfo // unit, folder
}

// of returns the unit's sessions that are still there, and forgets the others.
func (s *sessions) of(unit string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var dirs []string
	for dir, was := range s.byUnit[unit] {
		if is, err := os.Stat(dir); err != nil || !os.SameFile(was, is) {
			delete(s.byUnit[unit], dir)
			continue
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

func (s *sessions) add(unit, dir string, is os.FileInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUnit == nil {
		s.byUnit = map[string]map[string]os.FileInfo{}
	}
	if s.byUnit[unit] == nil {
		s.byUnit[unit] = map[string]os.FileInfo{}
	}
	if _, known := s.byUnit[unit][dir]; known || len(s.byUnit[unit]) < maxSessions {
		s.byUnit[unit][dir] = is
	}
}

// noteSessions remembers the sessions of a main process' descendants. What cannot
// be read now is noted by a later listing or not at all: that must keep nobody
// from stopping the unit.
func (u *Units) noteSessions(unit string, main int) {
	if pids, err := u.descendants(main); err == nil {
		u.noteSessionsOf(unit, main, pids)
	}
}

func (u *Units) noteSessionsOf(unit string, main int, descendants map[int]bool) {
	noted := map[string]bool{}
	for _, dir := range u.sessions.of(unit) {
		noted[dir] = true
	}
	for pid := range descendants {
		dir := u.sessionDir(pid)
		if dir == "" || noted[dir] {
			continue
		}
		if is, err := os.Stat(dir); err == nil && u.madeByJob(dir, pid, main) {
			u.sessions.add(unit, dir, is)
			noted[dir] = true
		}
	}
}

// madeByJob tells whether a session is one that a job opened: a descendant of the
// main process is in it, and the main process itself is not. The descent is looked
// at after the group: the number that was listed may by then be a login shell's.
func (u *Units) madeByJob(dir string, pid, main int) bool {
	members, err := cgroupProcs(dir)
	return err == nil && members[pid] && !members[main] && u.descends(pid, main)
}

// sessionDir is the folder of the session's control group that a process is in,
// "" when it is in none.
func (u *Units) sessionDir(pid int) string {
	data, err := os.ReadFile(filepath.Join(u.opts.ProcFS, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		group, ok := systemdGroup(strings.TrimSuffix(line, "\n"))
		if name := path.Base(group); ok && isSession(name) {
			return u.cgroupDir(name, group)
		}
	}
	return ""
}

// systemdGroup reads "id:controllers:path", and takes only the hierarchies that
// systemd keeps its units in: version 2's and, with version 1 or a hybrid of both,
// the one named after it.
func systemdGroup(line string) (string, bool) {
	id, rest, _ := strings.Cut(line, ":")
	controllers, group, ok := strings.Cut(rest, ":")
	return group, ok && (id == "0" && controllers == "" || controllers == "name=systemd")
}

// isSession tells whether a control group is a login session's: session-ID.scope.
// All else that a process may have been moved to, such as a user's own manager or
// another service, is shared with what is no job.
func isSession(name string) bool {
	id, isSession := strings.CutPrefix(name, "session-")
	id, isScope := strings.CutSuffix(id, ".scope")
	return isSession && isScope && id != "" && strings.Trim(id, letters+strings.ToLower(letters)+digits) == ""
}

// inSessions lists the processes in the sessions that the unit's jobs opened.
func (u *Units) inSessions(unit string) (map[int]bool, error) {
	pids := map[int]bool{}
	for _, dir := range u.sessions.of(unit) {
		members, err := cgroupProcs(dir)
		if err != nil {
			return nil, err
		}
		maps.Copy(pids, members)
	}
	return pids, nil
}
