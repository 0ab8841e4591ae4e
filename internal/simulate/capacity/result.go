package capacity

import (
	"math"
	"slices"
	"time"
)

// Result is what came of a run, or of several: then each figure is their median
// by itself, and JobsLost the sum.
type Result struct {
	Policy         string  `json:"policy"`
	Jobs           int     `json:"jobs"`
	Wait           Wait    `json:"wait_seconds"`
	InstanceHours  float64 `json:"instance_hours"` // from launch to termination
	Utilisation    float64 `json:"utilisation"`    // share of the paid slots' time in which a job ran
	Launches       float64 `json:"launches"`
	LaunchesUnused float64 `json:"launches_unused"` // never got a job
	APICalls       float64 `json:"api_calls"`       // to Auto Scaling
	JobsLost       int     `json:"jobs_lost"`       // ended by scaling, or never begun
	// JobsUnfinished are those that EC2 interrupted each time that they were begun, until
	// nothing else was left to do.
	JobsUnfinished int `json:"jobs_unfinished,omitempty"`
}

// Wait is how long jobs waited from when they could run until they did, in
// seconds. Percentiles are by nearest rank: a wait that occurred.
type Wait struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// Run plays a plan once. progress, unless nil, is told now and then how many
// jobs are done, and ends the run, whose result says nothing then, where it
// answers false.
func Run(p *Plan, with Policy, o Options, seed uint64, progress func(done int) bool) Result {
	r, _ := runOnce(p, with, o, seed, progress, nil)
	return r
}

// RunRecorded is Run, which tells what the run was like as well. It is the same run.
func RunRecorded(p *Plan, with Policy, o Options, seed uint64, progress func(done int) bool) (Result, Record) {
	return runOnce(p, with, o, seed, progress, newRecorder(p.first, p.span()))
}

// runOnce plays a plan once, and records it unless rec is nil.
func runOnce(p *Plan, with Policy, o Options, seed uint64, progress func(done int) bool, rec *recorder) (Result, Record) {
	policy := with.make()
	var r Result
	var record Record
	if s, ok := policy.(*shoal); ok && s.machines {
		r, record = s.playMachines(p, o, seed, progress, rec)
	} else {
		e := newEngine(p, o, seed, policy)
		e.rec = rec
		e.run(progress)
		r = e.score.result(p.Jobs())
		if rec != nil {
			record = Record{rec.timeline(watchLaunched, watchInService, watchBusy, watchQueue), distribution(e.score.waits)}
		}
	}
	r.Policy = with.Spec
	return r, record
}

func (s *score) result(jobs int) Result {
	r := Result{
		Jobs: jobs, Wait: waitOf(s.waits), InstanceHours: s.paidFor / 3600,
		Launches: float64(s.launches), LaunchesUnused: float64(s.unused), APICalls: float64(s.calls), JobsLost: s.lost, JobsUnfinished: s.unfinished,
	}
	if s.slotTime > 0 {
		r.Utilisation = s.busy / s.slotTime
	}
	return r
}

// waitOf sums sorted waits up.
func waitOf(waits []time.Duration) Wait {
	if len(waits) == 0 {
		return Wait{}
	}
	var sum float64
	for _, w := range waits {
		sum += w.Seconds()
	}
	rank := func(share float64) float64 {
		return waits[max(0, int(math.Ceil(share*float64(len(waits))))-1)].Seconds()
	}
	return Wait{Mean: sum / float64(len(waits)), P50: rank(0.50), P90: rank(0.90), P95: rank(0.95), P99: rank(0.99), Max: rank(1)}
}

// Median is the median of each figure over runs of one policy.
func Median(runs []Result) Result {
	m := runs[0]
	m.JobsLost, m.JobsUnfinished = 0, 0
	for _, r := range runs {
		m.JobsLost += r.JobsLost
		m.JobsUnfinished += r.JobsUnfinished
	}
	for _, field := range []func(*Result) *float64{
		func(r *Result) *float64 { return &r.Wait.Mean },
		func(r *Result) *float64 { return &r.Wait.P50 },
		func(r *Result) *float64 { return &r.Wait.P90 },
		func(r *Result) *float64 { return &r.Wait.P95 },
		func(r *Result) *float64 { return &r.Wait.P99 },
		func(r *Result) *float64 { return &r.Wait.Max },
		func(r *Result) *float64 { return &r.InstanceHours },
		func(r *Result) *float64 { return &r.Utilisation },
		func(r *Result) *float64 { return &r.Launches },
		func(r *Result) *float64 { return &r.LaunchesUnused },
		func(r *Result) *float64 { return &r.APICalls },
	} {
		values := make([]float64, len(runs))
		for i := range runs {
			values[i] = *field(&runs[i])
		}
		slices.Sort(values)
		mid := len(values) / 2
		*field(&m) = round(values[mid])
		if len(values)%2 == 0 {
			*field(&m) = round((values[mid-1] + values[mid]) / 2)
		}
	}
	return m
}

// round keeps six decimals: enough for any comparison, and short to read.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }
