package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// readableByOthers is the permission that makes a file no place for a secret. A
// group may read it: that is how a service's user is let in.
const readableByOthers fs.FileMode = 0o004

// readFile reads a secret from a file that is not open to everyone. What it
// checks is the file it has opened, not a name that may change in between.
func readFile(ref fleet.SecretRef) (string, error) {
	// O_NONBLOCK: a named pipe in the file's place must not hold us for ever.
	f, err := os.OpenFile(ref.Name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", openFailure(ref, err)
	}
	defer func() { _ = f.Close() }()
	if err := checkFile(ref, f); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxValue+1))
	if err != nil {
		return "", &fleet.Failure{Kind: fleet.Local, Op: operation(ref), Message: err.Error(), Err: err}
	}
	return string(b), nil
}

func checkFile(ref fleet.SecretRef, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return &fleet.Failure{Kind: fleet.Local, Op: operation(ref), Message: err.Error(), Err: err}
	}
	if !info.Mode().IsRegular() {
		return &fleet.Failure{Kind: fleet.Invalid, Op: operation(ref), Message: "it is not a regular file", Mend: "name a file"}
	}
	if info.Size() > 0 && info.Mode()&readableByOthers != 0 {
		return &fleet.Failure{
			Kind: fleet.Denied, Op: operation(ref), Mend: "chmod 600 " + ref.Name,
			Message: fmt.Sprintf("every user of this machine can read the file (mode %04o)", info.Mode().Perm()),
		}
	}
	return nil
}

func openFailure(ref fleet.SecretRef, err error) *fleet.Failure {
	f := &fleet.Failure{Kind: fleet.Local, Op: operation(ref), Message: err.Error(), Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Kind, f.Mend = fleet.NotFound, "write the token to this file, with mode 600"
	case errors.Is(err, fs.ErrPermission):
		f.Kind, f.Mend = fleet.Denied, "let the user that Shoal runs as read it"
	}
	return f
}
