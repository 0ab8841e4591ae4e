package history

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/outfile"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// partEnd is added to the output's name until the trace is whole.
const partEnd = ".part"

// finish makes the trace of what the journal has, and then lets that go.
func (r *run) finish() (Summary, error) {
	s, err := r.settle()
	if err != nil {
		return s.sum, err
	}
	if err := r.refusedAll(); err != nil {
		return s.sum, errors.Join(err, r.journal.remove())
	}
	if len(s.rows) == 0 {
		return s.sum, errors.Join(ErrNoJobs, r.journal.remove())
	}
	if r.Output == "" {
		return s.sum, s.write(r.Out)
	}
	if err := r.replace(s.write); err != nil {
		return s.sum, err
	}
	return s.sum, r.journal.remove()
}

// refusedAll is the failure where nothing could be read at all.
func (r *run) refusedAll() error {
	if n := len(r.state.projects); r.state.refused < n {
		return nil
	} else if n == 0 {
		return &fleet.Failure{Kind: fleet.NotFound, Op: "export the jobs' history", Message: "the group has no project", Mend: "name another one"}
	}
	return &fleet.Failure{
		Kind: fleet.Denied, Op: "export the jobs' history", Message: "the jobs of none of the group's projects may be read",
		Mend: "the token's user must be a reporter of the group; its scope must be read_api or api",
	}
}

// settle reads the journal again, project by project.
func (r *run) settle() (*settling, error) {
	st := r.state
	s := &settling{rows: make([]row, 0, st.total)}
	s.sum = Summary{Projects: len(st.projects), Refused: st.refused, Pages: st.pages, Resumed: r.resumed, LeftOut: LeftOut{Odd: st.odd}}
	var records []record
	at := 0
	err := r.journal.each(func(p *page) {
		if records == nil {
			records = make([]record, 0, st.jobs[at])
		}
		for _, j := range p.Jobs {
			records = append(records, j.record())
		}
		if p.End {
			s.project(records)
			records = nil
			at++
		}
	})
	if err != nil {
		return s, err
	}
	s.order()
	return s, nil
}

// order puts the rows in the order of their times, and numbers the pipelines by it:
// their own numbers would tell how many came before.
func (s *settling) order() {
	slices.SortFunc(s.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.pipeline, b.pipeline), cmp.Compare(a.stage, b.stage),
			cmp.Compare(a.ran, b.ran), cmp.Compare(a.waited, b.waited), cmp.Compare(a.name, b.name))
	})
	numbers := make([]int32, s.pipelines+1)
	next := int32(0)
	for i := range s.rows {
		n := &numbers[s.rows[i].pipeline]
		if s.rows[i].pipeline > 0 && *n == 0 {
			next++
			*n = next
		}
		s.rows[i].pipeline = *n
	}
	s.sum.Jobs, s.sum.Pipelines = len(s.rows), int(next)
	if n := len(s.rows); n > 0 {
		s.sum.From, s.sum.To = s.rows[0].at(), s.rows[n-1].at()
	}
}

func (j row) at() time.Time { return time.Unix(j.created, 0).UTC() }

// write writes the trace.
func (s *settling) write(to io.Writer) error {
	w, err := trace.NewWriter(to)
	if err != nil {
		return err
	}
	for _, j := range s.rows {
		out := trace.Row{
			Created: j.at(), Duration: time.Duration(j.ran) * time.Millisecond, Pipeline: int(j.pipeline), Stage: int(j.stage),
			Waited: time.Duration(j.waited) * time.Millisecond, Runner: hexed(j.runner), Name: hexed(j.name),
		}
		if err := w.Write(out); err != nil {
			return err
		}
	}
	return w.Flush()
}

func hexed(hash uint64) string {
	if hash == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", hash)
}

// replace writes the output in one stroke: whoever reads it sees the old one or the
// new one, and it is on the disk before the journal goes.
func (r *run) replace(write func(io.Writer) error) error {
	part := r.Output + partEnd
	if err := r.effect.at("make the output"); err != nil {
		return err
	}
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) { // what a kill left
		return local("remove "+part, err)
	}
	file, err := outfile.Create(part, r.Output)
	if err != nil {
		return local("make "+part, err)
	}
	err = r.writeOut(file, write)
	if closed := file.Close(); err == nil && closed != nil {
		err = local("write "+part, closed)
	}
	if err == nil {
		err = r.effect.at("name the output")
	}
	if err != nil {
		return err
	}
	if err := os.Rename(part, r.Output); err != nil {
		return local("name "+r.Output, err)
	}
	return r.sync.folder(r.Output)
}

func (r *run) writeOut(file *os.File, write func(io.Writer) error) error {
	if err := write(file); err != nil {
		return local("write "+file.Name(), err)
	}
	if err := r.effect.at("sync the output"); err != nil {
		return err
	}
	if err := r.sync.of(file); err != nil {
		return local("write "+file.Name(), err)
	}
	return nil
}
