package cli

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A daemon uses a small part of the program: most of what is in its memory was
// touched while it started. On an instance that is rented for its memory that is
// given back.
const (
	// trimFirst lets the first readings bring in what is really used.
	trimFirst = 30 * time.Second
	// trimEvery catches what a busy spell has left. It costs some hundred page
	// faults.
	trimEvery = 15 * time.Minute
	// daemonGC keeps the heap of a process that allocates some kilobytes a second
	// close to what it holds.
	daemonGC = 20
)

// keepSmall gives memory back from time to time, until stop is called.
func keepSmall() (stop func()) {
	debug.SetGCPercent(daemonGC)
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		wait := time.NewTimer(trimFirst)
		defer wait.Stop()
		for {
			select {
			case <-done:
				return
			case <-wait.C:
			}
			trim()
			wait.Reset(trimEvery)
		}
	})
	return func() { close(done); ended.Wait() }
}

// trim gives back the free heap and the pages of the program's own file. What is
// used comes back from the page cache at its next use; what was used only to
// start does not.
func trim() {
	debug.FreeOSMemory()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return // no /proc: nothing is lost but some memory
	}
	defer maps.Close()
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		if from, to, ok := ownPages(lines.Text(), self); ok {
			// a hint: where it is not taken nothing is lost but some memory
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}

// ownPages reads one line of /proc/self/maps: where a part of the program's file
// is that nobody can have written to.
func ownPages(line, self string) (from, to uintptr, ok bool) {
	var perms string
	if n, _ := fmt.Sscanf(line, "%x-%x %4s", &from, &to, &perms); n != 3 || from >= to {
		return 0, 0, false
	}
	return from, to, strings.HasSuffix(line, " "+self) && strings.HasPrefix(perms, "r") && !strings.Contains(perms, "w")
}
