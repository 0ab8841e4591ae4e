// Package packages_test builds the packages and tries them: what is in them, that
// two builds are alike, what lintian says, and in a real root file system what
// installing, upgrading, removing and purging do.
//
// The root file system is not booted: this is what building an image is like.
// What upgrading does to running units is tried where instances are booted. It
// needs root, and Debian's tools; what it leaves out without them it says, and
// with CI=true that is a failure.
package packages_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// scratch is removed when all tests are done.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shoal-packages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	return m.Run()
}

// The packages' architectures, as Go and Debian name them and as rpm does.
var architectures = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// build is what one "make packages" has made.
type build struct{ debs, rpms map[string]string } // files, by Go's name of the architecture

// packages builds the packages of this tree, once for all tests.
func packages(t *testing.T) build {
	t.Helper()
	b, err := firstBuild()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var firstBuild = sync.OnceValues(func() (build, error) { return makePackages("../..", filepath.Join(scratch, "first")) })

// makePackages runs "make packages" in a tree, into a folder of its own.
func makePackages(tree, dir string) (build, error) {
	b := build{debs: map[string]string{}, rpms: map[string]string{}}
	// Not into a pipe of ours alone: make's own output tells what failed.
	cmd := exec.Command("make", "--no-print-directory", "-C", tree, "packages", "PACKAGES="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return b, fmt.Errorf("make packages: %w\n%s", err, out)
	}
	for goarch, rpmarch := range architectures {
		for pattern, into := range map[string]map[string]string{"shoal_*_" + goarch + ".deb": b.debs, "shoal-*." + rpmarch + ".rpm": b.rpms} {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(found) != 1 {
				return b, fmt.Errorf("make packages: want one %s, got %q (%w)", pattern, found, err)
			}
			into[goarch] = found[0]
		}
	}
	return b, nil
}

// need leaves a test out where a tool is missing, and fails it in CI.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			leaveOut(t, tool+" is not on the PATH")
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		leaveOut(t, "a root file system needs root")
	}
}

func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: nobody checks this of the packages", why)
	}
	t.Skipf("%s: nobody checks this of the packages", why)
}

// output runs a program that must succeed, and returns what it printed on both.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
