package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options says what an instance's supervisor works with.
type Options struct {
	// Instance is the instance's id. It marks every process of the instance
	// (variable EMULATED_INSTANCE), so it must be the instance's alone.
	Instance string
	// Root is the instance's own tree. What a unit says of /etc, /var and /run
	// is meant below it.
	Root string
	// Units are the unit files; the first source that has a unit wins.
	Units []fs.FS
	// Path are the directories in which a unit's program is looked up by its
	// base name, and the PATH of every process.
	Path []string
	// Env is added to the environment of every process. Nothing else of this
	// program's own environment is passed on.
	Env []string
	// MaxRestartSec caps RestartSec=, so that a demo need not wait two minutes
	// for gitlab-runner's; 0 means no cap.
	MaxRestartSec time.Duration //nolint:staticcheck // named after the directive
	// Disabled are units that Boot does not start though they could be enabled.
	Disabled []string
	// Log takes each line that a unit prints, and the supervisor's own with the
	// unit they are about. It may be called by several goroutines at once, and
	// must not call the supervisor back.
	Log func(unit, line string)
}

// Supervisor runs the units of one instance. Make it with New, end it with Kill
// or Shutdown.
type Supervisor struct {
	options  Options
	starter  *starter
	guardian *guardian
	control  *controlServer
	services map[string]*service // fixed after New

	mu   sync.Mutex
	off  bool          // the power is off: nothing starts any more
	down bool          // shutting down: nothing starts by itself any more
	dead chan struct{} // closed with off: ends every pause

	// work counts activations and queued jobs.
	work sync.WaitGroup
}

// instanceVariable and unitVariable mark the processes of an instance and of a
// unit; children inherit them, whatever session or parent they end up with.
// No variable of ours begins with SHOAL_: those are Shoal's own configuration.
const (
	instanceVariable = "EMULATED_INSTANCE"
	unitVariable     = "EMULATED_UNIT"
)

// ControlVariable tells the stand-in systemctl where its supervisor listens.
const ControlVariable = "EMULATED_SYSTEMD"

// bootTarget is what an instance starts at boot.
const bootTarget = "multi-user.target"

// New reads all units, refuses what it does not understand, and listens for
// systemctl. It starts no unit: Boot does.
func New(o Options) (*Supervisor, error) {
	if o.Instance == "" || !filepath.IsAbs(o.Root) {
		return nil, fmt.Errorf("supervise instance %q: an id and an absolute root are needed, got root %q", o.Instance, o.Root)
	}
	if o.Log == nil {
		o.Log = func(string, string) {}
	}
	s := &Supervisor{options: o, services: map[string]*service{}, dead: make(chan struct{})}
	if err := s.loadAll(); err != nil {
		return nil, err
	}
	for _, dir := range []string{"etc", "var", "run"} {
		if err := os.MkdirAll(filepath.Join(o.Root, dir), 0o700); err != nil {
			return nil, fmt.Errorf("make instance's folder: %w", err)
		}
	}
	if err := s.makeFolders(); err != nil {
		return nil, err
	}
	s.starter = newStarter()
	var err error
	if s.guardian, err = newGuardian(o.Instance); err != nil {
		s.starter.close()
		return nil, err
	}
	if err := s.listen(); err != nil {
		s.starter.close()
		s.guardian.close()
		return nil, err
	}
	return s, nil
}

func (s *Supervisor) loadAll() error {
	for _, source := range s.options.Units {
		names, err := fs.Glob(source, "*.service")
		if err != nil {
			return fmt.Errorf("list units: %w", err)
		}
		for _, name := range names {
			if s.services[name] != nil {
				continue
			}
			u, err := load(s.options.Units, name)
			if err != nil {
				return err
			}
			s.services[name] = &service{sup: s, unit: u, active: "inactive", sub: "dead", result: "success"}
		}
	}
	return s.checkReferences()
}

// checkReferences refuses a unit that names one which does not exist: systemd
// itself never notices a missing OnSuccess= target.
func (s *Supervisor) checkReferences() error {
	for _, svc := range s.services {
		for _, list := range [][]string{svc.unit.onSuccess, svc.unit.onFailure, svc.unit.requires, svc.unit.wants, svc.unit.conflicts} {
			for _, name := range list {
				if s.services[name] == nil && strings.HasSuffix(name, ".service") {
					return fmt.Errorf("unit %s: names %s, which does not exist", svc.unit.name, name)
				}
			}
		}
	}
	return nil
}

// Boot starts the units that multi-user.target wants, each after those it is
// ordered after, and returns at once.
func (s *Supervisor) Boot() {
	var set []*service
	for _, name := range s.names() {
		if svc := s.services[name]; slices.Contains(svc.unit.wantedBy, bootTarget) && !slices.Contains(s.options.Disabled, name) {
			set = append(set, svc)
		}
	}
	done := make(map[string]chan struct{}, len(set))
	for _, svc := range set {
		done[svc.unit.name] = make(chan struct{})
	}
	for _, svc := range set {
		s.enqueue(func() {
			defer close(done[svc.unit.name])
			for _, other := range set {
				if other != svc && ordered(other.unit, svc.unit) {
					<-done[other.unit.name]
				}
			}
			if err := s.start(context.Background(), svc); err != nil {
				s.options.Log(svc.unit.name, err.Error())
			}
		})
	}
}

// ordered tells whether a goes before b. A loop would be a deadlock; Boot's
// units are few and checked by a test.
func ordered(a, b *unit) bool {
	return slices.Contains(b.after, a.name) || slices.Contains(a.before, b.name)
}

// enqueue runs a job in the background unless the power is off.
func (s *Supervisor) enqueue(job func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		return
	}
	s.work.Go(job)
}

func (s *Supervisor) names() []string {
	names := make([]string, 0, len(s.services))
	for n := range s.services {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// errNotFound is returned for a unit that is none.
var errNotFound = errors.New("not found")

func (s *Supervisor) find(name string) (*service, error) {
	if !strings.Contains(name, ".") {
		name += ".service"
	}
	if svc := s.services[name]; svc != nil {
		return svc, nil
	}
	return nil, fmt.Errorf("unit %s %w", name, errNotFound)
}

// Start starts a unit and waits until it is up: for a oneshot, until it is
// done. Starting a unit that runs is nothing.
func (s *Supervisor) Start(ctx context.Context, name string) error {
	svc, err := s.find(name)
	if err != nil {
		return err
	}
	return s.start(ctx, svc)
}

// Stop stops a unit and waits until it is down, and those that require it.
func (s *Supervisor) Stop(ctx context.Context, name string) error {
	svc, err := s.find(name)
	if err != nil {
		return err
	}
	return s.stop(ctx, svc)
}

// State is what systemctl show says of a unit: ActiveState, and the main
// process's id, 0 where there is none.
func (s *Supervisor) State(name string) (active string, mainPID int) {
	svc, err := s.find(name)
	if err != nil {
		return "inactive", 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return svc.active, svc.mainPID
}

// Processes are the ids of all living processes of the instance.
func (s *Supervisor) Processes() []int {
	return processesWith(instanceVariable + "=" + s.options.Instance)
}

// Kill takes the power away: every process of the instance dies at once, jobs'
// children among them, nothing is told, nothing starts again. It returns when
// none is left.
func (s *Supervisor) Kill() {
	s.mu.Lock()
	if !s.off {
		close(s.dead)
	}
	s.off, s.down = true, true
	s.mu.Unlock()
	s.sweepUntilIdle()
	s.sweep() // what an activation that was just starting left
	s.control.close()
	s.starter.close()
	s.guardian.close()
}

// Shutdown stops all units in an orderly way, as a reboot does (OnSuccess= does
// not fire then), until the context ends; then it takes the power away.
func (s *Supervisor) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.down = true
	s.mu.Unlock()
	var stops sync.WaitGroup
	for _, svc := range s.services {
		stops.Go(func() { _ = s.stop(ctx, svc) })
	}
	stops.Wait()
	s.Kill()
}

// sweepUntilIdle sweeps until no activation waits for a process any longer. Once
// is not enough: a process that is just executing another program has no
// environment in that instant, by which it would be found.
func (s *Supervisor) sweepUntilIdle() {
	idle := make(chan struct{})
	go func() { s.work.Wait(); close(idle) }()
	for {
		s.sweep()
		select {
		case <-idle:
			return
		case <-time.After(sweepPause):
		}
	}
}

// sweep kills until no process of the instance is left. A process that forks
// faster than it is found loses, since each look kills all that it finds.
func (s *Supervisor) sweep() {
	for {
		pids := s.Processes()
		if len(pids) == 0 {
			return
		}
		killAndBury(pids)
	}
}

// path maps a path that a unit names to the instance's tree.
func (s *Supervisor) path(p string) string {
	for _, top := range []string{"/etc", "/var", "/run"} {
		if p == top || strings.HasPrefix(p, top+"/") {
			return filepath.Join(s.options.Root, p)
		}
	}
	return p
}

// argument maps a command's argument, also one of the form --flag=/etc/….
func (s *Supervisor) argument(a string) string {
	if flag, value, ok := strings.Cut(a, "="); ok && strings.HasPrefix(a, "-") {
		return flag + "=" + s.path(value)
	}
	return s.path(a)
}
