package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/world"
)

// pipeline is one of GitLab's: its jobs exist from the beginning, and each stage waits
// until the one before it has ended well.
type pipeline struct {
	at      time.Duration
	project int64
	stages  [][]task
}

// task is one job of a pipeline.
type task struct {
	work
	foreign bool // another group's: of it the hook is told the end alone
	manual  bool // nobody starts it
}

// hookWork is what GitLab has of pipelines, and what was sent of them.
type hookWork struct {
	jobs   []hookJob
	at     map[int64]int // by the world's id
	open   []int         // those that wait or run, some that have ended meanwhile among them
	ran    int64         // pipelines
	events []*armed      // faults at events
}

// hookJob is a job as GitLab has it.
type hookJob struct {
	id, project, pipeline int64
	stage, name           string
	task
	of                     *course
	state                  fleet.JobState
	aside                  bool          // skipped, manual
	queued, started, ended time.Duration // 0: not yet

	hookBelief
}

// course is how far a pipeline is.
type course struct {
	began  time.Duration
	stages [][]int // its jobs
	at     int     // the stage that runs
	left   int     // of its jobs
	failed bool
}

var (
	stageNames = []string{"build", "test", "deploy"}
	stateNames = map[fleet.JobState]string{fleet.JobCreated: "created", fleet.JobPending: "pending", fleet.JobRunning: "running", fleet.JobFinished: "finished"}
)

// nextPipeline begins the i-th pipeline when it is due.
func (x *webhook) nextPipeline(i int) {
	if i >= len(x.l.hook.pipelines) {
		return
	}
	p := &x.l.hook.pipelines[i]
	x.l.after(max(0, p.at-x.l.at), func() {
		x.beginPipeline(p)
		x.nextPipeline(i + 1)
	})
}

// beginPipeline makes all of its jobs, and has those of the first stage wait.
func (x *webhook) beginPipeline(p *pipeline) {
	x.ran++
	c := &course{began: x.l.at, at: -1}
	for s, tasks := range p.stages {
		var stage []int
		for n, t := range tasks {
			stage = append(stage, len(x.jobs))
			x.jobs = append(x.jobs, hookJob{
				id: int64(len(x.jobs) + 1), project: p.project, pipeline: x.ran, stage: stageNames[s], name: sprintf("%s %d/%d", stageNames[s], n+1, len(tasks)),
				task: t, of: c, state: fleet.JobCreated, aside: t.manual,
			})
		}
		c.stages = append(c.stages, stage)
	}
	for _, stage := range c.stages {
		for _, n := range stage {
			x.announce(n)
		}
	}
	x.nextStage(c)
}

// announce tells what became of a job, where the hook is told of it.
func (x *webhook) announce(n int) {
	if j := &x.jobs[n]; !j.foreign || j.state == fleet.JobFinished {
		x.send(n)
	}
}

// nextStage has the jobs of a pipeline's next stage wait.
func (x *webhook) nextStage(c *course) {
	for c.left == 0 && c.at+1 < len(c.stages) {
		c.at++
		for _, n := range c.stages[c.at] {
			if !x.jobs[n].manual {
				c.left++
			}
		}
		for _, n := range c.stages[c.at] {
			x.submit(n)
		}
	}
}

// submit has a job wait for a runner.
func (x *webhook) submit(n int) {
	l := x.l
	switch j := &x.jobs[n]; {
	case j.manual:
	case j.foreign:
		l.after(j.takes, func() { x.over(n, true) })
	default:
		x.at[l.submit(j.work)] = n // the world tells of it in a moment
	}
}

// gitlab tells of what became of a job.
func (x *webhook) gitlab(e world.Event) {
	if x == nil {
		return
	}
	switch e := e.(type) {
	case world.JobQueued:
		n := x.at[e.Job]
		j := &x.jobs[n]
		if j.state == fleet.JobCreated {
			x.open = append(x.open, n)
			j.queued = x.l.at
		}
		j.state = fleet.JobPending
		x.announce(n)
	case world.JobStarted:
		n := x.at[e.Job]
		x.jobs[n].state, x.jobs[n].started = fleet.JobRunning, x.l.at
		x.announce(n)
	case world.JobFinished:
		n := x.at[e.Job]
		x.over(n, e.Status == world.JobSuccess)
	}
}

// over is a job that has ended: with the last one of its stage the next stage begins,
// or all that is left is skipped.
func (x *webhook) over(n int, well bool) {
	j := &x.jobs[n]
	j.state, j.ended = fleet.JobFinished, x.l.at
	if !j.foreign {
		x.endedAt = x.l.at
	}
	x.announce(n)
	c := j.of
	c.failed = c.failed || !well
	if c.left--; c.left > 0 {
		return
	}
	if !c.failed {
		x.nextStage(c)
		return
	}
	for _, stage := range c.stages[c.at+1:] {
		for _, n := range stage {
			x.jobs[n].aside = true
			x.announce(n)
		}
	}
}

// as is a job as GitLab's events and lists have it.
func (j *hookJob) as(s fleet.JobState) fleet.Job {
	return fleet.Job{ID: j.id, Project: j.project, Pipeline: j.pipeline, Stage: j.stage, Name: j.name, State: s, Aside: j.aside && s == fleet.JobCreated}
}

// list is a project's jobs that waited or ran at a time, the newest first.
func (x *webhook) list(project int64, at time.Duration) (list []fleet.Job) {
	for n := len(x.jobs) - 1; n >= 0; n-- {
		j := &x.jobs[n]
		switch {
		case j.project != project || j.foreign || j.queued == 0 || j.queued > at || j.ended > 0 && j.ended <= at:
		case j.started > 0 && j.started <= at:
			list = append(list, j.as(fleet.JobRunning))
		default:
			list = append(list, j.as(fleet.JobPending))
		}
	}
	return list
}
