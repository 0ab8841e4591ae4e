package packages_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTwoBuildsAreAlike builds the same sources again: later, in another folder,
// from files that nobody else may read.
func TestTwoBuildsAreAlike(t *testing.T) {
	need(t, "git")
	first := packages(t)
	tree := filepath.Join(scratch, "elsewhere")
	copyTree(t, "../..", tree)
	second, err := makePackages(tree, filepath.Join(scratch, "second"))
	if err != nil {
		t.Fatal(err)
	}
	for arch := range architectures {
		same(t, first.debs[arch], second.debs[arch])
		same(t, first.rpms[arch], second.rpms[arch])
	}
}

func same(t *testing.T, one, other string) {
	t.Helper()
	if filepath.Base(one) != filepath.Base(other) {
		t.Errorf("the second build is called %s, the first %s", filepath.Base(other), filepath.Base(one))
	}
	a, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s: the two builds differ (diffoscope tells where)", filepath.Base(one))
	}
}

// copyTree copies what git knows or would add, and git's own folder.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	list := exec.Command("git", "-C", from, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	names, err := list.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, name := range strings.Split(strings.TrimRight(string(names), "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(from, name)); err == nil { // one that was deleted is listed too
			there = append(there, name)
		}
	}
	cp := exec.Command("xargs", "-0", "sh", "-c", `umask 077; exec cp --recursive --no-dereference --parents --target-directory="$0" "$@"`, to)
	cp.Dir = from
	cp.Stdin = strings.NewReader(strings.Join(append(there, ".git"), "\x00"))
	if out, err := cp.CombinedOutput(); err != nil {
		t.Fatalf("copy the tree: %v\n%s", err, out)
	}
	// git keeps nothing of modes but that a file can be run; this is somebody's
	// clone who lets nobody in.
	output(t, "chmod", "--recursive", "go=", to)
	// The tools need not be built again. A folder with links: git ignores no link of
	// that name, and the binary tells whether git saw a change.
	output(t, "cp", "--recursive", "--symbolic-link", mustAbs(t, filepath.Join(from, ".bin")), filepath.Join(to, ".bin"))
}

func mustAbs(t *testing.T, name string) string {
	t.Helper()
	abs, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
