package supervisor

import "strings"

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
		controlVariable + "=" + s.control.path,
	}
}
