// Command generate writes what the packages contain beside the files of this
// repository: a manual page of every command, completions for the shells, the
// licences of all that is in the binary, and Debian's changelog.
//
// It guarantees the same bytes for the same commit, wherever and whenever it
// runs: times come from -time alone. It asks the go command which modules are in
// the binary, so it must run inside the module. Putting the files into packages
// is left to nfpm.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// options is what the files are written for.
type options struct {
	dir     string    // where they go
	version string    // of the package
	made    time.Time // when its commit was made
}

func main() {
	var o options
	var seconds int64
	flag.StringVar(&o.dir, "o", "dist/generated", "folder to write into")
	flag.StringVar(&o.version, "version", "", "version of the package")
	flag.Int64Var(&seconds, "time", 0, "time to put into the files, in seconds since 1970")
	flag.Parse()
	o.made = time.Unix(seconds, 0).UTC()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.version == "" {
		return fmt.Errorf("-version is missing")
	}
	for _, write := range []func(options) error{writeManual, writeCompletions, writeLicences, writeChangelog} {
		if err := write(o); err != nil {
			return err
		}
	}
	return nil
}

// write makes one file below the folder, readable by all.
func (o options) write(name string, data []byte) error {
	path := filepath.Join(o.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // it is to be installed for all to read
		return err
	}
	return os.WriteFile(path, data, 0o644) //nolint:gosec // the same
}

// compress packs as "gzip -9n" does: no name and no time, which would differ
// from build to build.
func compress(data []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
