package supervisor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// service is one unit and what goes on with it. All fields but the first two
// are guarded by the supervisor's mutex.
type service struct {
	sup  *Supervisor
	unit *unit

	active, sub string // ActiveState and SubState
	result      string // Result of the latest run
	status      string // STATUS= that it sent
	mainPID     int
	main        *os.Process // the process of that id, while it has not been waited for
	lastExit    ending
	restarts    int
	condition   bool // whether the latest start met the conditions
	starts      []time.Time
	current     *activation // nil while down
}

// activation is one life of a unit, from a start to the end of its last
// automatic restart.
type activation struct {
	stop    chan struct{} // closed: the unit is to go down
	stopped sync.Once
	kick    chan struct{} // ends the pause before an automatic restart
	up      chan struct{} // closed: the start job is over, well or not
	upOnce  sync.Once
	failure error         // why the start failed; set before up is closed
	down    chan struct{} // closed: the unit is down
	again   bool          // start once more when it is down
}

func newActivation() *activation {
	return &activation{stop: make(chan struct{}), kick: make(chan struct{}, 1), up: make(chan struct{}), down: make(chan struct{})}
}

func (a *activation) started(err error) {
	a.upOnce.Do(func() { a.failure = err; close(a.up) })
}

func (a *activation) askStop() { a.stopped.Do(func() { close(a.stop) }) }

func (a *activation) stopping() bool {
	select {
	case <-a.stop:
		return true
	default:
		return false
	}
}

// ending is how a process ended.
type ending struct {
	code   int
	signal syscall.Signal
	cause  string // timeout, protocol, exec; empty for an exit
}

func (e ending) String() string {
	switch {
	case e.cause != "":
		return e.cause
	case e.signal != 0:
		return "killed by " + e.signal.String()
	}
	return fmt.Sprintf("exit status %d", e.code)
}

// clean tells whether systemd calls the ending a success. Only a service that
// was up may end by one of the polite signals.
func (u *unit) clean(e ending) bool {
	switch {
	case e.cause != "":
		return false
	case u.successStatuses.has(e):
		return true
	case e.signal != 0:
		polite := []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE}
		return u.kind != "oneshot" && slices.Contains(polite, e.signal)
	}
	return e.code == 0
}

// resultOf is systemd's word for an ending.
func (u *unit) resultOf(e ending) string {
	switch {
	case u.clean(e):
		return "success"
	case e.cause == "timeout" || e.cause == "protocol":
		return e.cause
	case e.signal != 0:
		return "signal"
	}
	return "exit-code"
}

// restarts tells whether Restart= wants another run after the ending.
func (u *unit) wantsRestart(e ending) bool {
	if u.preventRestart.has(e) && e.cause == "" {
		return false
	}
	switch u.restart {
	case "always":
		return true
	case "on-success":
		return u.clean(e)
	case "on-failure":
		return !u.clean(e)
	case "on-abnormal":
		return !u.clean(e) && (e.signal != 0 || e.cause == "timeout")
	case "on-abort":
		return !u.clean(e) && e.signal != 0
	}
	return false
}

// start is Start for a unit that was found.
func (s *Supervisor) start(ctx context.Context, svc *service) error {
	if err := s.startDependencies(ctx, svc); err != nil {
		return err
	}
	a, err := s.begin(svc)
	if a == nil {
		return err
	}
	select {
	case <-a.up:
		return a.failure
	case <-ctx.Done():
		return fmt.Errorf("start %s: %w", svc.unit.name, ctx.Err())
	}
}

// startDependencies starts what the unit wants and requires, stops what it
// conflicts with, and waits for what it is ordered after.
func (s *Supervisor) startDependencies(ctx context.Context, svc *service) error {
	for _, name := range svc.unit.conflicts {
		if other := s.services[name]; other != nil {
			if err := s.stop(ctx, other); err != nil {
				return err
			}
		}
	}
	for _, name := range append(slices.Clone(svc.unit.wants), svc.unit.requires...) {
		other := s.services[name]
		if other == nil {
			continue // a target
		}
		if !ordered(other.unit, svc.unit) {
			s.enqueue(func() { _ = s.start(context.WithoutCancel(ctx), other) })
			continue
		}
		err := s.start(ctx, other)
		if err != nil && slices.Contains(svc.unit.requires, name) {
			return fmt.Errorf("start %s: dependency failed: %w", svc.unit.name, err)
		}
	}
	return nil
}

// begin starts an activation unless one is under way; it returns the one to
// wait for, or nil when there is nothing to wait for.
func (s *Supervisor) begin(svc *service) (*activation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := svc.current
	switch {
	case s.off:
		return nil, fmt.Errorf("start %s: the instance is off", svc.unit.name)
	case a != nil && (a.stopping() || svc.active == "deactivating"):
		a.again = true
		next := newActivation()
		s.work.Go(func() { s.beginAfter(svc, a, next) })
		return next, nil
	case a != nil:
		select {
		case a.kick <- struct{}{}:
		default:
		}
		return a, nil
	}
	svc.condition = s.conditionsMet(svc.unit)
	if !svc.condition {
		s.options.Log(svc.unit.name, "condition not met, not started")
		return nil, nil
	}
	a = newActivation()
	svc.current = a
	s.work.Go(func() { svc.live(a) })
	return a, nil
}

// beginAfter starts a unit whose start was asked for while it went down; a stop
// that came since has withdrawn the wish.
func (s *Supervisor) beginAfter(svc *service, old, wait *activation) {
	<-old.down
	s.mu.Lock()
	again := old.again
	s.mu.Unlock()
	if !again {
		wait.started(fmt.Errorf("start %s: canceled", svc.unit.name))
		return
	}
	a, err := s.begin(svc)
	if a == nil {
		wait.started(err)
		return
	}
	<-a.up
	wait.started(a.failure)
}

// conditionsMet checks ConditionPathExists=; "!" negates.
func (s *Supervisor) conditionsMet(u *unit) bool {
	for _, c := range u.conditions {
		path, negated := strings.CutPrefix(c, "!")
		_, err := os.Stat(s.path(strings.TrimSpace(path)))
		if (err == nil) == negated {
			return false
		}
	}
	return true
}

// stop is Stop for a unit that was found.
func (s *Supervisor) stop(ctx context.Context, svc *service) error {
	for _, name := range s.names() {
		if other := s.services[name]; slices.Contains(other.unit.requires, svc.unit.name) {
			if err := s.stop(ctx, other); err != nil {
				return err
			}
		}
	}
	s.mu.Lock()
	a := svc.current
	if a == nil {
		if svc.active == "active" { // a oneshot that remains after exit
			svc.set("inactive", "dead")
		}
		s.mu.Unlock()
		return nil
	}
	a.again = false
	a.askStop()
	s.mu.Unlock()
	select {
	case <-a.down:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", svc.unit.name, ctx.Err())
	}
}

// set changes the states; the mutex is held.
func (svc *service) set(active, sub string) {
	if svc.active == active && svc.sub == sub {
		return
	}
	svc.active, svc.sub = active, sub
	svc.sup.options.Log(svc.unit.name, "now "+active+" ("+sub+")")
}

func (svc *service) setState(active, sub string) {
	svc.sup.mu.Lock()
	defer svc.sup.mu.Unlock()
	svc.set(active, sub)
}
