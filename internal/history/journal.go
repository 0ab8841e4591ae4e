package history

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// The journal is what an interrupted export is gone on with: a file beside the output
// that only grows. Each line is a frame with its checksum: first what was asked for
// and the salt, then the projects, then page after page with where the next one
// begins. A page is asked for only once the one before it is on the disk; what a kill
// or a power cut has left of a frame is no frame, and cut off. So each page is in it
// once.
type journal struct {
	file   *os.File
	path   string // empty: nobody can go on with it
	size   int64  // of the frames that are whole
	effect effect
	sync   syncing
}

const (
	// journalEnd is added to the output's name.
	journalEnd = ".resume"
	// magic begins every journal: a file that is none is never touched.
	magic = "shoal trace, to be resumed: 1\n"
	// maxFrame bounds a line: ten thousand projects have 200 KB, a page of jobs 20.
	maxFrame = 1 << 20
	// checksum is the hexadecimal one that begins a line, and the space behind it.
	checksum = 9
)

// frame is one line of the journal: exactly one of these.
type frame struct {
	Head   *head   `json:"head,omitempty"`
	Listed *listed `json:"listed,omitempty"`
	Page   *page   `json:"page,omitempty"`
}

// head is what was asked for.
type head struct {
	Query Query     `json:"query"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Salt  []byte    `json:"salt"`
}

func newHead(o Options) (head, error) {
	h := head{Query: o.Query, From: o.From.UTC(), To: o.To.UTC(), Salt: make([]byte, saltBytes)}
	_, err := rand.Read(h.Salt)
	return h, err
}

// listed are the projects.
type listed struct {
	Projects []int64 `json:"projects"`
	Named    int     `json:"named"` // the first of them, which must be readable
}

// page is one page of a project's jobs.
type page struct {
	Project int64    `json:"project"`
	Jobs    []packed `json:"jobs,omitempty"`
	Next    string   `json:"next,omitempty"`
	Last    int64    `json:"last,omitempty"` // the id of the last job on it
	At      int64    `json:"at,omitempty"`   // when that was created, milliseconds since 1970
	End     bool     `json:"end,omitempty"`  // the project's last page
	Refused bool     `json:"refused,omitempty"`
	Odd     int      `json:"odd,omitempty"` // entries that were no job
}

// state is what the frames so far come to.
type state struct {
	head     head
	projects []int64 // nil: not listed yet
	named    int
	jobs     []int // how many are kept of each project
	total    int
	at       int // the project at hand
	cursor   string
	last     int64 // its last job's id, and creation
	created  int64
	pages    int
	refused  int
	odd      int
}

// take adds a frame, or says that it does not follow from those before it.
func (s *state) take(f frame) error {
	switch {
	case f.Head != nil && s.head.Salt == nil && len(f.Head.Salt) == saltBytes:
		s.head = *f.Head
	case f.Listed != nil && s.head.Salt != nil && s.projects == nil && f.Listed.Named <= len(f.Listed.Projects):
		s.projects, s.named = append([]int64{}, f.Listed.Projects...), f.Listed.Named
		s.jobs = make([]int, len(s.projects))
	case f.Page != nil && s.at < len(s.projects) && s.projects[s.at] == f.Page.Project:
		s.takePage(f.Page)
	default:
		return errors.New("a frame does not follow from those before it")
	}
	return nil
}

func (s *state) takePage(p *page) {
	s.jobs[s.at] += len(p.Jobs)
	s.total += len(p.Jobs)
	s.odd += p.Odd
	s.pages++
	s.cursor = p.Next
	if p.Last > 0 { // else it had none that could be read
		s.last, s.created = p.Last, p.At
	}
	if p.Refused {
		s.refused++
	}
	if p.End {
		s.at++
		s.cursor, s.last, s.created = "", 0, 0
	}
}

// fits tells whether a page can be the next one: its jobs' ids go on falling. If they
// did not, jobs could be there twice, or be missed.
func (s *state) fits(op string, got fleet.HistoryPage) error {
	strange := func(message string) error {
		return &fleet.Failure{Kind: fleet.Temporary, Op: op, Message: message, Mend: "does something between here and GitLab answer in its stead?"}
	}
	last := s.last
	for _, j := range got.Jobs {
		if last > 0 && j.ID >= last {
			return strange(fmt.Sprintf("job %d comes behind job %d: they are not listed by id", j.ID, last))
		}
		last = j.ID
	}
	if got.Next != "" && (len(got.Jobs)+got.Odd == 0 || got.Next == s.cursor) {
		return strange("the pages lead nowhere")
	}
	return nil
}

// openJournal begins a journal, or goes on with one of the same query that has a page.
func openJournal(o Options, fresh head) (*journal, *state, error) {
	if o.Output == "" {
		return unseenJournal(o, fresh)
	}
	j := &journal{path: o.Output + journalEnd, effect: o.effect, sync: o.sync}
	if err := j.lock(); err != nil {
		return nil, nil, err
	}
	s, err := j.replay(o.Restart)
	if err == nil && s.pages == 0 { // nothing is lost, and what was asked for may have been the mistake
		s, err = j.begin(fresh)
	}
	if err == nil && !reflect.DeepEqual(s.head.Query, canonical(fresh.Query)) {
		err = &fleet.Failure{
			Kind: fleet.Invalid, Op: "go on with " + j.path, Err: ErrOtherQuery,
			Mend: "ask for the same again, or use --restart to begin anew",
		}
	}
	if err != nil {
		j.close()
		return nil, nil, err
	}
	return j, s, nil
}

// canonical is a query as it comes back from a journal.
func canonical(q Query) (out Query) {
	data, _ := json.Marshal(q)     // texts always can be
	_ = json.Unmarshal(data, &out) // and come back
	return out
}

// unseenJournal has no name: an export to a pipe cannot be gone on with.
func unseenJournal(o Options, fresh head) (*journal, *state, error) {
	file, err := os.CreateTemp("", "shoal-trace-")
	if err != nil {
		return nil, nil, local("make a temporary file", err)
	}
	os.Remove(file.Name())
	j := &journal{file: file, effect: o.effect, sync: o.sync}
	s, err := j.begin(fresh)
	if err != nil {
		j.close()
		return nil, nil, err
	}
	return j, s, nil
}

// lock opens the file, for nobody else meanwhile.
func (j *journal) lock() error {
	for range 3 {
		if err := j.effect.at("make the journal"); err != nil {
			return err
		}
		file, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return local("open "+j.path, err)
		}
		j.file = file
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil { //nolint:gosec // a descriptor fits
			j.close()
			return &fleet.Failure{Kind: fleet.Local, Op: "lock " + j.path, Message: "another shoal trace writes this output", Mend: "wait for it, or choose another --output", Err: err}
		}
		if j.current() {
			return j.checkOwner()
		}
		j.close() // the one that had it before has just ended, and removed it
	}
	return &fleet.Failure{Kind: fleet.Local, Op: "lock " + j.path, Message: "it goes away again and again"}
}

// current tells whether the file that is open still has its name.
func (j *journal) current() bool {
	open, err := j.file.Stat()
	named, err2 := os.Lstat(j.path)
	return err == nil && err2 == nil && os.SameFile(open, named)
}

// checkOwner refuses a file that somebody else could have put there: they would know
// the salt.
func (j *journal) checkOwner() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(j.file.Fd()), &st); err != nil { //nolint:gosec // a descriptor fits
		return local("look at "+j.path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		return &fleet.Failure{Kind: fleet.Local, Op: "go on with " + j.path, Message: "it is not a file that only its owner, and you, may read", Mend: "remove it, or choose another --output"}
	}
	return nil
}

// replay reads the frames, and cuts off what is none.
func (j *journal) replay(restart bool) (*state, error) {
	s := &state{}
	foreign := func() error {
		return &fleet.Failure{Kind: fleet.Local, Op: "go on with " + j.path, Message: "it is not as shoal trace writes it", Mend: "remove it, or choose another --output"}
	}
	in := bufio.NewReaderSize(j.file, maxFrame)
	begin, err := in.Peek(len(magic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, local("read "+j.path, err)
	}
	begin = bytes.TrimRight(begin, "\x00") // a power cut leaves these for what was not on the disk
	if !strings.HasPrefix(magic, string(begin)) {
		return nil, foreign()
	}
	if len(begin) < len(magic) || restart {
		return s, nil // nothing yet: begin writes over it
	}
	_, _ = in.Discard(len(magic)) // they were peeked at
	j.size = int64(len(magic))
	for {
		line, err := in.ReadSlice('\n')
		f, whole := readFrame(line)
		if err != nil || !whole {
			break
		}
		if s.take(f) != nil {
			return nil, foreign()
		}
		j.size += int64(len(line))
	}
	return s, j.cut()
}

// cut drops what is behind the frames.
func (j *journal) cut() error {
	if err := j.effect.at("cut the journal"); err != nil {
		return err
	}
	if err := j.file.Truncate(j.size); err != nil {
		return local("cut "+j.path, err)
	}
	return nil
}

// begin writes the head into a new journal.
func (j *journal) begin(h head) (*state, error) {
	j.size = 0
	if err := j.cut(); err != nil {
		return nil, err
	}
	f := frame{Head: &h}
	if err := j.write(append([]byte(magic), f.line()...)); err != nil {
		return nil, err
	}
	if j.path != "" {
		if err := j.sync.folder(j.path); err != nil {
			return nil, err
		}
	}
	s := &state{}
	h.Query = canonical(h.Query)
	return s, s.take(frame{Head: &h})
}

func (f frame) line() []byte {
	data, err := json.Marshal(f)
	if err != nil {
		panic(err) // numbers and texts: never
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(data), data)
}

// readFrame reads a line; false where it is not whole.
func readFrame(line []byte) (f frame, whole bool) {
	line, whole = bytes.CutSuffix(line, []byte("\n"))
	if !whole || len(line) < checksum || line[checksum-1] != ' ' {
		return f, false
	}
	sum, err := strconv.ParseUint(string(line[:checksum-1]), 16, 32)
	if err != nil || uint32(sum) != crc32.ChecksumIEEE(line[checksum:]) { //nolint:gosec // 32 bits
		return f, false
	}
	return f, json.Unmarshal(line[checksum:], &f) == nil
}

// append keeps a frame: when it returns the frame is on the disk.
func (j *journal) append(f frame) error { return j.write(f.line()) }

func (j *journal) write(data []byte) error {
	if err := j.effect.at("write to the journal"); err != nil {
		return err
	}
	if _, err := j.file.WriteAt(data, j.size); err != nil {
		return local("write "+j.path, err)
	}
	if err := j.effect.at("sync the journal"); err != nil {
		return err
	}
	if err := j.sync.of(j.file); err != nil {
		return local("write "+j.path, err)
	}
	j.size += int64(len(data))
	return j.effect.at("go on after the journal")
}

// each hands out the pages again, from the beginning.
func (j *journal) each(take func(*page)) error {
	if _, err := j.file.Seek(int64(len(magic)), io.SeekStart); err != nil {
		return local("read "+j.path, err)
	}
	in := bufio.NewReaderSize(io.LimitReader(j.file, j.size-int64(len(magic))), maxFrame)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		f, whole := readFrame(line)
		if err != nil || !whole {
			return &fleet.Failure{Kind: fleet.Local, Op: "read " + j.path, Message: "it changed while it was read", Mend: "use --restart to begin anew"}
		}
		if f.Page != nil {
			take(f.Page)
		}
	}
}

// remove takes the journal away, and the salt with it.
func (j *journal) remove() error {
	if j.path == "" {
		return nil
	}
	if err := j.effect.at("remove the journal"); err != nil {
		return err
	}
	if err := os.Remove(j.path); err != nil {
		return local("remove "+j.path, err)
	}
	return j.sync.folder(j.path)
}

// close lets go of the file; it may be called again.
func (j *journal) close() {
	if j.file != nil {
		j.file.Close()
	}
}

func local(op string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &fleet.Failure{Kind: fleet.Local, Op: op, Message: err.Error(), Err: err}
}
