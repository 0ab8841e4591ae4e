package supervisor

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// processesWith returns the living processes whose environment has every one of
// the markers. Zombies have none: they are dead.
func processesWith(markers ...string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && hasMarkers(environ, markers) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// hasMarkers looks for whole variables in a block of them.
func hasMarkers(environ []byte, markers []string) bool {
	variables := bytes.Split(environ, []byte{0})
	for _, m := range markers {
		if !slices.ContainsFunc(variables, func(v []byte) bool { return string(v) == m }) {
			return false
		}
	}
	return true
}

// killAll signals processes; one that has just gone is none of our business.
func killAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}

const (
	// sweepPause is between two looks at /proc: the kernel needs a moment.
	sweepPause = 2 * time.Millisecond
	// burial bounds the wait for one killed process. It takes a millisecond, but
	// for one that waits for a disk.
	burial = 5 * time.Second
)

// killAndBury kills processes and waits until they are gone: a dying process
// loses its environment, by which it is found, before it is dead.
func killAndBury(pids []int) {
	killAll(pids, sigkill)
	deadline := time.Now().Add(burial)
	for _, pid := range pids {
		for living(pid) && time.Now().Before(deadline) {
			time.Sleep(sweepPause)
		}
	}
}

// living tells whether a process has not ended; a zombie has.
func living(pid int) bool {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	// "pid (name) state …": the name may hold parentheses, the last one ends it.
	i := bytes.LastIndexByte(data, ')')
	return i < 0 || i+2 >= len(data) || (data[i+2] != 'Z' && data[i+2] != 'X')
}

// processes are the unit's living processes: what systemd calls its control
// group.
func (svc *service) processes() []int {
	return processesWith(instanceVariable+"="+svc.sup.options.Instance, unitVariable+"="+svc.unit.name)
}

// others are the unit's processes but the main one.
func (svc *service) others(main int) []int {
	return slices.DeleteFunc(svc.processes(), func(pid int) bool { return pid == main })
}
