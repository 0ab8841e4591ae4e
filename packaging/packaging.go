// Package packaging holds the files that the packages install. The demo's
// supervisor reads the same unit files that systemd reads on an instance, so
// that there is one description of the units.
package packaging

import (
	"embed"
	"io/fs"
)

//go:embed systemd
var files embed.FS

// Units is the unit files, with drop-ins in UNIT.d and what tmpfiles is to make
// in tmpfiles.d.
func Units() fs.FS {
	units, err := fs.Sub(files, "systemd")
	if err != nil {
		panic(err) // the name is a valid one
	}
	return units
}
