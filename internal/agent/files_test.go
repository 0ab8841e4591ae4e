package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

func newFilesIn(t testing.TB) *Files { return &Files{StateDir: t.TempDir(), RunDir: t.TempDir()} }

var registration = fleet.Registration{
	Mode: fleet.ModeCreate, URL: "https://gitlab.example", SystemID: "s_0123456789ab", Description: "ci/i-1", IntentAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	Runners: []fleet.RegisteredRunner{{ID: 1, Token: fleet.NewToken(runnersToken)}, {ID: 2, Token: fleet.NewToken("glrt-second")}},
}

// TestDefect8SecretsAreNotWorldReadable: no file but the registration holds a
// token, and nobody but its owner reads that one, not even while it is written.
func TestDefect8SecretsAreNotWorldReadable(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	f := newFilesIn(t)
	_, registered := f.WriteRegistration(registration)
	_, noticed := f.WriteNotice(fleet.Notice{Kind: fleet.NoticeSpot})
	for _, err := range []error{registered, noticed, f.SetFlag(life.FlagRegistered, true), f.WriteWhoami(life.Whoami{Group: "ci"})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{f.StateDir, f.RunDir} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			info, _ := e.Info()
			data, err := os.ReadFile(path)
			secret := strings.Contains(string(data), "glrt-")
			want := fs.FileMode(public)
			if secret {
				want = 0o600
			}
			if err != nil || info.Mode() != want || secret != (e.Name() == registrationFile) {
				t.Errorf("%s: mode %v, want %v, a token in it: %v", path, info.Mode(), want, secret)
			}
		}
	}
}

func TestRegistrationSurvives(t *testing.T) {
	f := newFilesIn(t)
	if r, err := f.Registration(); r != nil || err != nil {
		t.Fatalf("none yet: %v, %v", r, err)
	}
	for _, want := range []bool{true, false} {
		if changed, err := f.WriteRegistration(registration); err != nil || changed != want {
			t.Fatalf("changed %v, want %v; %v", changed, want, err)
		}
	}
	if r, err := f.Registration(); err != nil || !reflect.DeepEqual(*r, registration) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, want := range []bool{true, false} { // removing what is not there is done, too
		if changed, err := f.RemoveRegistration(); err != nil || changed != want {
			t.Fatalf("changed %v, want %v; %v", changed, want, err)
		}
	}
	if r, err := f.Registration(); r != nil || err != nil {
		t.Errorf("removed: %v, %v", r, err)
	}
}

// TestRegistrationIsMended: one of another mode, or of other words, is not the same.
func TestRegistrationIsMended(t *testing.T) {
	f := newFilesIn(t)
	path := f.state(registrationFile)
	other := registration
	other.Runners = other.Runners[:1]
	for what, spoil := range map[string]func() error{
		"readable by all":      func() error { return os.Chmod(path, public) },
		"another registration": func() error { _, err := f.WriteRegistration(other); return err },
		"no registration":      func() error { return os.WriteFile(path, []byte("{"), private) },
	} {
		if _, err := f.WriteRegistration(registration); err != nil {
			t.Fatal(err)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if changed, err := f.WriteRegistration(registration); err != nil || !changed {
			t.Errorf("%s: changed %v, %v", what, changed, err)
		}
		r, err := f.Registration()
		info, _ := os.Stat(path)
		if err != nil || !reflect.DeepEqual(*r, registration) || info.Mode() != private {
			t.Errorf("%s: %+v, %v, mode %v", what, r, err, info.Mode())
		}
	}
}

// TestRemoveRegistrationLeavesNoToken, not in a file whose writing was killed.
func TestRemoveRegistrationLeavesNoToken(t *testing.T) {
	f := newFilesIn(t)
	if err := os.WriteFile(f.state(".new-123"), []byte(runnersToken), private); err != nil {
		t.Fatal(err)
	}
	if changed, err := f.RemoveRegistration(); err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if left, _ := os.ReadDir(f.StateDir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestFlags(t *testing.T) {
	f := newFilesIn(t)
	all := []life.Flag{life.FlagStandby, life.FlagRegistered, life.FlagWarmed, life.FlagProtected, life.FlagUnable, life.FlagRefused, life.FlagCompleted}
	for _, flag := range all {
		for _, on := range []bool{true, true, false, false} {
			if err := f.SetFlag(flag, on); err != nil {
				t.Fatal(err)
			}
			got, err := f.Flags()
			want := map[life.Flag]fleet.Flags{
				life.FlagStandby: {Standby: on}, life.FlagRegistered: {Registered: on}, life.FlagWarmed: {Warmed: on}, life.FlagProtected: {Protected: on}, life.FlagUnable: {Unable: on}, life.FlagRefused: {Refused: on}, life.FlagCompleted: {Completed: on},
			}[flag]
			if err != nil || got != want {
				t.Errorf("%s %v: %+v, %v", flag, on, got, err)
			}
		}
	}
	f.RunDir = filepath.Join(f.RunDir, "not there")
	if got, err := f.Flags(); err != nil || got != (fleet.Flags{}) {
		t.Errorf("no run directory: %+v, %v", got, err)
	}
}

func TestFlagsHeld(t *testing.T) {
	o := newOutside()
	e := o.edges(t)
	o.held = true
	if got, err := e.readFlags(t.Context()); err != nil || !got.Held {
		t.Errorf("%+v, %v", got, err)
	}
	e.Runner = nil
	if got, err := e.readFlags(t.Context()); err != nil || got.Held {
		t.Errorf("without a runner's edge: %+v, %v", got, err)
	}
}

// TestNoticeIsWrittenOnce: the first stands, whoever writes at the same time.
func TestNoticeIsWrittenOnce(t *testing.T) {
	f := newFilesIn(t)
	kinds := []fleet.NoticeKind{fleet.NoticeScaleIn, fleet.NoticeSpot, fleet.NoticeOperator, fleet.NoticeDetached}
	var all sync.WaitGroup
	var written atomic.Int32
	for range 8 {
		for _, k := range kinds {
			all.Go(func() {
				changed, err := f.WriteNotice(fleet.Notice{Kind: k, SeenAt: time.Now()})
				if err != nil {
					t.Error(err)
				}
				if changed {
					written.Add(1)
				}
			})
		}
	}
	all.Wait()
	if n := written.Load(); n != 1 {
		t.Errorf("%d say that theirs is the notice", n)
	}
	first, err := f.Flags()
	if err != nil || first.Notice == nil {
		t.Fatalf("%+v, %v", first, err)
	}
	if changed, err := f.WriteNotice(fleet.Notice{Kind: fleet.NoticeMaintenance}); err != nil || changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if again, _ := f.Flags(); again.Notice.Kind != first.Notice.Kind {
		t.Errorf("%s was overwritten with %s", first.Notice.Kind, again.Notice.Kind)
	}
	if err := f.SetFlag(life.FlagNotice, false); err != nil {
		t.Fatal(err)
	}
	if again, err := f.Flags(); err != nil || again.Notice != nil {
		t.Errorf("removed: %+v, %v", again, err)
	}
	if left, _ := os.ReadDir(f.RunDir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestForeignFiles: what Shoal did not write is no notice and no registration,
// is named, is not quoted, and stands in the way of no notice.
func TestForeignFiles(t *testing.T) {
	for _, text := range []string{"", "\x00\x01", "glrt-secret", `{"kind":`, `[]`, `{}`, `null`, `"spot"`, `{"kind":"nonsense"}`, `{"kind":"spot"} trailing`, `{"kind":7}`, strings.Repeat("x", 1<<20)} {
		f := newFilesIn(t)
		path := f.run(string(life.FlagNotice))
		if err := os.WriteFile(path, []byte(text), public); err != nil {
			t.Fatal(err)
		}
		flags, err := f.Flags()
		var failure *fleet.Failure
		if flags.Notice != nil || !errors.As(err, &failure) || failure.Kind != fleet.Local || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.20q: notice %+v, %v", text, flags.Notice, err)
		}
		if changed, err := f.WriteNotice(fleet.Notice{Kind: fleet.NoticeSpot}); err != nil || !changed {
			t.Errorf("%.20q: changed %v, %v", text, changed, err)
		}
		if flags, err := f.Flags(); err != nil || flags.Notice == nil || flags.Notice.Kind != fleet.NoticeSpot {
			t.Errorf("%.20q stands in the way: %+v, %v", text, flags.Notice, err)
		}
	}
	f := newFilesIn(t)
	for _, path := range []string{f.state(registrationFile), f.run(whoamiFile)} {
		if err := os.WriteFile(path, []byte(`{"token":"glrt-secret"`), private); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := f.Registration(); r != nil || err == nil || strings.Contains(err.Error(), "glrt-") {
		t.Errorf("%v, %v", r, err)
	}
	if w, err := f.Whoami(); w != nil || err == nil {
		t.Errorf("%v, %v", w, err)
	}
}

func TestWhoami(t *testing.T) {
	f := newFilesIn(t)
	if w, err := f.Whoami(); w != nil || err != nil {
		t.Fatalf("none yet: %v, %v", w, err)
	}
	want := life.Whoami{Group: "ci", Identity: fleet.Identity{InstanceID: "i-1", Region: "eu-west-1"}}
	if err := f.WriteWhoami(want); err != nil {
		t.Fatal(err)
	}
	if w, err := f.Whoami(); err != nil || *w != want {
		t.Errorf("%+v, %v", w, err)
	}
}

// onFullDisk gives a folder in which nothing can be written to its end: a tmpfs
// of one page where this process may mount one, else files are bounded to a few
// bytes by their limit.
func onFullDisk(t *testing.T, do func(dir string)) {
	dir := t.TempDir()
	if err := syscall.Mount("shoal-test", dir, "tmpfs", 0, "size=8k"); err == nil {
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		do(dir)
		return
	}
	t.Log("no tmpfs may be mounted here: a limit on the files' size instead")
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	do(dir)
}

// fill writes until the disk is full, and gives back how to make room.
func fill(t *testing.T, dir string) (room func()) {
	path := filepath.Join(dir, "ballast")
	ballast, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 1024 {
		if _, err = ballast.Write(make([]byte, 1024)); err != nil {
			break
		}
	}
	_ = ballast.Close()
	var old syscall.Rlimit
	limited := err == nil
	if limited { // a large disk: bound this process's files instead
		_ = syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		_ = os.Remove(path)
		if limited {
			_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)
		}
	}
}

// TestDiskFull: what stood before stands, whole; when there is room again the
// same call succeeds.
func TestBefore(t *testing.T) {
	f := newFilesIn(t)
	if b, err := f.Before(); b != nil || err != nil {
		t.Errorf("%+v, %v where none was written", b, err)
	}
	want := life.Before{StartedAt: 1.5, JobsTotal: 9, Free: 2}
	if err := f.WriteBefore(want); err != nil {
		t.Fatal(err)
	}
	if b, err := f.Before(); err != nil || *b != want {
		t.Errorf("%+v, %v", b, err)
	}
	if info, err := os.Stat(f.run(beforeFile)); err != nil || info.Mode() != public {
		t.Errorf("%v, %v: scale-up's user could not read it", info, err)
	}
}

func TestDiskFull(t *testing.T) {
	onFullDisk(t, func(dir string) {
		f := &Files{StateDir: dir, RunDir: dir}
		if _, err := f.WriteRegistration(registration); err != nil {
			t.Fatal(err)
		}
		room := fill(t, dir)
		changed := registration
		changed.Runners = nil
		changed.Description = strings.Repeat("x", 6000)
		_, err := f.WriteRegistration(changed)
		var failure *fleet.Failure
		if !errors.As(err, &failure) || failure.Kind != fleet.Local || failure.Mend == "" || !strings.Contains(failure.Op, registrationFile) {
			t.Errorf("full disk: %v", err)
		}
		_, noticed := f.WriteNotice(fleet.Notice{Kind: fleet.NoticeSpot, Source: strings.Repeat("x", 6000)})
		room()
		if noticed == nil {
			t.Error("a notice on a full disk succeeded")
		}
		if r, err := f.Registration(); err != nil || !reflect.DeepEqual(*r, registration) {
			t.Errorf("the old one must stand: %+v, %v", r, err)
		}
		if flags, err := f.Flags(); err != nil || flags.Notice != nil {
			t.Errorf("half a notice: %+v, %v", flags.Notice, err)
		}
		if _, err := f.WriteNotice(fleet.Notice{Kind: fleet.NoticeSpot}); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, newFiles)); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// TestNoDirectory names the folder that is missing.
func TestNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	f := &Files{StateDir: dir, RunDir: dir}
	_, registered := f.WriteRegistration(registration)
	_, noticed := f.WriteNotice(fleet.Notice{Kind: fleet.NoticeSpot})
	for name, err := range map[string]error{
		"registration": registered, "notice": noticed,
		"flag": f.SetFlag(life.FlagWarmed, true), "whoami": f.WriteWhoami(life.Whoami{}), "before": f.WriteBefore(life.Before{}),
	} {
		if err == nil || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "glrt-") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzFiles(f *testing.F) {
	notice, _ := json.Marshal(fleet.Notice{Kind: fleet.NoticeSpot, SeenAt: time.Unix(1, 0)})
	whoami, _ := json.Marshal(life.Whoami{Group: "ci", Identity: fleet.Identity{InstanceID: "i-1"}})
	for _, seed := range [][]byte{notice, whoami, []byte(`{"mode":"create","runners":[{"id":1,"token":"glrt-x"}]}`), []byte(`{}`), []byte("null"), nil} {
		f.Add(seed)
	}
	dir := f.TempDir()
	files := &Files{StateDir: dir, RunDir: dir}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{registrationFile, whoamiFile, beforeFile, string(life.FlagNotice)} {
			if err := os.WriteFile(filepath.Join(dir, name), data, private); err != nil {
				t.Fatal(err)
			}
		}
		if flags, err := files.Flags(); err != nil && flags.Notice != nil || err == nil && flags.Notice == nil {
			t.Errorf("a file that stands is a notice or an error: %+v, %v", flags.Notice, err)
		} else if err == nil && (flags.Notice.Kind == "" || fmt.Sprint(flags.Notice.Kind) == "nonsense") {
			t.Errorf("a notice of no kind: %+v", flags.Notice)
		}
		if w, err := files.Whoami(); err != nil && w != nil {
			t.Error("an error and an answer")
		}
		if b, err := files.Before(); err != nil && b != nil {
			t.Error("an error and an answer")
		}
		r, err := files.Registration()
		if err != nil && r != nil {
			t.Error("an error and an answer")
		}
		if err == nil && r != nil {
			if _, err := files.WriteRegistration(*r); err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			if again, err := files.Registration(); err != nil || !reflect.DeepEqual(again, r) {
				t.Errorf("written and read again: %+v, %+v, %v", r, again, err)
			}
		}
	})
}
