package systemd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// systemctlTimeout bounds one call. With --no-block an answer takes some
	// milliseconds; systemctl itself gives up on a busy PID 1 after 25 s, and its
	// own message is better than ours.
	systemctlTimeout = 30 * time.Second
	// pipeDelay bounds the wait for the output of a systemctl that was killed: a
	// child of it may hold the pipe.
	pipeDelay = time.Second
	// maxOutput is the most that is kept of what systemctl prints.
	maxOutput = 64 << 10
	// maxMessage is the most that goes into an error.
	maxMessage = 300
)

// isUnit tells whether systemd can take a name for a unit's; one that begins
// with a dash would be an option. Not a pattern: compiling one costs every
// command half a millisecond.
func isUnit(name string) bool {
	if len(name) > 255 || !strings.Contains(strings.Trim(name, "."), ".") || strings.HasPrefix(name, "-") {
		return false
	}
	return strings.Trim(name, letters+strings.ToLower(letters)+digits+`:-_.\@`) == ""
}

// systemctl runs one command and classifies its failure; verb and unit name the
// operation.
func (u *Units) systemctl(ctx context.Context, verb, unit string, args ...string) (string, error) {
	if !isUnit(unit) {
		return "", &fleet.Failure{Kind: fleet.Invalid, Op: verb + " " + strconv.Quote(unit), Message: "this is no unit's name"}
	}
	ctx, cancel := context.WithTimeout(ctx, systemctlTimeout)
	defer cancel()
	var out, errs limited
	cmd := exec.CommandContext(ctx, u.opts.Systemctl, args...) //nolint:gosec // fixed verbs; the unit is checked above
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = pipeDelay
	cmd.Env = environ()
	if err := cmd.Run(); err != nil {
		return "", classify(ctx, verb, unit, errs.String(), err)
	}
	return out.String(), nil
}

// environ is ours with messages in English, and nobody asked for a password.
func environ() []string {
	return append(os.Environ(), "LC_ALL=C", "LANGUAGE=", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=", "SYSTEMD_LOG_LEVEL=info")
}

func classify(ctx context.Context, verb, unit, stderr string, err error) error {
	f := &fleet.Failure{Kind: fleet.Temporary, Op: verb + " " + unit, Message: bounded(stderr), Err: err}
	var exit *exec.ExitError
	says := func(texts ...string) bool {
		for _, t := range texts {
			if strings.Contains(stderr, t) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		f.Kind, f.Message = fleet.Local, "there is no systemctl on PATH"
		f.Mend = "Shoal needs systemd"
	case ctx.Err() != nil:
		f.Message, f.Err = "systemctl did not end in time", ctx.Err()
	case !errors.As(err, &exit):
		f.Kind, f.Message = fleet.Local, ""
	case says("Access denied", "Interactive authentication required", "Permission denied", "Operation not permitted"):
		f.Kind, f.Mend = fleet.Denied, "run as root, or allow it by a polkit rule for org.freedesktop.systemd1.manage-units"
	case says("not been booted with systemd", "Failed to connect to bus", "Failed to get D-Bus connection"):
		f.Kind, f.Mend = fleet.Local, "systemd is not running here"
	case says(" not found."), verb == "stop" && says(" not loaded."):
		return noSuchUnit(verb, unit)
	case says(" is masked."):
		f.Kind, f.Mend = fleet.Invalid, "systemctl unmask "+unit
	case says(" not loaded.", "No main process to kill", "No such process"):
		return notRunning(verb, unit)
	case says("bad unit file setting", "bad-setting"):
		f.Kind, f.Mend = fleet.Invalid, "see: systemctl status "+unit
	}
	return f
}

func noSuchUnit(verb, unit string) *fleet.Failure {
	f := &fleet.Failure{Kind: fleet.NotFound, Op: verb + " " + unit, Message: "there is no such unit"}
	f.Mend = "install the package that brings it, then systemctl daemon-reload"
	return f
}

// notRunning: to systemd a unit without a process that nothing refers to is "not
// loaded", whether it has a file or not.
func notRunning(verb, unit string) *fleet.Failure {
	return &fleet.Failure{Kind: fleet.NotFound, Op: verb + " " + unit, Message: "it is not running"}
}

func unknownOption(err error) bool {
	var f *fleet.Failure
	return errors.As(err, &f) && (strings.Contains(f.Message, "unrecognized option") || strings.Contains(f.Message, "unknown option"))
}

// bounded is the first lines of a message as one, not too long.
func bounded(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxMessage {
		s = s[:maxMessage] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// limited keeps the first bytes written to it and takes the rest for granted, so
// that the writer is not stopped by a full pipe. The buffer is not embedded: its
// ReadFrom would go around the limit.
type limited struct{ kept bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.kept.Len(); room > 0 {
		l.kept.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (l *limited) String() string { return l.kept.String() }
