package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoal-ci/shoal/internal/world"
)

// fill makes a folder that nothing more can be written to: a full disk where
// this user may mount one, else a folder that is closed.
func fill(t *testing.T, dir string) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Error(err)
		return
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4k,mode=0700"); err != nil {
		t.Logf("cannot mount a small disk (%v): a folder without write permission instead", err)
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Error(err)
		}
		return
	}
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 4096), 0o600); err != nil {
		t.Error(err)
	}
}

func unmount(dir string) { _ = syscall.Unmount(dir, syscall.MNT_DETACH) } // nothing where none was mounted

// TestDiskFull: nothing is registered that cannot be kept; the path is named, and
// nothing half-written is left.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := open(t, inMode("create"), func(p *plan) {
		p.single = true
		p.prepare = func(root string) { fill(t, filepath.Join(root, "var/lib/shoal")) }
	})
	id := s.first()
	t.Cleanup(func() { unmount(s.path(id, "var/lib/shoal")) })
	l := s.untilExit("init", 1)
	mentions(t, l.Msg, s.path(id, "var/lib/shoal"), "has room")
	if !strings.Contains(l.Msg, "no space left") && !strings.Contains(l.Msg, "permission denied") {
		t.Errorf("the reason is not said: %s", l.Msg)
	}
	files, err := os.ReadDir(s.path(id, "var/lib/shoal"))
	for _, f := range files {
		if f.Name() != "filler" {
			t.Errorf("init left %s", f.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
	if own := s.own("create"); len(own) != 0 || calls(s.records(), "POST /api/v4/user/runners") != 0 {
		t.Errorf("a runner was made though it could not be kept: %+v", own)
	}
	if i := s.gone(id); i.Reason != world.ReasonLaunchAbandon {
		t.Errorf("the instance went for %q, want %q", i.Reason, world.ReasonLaunchAbandon)
	}
}
