// Command sandbox tries what Shoal's units may do, and above all what they may
// not, on a machine where they are installed and systemd runs. It needs root:
//
//	go build -o /usr/local/bin/sandbox ./packaging/sandbox && sandbox
//
// For each unit it starts a copy, with the drop-ins that hold on this machine,
// that runs the probes of this program in place of Shoal: the unit itself, and
// what it is doing, is left alone. It prints each difference from the table in
// probes.go and exits 1 when there is one.
//
// Whether the units' exposure as a whole is low is left to a test of package
// packaging; whether Shoal can do its work in them to the test that boots it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	run := all
	if len(os.Args) > 1 && os.Args[1] == "probe" {
		run = probe
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

// outcomes is what each probe came to: the error's text, empty where the unit
// may do it.
type outcomes map[string]string

// probe tries everything, from inside of a unit.
func probe() error {
	got := outcomes{}
	for _, p := range probes {
		if err := p.try(); err != nil {
			got[p.name] = err.Error()
		} else {
			got[p.name] = ""
		}
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}

// all probes all units from outside.
func all() error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root, and systemd")
	}
	s, err := newScene()
	defer s.clear()
	if err != nil {
		return err
	}
	var wrong []error
	for _, unit := range units {
		got, err := s.probe(unit)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		wrong = append(wrong, differences(unit, got))
		fmt.Printf("%s: %d probes\n", unit, len(got))
	}
	return errors.Join(wrong...)
}

func differences(unit string, got outcomes) error {
	var wrong []error
	for _, p := range probes {
		failure, tried := got[p.name]
		may := slices.Contains(strings.Fields(p.may), unit)
		switch {
		case !tried:
			wrong = append(wrong, fmt.Errorf("%s did not try to %s", unit, p.name))
		case may && failure != "":
			wrong = append(wrong, fmt.Errorf("%s cannot %s: %s", unit, p.name, failure))
		case !may && failure == "" && !strings.HasSuffix(p.may, hidden):
			wrong = append(wrong, fmt.Errorf("%s can %s", unit, p.name))
		}
	}
	return errors.Join(wrong...)
}

// program is where the probing program is while it is used: a folder that every
// unit sees, and from which programs may be run.
const program = "/usr/local/bin/shoal-sandbox-probe"

// nobody owns what is not the units' own.
const nobody = 65534

// others are files that are not the units' to read or write.
var others = []string{"/tmp/.shoal-probe", "/root/.shoal-probe", "/home/.shoal-probe", "/var/lib/.shoal-probe", "/etc/gitlab-runner/.shoal-probe", "/var/lib/shoal/.shoal-probe"}

// scene is what the probes need around them.
type scene struct {
	made  []string
	sleep *exec.Cmd // a process of another user
}

func newScene() (*scene, error) {
	s := &scene{}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	data, err := os.ReadFile(self)
	if err != nil {
		return s, err
	}
	if err := s.write(program, string(data), 0o755); err != nil {
		return s, err
	}
	for _, path := range others {
		if err := s.write(path, "secret\n", 0o600); err != nil {
			return s, err
		}
	}
	if err := os.Chown(theirs, nobody, nobody); err != nil {
		return s, err
	}
	if err := s.write("/run/systemd/system/"+bystander, "[Service]\nExecStart=/bin/sleep 600\n", 0o644); err != nil {
		return s, err
	}
	if err := errors.Join(systemctl("daemon-reload"), systemctl("start", bystander)); err != nil {
		return s, err
	}
	s.sleep = exec.Command("sleep", "600")
	s.sleep.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return s, s.sleep.Start()
}

func (s *scene) write(path, text string, mode os.FileMode) error {
	s.made = append(s.made, path)
	if err := os.WriteFile(path, []byte(text), mode); err != nil { //nolint:gosec // this file's own list
		return err
	}
	return os.Chmod(path, mode) // whatever the umask
}

func (s *scene) clear() {
	_ = systemctl("stop", bystander)
	for _, path := range s.made {
		_ = os.Remove(path)
	}
	if s.sleep != nil && s.sleep.Process != nil {
		_ = s.sleep.Process.Kill()
		_ = s.sleep.Wait()
	}
	_ = systemctl("daemon-reload")
}

// probe runs the probes in a copy of the unit.
func (s *scene) probe(unit string) (outcomes, error) {
	text, err := exec.Command("systemctl", "cat", unit).Output()
	if err != nil {
		return nil, fmt.Errorf("systemctl cat %s: %w", unit, err)
	}
	name, out := "shoal-probe-"+unit, filepath.Join("/run", "shoal-probe-"+unit+".json")
	if err := s.write(out, "", 0o600); err != nil {
		return nil, err
	}
	copied := sandboxOf(string(text)) + fmt.Sprintf(
		"[Service]\nType=oneshot\nExecStart=%s probe\nEnvironment=PROBE_PID=%d\nStandardOutput=truncate:%s\nTimeoutStartSec=60\n", program, s.sleep.Process.Pid, out)
	if err := s.write(filepath.Join("/run/systemd/system", name), copied, 0o644); err != nil {
		return nil, err
	}
	if err := systemctl("daemon-reload"); err != nil {
		return nil, err
	}
	if err := systemctl("start", name); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(out) //nolint:gosec // our own
	if err != nil {
		return nil, err
	}
	var got outcomes
	if err := json.Unmarshal(data, &got); err != nil {
		return nil, fmt.Errorf("what %s printed: %w", name, err)
	}
	return got, nil
}

func systemctl(args ...string) error {
	cmd := exec.Command("systemctl", args...) //nolint:gosec // our own units
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// sandboxOf is a unit without what it runs, when, and what follows.
func sandboxOf(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !slices.ContainsFunc(lively, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			kept.WriteString(line)
		}
	}
	return kept.String() + "\n"
}

// lively are the directives that say what a unit does, by how they begin.
var lively = []string{"Type", "Exec", "OnSuccess", "OnFailure", "Restart", "Condition", "Watchdog", "Notify", "Timeout", "Wants", "WantedBy", "After"}

// otherProcess is a process that is not the unit's own.
func otherProcess() int {
	pid, _ := strconv.Atoi(os.Getenv("PROBE_PID"))
	return pid
}
