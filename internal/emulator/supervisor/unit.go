package supervisor

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// forever is a time-out that never comes.
const forever time.Duration = 1<<63 - 1

// systemd's defaults.
const (
	defaultTimeout       = 90 * time.Second
	defaultRestartPause  = 100 * time.Millisecond
	defaultLimitInterval = 10 * time.Second
	defaultLimitBurst    = 5
)

// unit is what a unit file means.
type unit struct {
	name, description string

	after, before, wants, requires, conflicts []string
	onSuccess, onFailure                      []string
	wantedBy                                  []string
	conditions                                []string

	kind             string // simple, exec, oneshot, notify
	startPre, start  []command
	stop             []command // ExecStop=
	stopPost         []command
	environment      []string
	environmentFiles []string
	workingDirectory string
	remainAfterExit  bool
	notifyAll        bool

	restart         string
	restartPause    time.Duration
	preventRestart  statuses
	successStatuses statuses
	limitInterval   time.Duration
	limitBurst      int

	killSignal   syscall.Signal
	killMode     string
	sendSIGKILL  bool
	timeoutStart time.Duration
	timeoutStop  time.Duration
}

// command is one Exec line.
type command struct {
	argv       []string
	mayFail    bool // prefix "-": its failure is none
	privileged bool // prefix "+" or "!": no meaning here
}

// load reads and checks the unit of that name.
func load(sources []fs.FS, name string) (*unit, error) {
	e, err := read(sources, name)
	if err != nil {
		return nil, err
	}
	u := &unit{
		name: name, description: e.last("Unit.Description", name),
		after: e.words("Unit.After"), before: e.words("Unit.Before"), wants: e.words("Unit.Wants"),
		requires: e.words("Unit.Requires"), conflicts: e.words("Unit.Conflicts"),
		onSuccess: e.words("Unit.OnSuccess"), onFailure: e.words("Unit.OnFailure"),
		wantedBy: e.words("Install.WantedBy"), conditions: e["Unit.ConditionPathExists"],
		environmentFiles: e["Service.EnvironmentFile"], workingDirectory: e.last("Service.WorkingDirectory", ""),
		notifyAll: e.last("Service.NotifyAccess", "main") == "all",
	}
	c := &checker{unit: name, e: e}
	c.service(u)
	c.restart(u)
	c.killing(u)
	c.jobModes()
	c.whole(u)
	return u, c.err
}

// checker reads typed values and keeps the first error.
type checker struct {
	unit string
	e    entries
	err  error
}

func (c *checker) fail(key, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("unit %s: %s=: %s", c.unit, key, fmt.Sprintf(format, args...))
	}
}

func (c *checker) oneOf(key, otherwise string, allowed ...string) string {
	v := c.e.last(key, otherwise)
	if !slices.Contains(allowed, v) {
		c.fail(key, "%q is none of %s", v, strings.Join(allowed, ", "))
	}
	return v
}

func (c *checker) yes(key string, otherwise bool) bool {
	switch v := c.e.last(key, ""); strings.ToLower(v) {
	case "":
		return otherwise
	case "yes", "true", "on", "1":
		return true
	case "no", "false", "off", "0":
		return false
	default:
		c.fail(key, "%q is no boolean", v)
		return otherwise
	}
}

func (c *checker) span(key string, otherwise time.Duration) time.Duration {
	v := c.e.last(key, "")
	if v == "" {
		return otherwise
	}
	d, err := timeSpan(v)
	if err != nil {
		c.fail(key, "%v", err)
	}
	return d
}

func (c *checker) service(u *unit) {
	u.kind = c.oneOf("Service.Type", "simple", "simple", "exec", "oneshot", "notify")
	u.remainAfterExit = c.yes("Service.RemainAfterExit", false)
	u.startPre = c.commands("Service.ExecStartPre")
	u.start = c.commands("Service.ExecStart")
	u.stop = c.commands("Service.ExecStop")
	u.stopPost = c.commands("Service.ExecStopPost")
	for _, v := range c.e["Service.Environment"] {
		words, err := splitWords(v)
		if err != nil {
			c.fail("Service.Environment", "%v", err)
		}
		u.environment = append(u.environment, words...)
	}
}

func (c *checker) commands(key string) []command {
	var all []command
	for _, v := range c.e[key] {
		words, err := splitWords(v)
		if err != nil || len(words) == 0 {
			c.fail(key, "%q is no command: %v", v, err)
			continue
		}
		var cmd command
		for len(words[0]) > 0 && strings.ContainsRune("-+!@:", rune(words[0][0])) {
			switch words[0][0] {
			case '-':
				cmd.mayFail = true
			case '@', ':':
				c.fail(key, "prefix %q is not supported", words[0][:1])
			default:
				cmd.privileged = true
			}
			words[0] = words[0][1:]
		}
		cmd.argv = words
		all = append(all, cmd)
	}
	return all
}

func (c *checker) restart(u *unit) {
	u.restart = c.oneOf("Service.Restart", "no", "no", "always", "on-success", "on-failure", "on-abnormal", "on-abort")
	u.restartPause = c.span("Service.RestartSec", defaultRestartPause)
	u.limitInterval = c.span("Unit.StartLimitIntervalSec", defaultLimitInterval)
	u.limitBurst = defaultLimitBurst
	if v := c.e.last("Unit.StartLimitBurst", ""); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			c.fail("Unit.StartLimitBurst", "%q is no count", v)
		}
		u.limitBurst = n
	}
	u.preventRestart = c.statuses("Service.RestartPreventExitStatus")
	u.successStatuses = c.statuses("Service.SuccessExitStatus")
}

// statuses are exit statuses and signals.
type statuses struct {
	codes   []int
	signals []syscall.Signal
}

func (s statuses) has(e ending) bool {
	if e.signal != 0 {
		return slices.Contains(s.signals, e.signal)
	}
	return slices.Contains(s.codes, e.code)
}

func (c *checker) statuses(key string) statuses {
	var s statuses
	for _, w := range c.e.words(key) {
		if n, err := strconv.Atoi(w); err == nil && n >= 0 && n < 256 {
			s.codes = append(s.codes, n)
		} else if sig, err := parseSignal(w); err == nil {
			s.signals = append(s.signals, sig)
		} else if w == "TEMPFAIL" {
			s.codes = append(s.codes, 75)
		} else {
			c.fail(key, "%q is neither an exit status nor a signal", w)
		}
	}
	return s
}

func (c *checker) killing(u *unit) {
	u.killMode = c.oneOf("Service.KillMode", "control-group", "control-group", "mixed", "process", "none")
	u.sendSIGKILL = c.yes("Service.SendSIGKILL", true)
	sig, err := parseSignal(c.e.last("Service.KillSignal", "SIGTERM"))
	if err != nil {
		c.fail("Service.KillSignal", "%v", err)
	}
	u.killSignal = sig
	start, stop := defaultTimeout, defaultTimeout
	if u.kind == "oneshot" {
		start = forever
	}
	if both := c.span("Service.TimeoutSec", -1); both >= 0 {
		start, stop = both, both
	}
	u.timeoutStart = c.span("Service.TimeoutStartSec", start)
	u.timeoutStop = c.span("Service.TimeoutStopSec", stop)
	if u.timeoutStart == 0 {
		u.timeoutStart = forever
	}
	if u.timeoutStop == 0 {
		u.timeoutStop = forever
	}
}

// jobModes accepts the two that make no difference here: a started unit is
// either down, or running and left alone.
func (c *checker) jobModes() {
	c.oneOf("Unit.OnSuccessJobMode", "fail", "fail", "replace")
	c.oneOf("Unit.OnFailureJobMode", "replace", "fail", "replace")
}

// whole refuses what systemd refuses.
func (c *checker) whole(u *unit) {
	switch {
	case len(u.start) == 0 && (u.kind != "oneshot" || !u.remainAfterExit):
		c.fail("Service.ExecStart", "missing")
	case len(u.start) > 1 && u.kind != "oneshot":
		c.fail("Service.ExecStart", "more than one, but Type=%s", u.kind)
	case u.kind == "oneshot" && len(u.stop) > 0 && !u.remainAfterExit:
		c.fail("Service.ExecStop", "for Type=oneshot supported with RemainAfterExit= only")
	case u.kind == "oneshot" && (u.restart == "always" || u.restart == "on-success"):
		c.fail("Service.Restart", "%s is refused for Type=oneshot", u.restart)
	}
}

// parseSignal reads a signal's name, with or without SIG, or its number.
func parseSignal(name string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n < 65 {
		return syscall.Signal(n), nil
	}
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	if s := unix.SignalNum(full); s != 0 {
		return s, nil
	}
	return 0, fmt.Errorf("%q is no signal", name)
}

// timeSpan reads systemd's time spans: seconds, or numbers with units.
func timeSpan(s string) (time.Duration, error) {
	if s == "infinity" {
		return forever, nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 {
		return time.Duration(n * float64(time.Second)), nil
	}
	var total time.Duration
	replacer := strings.NewReplacer("min", "m", "sec", "s", "msec", "ms", "usec", "us")
	for _, word := range strings.Fields(s) {
		d, err := time.ParseDuration(replacer.Replace(word))
		if err != nil || d < 0 {
			return 0, fmt.Errorf("%q is no time span", s)
		}
		total += d
	}
	return total, nil
}

// splitWords splits a command line the way systemd does: quotes group, "$$" is a
// dollar, and a specifier or variable it would replace is refused rather than passed
// on as it stands.
func splitWords(s string) ([]string, error) {
	const dollar = '\x00' // in no unit file
	var words []string
	var word strings.Builder
	var quote rune
	open := false
	for _, r := range strings.ReplaceAll(s, "$$", string(dollar)) {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, open = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if open {
				words, open = append(words, word.String()), false
				word.Reset()
			}
		case r == '\\' || r == '$':
			return nil, fmt.Errorf("%q: %q is not supported", s, r)
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%q: quote not closed", s)
	}
	if open {
		words = append(words, word.String())
	}
	for i, w := range words {
		plain := strings.ReplaceAll(w, "%%", "")
		if strings.Contains(plain, "%") {
			return nil, fmt.Errorf("%q: specifiers are not supported", w)
		}
		words[i] = strings.NewReplacer("%%", "%", string(dollar), "$").Replace(w)
	}
	return words, nil
}
