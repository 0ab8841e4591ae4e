// Package trace reads and writes records of the jobs that a GitLab ran: when each was
// created, how long it took, which jobs it had to wait for, and what really
// became of it, where the record knows.
//
// It guarantees that a trace which is read makes sense: every time and duration
// is finite and within bounds, stages belong to pipelines, and memory is bounded
// whatever the input. An error names the line and what is allowed there. What a
// fleet makes of a trace is left to package capacity.
package trace

import (
	"cmp"
	"slices"
	"time"
)

// The bounds of a trace. They keep a wrong file from filling the memory, and
// are far from any real one.
const (
	MaxJobs     = 5_000_000
	MaxBytes    = 1 << 30
	MaxSpan     = 10 * 366 * 24 * time.Hour
	MaxDuration = 30 * 24 * time.Hour
	MaxStage    = 10_000
	maxName     = 255 // bytes of what stands for a pipeline, a runner or a name
	firstYear   = 1971
	lastYear    = 9998
)

// Job is one job of a trace.
type Job struct {
	Created  time.Duration // since the trace's Start
	Duration time.Duration
	// Pipeline is the number of its pipeline in the order in which they first
	// appear, from 1; 0 where it belongs to none. A job of a stage waits until all
	// jobs of its pipeline's lower stages are done.
	Pipeline int
	Stage    int
	// Waited is how long it really waited, from when it could run until it began.
	// It says something only in a trace that is Real.
	Waited time.Duration
	// Runner is what really ran it, and Name which job definition of which project
	// it is: numbers in the order in which they first appear, from 1; 0 where the
	// trace does not say.
	Runner int
	Name   int
}

// Trace is a record of jobs, by the time of creation.
type Trace struct {
	// Start is the moment that Created counts from. A trace in seconds has none of
	// its own: it starts on Monday, 2024-01-01, at 00:00 UTC, so that schedules
	// have a time of day to go by.
	Start time.Time
	Jobs  []Job
	// Real is whether the trace says of every job how long it really waited. One
	// without makes it false: waits of some jobs are no measure of all.
	Real bool
}

// Monday is where traces in seconds start.
var Monday = time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)

// New makes a trace of jobs in any order.
func New(start time.Time, jobs []Job) Trace {
	slices.SortStableFunc(jobs, func(a, b Job) int { return cmp.Compare(a.Created, b.Created) })
	return Trace{Start: start, Jobs: jobs}
}

// Work is how long all jobs together take.
func (t Trace) Work() time.Duration {
	var sum time.Duration
	for _, j := range t.Jobs {
		sum += j.Duration
	}
	return sum
}
