package history

import (
	"cmp"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// row is a job of the trace as it waits to be written.
type row struct {
	created      int64  // seconds since 1970
	ran, waited  uint32 // milliseconds; thirty days are fewer than there is room for
	name, runner uint64
	pipeline     int32 // from 1, of all projects; 0: none
	stage        int32
}

// lateAfter is how much later than its stage could begin a job must have been begun
// to count as somebody's doing. GitLab needs seconds to see that a stage is over.
const lateAfter = int64(time.Minute / time.Millisecond)

// settling turns the records of whole projects into rows.
type settling struct {
	rows      []row
	pipelines int32
	sum       Summary
}

// project takes the records of one project, and orders them for its own ends.
func (s *settling) project(records []record) {
	slices.SortFunc(records, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.pipeline, b.pipeline), cmp.Compare(a.id, b.id))
	})
	for len(records) > 0 {
		n := 1
		for n < len(records) && records[n].pipeline == records[0].pipeline {
			n++
		}
		s.pipeline(records[:n])
		records = records[n:]
	}
}

// staged is a job that ran, with its stage's number.
type staged struct {
	record
	number int32
}

// pipeline takes one pipeline's records, by id.
//
// GitLab's list has the stages' names and not their order. The jobs of a pipeline are
// made stage by stage, so a stage comes behind another if its first job does, those
// that never ran among them; one that is retried has a higher id and changes nothing.
func (s *settling) pipeline(records []record) {
	order := map[uint64]int32{}
	var jobs []staged
	for _, r := range records {
		number, known := order[r.stage]
		if !known {
			number = min(int32(len(order)), trace.MaxStage) //nolint:gosec // fewer than there are jobs
			order[r.stage] = number
		}
		if s.keeps(r) {
			jobs = append(jobs, staged{r, number})
		}
	}
	slices.SortStableFunc(jobs, func(a, b staged) int { return cmp.Compare(a.number, b.number) })
	s.stages(jobs)
}

// keeps counts a record that is left out.
func (s *settling) keeps(r record) bool {
	out := &s.sum.LeftOut
	switch r.why {
	case kept:
		return true
	case neverRan:
		out.NeverRan++
	case unfinished:
		out.Unfinished++
	case filtered:
		out.Filtered++
	default:
		out.Odd++
	}
	return false
}

// stages writes the jobs of a pipeline, by stage.
//
// A trace says that a job is created and then waits for the stages below. One that
// was begun later than that (by hand, delayed, behind jobs of other fleets, retried
// when the pipeline had gone on) would come too early there, and hold up the stages
// above, which had not waited for it: it stands alone, created when it could run.
func (s *settling) stages(jobs []staged) {
	var below []int64 // when the jobs of lower stages ended that are the pipeline's, in order
	first := above(jobs)
	number := int32(0)
	for len(jobs) > 0 {
		n := 1
		for n < len(jobs) && jobs[n].number == jobs[0].number {
			n++
		}
		var ends []int64
		for _, j := range jobs[:n] {
			if s.job(j, below, first[n-1], &number) {
				ends = append(ends, j.started+j.ran)
			}
		}
		below = append(below, ends...)
		slices.Sort(below)
		jobs, first = jobs[n:], first[n:]
	}
}

// above is for each job, by stage, when the first of those behind it began; 0 where
// none is.
func above(jobs []staged) []int64 {
	first := make([]int64, len(jobs))
	for i := len(jobs) - 2; i >= 0; i-- {
		first[i] = jobs[i+1].started
		if next := first[i+1]; next > 0 {
			first[i] = min(first[i], next)
		}
	}
	return first
}

// job writes one job, and tells whether it is one of its pipeline's.
func (s *settling) job(j staged, below []int64, above int64, number *int32) bool {
	all := j.created // the stages below had ended
	if len(below) > 0 {
		all = max(all, below[len(below)-1])
	}
	waited := j.waited
	if waited < 0 {
		waited = min(j.started-ready(j, below), trace.MaxDuration.Milliseconds())
		s.sum.Reckoned++
	}
	could := j.started - waited
	out := row{ran: uint32(j.ran), waited: uint32(waited), name: j.name, runner: j.runner} //nolint:gosec // thirty days at most
	alone := could > all+lateAfter || above > 0 && j.created > above
	if alone {
		s.sum.Alone++
		out.created = could / 1000
	} else {
		if *number == 0 {
			s.pipelines++
			*number = s.pipelines
		}
		if could+1000 < all {
			s.sum.Ahead++
		}
		out.created, out.pipeline, out.stage = j.created/1000, *number, j.number
	}
	s.rows = append(s.rows, out)
	return !alone
}

// ready is when a job could run, at the latest: when it was there, and the last of
// the jobs below had ended that it can have waited for.
func ready(j staged, below []int64) int64 {
	n, _ := slices.BinarySearch(below, j.started+1)
	if n == 0 {
		return j.created
	}
	return max(j.created, below[n-1])
}
