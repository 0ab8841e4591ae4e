package cli

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/shoal-ci/shoal/internal/config"
)

// unseen are the folders that the units see empty (ProtectHome= of systemd.exec).
var unseen = []string{"/home", "/root", "/run/user"}

// unseenFolder is the folder because of which no unit sees what is at a path, or
// what a link there leads to; empty for none.
func unseenFolder(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path // not there, or not for this user: it is as it is written
	}
	for _, p := range []string{filepath.Clean(path), real} {
		below := func(folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }
		if i := slices.IndexFunc(unseen, below); i >= 0 {
			return unseen[i]
		}
	}
	return ""
}

// place warns of a file that whoever checks may see, and the units do not.
func (f *findings) place(key string, at config.Origin, path string) {
	if folder := unseenFolder(path); folder != "" {
		f.warn(key, at, fmt.Sprintf("the units do not see what is below %s (ProtectHome=yes): move %s elsewhere, below /etc/shoal for example", folder, path))
	}
}

// file looks whether scale-up can read the configuration, in a folder that it can
// enter.
func (f *findings) file(path string) {
	if path == "" {
		return // all is in the environment
	}
	at := config.Origin{File: path}
	f.place("", at, path)
	if info, err := os.Stat(path); err == nil && !openToShoal(info, 4) {
		f.warn("", at, fmt.Sprintf("the user shoal may not read it (mode %04o), and scale-up runs as that: chmod 644 it; it names secrets, and holds none", info.Mode().Perm()))
	}
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err == nil && !openToShoal(info, 1) {
		f.warn("", at, fmt.Sprintf("the user shoal may not enter the folder %s (mode %04o), and scale-up runs as that: chmod 755 it", folder, info.Mode().Perm()))
	}
}

// openToShoal tells whether everyone, or the group shoal, has a right (4 to read,
// 1 to enter).
func openToShoal(info fs.FileInfo, right fs.FileMode) bool {
	if info.Mode()&right != 0 {
		return true
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	group, err := user.LookupGroup("shoal")
	return ok && err == nil && info.Mode()&(right<<3) != 0 && group.Gid == strconv.FormatUint(uint64(stat.Gid), 10)
}
