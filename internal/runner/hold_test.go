package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// memory is a disk that fails, or dies, at a chosen operation: dead, the n-th
// effect and all that follow do not happen.
type memory struct {
	files  map[string][]byte
	failAt int // 1 is the first effect; 0 is none
	dead   bool
	err    error
	n      int
	temps  int
}

func (m *memory) step() error {
	m.n++
	if m.failAt != 0 && (m.n == m.failAt || m.dead && m.n > m.failAt) {
		return m.err
	}
	return nil
}

func (m *memory) read(path string) ([]byte, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	b, ok := m.files[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(b), nil
}

func (m *memory) create(path string, data []byte) (string, error) {
	if err := m.step(); err != nil {
		return "", err
	}
	m.temps++
	name := fmt.Sprintf("%s.%d.tmp", path, m.temps)
	m.files[name] = slices.Clone(data)
	return name, nil
}

func (m *memory) rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

func (m *memory) remove(path string) error {
	if err := m.step(); err != nil {
		return err
	}
	if _, ok := m.files[path]; !ok {
		return fs.ErrNotExist
	}
	delete(m.files, path)
	return nil
}

func (m *memory) syncDir(string) error { return m.step() }
func (m *memory) mkdir(string) error   { return m.step() }
func (m *memory) sweep(path string) {
	maps.DeleteFunc(m.files, func(name string, _ []byte) bool {
		return strings.HasPrefix(name, path+".") && strings.HasSuffix(name, ".tmp")
	})
}

const (
	full = "concurrent = 2\n[[runners]]\nexecutor = \"shell\"\ntoken = \"t\"\n[session_server]\nsession_timeout = 1\n"
	bare = "concurrent = 2\n[session_server]\nsession_timeout = 1\n"
)

func TestHoldAndResume(t *testing.T) {
	l := place(t, "")
	put(t, l.opts.ConfigPath, full)
	held := func(want bool) {
		t.Helper()
		if got, err := l.Held(t.Context()); got != want || err != nil {
			t.Errorf("Held = %v, %v; want %v", got, err, want)
		}
	}
	held(false)
	for _, want := range []bool{true, false} {
		if changed, err := l.Hold(t.Context()); err != nil || changed != want {
			t.Fatalf("changed %v, want %v; %v", changed, want, err)
		}
		held(true)
		if got := content(t, l.opts.ConfigPath); got != bare {
			t.Errorf("held: %q, want %q", got, bare)
		}
	}
	if st, err := os.Stat(l.heldPath()); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("held copy: %v, %v; want 0600", st, err)
	}
	for _, want := range []bool{true, false} {
		if changed, err := l.Resume(t.Context()); err != nil || changed != want {
			t.Fatalf("changed %v, want %v; %v", changed, want, err)
		}
		held(false)
		if got := content(t, l.opts.ConfigPath); got != full {
			t.Errorf("resumed: %q, want %q", got, full)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(l.opts.ConfigPath), ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestResumeKeepsAnEditedFile(t *testing.T) {
	l := place(t, "")
	put(t, l.opts.ConfigPath, full)
	if _, err := l.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(full, "concurrent = 2", "concurrent = 9", 1)
	put(t, l.opts.ConfigPath, edited)
	if held, err := l.Held(t.Context()); held || err != nil {
		t.Errorf("Held = %v, %v with sections in config.toml", held, err)
	}
	if _, err := l.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, l.opts.ConfigPath); got != edited {
		t.Errorf("got %q, want the edited file", got)
	}
	if _, err := os.Stat(l.heldPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the held copy is still there: %v", err)
	}
}

func TestResumeOverABrokenFile(t *testing.T) {
	for _, broken := range []string{"concurrent = \n", ""} {
		l := place(t, "")
		put(t, l.heldPath(), full)
		if broken != "" {
			put(t, l.opts.ConfigPath, broken)
		}
		if _, err := l.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := content(t, l.opts.ConfigPath); got != full {
			t.Errorf("got %q, want the held file", got)
		}
	}
}

func TestHoldRefusesABrokenFile(t *testing.T) {
	l := place(t, "")
	put(t, l.opts.ConfigPath, "[[runners]\n")
	_, err := l.Hold(t.Context())
	_ = failure(t, err, fleet.Local)
}

func TestConfigureDropsTheHeldCopy(t *testing.T) {
	l := place(t, "")
	put(t, l.opts.ConfigPath, full)
	if _, err := l.Hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Configure(t.Context(), registration(1)); err != nil {
		t.Fatal(err)
	}
	if held, err := l.Held(t.Context()); held || err != nil {
		t.Errorf("Held = %v, %v", held, err)
	}
}

// Each operation fails or is the last before a kill, at every place, once as a
// failure and once as a death: what is on the disk is whole, no token is lost,
// and doing it again succeeds.
func TestEveryFileOperationMayFail(t *testing.T) {
	start := func() map[string][]byte { return map[string][]byte{"d/config.toml": []byte(full)} }
	heldState := func() map[string][]byte {
		return map[string][]byte{"d/config.toml": []byte(bare), "d/.config.toml.held": []byte(full)}
	}
	verbs := []struct {
		name  string
		start func() map[string][]byte
		do    func(*testing.T, *Local) (bool, error)
		valid []string // config.toml may be one of these at any instant
	}{
		{"hold", start, func(t *testing.T, l *Local) (bool, error) { return l.Hold(t.Context()) }, []string{full, bare}},
		{"resume", heldState, func(t *testing.T, l *Local) (bool, error) { return l.Resume(t.Context()) }, []string{full, bare}},
		{"configure", start, func(t *testing.T, l *Local) (bool, error) { return l.Configure(t.Context(), registration(1)) }, nil},
	}
	for _, v := range verbs {
		// The undisturbed end.
		end := &memory{files: v.start()}
		if _, err := v.do(t, withDisk(end)); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		for at := 1; at <= end.n; at++ {
			for _, dead := range []bool{false, true} {
				m := &memory{files: v.start(), failAt: at, dead: dead, err: syscall.ENOSPC}
				l := withDisk(m)
				_, err := v.do(t, l)
				where := fmt.Sprintf("%s, operation %d of %d, dead %v", v.name, at, end.n, dead)
				if err == nil {
					t.Errorf("%s: no failure", where)
				} else if f := failure(t, err, fleet.Local); !strings.Contains(f.Mend, "free space") || f.Op == "" {
					t.Errorf("%s: %+v", where, f)
				}
				checkWhole(t, where, m, v.valid, dead)
				m.failAt = 0
				if _, err := v.do(t, l); err != nil {
					t.Errorf("%s: again: %v", where, err)
				}
				if !dead && !maps.EqualFunc(m.files, end.files, slices.Equal) {
					t.Errorf("%s: done again, got %q\nwant %q", where, m.files, end.files)
				}
			}
		}
	}
}

func checkWhole(t *testing.T, where string, m *memory, valid []string, dead bool) {
	t.Helper()
	config := string(m.files["d/config.toml"])
	if valid != nil && !slices.Contains(valid, config) {
		t.Errorf("%s: config.toml is %q", where, config)
	}
	if held := string(m.files["d/.config.toml.held"]); config == bare && held != full {
		t.Errorf("%s: the sections are lost, held copy %q", where, held)
	}
	for name := range m.files {
		if strings.HasSuffix(name, ".tmp") && !dead {
			t.Errorf("%s: %s left behind", where, name)
		}
	}
}

func withDisk(m *memory) *Local {
	l := New(Options{ConfigPath: "d/config.toml", TemplatePath: "t", ListenAddress: "localhost:9090"})
	l.disk = m
	return l
}

func TestFullDiskLeavesTheOldFile(t *testing.T) {
	// /dev/full stands for a full disk where a file system of one's own is not to
	// be had: writing to it fails as a real one does.
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	put(t, path, full)
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("x")
	_ = f.Close()
	got := failed("write", path, err)
	if want := "free space on the file system of " + dir; got.Mend != want || got.Kind != fleet.Local {
		t.Errorf("got %+v, want mend %q", got, want)
	}
}

func TestOSDiskSweepsWhatAKillLeft(t *testing.T) {
	l := place(t, "")
	temp, err := osDisk{}.create(l.opts.TemplatePath, []byte("half"))
	if err != nil {
		t.Fatal(err)
	}
	osDisk{}.sweep(l.opts.TemplatePath)
	if _, err := os.Stat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", temp, err)
	}
}

func TestReadRefusesHugeFiles(t *testing.T) {
	l := place(t, "#"+strings.Repeat("x", maxConfig))
	_, err := l.Sections(t.Context())
	_ = failure(t, err, fleet.Local)
}
