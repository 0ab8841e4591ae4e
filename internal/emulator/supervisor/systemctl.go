package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// The exit statuses of systemctl.
const (
	exitFailed     = 1
	exitNotRunning = 3
	exitNoUnit     = 5
)

// invocation is a systemctl command line.
type invocation struct {
	verb       string
	units      []string
	properties []string
	value      bool
	noBlock    bool
	quiet      bool
	whom       string
	signal     string
}

// parseInvocation reads what the real systemctl takes, as far as anything here
// uses it. Options may stand anywhere.
func parseInvocation(args []string) (invocation, error) {
	v := invocation{whom: "all", signal: "SIGTERM"}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if !strings.HasPrefix(a, "-") {
			if v.verb == "" {
				v.verb = a
			} else {
				v.units = append(v.units, a)
			}
			continue
		}
		name, value, hasValue := strings.Cut(a, "=")
		if short := shortOptions[name]; short != "" {
			name = short
		}
		if optionsWithValue[name] && !hasValue {
			i++
			if i >= len(args) {
				return v, fmt.Errorf("systemctl: option '%s' requires an argument", a)
			}
			value = args[i]
		}
		if err := v.option(name, value); err != nil {
			return v, err
		}
	}
	return v, nil
}

var shortOptions = map[string]string{"-p": "--property", "-P": "--value-of", "-q": "--quiet", "-s": "--signal", "-l": "--full", "-a": "--all", "-n": "--lines"}

var optionsWithValue = map[string]bool{"--property": true, "--value-of": true, "--signal": true, "--kill-whom": true, "--kill-who": true, "--job-mode": true, "--lines": true}

func (v *invocation) option(name, value string) error {
	switch name {
	case "--no-block":
		v.noBlock = true
	case "--quiet":
		v.quiet = true
	case "--value":
		v.value = true
	case "--property":
		v.properties = append(v.properties, strings.Split(value, ",")...)
	case "--value-of":
		v.properties, v.value = append(v.properties, strings.Split(value, ",")...), true
	case "--signal":
		v.signal = value
	case "--kill-whom", "--kill-who":
		v.whom = value
	case "--job-mode", "--lines", "--full", "--all", "--system", "--no-pager", "--no-legend", "--no-ask-password", "--version":
		if name == "--version" {
			v.verb = "--version"
		}
	default:
		return fmt.Errorf("systemctl: unrecognized option '%s'", name)
	}
	return nil
}

// systemctl carries an invocation out.
func (s *Supervisor) systemctl(ctx context.Context, args []string) reply {
	v, err := parseInvocation(args)
	if err != nil {
		return reply{Code: exitFailed, Stderr: err.Error() + "\n"}
	}
	switch v.verb {
	case "--version":
		return reply{Stdout: "systemd 249 (the demo's stand-in)\n"}
	case "start", "stop", "restart":
		return s.job(ctx, v)
	case "show":
		return s.show(v)
	case "is-active":
		return s.is(v, "active")
	case "is-failed":
		return s.is(v, "failed")
	case "kill":
		return s.kill(v)
	case "status":
		return s.status(v)
	case "reset-failed":
		return s.resetFailed(v)
	case "daemon-reload":
		return reply{}
	case "":
		return reply{Code: exitFailed, Stderr: "the stand-in systemctl needs a verb\n"}
	}
	return reply{Code: exitFailed, Stderr: "Unknown command verb " + v.verb + ".\n"}
}

// job starts, stops or restarts units.
func (s *Supervisor) job(ctx context.Context, v invocation) reply {
	var r reply
	if len(v.units) == 0 {
		return reply{Code: exitFailed, Stderr: "Too few arguments.\n"}
	}
	for _, name := range v.units {
		svc, err := s.find(name)
		if err != nil {
			state := "not found"
			if v.verb == "stop" {
				state = "not loaded"
			}
			r.Code = exitNoUnit
			r.Stderr += fmt.Sprintf("Failed to %s %s: Unit %s %s.\n", v.verb, name, name, state)
			continue
		}
		do := func(ctx context.Context) error { return s.do(ctx, v.verb, svc) }
		if v.noBlock {
			s.enqueue(func() { _ = do(context.WithoutCancel(ctx)) })
			continue
		}
		if err := do(ctx); err != nil {
			r.Code = exitFailed
			r.Stderr += fmt.Sprintf("Job for %s failed: %v\nSee \"systemctl status %s\" for details.\n", svc.unit.name, err, svc.unit.name)
		}
	}
	return r
}

func (s *Supervisor) do(ctx context.Context, verb string, svc *service) error {
	switch verb {
	case "start":
		return s.start(ctx, svc)
	case "stop":
		return s.stop(ctx, svc)
	}
	return errors.Join(s.stop(ctx, svc), s.start(ctx, svc))
}

// kill signals the processes of units.
func (s *Supervisor) kill(v invocation) reply {
	sig, err := parseSignal(v.signal)
	if err != nil {
		return reply{Code: exitFailed, Stderr: fmt.Sprintf("Failed to parse signal string %s.\n", v.signal)}
	}
	var r reply
	for _, name := range v.units {
		if message := s.killOne(name, v.whom, sig); message != "" {
			r.Code = exitFailed
			r.Stderr += fmt.Sprintf("Failed to kill unit %s: %s\n", name, message)
		}
	}
	return r
}

func (s *Supervisor) killOne(name, whom string, sig syscall.Signal) string {
	svc, err := s.find(name)
	if err != nil {
		return fmt.Sprintf("Unit %s not loaded.", name)
	}
	switch whom {
	case "main":
		return svc.signalMain(sig)
	case "all":
		pids := svc.processes()
		if len(pids) == 0 {
			return "No process to kill"
		}
		killAll(pids, sig)
		return ""
	}
	return fmt.Sprintf("Invalid kill whom argument '%s'", whom)
}

// signalMain signals the main process. The mutex is held meanwhile, so that it
// cannot be waited for, and its id given to another, in between.
func (svc *service) signalMain(sig syscall.Signal) string {
	svc.sup.mu.Lock()
	defer svc.sup.mu.Unlock()
	if svc.main == nil {
		return "No main process to kill"
	}
	if svc.main.Signal(sig) != nil {
		return "No main process to kill"
	}
	return ""
}

// is prints the state of units and succeeds when one has the wanted one.
func (s *Supervisor) is(v invocation, want string) reply {
	r := reply{Code: exitNotRunning}
	if want == "failed" {
		r.Code = exitFailed
	}
	for _, name := range v.units {
		active, _ := s.State(name)
		if active == want {
			r.Code = 0
		}
		if !v.quiet {
			r.Stdout += active + "\n"
		}
	}
	return r
}

func (s *Supervisor) resetFailed(v invocation) reply {
	names := v.units
	if len(names) == 0 {
		names = s.names()
	}
	for _, name := range names {
		svc, err := s.find(name)
		if err != nil {
			return reply{Code: exitFailed, Stderr: fmt.Sprintf("Failed to reset failed state of unit %s: Unit %s not loaded.\n", name, name)}
		}
		s.mu.Lock()
		if svc.active == "failed" {
			svc.set("inactive", "dead")
		}
		svc.starts = nil
		s.mu.Unlock()
	}
	return reply{}
}
