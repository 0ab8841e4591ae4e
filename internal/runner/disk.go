package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	// fileMode: config.toml and its copies hold tokens.
	fileMode = 0o600
	dirMode  = 0o700
	// maxConfig is the largest configuration that is read. Real ones have a few
	// KB; more is not a configuration.
	maxConfig = 4 << 20
)

// disk is what files are read and written with: each method one effect, after
// which the process may be killed.
type disk interface {
	read(path string) ([]byte, error)
	// create makes a file of its own name beside path, 0600, with its content on
	// the disk, and returns its name.
	create(path string, data []byte) (string, error)
	rename(from, to string) error
	remove(path string) error
	syncDir(dir string) error
	mkdir(dir string) error
	// sweep removes what killed writers of path left behind.
	sweep(path string)
}

// replace writes a file so that it is the old or the new one at every instant,
// with mode 0600. A failure leaves the old one and no rest.
func replace(d disk, path string, data []byte) error {
	if err := d.mkdir(filepath.Dir(path)); err != nil {
		return failed("write", path, err)
	}
	temp, err := d.create(path, data)
	if err != nil {
		return failed("write", path, err)
	}
	if err := d.rename(temp, path); err != nil {
		_ = d.remove(temp) // the rename's failure is what counts
		return failed("write", path, err)
	}
	// Without this a power cut may bring the old file back after a token was used.
	if err := d.syncDir(filepath.Dir(path)); err != nil {
		return failed("write", path, err)
	}
	return nil
}

// discard removes a file, and that it stays removed over a power cut. It tells
// whether there was one.
func discard(d disk, path string) (changed bool, err error) {
	if err := d.remove(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, failed("remove", path, err)
	}
	if err := d.syncDir(filepath.Dir(path)); err != nil {
		return true, failed("remove", path, err)
	}
	return true, nil
}

// load reads a file; absent is nil, empty is not.
func load(d disk, path string) ([]byte, error) {
	data, err := d.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("read", path, err)
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

// writeUnlessSame replaces a file whose content differs, and tells whether it did.
func writeUnlessSame(d disk, path string, data []byte) (changed bool, err error) {
	old, err := load(d, path)
	if err != nil || old != nil && bytes.Equal(old, data) {
		return false, err
	}
	return true, replace(d, path, data)
}

func failed(verb, path string, err error) *fleet.Failure {
	f := &fleet.Failure{Kind: fleet.Local, Op: verb + " " + path, Err: err, Message: reason(err)}
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		f.Mend = "free space on the file system of " + dir
	case errors.Is(err, syscall.EROFS):
		f.Mend = "make " + dir + " writable: ReadWritePaths= in the unit, or the mount"
	case errors.Is(err, fs.ErrPermission):
		f.Mend = "run as root, or as the owner of " + path
	}
	return f
}

// reason is the error without the paths of temporary files.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err.Error()
	}
	return err.Error()
}

// osDisk is the real one.
type osDisk struct{}

func (osDisk) read(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // a path of the configuration
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only; nothing to lose
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(data) > maxConfig {
		return nil, fmt.Errorf("larger than %d bytes", maxConfig)
	}
	return data, err
}

// tempPattern names the temporary files of a path, in its own folder.
func tempPattern(path string) string { return ".shoal-" + filepath.Base(path) + ".*.tmp" }

func (osDisk) sweep(path string) {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), tempPattern(path)))
	for _, f := range left {
		_ = os.Remove(f) // a rest that stays is 0600 and does no harm
	}
}

func (osDisk) create(path string, data []byte) (string, error) {
	// CreateTemp makes it 0600 from the start: a token is never readable by others.
	f, err := os.CreateTemp(filepath.Dir(path), tempPattern(path))
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(fileMode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the write's failure is what counts
		return "", err
	}
	return f.Name(), nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) remove(path string) error     { return os.Remove(path) }
func (osDisk) mkdir(dir string) error       { return os.MkdirAll(dir, dirMode) }

func (osDisk) syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // a path of the configuration
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
