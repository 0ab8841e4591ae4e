// Package cli is the command line: one file per command, with its flags, its
// help and what it prints.
//
// It guarantees that stdout carries nothing but what was asked for (one object
// with --json), that logs and errors go to stderr, and that the exit code is one
// of five: 0 done, 1 failed, 2 bad usage or configuration, 3 refused by the
// outside for good, 75 try again later. Run keeps no state between calls. What
// the commands decide is left to package life, carrying it out to package agent.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/shoal-ci/shoal/internal/emulator/standin"
	"github.com/shoal-ci/shoal/internal/emulator/supervisor"
	"github.com/shoal-ci/shoal/internal/life"
)

// Env is what a command has of the process around it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        []string // NAME=value, as os.Environ has it
}

// Main runs the command that a process was started for, until it is done or a
// signal asks it to stop, and returns the exit code.
//
// On the demo's instances the same file stands in for two other programs, told
// by the name that it is called by.
func Main(argv []string) int {
	switch filepath.Base(argv[0]) {
	case "systemctl":
		return supervisor.Systemctl(argv[1:], os.Getenv, os.Stdout, os.Stderr)
	case "gitlab-runner":
		return standin.Main(argv[1:], os.Getenv, os.Stdout, os.Stderr)
	}
	dieBySignal()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// systemd takes an end by SIGHUP for a clean one: a daemon that was sent one, to
	// have it reload perhaps, would not be started again. The demo catches it.
	signal.Ignore(syscall.SIGHUP)
	// A later signal ends the process at once; not one that comes with the first,
	// as from a program that signals a process and its group.
	context.AfterFunc(ctx, func() { time.AfterFunc(impatience, stop) })
	return Run(ctx, argv[1:], Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ()})
}

// dieBySignal has a crash of the program end it by a signal. Go's own way is the
// exit code 2, which is ours for bad usage: the units do not start that again, and
// one crash would end a daemon for good. The memory is not dumped: it may hold a
// token.
func dieBySignal() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // lowering it is always allowed
	debug.SetTraceback("crash")
}

// impatience is how long after a first signal a second one is meant as such.
const impatience = 2 * time.Second

// Run carries out one command line, without the program's name, and returns its
// exit code. When ctx ends, a daemon finishes what must not be left undone and
// returns. Run may be called any number of times in one process.
func Run(ctx context.Context, args []string, env Env) int {
	c := &call{Env: env}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	return int(c.finish(root, err))
}

// call is one run of the command line.
type call struct {
	Env
	config  string // --config
	started bool   // the command line itself was in order
	code    life.ExitCode
}

// finish tells an error to the person who waits for it, and picks the exit code.
func (c *call) finish(root *cobra.Command, err error) life.ExitCode {
	if err == nil {
		return c.code
	}
	var e *commandError
	switch {
	case errors.As(err, &e):
	case !c.started:
		e = &commandError{code: life.BadUsage, err: err, hint: `"shoal --help" lists the commands and their flags`}
	default:
		e = &commandError{code: life.Failed, err: err}
	}
	newPalette(root.ErrOrStderr(), c.Environ).print(root.ErrOrStderr(), e)
	return e.code
}
