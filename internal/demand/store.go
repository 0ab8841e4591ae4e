package demand

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// Store keeps what a restart must not forget: a folder where the webhook is a
// service, a table where it is a function that is started anew with each event.
// Errors are *fleet.Failure, anything else counts as Temporary.
type Store interface {
	// Load returns what was saved last for a group, nil for nothing.
	Load(ctx context.Context, group string) (*life.Backlog, error)
	// Save replaces it as a whole, or leaves it.
	Save(ctx context.Context, group string, b life.Backlog) error
}

// Folder is a Store of one file for each group.
type Folder struct{ Dir string }

// maxKept bounds what is read: 5,000 jobs with the longest names have 4 MB, and 16 where
// each of their characters takes six in JSON.
const maxKept = 24 << 20

// longestFile bounds a file's name below the 255 bytes that a folder takes.
const longestFile = 200

func (f Folder) path(group string) string {
	name := url.PathEscape(group)
	if len(name) > longestFile { // a group's may have 255 characters, of which some take three
		name = fmt.Sprintf("%s-%x", name[:longestFile/2], sha256.Sum256([]byte(group)))
	}
	return filepath.Join(f.Dir, "jobs-"+name+".json")
}

// Load implements Store.
func (f Folder) Load(_ context.Context, group string) (*life.Backlog, error) {
	path := f.path(group)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is kept
	}
	if err != nil {
		return nil, local("open "+path, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxKept))
	if err != nil {
		return nil, local("read "+path, err)
	}
	var b life.Backlog
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, &fleet.Failure{Kind: fleet.Local, Op: "read " + path, Message: "it is not as Shoal writes it", Mend: "remove the file"}
	}
	return &b, nil
}

// Save implements Store: a new file takes the old one's name, so that a full disk
// or a kill leaves the old one. It is not forced to the disk: after a power cut the
// events and GitLab's lists tell more than it does.
func (f Folder) Save(_ context.Context, group string, b life.Backlog) error {
	data, err := json.Marshal(b)
	if err != nil {
		return local("encode the jobs of "+group, err)
	}
	path := f.path(group)
	err = errors.Join(os.MkdirAll(f.Dir, 0o700), os.WriteFile(path+".new", data, 0o600))
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return local("write "+path, err)
	}
	return nil
}

func local(op string, err error) error {
	return &fleet.Failure{Kind: fleet.Local, Op: op, Message: err.Error(), Mend: fmt.Sprintf("see that the folder of %s is writable and has room", op), Err: err}
}
