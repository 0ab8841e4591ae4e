package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// Environ is the environment of a program that is run on the instance from
// outside of its units, as an operator would: it finds the instance's systemctl
// and services, and Kill ends it with the rest.
func (s *Supervisor) Environ() []string {
	env := append(s.baseEnviron(), s.options.Env...)
	return append(env, instanceVariable+"="+s.options.Instance)
}

// baseEnviron is what every process of the instance begins with.
func (s *Supervisor) baseEnviron() []string {
	return []string{
		"PATH=" + strings.Join(s.options.Path, ":"),
		"HOME=" + s.options.Root, "LANG=C.UTF-8",
		ControlVariable + "=" + s.control.path,
	}
}

// lookUp finds a program by its base name on the instance's PATH: a unit says
// /usr/bin/shoal, the instance has its own.
func (s *Supervisor) lookUp(name string) (string, error) {
	for _, dir := range s.options.Path {
		path := filepath.Join(dir, filepath.Base(name))
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("find program %s: on none of %s", filepath.Base(name), strings.Join(s.options.Path, ":"))
}

// environment is what the unit's processes see; more is what systemd tells this one.
func (svc *service) environment(more ...string) ([]string, error) {
	s := svc.sup
	env := append(s.baseEnviron(), s.options.Env...)
	for _, v := range svc.unit.environment {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return nil, fmt.Errorf("unit %s: Environment= %q is no assignment", svc.unit.name, v)
		}
		env = append(env, name+"="+s.path(value))
	}
	for _, f := range svc.unit.environmentFiles {
		read, err := s.environmentFile(f)
		if err != nil {
			return nil, err
		}
		env = append(env, read...)
	}
	env = append(env, more...)
	// Last, so that nothing above hides a process from Kill.
	return append(env, instanceVariable+"="+s.options.Instance, unitVariable+"="+svc.unit.name), nil
}

// environmentFile reads assignments; "-" before the path lets it be missing.
func (s *Supervisor) environmentFile(name string) ([]string, error) {
	name, optional := strings.CutPrefix(name, "-")
	data, err := os.ReadFile(s.path(name))
	if optional && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read environment file: %w", err)
	}
	var env []string
	for line := range strings.Lines(string(joinLines(data))) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("read environment file %s: %q is no assignment", name, line)
		}
		env = append(env, strings.TrimSpace(k)+"="+strings.Trim(strings.TrimSpace(v), `"'`))
	}
	return env, nil
}

// dropUser takes "--user NAME" from a command line where this program could not
// become that user anyway: not root, or no such user.
func dropUser(args []string) []string {
	for i, a := range args {
		if a != "--user" || i+1 >= len(args) {
			continue
		}
		if os.Geteuid() == 0 {
			if _, err := user.Lookup(args[i+1]); err == nil {
				return args
			}
		}
		return append(args[:i:i], args[i+2:]...)
	}
	return args
}
