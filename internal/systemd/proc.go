package systemd

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// stat is what /proc/PID/stat says of a process.
type stat struct {
	parent int
	zombie bool
}

func (u *Units) stat(pid int) (stat, error) {
	data, err := os.ReadFile(filepath.Join(u.opts.ProcFS, strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(data))
}

var errStat = errors.New("not understood")

// parseStat reads "pid (name) state ppid …". The name may hold blanks and
// parentheses itself: the last one ends it.
func parseStat(line string) (stat, error) {
	i := strings.LastIndexByte(line, ')')
	if i < 0 {
		return stat{}, errStat
	}
	fields := strings.Fields(line[i+1:])
	if len(fields) < 2 {
		return stat{}, errStat
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, errStat
	}
	return stat{parent: parent, zombie: fields[0] == "Z" || fields[0] == "X"}, nil
}

// descendants lists the children of a process, theirs, and so on. Those whose
// parent has died are not among them: only a control group knows them.
func (u *Units) descendants(root int) (map[int]bool, error) {
	found := map[int]bool{}
	if root <= 1 {
		return found, nil // no main process; and never the whole machine
	}
	children, err := u.children()
	if err != nil {
		return nil, err
	}
	queue := []int{root}
	for len(queue) > 0 {
		pid := queue[0]
		queue = queue[1:]
		for _, child := range children[pid] {
			if !found[child] {
				found[child] = true
				queue = append(queue, child)
			}
		}
	}
	return found, nil
}

// maxDepth bounds the walk from a process to its ancestors, for the case that they
// change meanwhile and lead in a circle.
const maxDepth = 10_000

// descends tells whether a process comes from another one that is not process 1.
func (u *Units) descends(pid, root int) bool {
	for range maxDepth {
		s, err := u.stat(pid)
		if err != nil || s.parent <= 1 {
			return false
		}
		if s.parent == root {
			return true
		}
		pid = s.parent
	}
	return false
}

// children maps each process to its children.
func (u *Units) children() (map[int][]int, error) {
	entries, err := os.ReadDir(u.opts.ProcFS)
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := u.stat(pid); err == nil {
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	return children, nil
}
