package trace

import "time"

// rows are jobs as they are read: in chunks, for a slice that grows is copied again and
// again, and no larger than their bounds need. A trace of too many jobs is refused only
// when the last one was read, so until then all of them are held.
type rows struct {
	chunks [][]compact
	count  int
}

// chunkRows is how many rows are made room for at once: a third of a megabyte.
const chunkRows = 1 << 13

// compact is a Job in fewer bytes: its numbers are at most MaxJobs.
type compact struct {
	created, duration, waited time.Duration
	pipeline, runner, name    int32
	stage                     int32
}

func (r *rows) add(j Job) {
	if r.count%chunkRows == 0 {
		r.chunks = append(r.chunks, make([]compact, 0, chunkRows))
	}
	last := &r.chunks[len(r.chunks)-1]
	*last = append(*last, compact{
		created: j.Created, duration: j.Duration, waited: j.Waited,
		pipeline: int32(j.Pipeline), runner: int32(j.Runner), name: int32(j.Name), stage: int32(j.Stage), //nolint:gosec // bounded when they were read
	})
	r.count++
}

// take makes jobs of the rows, which are gone then. They begin at a time of the trace.
func (r *rows) take(from time.Duration) []Job {
	jobs := make([]Job, 0, r.count)
	for n, chunk := range r.chunks {
		for _, c := range chunk {
			jobs = append(jobs, Job{
				Created: c.created - from, Duration: c.duration, Waited: c.waited,
				Pipeline: int(c.pipeline), Runner: int(c.runner), Name: int(c.name), Stage: int(c.stage),
			})
		}
		r.chunks[n] = nil
	}
	*r = rows{}
	return jobs
}
