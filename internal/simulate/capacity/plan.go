package capacity

import (
	"cmp"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// Plan is a trace made ready for any number of runs, which share it: which jobs
// wait for which. It is never changed.
type Plan struct {
	trace  trace.Trace
	stage  []int32 // of each job; -1: of no pipeline
	stages []stage
	first  time.Duration // the first job's creation: when runs begin
}

// stage is the jobs of one pipeline that can run at the same time.
type stage struct {
	jobs []int32
	next int32 // the stage after it; -1: none
	open bool  // a pipeline's first: open from the start
}

// NewPlan prepares a trace.
func NewPlan(t trace.Trace) *Plan {
	p := &Plan{trace: t, stage: make([]int32, len(t.Jobs))}
	var staged []int32
	for i, j := range t.Jobs {
		p.stage[i] = -1
		if j.Pipeline > 0 {
			staged = append(staged, int32(i)) //nolint:gosec // at most trace.MaxJobs
		}
	}
	if len(t.Jobs) > 0 {
		p.first = t.Jobs[0].Created
	}
	jobs := t.Jobs
	slices.SortStableFunc(staged, func(a, b int32) int {
		return cmp.Or(cmp.Compare(jobs[a].Pipeline, jobs[b].Pipeline), cmp.Compare(jobs[a].Stage, jobs[b].Stage))
	})
	for from := 0; from < len(staged); {
		to := from + 1
		for to < len(staged) && sameStage(jobs[staged[from]], jobs[staged[to]]) {
			to++
		}
		p.addStage(staged[from:to])
		from = to
	}
	return p
}

func sameStage(a, b trace.Job) bool { return a.Pipeline == b.Pipeline && a.Stage == b.Stage }

// addStage adds the next stage, in the order of pipelines and stages.
func (p *Plan) addStage(jobs []int32) {
	n := int32(len(p.stages)) //nolint:gosec // at most trace.MaxJobs
	for _, j := range jobs {
		p.stage[j] = n
	}
	s := stage{jobs: jobs, next: -1, open: true}
	if n > 0 && p.pipeline(n-1) == p.trace.Jobs[jobs[0]].Pipeline {
		p.stages[n-1].next = n
		s.open = false
	}
	p.stages = append(p.stages, s)
}

func (p *Plan) pipeline(stage int32) int { return p.trace.Jobs[p.stages[stage].jobs[0]].Pipeline }

// Jobs is how many there are.
func (p *Plan) Jobs() int { return len(p.trace.Jobs) }
