// Package history exports a trace from the jobs that a GitLab ran: it drives the
// reading of their list, and writes the file that package trace reads.
//
// It guarantees that every job of the list is in the trace or counted among what was
// left out, once, whatever fails meanwhile and wherever the process is killed: each
// page is on the disk, with where the next one begins, before that is asked for. And
// that nothing in the trace names people or things: pipelines are numbered anew,
// names and runners are hashed with a salt that is deleted with the journal.
//
// Memory is bounded by the largest project's jobs, not by what GitLab answers. How the
// answers are read is left to package gitlab, what a trace is to package trace.
package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// GitLab is what an export needs of GitLab. Every method may be called again; errors
// are *fleet.Failure, anything else counts as Temporary.
type GitLab interface {
	// Project finds a project's id by its id or path; NotFound when there is none.
	Project(ctx context.Context, ref string) (int64, error)
	// Projects lists the ids of all projects in a group and its subgroups, or fails.
	Projects(ctx context.Context, group string) ([]int64, error)
	// Jobs reads the page of a project's jobs that a cursor leads to, the newest
	// first; empty is the first page.
	Jobs(ctx context.Context, project int64, cursor string) (fleet.HistoryPage, error)
}

// Query is what is exported. Since and Until are as they were asked for: an export is
// gone on with by who asks for the same.
type Query struct {
	URL      string   `json:"url"`
	Projects []string `json:"projects,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Since    string   `json:"since"`
	Until    string   `json:"until,omitempty"`
	Tags     []string `json:"tags,omitempty"`    // a job has all of them
	Runners  []string `json:"runners,omitempty"` // ids, or patterns of descriptions; a job ran on one of them
}

// Options are one export.
type Options struct {
	Query
	From, To time.Time // what Since and Until mean now
	Output   string    // the trace's file; empty writes to Out, and then nothing can be gone on with
	Out      io.Writer
	Restart  bool // begin anew where another export was interrupted
	GitLab   GitLab
	Log      *slog.Logger
	Tell     func(Progress) // called after each page; nil: nobody asks

	effect effect
	sync   syncing
}

// syncing has what was written to a file or a folder be on the disk; nil asks the system.
// Tests look at what it was asked for.
type syncing func(*os.File) error

func (s syncing) of(file *os.File) error {
	if s == nil {
		return file.Sync()
	}
	return s(file)
}

// folder has a name in it that was made or taken away survive a power cut.
func (s syncing) folder(of string) error {
	dir, err := os.Open(filepath.Dir(of))
	if err != nil {
		return local("open the folder of "+of, err)
	}
	defer dir.Close()
	if err := s.of(dir); err != nil && !errors.Is(err, unix.EINVAL) { // some file systems cannot
		return local("sync the folder of "+of, err)
	}
	return nil
}

// effect is asked before and after whatever changes the disk; an error there is the
// process's end, in tests.
type effect func(what string) error

func (e effect) at(what string) error {
	if e == nil {
		return nil
	}
	return e(what)
}

// Progress is how far an export is.
type Progress struct {
	Jobs, Pages       int
	Project, Projects int           // the how manieth is read, and how many there are
	At                time.Time     // when the last job that was read was created; zero: none yet
	Waiting           time.Duration // until the next try; 0: none is waited for
	Share             float64       // how much of the time asked for is read, from 0 to 1, about
}

// Summary is what came of an export.
type Summary struct {
	Jobs      int       `json:"jobs"` // in the trace
	Pipelines int       `json:"pipelines"`
	Projects  int       `json:"projects"`
	Refused   int       `json:"projects_refused"` // of a group, whose jobs the token's user may not see
	Pages     int       `json:"pages"`
	From      time.Time `json:"from"` // the first job's creation, and the last one's
	To        time.Time `json:"to"`
	LeftOut   LeftOut   `json:"left_out"`
	// Alone are jobs that somebody or something began later than their pipeline: they
	// stand without it, at the time when they could run.
	Alone int `json:"alone"`
	// Ahead are jobs that began before the stages below them had ended, which a trace
	// cannot say.
	Ahead int `json:"ahead_of_stage"`
	// Reckoned are the waits that GitLab does not tell.
	Reckoned int  `json:"waits_reckoned"`
	Resumed  bool `json:"resumed"`
}

// LeftOut counts the jobs of the time asked for that are not in the trace.
type LeftOut struct {
	NeverRan   int `json:"never_ran"`  // skipped, manual and not begun, canceled before a runner had them
	Unfinished int `json:"unfinished"` // they wait or run still
	Filtered   int `json:"filtered"`   // other tags, other runners
	Odd        int `json:"odd"`        // their times make no sense, or they have no pipeline
}

// ErrInterrupted says that the context ended first.
var ErrInterrupted = errors.New("interrupted")

// ErrNoJobs is an export of nothing, which no simulation could play.
var ErrNoJobs = errors.New("no job ran there in that time")

// ErrOtherQuery says that an interrupted export asked for something else.
var ErrOtherQuery = errors.New("it is of an export that asked for something else")

// run is an export under way.
type run struct {
	Options
	journal *journal
	state   *state
	salt    salt
	filter  filter
	resumed bool
}

// Run exports. Where it ends early the next Run with the same query and output goes on.
func Run(ctx context.Context, o Options) (Summary, error) {
	r := &run{Options: o}
	var err error
	if r.filter, err = newFilter(o.Query); err != nil {
		return Summary{}, err
	}
	if err := r.open(); err != nil {
		return Summary{}, err
	}
	defer r.journal.close()
	if err := r.read(ctx); err != nil {
		if r.state.pages == 0 { // there is nothing to go on with
			err = errors.Join(err, r.journal.remove())
		}
		return Summary{}, err
	}
	return r.finish()
}

// read reads all that is not in the journal yet.
func (r *run) read(ctx context.Context) error {
	if err := r.list(ctx); err != nil {
		return err
	}
	for r.state.at < len(r.state.projects) {
		if err := r.page(ctx); err != nil {
			return err
		}
		r.tell(0)
	}
	return nil
}

func (r *run) open() error {
	fresh, err := newHead(r.Options)
	if err != nil {
		return err
	}
	r.journal, r.state, err = openJournal(r.Options, fresh)
	if err != nil {
		return err
	}
	r.salt = salt(r.state.head.Salt)
	r.resumed = r.state.pages > 0
	if r.resumed {
		from, to := r.state.head.From, r.state.head.To // of the first time: a later end would move with each try
		r.Log.Info("going on where it was interrupted", "jobs", r.state.total, "pages", r.state.pages, "from", from.Format(time.RFC3339), "to", to.Format(time.RFC3339))
	}
	return nil
}

// list finds the projects, those that are named first.
func (r *run) list(ctx context.Context) error {
	if r.state.projects != nil {
		return nil
	}
	ids := []int64{}
	for _, ref := range r.Query.Projects {
		id, err := ask(ctx, r, "look up project "+ref, func(ctx context.Context) (int64, error) { return r.GitLab.Project(ctx, ref) })
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	named := len(once(ids))
	for _, group := range r.Query.Groups {
		more, err := ask(ctx, r, "list the projects of group "+group, func(ctx context.Context) ([]int64, error) { return r.GitLab.Projects(ctx, group) })
		if err != nil {
			return err
		}
		ids = append(ids, more...)
	}
	f := frame{Listed: &listed{Projects: once(ids), Named: named}}
	if err := r.journal.append(f); err != nil {
		return err
	}
	return r.state.take(f)
}

// once leaves the first of each.
func once(ids []int64) []int64 {
	seen := map[int64]bool{}
	return slices.DeleteFunc(slices.Clone(ids), func(id int64) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}

// page reads one page of the project that is at hand, and keeps it.
func (r *run) page(ctx context.Context) error {
	s := r.state
	p := page{Project: s.projects[s.at]}
	op := fmt.Sprintf("list the jobs of project %d", p.Project)
	got, err := ask(ctx, r, op, func(ctx context.Context) (fleet.HistoryPage, error) {
		got, err := r.GitLab.Jobs(ctx, p.Project, s.cursor)
		if err == nil {
			err = s.fits(op, got)
		}
		return got, err
	})
	switch f := (*fleet.Failure)(nil); {
	case err == nil:
		r.fill(&p, got)
	case s.cursor != "" && errors.As(err, &f) && f.Final():
		// What was read of it stays out of nobody's trace: half a project would look like
		// days on which little was done.
		f.Mend = strings.TrimPrefix(f.Mend+"; --restart begins anew, with what may be read now", "; ")
		return f
	case s.at >= s.named && errors.As(err, &f) && (f.Kind == fleet.Denied || f.Kind == fleet.NotFound):
		r.Log.Warn("left out a project of the group", "error", f.Error())
		p.End, p.Refused = true, true
	default:
		return err
	}
	if s.total+len(p.Jobs) > trace.MaxJobs {
		return &fleet.Failure{Kind: fleet.Invalid, Op: op, Message: fmt.Sprintf("more than %d jobs, which no trace may have", trace.MaxJobs), Mend: "a later --since, or fewer projects"}
	}
	if err := r.journal.append(frame{Page: &p}); err != nil {
		return err
	}
	return s.take(frame{Page: &p})
}

// clockMargin is how much later than its id says a job may have been created: ids
// are given out when a pipeline begins to be saved, on machines whose clocks differ.
const clockMargin = time.Hour

// fill takes what is needed of the answer.
func (r *run) fill(p *page, got fleet.HistoryPage) {
	from, to := r.state.head.From, r.state.head.To
	old := len(got.Jobs) > 0
	for _, j := range got.Jobs {
		if !j.Created.Before(from.Add(-clockMargin)) {
			old = false
		}
		p.Last, p.At = j.ID, j.Created.UnixMilli()
		if !j.Created.Before(from) && j.Created.Before(to) {
			p.Jobs = append(p.Jobs, r.record(j).pack())
		}
	}
	p.Next, p.Odd = got.Next, got.Odd
	p.End = got.Next == "" || old
}

func (r *run) tell(waiting time.Duration) {
	if r.Tell == nil {
		return
	}
	s := r.state
	p := Progress{Jobs: s.total, Pages: s.pages, Project: min(s.at+1, len(s.projects)), Projects: len(s.projects), Waiting: waiting}
	whole := s.head.To.Sub(s.head.From).Seconds()
	if s.last > 0 {
		p.At = time.UnixMilli(s.created).UTC()
		p.Share = min(max(s.head.To.Sub(p.At).Seconds()/max(whole, 1), 0), 1)
	}
	p.Share = (float64(s.at) + p.Share) / float64(max(len(s.projects), 1))
	r.Tell(p)
}

// Longest is the longest time that can be exported at once.
const Longest = trace.MaxSpan - latest - 24*time.Hour
