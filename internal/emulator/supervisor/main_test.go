package supervisor

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/shoal-ci/shoal/internal/emulator/standin"
)

// TestMain lets the test binary be the programs that the units run.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "systemctl":
		os.Exit(Systemctl(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	case "gitlab-runner":
		os.Exit(standin.Main(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	case "ready":
		os.Exit(readyProgram(os.Args[1:]))
	case "demo":
		os.Exit(demoProgram(os.Args[1]))
	}
	goleak.VerifyTestMain(m)
}

// readyProgram says READY=1 unless told not to, and ends at SIGTERM.
func readyProgram(args []string) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	if slices.Contains(args, "never") {
		return 0
	}
	address := strings.Replace(os.Getenv("NOTIFY_SOCKET"), "@", "\x00", 1)
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, _ = io.WriteString(conn, "READY=1\nSTATUS=watching")
	<-signals
	return 0
}

// demoProgram supervises an instance until it is killed.
func demoProgram(root string) int {
	s, err := New(Options{
		Instance: root, Root: root, Units: []fs.FS{os.DirFS(filepath.Join(root, "units"))},
		Path: []string{filepath.Join(root, "bin"), "/usr/bin", "/bin"}, Log: func(u, l string) { fmt.Println(u, l) },
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s.Boot()
	select {}
}

// patience bounds every wait of a test; a loaded machine is slow.
const patience = 20 * time.Second

// eventually polls a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-ticker.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

// instance is one supervisor under test.
type instance struct {
	*Supervisor
	t    *testing.T
	root string
	mu   sync.Mutex
	log  []string
}

var instances = struct {
	sync.Mutex
	n int
}{}

// start makes an instance with units and scripts: names that end in .service or
// .conf are units, the others programs.
func boot(t *testing.T, files map[string]string) *instance {
	t.Helper()
	i := &instance{t: t, root: t.TempDir()}
	units := fstest.MapFS{}
	bin := filepath.Join(i.root, "bin")
	must(t, os.Mkdir(bin, 0o700))
	for name, text := range files {
		if strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".conf") {
			units[name] = &fstest.MapFile{Data: []byte(text)}
			continue
		}
		must(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/bash\n"+text+"\n"), 0o700))
	}
	linkPrograms(t, bin)
	instances.Lock()
	instances.n++
	id := fmt.Sprintf("i-test-%d-%d", os.Getpid(), instances.n)
	instances.Unlock()
	s, err := New(Options{
		Instance: id, Root: i.root, Units: []fs.FS{units}, Path: []string{bin, "/usr/bin", "/bin"},
		Env: []string{"OUT=" + i.root, "SELF=" + i.root}, MaxRestartSec: 50 * time.Millisecond, Log: i.line,
	})
	must(t, err)
	i.Supervisor = s
	t.Cleanup(func() {
		s.Kill()
		if left := s.Processes(); len(left) > 0 {
			t.Errorf("processes %v outlived Kill", left)
		}
		if t.Failed() {
			i.mu.Lock()
			defer i.mu.Unlock()
			t.Log(strings.Join(i.log, "\n"))
		}
	})
	return i
}

func linkPrograms(t *testing.T, bin string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	for _, name := range []string{"systemctl", "ready", "gitlab-runner"} {
		must(t, os.Symlink(self, filepath.Join(bin, name)))
	}
}

func (i *instance) line(unit, line string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.log = append(i.log, unit+": "+line)
}

// hears waits until a unit has logged something.
func (i *instance) hears(text string) {
	i.t.Helper()
	eventually(i.t, "logged: "+text, func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		return strings.Contains(strings.Join(i.log, "\n"), text)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is waits for a unit's ActiveState.
func (i *instance) is(name, want string) {
	i.t.Helper()
	eventually(i.t, name+" is "+want, func() bool { active, _ := i.State(name); return active == want })
}

// lines is how many lines a program has written to a file of the root.
func (i *instance) lines(name string) int {
	data, _ := os.ReadFile(filepath.Join(i.root, name))
	return strings.Count(string(data), "\n")
}

// pid reads a process id that a program wrote.
func (i *instance) pid(name string) int {
	i.t.Helper()
	n := 0
	eventually(i.t, name+" is written", func() bool {
		data, _ := os.ReadFile(filepath.Join(i.root, name))
		n, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return n > 0
	})
	return n
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
