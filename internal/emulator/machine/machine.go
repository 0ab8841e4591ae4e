// Package machine makes local processes of emulated instances: each instance is
// a folder of its own, furnished as an image and user data would, in which a
// supervisor runs the packaged units.
//
// It guarantees that an instance reaches nothing but its own services, by the
// variables that every client honours, and that nothing of it is left running
// once it is killed.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/supervisor"
	"github.com/shoal-ci/shoal/packaging"
)

// Options say how instances are furnished.
type Options struct {
	Dir    string          // the instances' folders are made below it; short: sockets' paths are bounded
	Cloud  *emulator.Cloud // what they talk to
	Region string
	Token  string // a pre-made runner's
	Slots  int    // jobs at once
	// Config is more of shoal.toml: tables other than gitlab, runner and log.
	Config string
	// RunnerConfig is more of its table runner.
	RunnerConfig string
	// Template is the operator's part of gitlab-runner's config.toml; default a
	// shell executor with Slots.
	Template string
	// Env is added to the environment of every process. SHOAL_ variables in it
	// override what shoal.toml says.
	Env []string

	Shoal   string // the program's file; default this program's own
	Standin string // the file that stands in for systemctl and gitlab-runner; default Shoal
	// Runner is the gitlab-runner to use; default the stand-in. See FindRunner.
	Runner string
	// Line takes each line that a unit prints.
	Line func(instance, unit, text string)
}

// Machines are instances as processes. Its methods may be called from anywhere.
type Machines struct {
	Options
	mu      sync.Mutex
	running map[string]*supervisor.Supervisor
	ports   map[int]bool
}

// unitWebhook runs beside the fleet: see Serve.
const unitWebhook = "shoal-webhook.service"

// maxRestart caps RestartSec= of the units: who watches cannot wait for the two
// minutes of GitLab's own.
const maxRestart = 2 * time.Second

// New returns machines that are all off.
func New(o Options) (*Machines, error) {
	if o.Shoal == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program's own file: %w", err)
		}
		o.Shoal = self
	}
	if o.Standin == "" {
		o.Standin = o.Shoal
	}
	if o.Runner == "" {
		o.Runner = o.Standin
	}
	if o.Template == "" {
		o.Template = fmt.Sprintf(runnerTemplate, o.Slots)
	}
	if o.Line == nil {
		o.Line = func(string, string, string) {}
	}
	return &Machines{Options: o, running: map[string]*supervisor.Supervisor{}, ports: map[int]bool{}}, nil
}

// FindRunner is the real gitlab-runner on the PATH, empty where there is none.
func FindRunner() string {
	path, err := exec.LookPath("gitlab-runner")
	if err != nil {
		return ""
	}
	return path
}

// Boot starts an instance: its folder is furnished unless it boots again.
func (m *Machines) Boot(id string, again bool) error {
	root := filepath.Join(m.Dir, id)
	if !again {
		if err := m.furnish(root); err != nil {
			return fmt.Errorf("furnish instance %s: %w", id, err)
		}
	}
	if err := m.clearRun(root); err != nil {
		return fmt.Errorf("boot instance %s: %w", id, err)
	}
	s, err := supervisor.New(supervisor.Options{
		// Two emulations on one machine may have instances of the same id: the
		// folder tells whose processes are whose.
		Instance: root, Root: root, Units: m.units(),
		Path: append([]string{filepath.Join(root, "bin")}, filepath.SplitList(os.Getenv("PATH"))...),
		Env:  m.env(root, id), MaxRestartSec: maxRestart, Disabled: []string{"shoal-reap.service", unitWebhook}, // run elsewhere
		Log: func(unit, line string) { m.Line(id, unit, line) },
	})
	if err != nil {
		return fmt.Errorf("boot instance %s: %w", id, err)
	}
	m.mu.Lock()
	m.running[id] = s
	m.mu.Unlock()
	s.Boot()
	return nil
}

// Serve boots a machine beside the fleet, on which the webhook's unit runs alone with
// this configuration. It ends with KillAll.
func (m *Machines) Serve(name, config string) error {
	root := filepath.Join(m.Dir, name)
	for dir, mode := range map[string]fs.FileMode{"bin": 0o700, "etc/shoal": 0o755, "var/lib/shoal": 0o700, "tmp": 0o700, "run/shoal": 0o700} { // as packaged
		if err := os.MkdirAll(filepath.Join(root, dir), mode); err != nil {
			return fmt.Errorf("furnish %s: %w", name, err)
		}
	}
	err := errors.Join(os.Symlink(m.Shoal, filepath.Join(root, "bin", "shoal")),
		os.WriteFile(filepath.Join(root, "etc/shoal/shoal.toml"), []byte(config), 0o644)) //nolint:gosec // as packaged: it names secrets, and holds none
	if err != nil {
		return fmt.Errorf("furnish %s: %w", name, err)
	}
	s, err := supervisor.New(supervisor.Options{
		Instance: root, Root: root, Units: m.units(), Path: append([]string{filepath.Join(root, "bin")}, filepath.SplitList(os.Getenv("PATH"))...),
		Env: m.env(root, ""), MaxRestartSec: maxRestart, Disabled: instanceUnits,
		Log: func(unit, line string) { m.Line(name, unit, line) },
	})
	if err != nil {
		return fmt.Errorf("boot %s: %w", name, err)
	}
	m.mu.Lock()
	m.running[name] = s
	m.mu.Unlock()
	s.Boot()
	return nil
}

// instanceUnits are those that a machine beside the fleet does not start.
var instanceUnits = []string{"runner-init.service", "monitor-jobs.service", "lifecycle-check.service", "gitlab-runner.service", "shoal-reap.service"}

// units are Shoal's own, as they are packaged, and the unit that GitLab's
// package of gitlab-runner brings.
func (m *Machines) units() []fs.FS { return []fs.FS{packaging.Units(), supervisor.PackagedUnits()} }

// Kill takes the power from an instance.
func (m *Machines) Kill(id string) {
	m.mu.Lock()
	s := m.running[id]
	delete(m.running, id)
	m.mu.Unlock()
	if s != nil {
		s.Kill()
	}
}

// KillAll takes the power from all of them.
func (m *Machines) KillAll() {
	m.mu.Lock()
	var ids []string
	for id := range m.running {
		ids = append(ids, id)
	}
	m.mu.Unlock()
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() { m.Kill(id) })
	}
	all.Wait()
}

// furnish makes an instance's folder, as an image and user data would.
func (m *Machines) furnish(root string) error {
	for _, dir := range []string{"bin", "etc/shoal", "etc/gitlab-runner", "var/lib/shoal", "var/lib/gitlab-runner", "tmp", "run/shoal"} {
		mode := fs.FileMode(0o700)
		if dir == "etc/shoal" {
			mode = 0o755 // as packaged: the user shoal reads the configuration
		}
		if err := os.MkdirAll(filepath.Join(root, dir), mode); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"shoal": m.Shoal, "systemctl": m.Standin, "gitlab-runner": m.Runner} {
		if err := os.Symlink(target, filepath.Join(root, "bin", name)); err != nil {
			return err
		}
	}
	var conf strings.Builder
	port, err := m.FreePort()
	if err == nil {
		err = configuration.Execute(&conf, map[string]any{"Root": root, "URL": m.Cloud.GitLabURL(), "Port": port, "Runner": m.RunnerConfig, "More": m.Config})
	}
	return errors.Join(err,
		os.WriteFile(filepath.Join(root, "etc/shoal/shoal.toml"), []byte(conf.String()), 0o644), //nolint:gosec // as packaged: it names a secret, and holds none
		os.WriteFile(filepath.Join(root, "etc/shoal/config.template.toml"), []byte(m.Template), 0o600),
		os.WriteFile(filepath.Join(root, "etc/shoal/token"), []byte(m.Token+"\n"), 0o600))
}

// clearRun empties /run, as every boot does.
func (m *Machines) clearRun(root string) error {
	run := filepath.Join(root, "run/shoal")
	return errors.Join(os.RemoveAll(run), os.MkdirAll(run, 0o700))
}

// configuration is an instance's shoal.toml.
var configuration = template.Must(template.New("shoal.toml").Parse(`[gitlab]
url = "{{.URL}}"
token = "file:{{.Root}}/etc/shoal/token"

[runner]
config = "{{.Root}}/etc/gitlab-runner/config.toml"
template = "{{.Root}}/etc/shoal/config.template.toml"
listen_address = "127.0.0.1:{{.Port}}"
{{.Runner}}
{{.More}}
[log]
format = "json"
`))

// runnerTemplate is the operator's part of gitlab-runner's config.toml.
const runnerTemplate = `# what an operator writes; shoal init adds url, token and metrics
concurrent = %d
check_interval = 1

[[runners]]
  name = "emulated"
  executor = "shell"
`

// env leads an instance's processes to its own services, by the variables that
// every AWS client honours.
func (m *Machines) env(root, id string) []string {
	return append([]string{
		"HOME=" + filepath.Join(root, "var/lib/gitlab-runner"),
		"TMPDIR=" + filepath.Join(root, "tmp"),
		"LANG=C.UTF-8",
		"AWS_ENDPOINT_URL=" + m.Cloud.AutoScalingURL(),
		"AWS_EC2_METADATA_SERVICE_ENDPOINT=" + m.Cloud.MetadataURL(id),
		"AWS_REGION=" + m.Region,
		"AWS_ACCESS_KEY_ID=demo",
		"AWS_SECRET_ACCESS_KEY=demo",
		"SHOAL_CONFIG=" + filepath.Join(root, "etc/shoal/shoal.toml"),
		"SHOAL_STATE_DIR=" + filepath.Join(root, "var/lib/shoal"),
		"SHOAL_RUN_DIR=" + filepath.Join(root, "run/shoal"),
	}, m.Env...)
}

// FreePort finds a port of loopback for a server of an instance, or beside it, below those that the kernel
// gives to outgoing connections: another program's connection could take one of
// these between now and the runner's start.
func (m *Machines) FreePort() (int, error) {
	const low, high = 20000, 32000
	m.mu.Lock()
	defer m.mu.Unlock()
	for range 200 {
		port := low + rand.IntN(high-low) //nolint:gosec // any free port will do
		if m.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		m.ports[port] = true
		return port, l.Close()
	}
	return 0, fmt.Errorf("find a free port between %d and %d on 127.0.0.1: none of 200 tries was free", low, high)
}

// Root is an instance's folder.
func (m *Machines) Root(id string) string { return filepath.Join(m.Dir, id) }

// Command is a program of an instance's PATH, run in its environment from
// outside of its units: what an operator types on it. The instance must be on.
func (m *Machines) Command(ctx context.Context, id, name string, args ...string) (*exec.Cmd, error) {
	env, err := m.Environ(id)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(m.Root(id), "bin", name), args...)
	cmd.Env = env
	return cmd, nil
}

// Environ is an operator's environment on an instance. The instance must be on.
func (m *Machines) Environ(id string) ([]string, error) {
	m.mu.Lock()
	s := m.running[id]
	m.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("instance %s is off", id)
	}
	return s.Environ(), nil
}
