// Package boot_test installs the built package in a Debian and boots it: several
// instances at once, each under a real systemd with a metadata service of its
// own, and one emulated Auto Scaling group and GitLab between them.
//
// What is asserted is what the emulated services have on record, what systemd
// says of the units, and the journal. Nothing here looks into the program. It
// needs root, and installs what it boots with where that is missing.
package boot_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The folders that instances boot from, which never change: image has the package
// and its units enabled; stock is what cloud vendors give, with neither.
var image, stock string

// atOnce is how many tests run at the same time where nobody says otherwise: they
// wait far more than they work.
const atOnce = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err) // package testing always has it
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		return leftOut(m, "booting instances needs root")
	}
	dir, err := os.MkdirTemp("", "shoal-boot-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "boot:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	start := time.Now()
	image, stock = filepath.Join(dir, "image"), filepath.Join(dir, "stock")
	if err := makeImages(image, stock); err != nil {
		fmt.Fprintln(os.Stderr, "boot: make the images:", err)
		return 1
	}
	fmt.Fprintf(os.Stderr, "boot: made the images in %s\n", time.Since(start).Round(time.Second))
	restore, err := moreInotify()
	if err != nil {
		fmt.Fprintln(os.Stderr, "boot:", err)
		return 1
	}
	defer restore()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "boot:", err)
			return 1
		}
	}
	return code
}

// moreInotify lets this machine run as many systems at once as the tests boot: each
// takes some inotify instances, usually 128 is the most for all of them together,
// and a system that gets none dies at its boot.
func moreInotify() (restore func(), err error) {
	const file, enough = "/proc/sys/fs/inotify/max_user_instances", 1024
	was, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(was))); err != nil || n >= enough {
		return func() {}, err
	}
	set := func(value []byte) error { return os.WriteFile(file, value, 0o644) }
	return func() { _ = set(was) }, set([]byte(strconv.Itoa(enough)))
}

// reason is why nothing can be booted here.
var reason string

// leftOut has every test say why it is left out.
func leftOut(m *testing.M, why string) int {
	reason = why
	return m.Run()
}

// command runs a program to its end; its output is in the error.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// all carries out steps until one fails.
func all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
