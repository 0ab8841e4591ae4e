package standin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// execute runs the job's steps in a directory of its own. It returns the first
// step's exit status that counts; an error is the runner's own failure.
func (b *build) execute() (int, error) {
	dir, err := b.directory()
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	env, err := b.environment(dir)
	if err != nil {
		return 0, err
	}
	b.trace.runner("\x1b[0K\x1b[36;1mPreparing environment\x1b[0;m\x1b[0;m\n")
	if d := time.Duration(b.job.RunnerInfo.Timeout) * b.process.options.Timing.Second; d > 0 {
		t := time.AfterFunc(d, func() { b.abort(errTimeout) })
		defer t.Stop()
	}
	return b.steps(dir, env)
}

func (b *build) steps(dir string, env []string) (int, error) {
	result := 0
	for _, s := range b.job.Steps {
		if len(s.Script) == 0 || !s.due(result) || (b.ctx.Err() != nil && s.Name != "after_script") {
			continue
		}
		if b.ctx.Err() != nil {
			b.trace.runner("\x1b[0;33mWARNING: after_script failed, but job will continue unaffected: context canceled\x1b[0;m\n")
			continue
		}
		b.trace.runner("\x1b[0K\x1b[36;1mExecuting \"step_%s\" stage of the job script\x1b[0;m\x1b[0;m\n", s.Name)
		code, err := b.script(dir, env, s)
		if err != nil {
			return 0, err
		}
		if code != 0 && result == 0 && !s.AllowFailure {
			result = code
		}
	}
	return result, nil
}

// due tells whether a step runs after what went before.
func (s step) due(result int) bool {
	switch s.When {
	case "always":
		return true
	case "on_failure":
		return result != 0
	}
	return result == 0 || s.Name == "after_script"
}

// script runs one step with bash, in a process group of its own, and waits
// until nobody holds its output any longer: a job whose children ignore SIGTERM
// is not over, and not reported, until they are gone.
func (b *build) script(dir string, env []string, s step) (int, error) {
	path := filepath.Join(dir, ".step_"+strconv.FormatInt(time.Now().UnixNano(), 36))
	if err := os.WriteFile(path, []byte(b.lines(s)), 0o600); err != nil {
		return 0, fmt.Errorf("write script: %w", err)
	}
	cmd := exec.Command("bash", path) //nolint:gosec // running scripts is what a runner is for
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, b.trace, b.trace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start bash: %w", err)
	}
	over := make(chan struct{})
	killed := make(chan struct{})
	go func() { defer close(killed); b.killer(cmd.Process.Pid, over) }()
	code, err := exitStatus(cmd.Wait())
	close(over)
	<-killed
	if b.ctx.Err() != nil {
		code, err = 0, nil // the cause of the abort decides, not the status
	}
	return code, err
}

// exitStatus is a script's exit status, 128 and the signal where one killed it.
func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	case errors.As(err, &exit):
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal()), nil
	}
	return 0, fmt.Errorf("run bash: %w", err)
}

// killer ends an aborted step: SIGTERM to its group, SIGKILL much later.
func (b *build) killer(group int, over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-b.ctx.Done():
	}
	_ = syscall.Kill(-group, syscall.SIGTERM)
	t := time.NewTimer(b.process.options.Timing.JobKill)
	defer t.Stop()
	select {
	case <-over:
	case <-t.C:
		_ = syscall.Kill(-group, syscall.SIGKILL)
		<-over
	}
}

// lines is the script of a step: each command shown, then run, the first
// failure the last.
func (b *build) lines(s step) string {
	var w strings.Builder
	w.WriteString("set -eo pipefail\nset +o noclobber\n")
	all := s.Script
	if b.section.PreBuildScript != "" {
		all = append([]string{b.section.PreBuildScript}, all...)
	}
	if b.section.PostBuildScript != "" {
		all = append(all[:len(all):len(all)], b.section.PostBuildScript)
	}
	for _, line := range all {
		first, _, _ := strings.Cut(line, "\n")
		fmt.Fprintf(&w, "echo %s\n%s\n", quote("\x1b[32;1m$ "+first+"\x1b[0;m"), line)
	}
	return w.String()
}

// quote makes one word of a text for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// directory makes the job's own working directory.
func (b *build) directory() (string, error) {
	base, err := b.process.buildsDir(b.section)
	if err != nil {
		return "", fmt.Errorf("find builds directory: %w", err)
	}
	dir := filepath.Join(base, b.client.short(), strconv.FormatInt(b.job.ID, 10))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make job's directory: %w", err)
	}
	return dir, nil
}

// environment is what the job's commands see. Variables go this way, never by
// argument, so that no other user reads them from ps.
func (b *build) environment(dir string) ([]string, error) {
	env := append(os.Environ(), "CI=true", "GITLAB_CI=true", "CI_SERVER=yes",
		"CI_JOB_ID="+strconv.FormatInt(b.job.ID, 10), "CI_PROJECT_DIR="+dir,
		"CI_RUNNER_VERSION="+b.process.flavour.version)
	env = append(env, b.section.Environment...)
	for i, v := range b.job.Variables {
		value := v.Value
		if v.File {
			value = filepath.Join(dir, fmt.Sprintf(".variable_%d", i))
			if err := os.WriteFile(value, []byte(v.Value), 0o600); err != nil {
				return nil, fmt.Errorf("write file variable: %w", err)
			}
		}
		env = append(env, v.Key+"="+value)
	}
	return env, nil
}
