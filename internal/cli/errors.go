package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/shoal-ci/shoal/internal/life"
)

// commandError is an error with the exit code it stands for and what a person
// can do next.
type commandError struct {
	code life.ExitCode
	err  error
	hint string // empty for none
}

func (e *commandError) Error() string { return e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// usage is an error in the command line itself.
func usage(hint, format string, args ...any) error {
	return &commandError{code: life.BadUsage, err: fmt.Errorf(format, args...), hint: hint}
}

// palette colours what goes to a terminal. Its zero value leaves text alone.
type palette struct{ on bool }

// newPalette decides whether w gets colours: only a terminal does, and not where
// NO_COLOR is set (no-color.org) or TERM is dumb.
func newPalette(w io.Writer, environ []string) palette {
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if (name == "NO_COLOR" && value != "") || (name == "TERM" && value == "dumb") {
			return palette{}
		}
	}
	return palette{on: isTerminal(w)}
}

// isTerminal tells whether a person reads w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (p palette) red(s string) string   { return p.wrap("31;1", s) }
func (p palette) green(s string) string { return p.wrap("32", s) }
func (p palette) dim(s string) string   { return p.wrap("2", s) }

func (p palette) wrap(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// print tells an error: "shoal: message", one line each, then the hint. An
// error in writing it has nowhere to go.
func (p palette) print(w io.Writer, e *commandError) {
	message := strings.ReplaceAll(strings.TrimSpace(e.Error()), "\n", "\n  ")
	_, _ = fmt.Fprintf(w, "%s %s\n", p.red("shoal:"), message)
	if e.hint != "" {
		_, _ = fmt.Fprintf(w, "%s %s\n", p.dim("hint:"), e.hint)
	}
}
