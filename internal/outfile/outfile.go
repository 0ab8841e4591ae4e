// Package outfile replaces files that people name: what a command writes for them at
// its end.
//
// It guarantees that a link stays a link, whether or not there is a file behind it, that
// a file which is replaced keeps its mode, and its owner where that may be given, and
// that a new one is as the umask says. When the file is whole, and takes its name, is
// left to the caller.
package outfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// mostLinks is how many links may lead to each other, as Linux has it.
const mostLinks = 40

// Target follows the links of a name to the file that is to be written. It need not be
// there, but its folder.
func Target(name string) (string, error) {
	for range mostLinks {
		dir, base := filepath.Split(name) // Dir would take ".." for what is written before it
		dir, err := filepath.EvalSymlinks(cmp.Or(dir, "."))
		if err != nil {
			return "", err
		}
		name = filepath.Join(dir, base)
		to, err := os.Readlink(name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EINVAL): // there is no such file, or it is no link
			return name, nil
		case err != nil:
			return "", err
		case filepath.IsAbs(to):
			name = to
		default:
			name = dir + string(filepath.Separator) + to
		}
	}
	return "", fmt.Errorf("%s: too many links", name)
}

// Create makes the file that is to take a target's name, which must not be there yet.
// Its error is fs.ErrExist where it is.
func Create(name, target string) (*os.File, error) {
	const asUmaskSays = 0o666
	old, err := os.Lstat(target)
	if err != nil || !old.Mode().IsRegular() {
		return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, asUmaskSays) //nolint:gosec // the umask is its user's word
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, old.Mode().Perm()&0o600) //nolint:gosec // whom it is opened to follows
	if err != nil {
		return nil, err
	}
	if st, ok := old.Sys().(*syscall.Stat_t); ok {
		_ = file.Chown(int(st.Uid), int(st.Gid)) // who may not give it away keeps it
	}
	if err := file.Chmod(old.Mode().Perm()); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(name))
	}
	return file, nil
}
