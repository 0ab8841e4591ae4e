package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// Files keeps what survives a kill: the registration in the state directory
// (0600, across reboots), the notice and the flags in the run directory (until
// the next boot). Every file is replaced as a whole or not at all.
type Files struct {
	StateDir string
	RunDir   string
}

const (
	registrationFile = "registration.json"
	whoamiFile       = "whoami.json"
	beforeFile       = "before.json"
	// seenFile has a folder of its own: scale-up runs as a user who may write in no
	// other. tmpfiles.d makes it.
	seenFile = "scale-up/queue.json"
	// mostFile bounds what is read: these files are some hundred bytes.
	mostFile = 64 << 10

	newFiles = ".new-*" // files that are being written, beside those that they replace

	private = 0o600
	public  = 0o644 // the daemons may run as a user of their own
)

func (e Edges) readFlags(ctx context.Context) (fleet.Flags, error) {
	f, err := e.Files.Flags()
	if err != nil || e.Runner == nil {
		return f, err
	}
	f.Held, err = e.Runner.Held(ctx)
	return f, err
}

// Flags reads the run directory. One that does not exist is an empty one.
func (f *Files) Flags() (fleet.Flags, error) {
	var flags fleet.Flags
	var err error
	if flags.Notice, err = f.notice(); err != nil {
		return flags, err
	}
	for name, to := range map[life.Flag]*bool{
		life.FlagStandby: &flags.Standby, life.FlagRegistered: &flags.Registered, life.FlagWarmed: &flags.Warmed,
		life.FlagProtected: &flags.Protected, life.FlagUnable: &flags.Unable, life.FlagRefused: &flags.Refused,
		life.FlagCompleted: &flags.Completed,
	} {
		if *to, err = exists(f.run(string(name))); err != nil {
			return flags, err
		}
	}
	return flags, nil
}

// notice reads the notice, nil when there is none. What does not parse, or names
// no kind, is none either, but an error: nothing is drained for it, and nothing
// goes on as if it were not there.
func (f *Files) notice() (*fleet.Notice, error) {
	var n fleet.Notice
	path := f.run(string(life.FlagNotice))
	found, err := readJSON(path, &n)
	if err != nil || !found {
		return nil, err
	}
	if !slices.Contains(noticeKinds, n.Kind) {
		return nil, foreign(path)
	}
	return &n, nil
}

var noticeKinds = []fleet.NoticeKind{
	fleet.NoticeScaleIn, fleet.NoticeSpot, fleet.NoticeRebalance, fleet.NoticeMaintenance,
	fleet.NoticeDetached, fleet.NoticeShutdown, fleet.NoticeOperator,
}

func (f *Files) run(name string) string   { return filepath.Join(f.RunDir, name) }
func (f *Files) state(name string) string { return filepath.Join(f.StateDir, name) }

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, local("look for "+path, err)
}

// SetFlag writes or removes a flag file; what is so already stays so.
func (f *Files) SetFlag(flag life.Flag, on bool) error {
	path := f.run(string(flag))
	if on {
		return replace(path, []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), public)
	}
	_, err := remove(path)
	return err
}

// WriteNotice writes the notice unless one stands: the first is the one that is
// acted on. A file that is no notice does not stand in the way of one.
// It tells whether this one is now the notice.
func (f *Files) WriteNotice(n fleet.Notice) (changed bool, err error) {
	data, err := json.Marshal(n)
	if err != nil {
		return false, local("encode the notice", err)
	}
	path := f.run(string(life.FlagNotice))
	there, err := f.notice()
	switch {
	case there != nil:
		return false, nil
	case err != nil:
		return true, replace(path, append(data, '\n'), public)
	}
	err = put(path, append(data, '\n'), public, os.Link)
	if errors.Is(err, fs.ErrExist) { // another wrote one in this moment
		return false, nil
	}
	return true, err
}

// Whoami reads what init found out, nil when it has not.
func (f *Files) Whoami() (*life.Whoami, error) {
	var w life.Whoami
	found, err := readJSON(f.run(whoamiFile), &w)
	if err != nil || !found {
		return nil, err
	}
	return &w, nil
}

// WriteWhoami keeps what init found out.
func (f *Files) WriteWhoami(w life.Whoami) error {
	data, err := json.Marshal(w)
	if err != nil {
		return local("encode the identity", err)
	}
	return replace(f.run(whoamiFile), append(data, '\n'), public)
}

// Seen reads which reading of the queue was believed last, nil for none.
func (f *Files) Seen() (*life.Seen, error) {
	var s life.Seen
	found, err := readJSON(f.run(seenFile), &s)
	if err != nil || !found {
		return nil, err
	}
	return &s, nil
}

// WriteSeen keeps which reading of the queue was believed last.
func (f *Files) WriteSeen(s life.Seen) error {
	data, err := json.Marshal(s)
	if err != nil {
		return local("encode the reading", err)
	}
	path := f.run(seenFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as tmpfiles.d makes it
		return local("write "+path, err)
	}
	return replace(path, append(data, '\n'), public)
}

// Before reads what was so before a saturated spell, nil for none.
func (f *Files) Before() (*life.Before, error) {
	var b life.Before
	found, err := readJSON(f.run(beforeFile), &b)
	if err != nil || !found {
		return nil, err
	}
	return &b, nil
}

// WriteBefore keeps what was so before a saturated spell.
func (f *Files) WriteBefore(b life.Before) error {
	data, err := json.Marshal(b)
	if err != nil {
		return local("encode the reading", err)
	}
	return replace(f.run(beforeFile), append(data, '\n'), public)
}

// storedRegistration is the file's format: the one place where tokens are
// written in the clear, mode 0600.
type storedRegistration struct {
	Mode        fleet.Mode     `json:"mode"`
	URL         string         `json:"url"`
	SystemID    string         `json:"system_id"`
	Description string         `json:"description"`
	IntentAt    time.Time      `json:"intent_at"`
	Runners     []storedRunner `json:"runners"`
}

type storedRunner struct {
	ID    int64  `json:"id"`
	Token string `json:"token"`
}

// Registration reads the registration, nil when there is none.
func (f *Files) Registration() (*fleet.Registration, error) {
	var s storedRegistration
	found, err := readJSON(f.state(registrationFile), &s)
	if err != nil || !found {
		return nil, err
	}
	r := fleet.Registration{Mode: s.Mode, URL: s.URL, SystemID: s.SystemID, Description: s.Description, IntentAt: s.IntentAt}
	for _, one := range s.Runners {
		r.Runners = append(r.Runners, fleet.RegisteredRunner{ID: one.ID, Token: fleet.NewToken(one.Token)})
	}
	return &r, nil
}

// WriteRegistration keeps the registration, and tells whether another one, or
// none, was kept before.
func (f *Files) WriteRegistration(r fleet.Registration) (changed bool, err error) {
	s := storedRegistration{Mode: r.Mode, URL: r.URL, SystemID: r.SystemID, Description: r.Description, IntentAt: r.IntentAt}
	for _, one := range r.Runners {
		s.Runners = append(s.Runners, storedRunner{ID: one.ID, Token: one.Token.Reveal()})
	}
	data, err := json.Marshal(s)
	if err != nil {
		return false, local("encode the registration", err)
	}
	path := f.state(registrationFile)
	if data = append(data, '\n'); same(path, data, private) {
		// A power cut may follow a kill between the rename and this, in an earlier run.
		return false, local("write "+path, syncDir(f.StateDir))
	}
	return true, replace(path, data, private)
}

// same tells whether a file is as it would be written. One that cannot be read
// is not: writing it then succeeds, or says what is wrong.
func same(path string, data []byte, mode fs.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode || info.Size() != int64(len(data)) {
		return false
	}
	old, err := os.ReadFile(path) //nolint:gosec // a path of the configuration
	return err == nil && bytes.Equal(old, data)
}

// RemoveRegistration forgets it, and what a kill in the middle of writing it
// left behind; it tells whether there was any of it.
func (f *Files) RemoveRegistration() (changed bool, err error) {
	changed, err = remove(f.state(registrationFile))
	left, _ := filepath.Glob(f.state(newFiles)) // only a bad pattern is an error
	for _, path := range left {
		gone, e := remove(path)
		changed, err = changed || gone, errors.Join(err, e)
	}
	return changed, err
}

// readJSON reads a small file; one that does not exist is not found, one that
// does not parse is an error: it was written whole, so someone else wrote it.
func readJSON(path string, into any) (found bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, local("open "+path, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, mostFile))
	if err != nil {
		return false, local("read "+path, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return false, foreign(path)
	}
	return true, nil
}

// foreign is a file that someone else wrote. The decoder's words are left out:
// they could quote the file, which may hold a token.
func foreign(path string) error {
	return &fleet.Failure{Kind: fleet.Local, Op: "read " + path, Message: "it is not as Shoal writes it", Mend: "remove the file and run the command again"}
}

// replace writes a file as a whole: into a new file beside it that then takes
// its name. A full disk or a kill leaves the old one.
func replace(path string, data []byte, mode fs.FileMode) error {
	return put(path, data, mode, os.Rename)
}

// put writes a new file beside path and has name give it its name.
func put(path string, data []byte, mode fs.FileMode, name func(tmp, path string) error) error {
	op := "write " + path
	tmp, err := os.CreateTemp(filepath.Dir(path), newFiles)
	if err != nil {
		return local(op, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // nothing once it is renamed
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = name(tmp.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return local(op, err)
}

// syncDir makes a rename survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove removes a file, and tells whether it was there.
func remove(path string) (gone bool, err error) {
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, local("remove "+path, err)
}

// local is a failure of this machine.
func local(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fleet.Failure{Kind: fleet.Local, Op: op, Message: err.Error(), Mend: "see that the directory exists, is writable and has room: " + fmt.Sprint(filepath.Dir(pathOf(err))), Err: err}
}

// pathOf is the path that an error names.
func pathOf(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Path
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.New
	}
	return ""
}
