// Package ansible_test runs the playbooks, the role and the drop-ins for real:
// ansible-playbook against instances of the emulated services, and the role on
// an overlay of this machine's own root.
//
// What is asserted is what the emulated EC2 and GitLab have on record, what
// Ansible reports, and the files that are there afterwards.
package ansible_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// program is the file of the binary that the playbooks call.
var program string

// playbooks is the folder of what is tested.
var playbooks string

// atOnce is how many tests run at the same time where nobody says otherwise:
// they wait more than they work.
const atOnce = "8"

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
	dir, err := os.MkdirTemp("", "shoal-ansible-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "ansible:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if playbooks, err = filepath.Abs("../../deploy/ansible"); err != nil {
		fmt.Fprintln(os.Stderr, "ansible:", err)
		return 1
	}
	program = filepath.Join(dir, "shoal")
	build := exec.Command("go", "build", "-o", program, "../../cmd/shoal")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "ansible: build shoal:", err)
		return 1
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "ansible:", err)
			return 1
		}
	}
	return code
}

// tool finds a program, or leaves the test out and says what nobody checks then.
// In continuous integration that is a failure.
func tool(t *testing.T, name, unchecked string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		leftOut(t, name+" is not installed: "+unchecked)
	}
	return path
}

func leftOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
