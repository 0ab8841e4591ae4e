package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/life"
)

// checkWritable refuses a verb that keeps files where this user may not: tried
// again, as what a machine fails at is, it would fail for ever. What root may not
// is no mistake of who types, and a drain must go on with it.
func checkWritable(name string, dirs config.Dirs) error {
	if os.Geteuid() == 0 {
		return nil
	}
	var closed []string
	for _, dir := range []string{dirs.State, dirs.Run} {
		if errors.Is(unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS), unix.EACCES) {
			closed = append(closed, dir)
		}
	}
	if len(closed) == 0 {
		return nil
	}
	return &commandError{
		code: life.BadUsage,
		err:  fmt.Errorf("%s keeps files in %s, where this user may not write", name, strings.Join(closed, " and ")),
		hint: "run it as root, with sudo for example",
	}
}
