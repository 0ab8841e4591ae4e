package standin

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// Main is the command gitlab-runner: args are those after the program's name.
// It knows what the packaged unit uses: run, with the unit's flags, and
// --version. It returns the exit status.
func Main(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	f, err := flavourNamed(getenv(flavourVariable))
	if err != nil {
		return fail(stderr, err)
	}
	if len(args) == 0 {
		return fail(stderr, errors.New("gitlab-runner: the stand-in knows run and --version only"))
	}
	switch strings.TrimLeft(args[0], "-") {
	case "version", "v":
		printVersion(stdout, f)
		return 0
	case "run":
		return runCommand(args[1:], getenv, stderr)
	}
	return fail(stderr, fmt.Errorf("gitlab-runner: no command %q in the stand-in: it knows run and --version only", args[0]))
}

func fail(stderr io.Writer, err error) int {
	_, _ = fmt.Fprintln(stderr, err)
	return 1
}

func printVersion(w io.Writer, f flavour) {
	_, _ = fmt.Fprintf(w, "Version:      %s\nGit revision: %s\nGit branch:   %s\nGO version:   %s\nBuilt:        %s\nOS/Arch:      %s/%s\n",
		f.version, f.revision, f.branch, runtime.Version(), f.builtAt, runtime.GOOS, runtime.GOARCH)
}

func runCommand(args []string, getenv func(string) string, stderr io.Writer) int {
	o, err := parseRun(args, stderr)
	if err != nil {
		return fail(stderr, err)
	}
	o.Flavour, o.Log = getenv(flavourVariable), stderr
	// Buffered: a signal that comes while another is dealt with is not lost.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	p, err := New(o)
	if err != nil {
		return fail(stderr, fmt.Errorf("gitlab-runner: %w", err))
	}
	return p.Run(signals)
}

// parseRun reads the flags of run. --service and --user are accepted for the
// packaged unit's sake; the stand-in always runs as who started it.
func parseRun(args []string, stderr io.Writer) (Options, error) {
	var o Options
	fs := flag.NewFlagSet("gitlab-runner run", flag.ContinueOnError)
	fs.SetOutput(stderr)
	for _, name := range []string{"c", "config"} {
		fs.StringVar(&o.Config, name, "/etc/gitlab-runner/config.toml", "config file")
	}
	for _, name := range []string{"d", "working-directory"} {
		fs.StringVar(&o.WorkDir, name, "", "working directory")
	}
	fs.StringVar(&o.ListenAddress, "listen-address", "", "metrics server address")
	for _, name := range []string{"n", "service", "u", "user"} {
		fs.String(name, "", "accepted, without effect")
	}
	fs.Bool("syslog", false, "accepted, without effect")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("gitlab-runner run: unexpected argument %q", fs.Arg(0))
	}
	config, err := filepath.Abs(o.Config)
	o.Config = config
	return o, err
}
