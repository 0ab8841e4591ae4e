package edges_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/runner"
	"github.com/shoal-ci/shoal/internal/simulate"
)

// disks are the folders of a fleet's instances.
type disks struct {
	root string
	mu   sync.Mutex
	made map[int]bool
	lost map[int]bool // what is true of a boot, until the next one
}

// newDisks puts them in memory where there is such a folder: a real disk would be
// waited for at each write.
func newDisks(t testing.TB) *disks {
	const memory = "/dev/shm"
	parent := ""
	if info, err := os.Stat(memory); err == nil && info.IsDir() {
		parent = memory
	}
	root, err := os.MkdirTemp(parent, "shoal-edges-") //nolint:usetesting // t.TempDir is on a disk
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	return &disks{root: root, made: map[int]bool{}, lost: map[int]bool{}}
}

// template writes the operator's template, the same for all.
func (d *disks) template(slots, sections int) {
	text := "concurrent = " + strconv.Itoa(slots) + "\ncheck_interval = 3\n" + strings.Repeat("\n[[runners]]\n  executor = \"shell\"\n", sections)
	must(os.WriteFile(filepath.Join(d.root, "template.toml"), []byte(text), 0o600))
}

// of is an instance's disk, which is made where it is not there yet.
func (d *disks) of(number int) disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := disk{filepath.Join(d.root, strconv.Itoa(number))}
	if d.lost[number] {
		delete(d.lost, number)
		must(os.RemoveAll(one.run()))
	}
	if !d.made[number] {
		d.made[number] = true
		must(os.MkdirAll(one.state(), 0o700))
		must(os.MkdirAll(filepath.Join(one.run(), "scale-up"), 0o700)) // by tmpfiles.d
		must(os.WriteFile(filepath.Join(one.dir, "file"), nil, 0o600))
	}
	return one
}

// wipe has an instance find nothing in its next boot of what was true of this one.
// Not at once: a process that was killed in this instant may be writing still.
func (d *disks) wipe(number int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost[number], d.made[number] = true, false
}

// disk is one instance's.
type disk struct{ dir string }

func (d disk) run() string      { return filepath.Join(d.dir, "run") }
func (d disk) state() string    { return filepath.Join(d.dir, "state") }
func (d disk) config() string   { return filepath.Join(d.dir, "etc", "config.toml") }
func (d disk) template() string { return filepath.Join(filepath.Dir(d.dir), "template.toml") }

// none is a folder in which nothing can be written.
func (d disk) none() string { return filepath.Join(d.dir, "file", "full") }

// read is what systemd's conditions, gitlab-runner and the judge see.
func (d disk) read() (on simulate.Disk, err error) {
	files := agent.Files{StateDir: d.state(), RunDir: d.run()}
	var errs [4]error
	on.Flags, errs[0] = files.Flags()
	on.Registration, errs[1] = files.Registration()
	on.Sections, errs[2] = sections(d.config())
	on.Held, errs[3] = sections(filepath.Join(filepath.Dir(d.config()), ".config.toml.held"))
	return on, errors.Join(errs[:]...)
}

// sections are those of a config.toml, as gitlab-runner reads them.
func sections(path string) (list []simulate.Section, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var c struct {
		Runners []struct{ Name, Token string }
	}
	if err == nil {
		err = toml.Unmarshal(text, &c)
	}
	for _, r := range c.Runners {
		list = append(list, simulate.Section{Name: r.Name, Token: r.Token})
	}
	return list, err
}

// tight is the runner's files on a disk that may be full: how that comes back from
// the system the edge's own tests show.
type tight struct {
	*runner.Local
	run *run
}

func (t tight) room(op string) error {
	if t.run.full {
		return &fleet.Failure{Kind: fleet.Local, Op: op, Message: "no space left on device"}
	}
	return nil
}

// Configure implements agent.Runner.
func (t tight) Configure(ctx context.Context, r fleet.Registration) (bool, error) {
	if err := t.room("write config.toml"); err != nil {
		return false, err
	}
	return t.Local.Configure(ctx, r)
}

// Hold implements agent.Runner.
func (t tight) Hold(ctx context.Context) (bool, error) {
	if err := t.room("write config.toml"); err != nil {
		return false, err
	}
	return t.Local.Hold(ctx)
}

// Resume implements agent.Runner.
func (t tight) Resume(ctx context.Context) (bool, error) {
	if err := t.room("write config.toml"); err != nil {
		return false, err
	}
	return t.Local.Resume(ctx)
}
