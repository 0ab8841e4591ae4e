package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// figure is what one run of a command took, its children's time among it.
type figure struct {
	Wall time.Duration
	CPU  time.Duration
	RSS  int64 // bytes, at peak, of the largest process
}

// launchVerb has this program be the launcher: Linux counts the memory of a
// process that forks to the peak of its child, and the emulator in here is large.
const launchVerb = "launch"

// measure runs a command through the launcher and takes its figures from the
// kernel's own account.
func measure(cmd *exec.Cmd) (figure, error) {
	var f figure
	self, err := os.Executable()
	if err != nil {
		return f, err
	}
	var out strings.Builder
	through := exec.Command(self, append([]string{launchVerb}, cmd.Args...)...) //nolint:gosec // this program
	through.Env, through.Stderr = cmd.Env, &out
	report, err := through.Output()
	if err != nil {
		return f, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.String())
	}
	return f, json.Unmarshal(report, &f)
}

// launch runs a command and prints its figure.
func launch(args []string) error {
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // what measure was given
	cmd.Stderr = os.Stderr
	start := time.Now()
	err := cmd.Run()
	f := figure{Wall: time.Since(start)}
	if err != nil {
		return err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system does not account for processes")
	}
	f.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	f.RSS = usage.Maxrss << 10
	return json.NewEncoder(os.Stdout).Encode(f)
}
