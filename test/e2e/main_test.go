// Package e2e_test runs the real program against the emulated services: an
// instance's units, the way an operator and a newcomer use it, and the bad days.
//
// What is asserted is what the emulated EC2 and GitLab have on record, exit
// codes, the words that tell a person what to mend, and that no secret is seen
// anywhere. Nothing here looks into the program.
package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// program is the file of the binary that all tests run.
var program string

// atOnce is how many tests run at the same time where nobody says otherwise:
// they wait far more than they work.
const atOnce = "20"

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
	dir, err := os.MkdirTemp("", "shoal-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "shoal")
	build := exec.Command("go", "build", "-o", program, "../../cmd/shoal")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: build shoal:", err)
		return 1
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
	}
	return code
}
