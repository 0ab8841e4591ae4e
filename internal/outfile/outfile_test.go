package outfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestTarget(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.MkdirAll(in("far/deep"), 0o700), os.WriteFile(in("far/file"), nil, 0o600),
		os.Symlink("far/file", in("live")), os.Symlink("far/new", in("dangling")), os.Symlink(in("dangling"), in("twice")),
		os.Symlink("far/deep", in("deep")), os.Symlink("deep/../file", in("up")), os.Symlink("round", in("round")), os.Symlink("nowhere/file", in("lost")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"plain": "plain", "far/file": "far/file", "live": "far/file", "dangling": "far/new", "twice": "far/new",
		"deep/x": "far/deep/x", "up": "far/file", "round": "", "lost": "", "nowhere/x": "",
	} {
		got, err := Target(in(name))
		if want == "" && err == nil || want != "" && (err != nil || got != in(want)) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

// TestModes: what is replaced keeps its mode, whatever the umask; what is new has the
// umask's.
func TestModes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	for old, want := range map[fs.FileMode]fs.FileMode{0: 0o640, 0o600: 0o600, 0o666: 0o666, 0o444: 0o444} {
		target := filepath.Join(t.TempDir(), "out")
		if old != 0 {
			if err := errors.Join(os.WriteFile(target, nil, 0o600), os.Chmod(target, old)); err != nil {
				t.Fatal(err)
			}
		}
		file, err := Create(target+".part", target)
		if err != nil {
			t.Fatal(err)
		}
		info, err := file.Stat()
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("in place of %o: %o, want %o", old, info.Mode(), want)
		}
		if _, err := Create(target+".part", target); !errors.Is(err, fs.ErrExist) {
			t.Errorf("twice: %v", err)
		}
	}
}
