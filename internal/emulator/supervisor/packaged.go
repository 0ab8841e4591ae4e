package supervisor

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

//go:embed units
var packaged embed.FS

// PackagedUnits is what GitLab's own package installs, as a source for
// Options.Units: the gitlab-runner.service that Shoal's drop-in changes.
func PackagedUnits() fs.FS {
	units, err := fs.Sub(packaged, "units")
	if err != nil {
		panic(err) // the name is a valid one
	}
	return units
}

// makeFolders does what systemd-tmpfiles would at boot: it makes the
// directories that the sources' tmpfiles.d name, with their modes.
func (s *Supervisor) makeFolders() error {
	for _, source := range s.options.Units {
		names, err := fs.Glob(source, "tmpfiles.d/*.conf")
		if err != nil {
			return fmt.Errorf("list tmpfiles: %w", err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(source, name)
			if err != nil {
				return fmt.Errorf("read tmpfiles: %w", err)
			}
			for line := range strings.Lines(string(data)) {
				if err := s.makeFolder(name, strings.TrimSpace(line)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// makeFolder carries out one line of tmpfiles.d. Owners stay who runs the demo.
func (s *Supervisor) makeFolder(name, line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	f := strings.Fields(line)
	if len(f) < 3 || f[0] != "d" {
		return fmt.Errorf("read %s: line %q is no directory with a mode", name, line)
	}
	if f[2] == "-" {
		f[2] = "755" // systemd's default for a new directory
	}
	mode, err := strconv.ParseUint(f[2], 8, 9)
	if err != nil {
		return fmt.Errorf("read %s: mode of line %q: %w", name, line, err)
	}
	if err := os.MkdirAll(s.path(f[1]), os.FileMode(mode)); err != nil {
		return fmt.Errorf("make folder of %s: %w", name, err)
	}
	return nil
}
