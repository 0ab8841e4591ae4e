// Package systemd starts, stops, watches and signals units through systemctl,
// and tells systemd how a daemon of ours is doing.
//
// systemctl is the one on PATH, asked in the C locale: there is one description
// of the units, and whoever stands in for systemd stands in for that one program.
// Starting and stopping never wait for the unit. Each error says what to mend.
// KillJobs never hits a process that took the number of one that has ended.
//
//	units := systemd.New(systemd.Options{})
//	changed, err := units.Start(ctx, "gitlab-runner.service")
//
// When to do which is left to package life; what the units are to
// packaging/systemd.
package systemd

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// Options are where the system is; the zero value is the real one.
type Options struct {
	Systemctl string // the program; empty means "systemctl" on PATH
	CgroupFS  string // empty means /sys/fs/cgroup
	ProcFS    string // empty means /proc
}

// Units is systemd's manager on this machine. Its methods may be called by
// several goroutines at once.
type Units struct {
	opts Options
	// killWho says that this systemctl is older than 252 and knows --kill-who.
	killWho  atomic.Bool
	sessions sessions
}

// New returns the manager.
func New(opts Options) *Units {
	set := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	set(&opts.Systemctl, "systemctl")
	set(&opts.CgroupFS, "/sys/fs/cgroup")
	set(&opts.ProcFS, "/proc")
	return &Units{opts: opts}
}

// Start starts a unit and does not wait for it: a unit that is started by one it
// is ordered after would wait for itself. A running unit stays as it is, and
// Start tells so.
func (u *Units) Start(ctx context.Context, unit string) (changed bool, err error) {
	p, err := u.look(ctx, unit)
	changed = err != nil || !p.up()
	_, err = u.systemctl(ctx, "start", unit, "--no-block", "start", unit)
	return changed && err == nil, err
}

// Stop stops a unit and does not wait: a drain takes hours. A unit that is down
// stays so, and Stop tells so.
func (u *Units) Stop(ctx context.Context, unit string) (changed bool, err error) {
	p, err := u.look(ctx, unit)
	changed = err != nil || !p.down()
	u.noteSessions(unit, p.state.MainPID)
	_, err = u.systemctl(ctx, "stop", unit, "--no-block", "stop", unit)
	return changed && err == nil, err
}

// lookTimeout bounds the look before a start, a stop or a signal, which takes
// milliseconds: a manager that is busy must not have its answer eat the time of the
// thing itself.
const lookTimeout = 2 * time.Second

// look tells how a unit is just before its job is queued: systemctl tells the same
// of a job that had nothing to do as of any other. The job is queued whatever this
// says, which is only for the report: a unit may have changed since.
func (u *Units) look(ctx context.Context, unit string) (properties, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return u.show(ctx, unit)
}

// State reads a unit's state; NotFound when there is no such unit.
func (u *Units) State(ctx context.Context, unit string) (fleet.UnitState, error) {
	p, err := u.show(ctx, unit)
	return p.state, err
}

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// Signal sends a signal (HUP, SIGTERM, …) to the unit's main process alone;
// NotFound when there is none.
func (u *Units) Signal(ctx context.Context, unit, signal string) error {
	if signal == "" || strings.Trim(signal, letters+digits) != "" {
		return &fleet.Failure{Kind: fleet.Invalid, Op: "signal " + unit, Message: strconv.Quote(signal) + " is no signal"}
	}
	signal = "SIG" + strings.TrimPrefix(signal, "SIG")
	if signal == "SIGTERM" { // it ends the jobs: see KillJobs for what they leave behind
		p, _ := u.look(ctx, unit)
		u.noteSessions(unit, p.state.MainPID)
	}
	verb := "send " + signal + " to"
	if !u.killWho.Load() {
		_, err := u.systemctl(ctx, verb, unit, "kill", "--kill-whom=main", "--signal="+signal, unit)
		if !unknownOption(err) {
			return err
		}
		// systemd called it --kill-who before version 252.
		u.killWho.Store(true)
	}
	_, err := u.systemctl(ctx, verb, unit, "kill", "--kill-who=main", "--signal="+signal, unit)
	return err
}

// properties are what show tells of a unit.
type properties struct {
	state  fleet.UnitState
	cgroup string // ControlGroup; empty when the unit has no process
	queued bool   // a job waits or runs: the unit is about to be something else
}

// up tells that a start would find nothing to do. A oneshot activates until it has
// ended, and its start is the job; a unit that activates without a process waits
// for its restart, which a start brings about at once.
func (p properties) up() bool {
	switch p.state.Active {
	case "active", "reloading", "refreshing":
		return !p.queued
	}
	return p.state.Active == "activating" && p.state.MainPID != 0
}

// down tells that a stop would find nothing to do.
func (p properties) down() bool {
	return !p.queued && (p.state.Active == "inactive" || p.state.Active == "failed")
}

func (u *Units) show(ctx context.Context, unit string) (properties, error) {
	out, err := u.systemctl(ctx, "read the state of", unit,
		"show", "--property=LoadState,ActiveState,MainPID,ControlGroup,Job,Result,ExecMainStatus,NRestarts", unit)
	if err != nil {
		return properties{}, err
	}
	return parseShow(unit, out)
}

// parseShow reads KEY=value lines in any order. An ActiveState must be there: an
// empty answer is no state.
func parseShow(unit, out string) (properties, error) {
	var p properties
	load := ""
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch key {
		case "LoadState":
			load = value
		case "ActiveState":
			p.state.Active = value
		case "ControlGroup":
			p.cgroup = value
		case "Job": // a number; without one empty, 0 or not there, by systemd's version
			p.queued = value != "" && value != "0"
		case "Result":
			p.state.Result = value
		case "MainPID", "ExecMainStatus", "NRestarts":
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil || n < 0 {
				return properties{}, notUnderstood(unit, line)
			}
			switch key {
			case "MainPID":
				p.state.MainPID = int(n)
			case "ExecMainStatus":
				p.state.ExitStatus = int(n)
			default:
				p.state.Restarts = int(n)
			}
		}
	}
	switch {
	case load == "not-found":
		return properties{}, noSuchUnit("read the state of", unit)
	case !activeStates[p.state.Active]:
		return properties{}, notUnderstood(unit, "ActiveState="+p.state.Active)
	}
	return p, nil
}

var activeStates = map[string]bool{
	"active": true, "activating": true, "reloading": true, "refreshing": true,
	"deactivating": true, "inactive": true, "failed": true, "maintenance": true,
}

func notUnderstood(unit, line string) *fleet.Failure {
	return &fleet.Failure{
		Kind: fleet.Temporary, Op: "read the state of " + unit,
		Message: "systemctl show says " + strconv.Quote(bounded(line)),
	}
}
