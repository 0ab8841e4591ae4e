package demo

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// Summary is what came of a demo. Its JSON is what programs may rely on.
type Summary struct {
	Jobs         Jobs      `json:"jobs"`
	WaitSeconds  Wait      `json:"wait_seconds"`
	Instances    Instances `json:"instances"`
	GhostRunners int       `json:"ghost_runners"`
	APICalls     APICalls  `json:"api_calls"`
	AtMinimum    bool      `json:"-"` // the group is back at its minimum
	Unfinished   []string  `json:"-"` // what was not as it should be, for people
}

// Jobs counts the jobs by their fate in GitLab's own records.
type Jobs struct {
	Submitted   int `json:"submitted"`
	Succeeded   int `json:"succeeded"`
	Interrupted int `json:"interrupted"` // reported failed because EC2 took the instance
	Lost        int `json:"lost"`        // killed by scaling, or left hanging
}

// Wait is how long jobs waited for a runner.
type Wait struct {
	Mean float64 `json:"mean"`
	P95  float64 `json:"p95"`
}

// Instances counts instances by the group's own records.
type Instances struct {
	Launched int `json:"launched"`
	Peak     int `json:"peak"` // in service at the same time
	AtEnd    int `json:"at_end"`
}

// APICalls counts what the services were asked by everybody.
type APICalls struct {
	AutoScaling int `json:"autoscaling"`
	GitLab      int `json:"gitlab"`
}

// OK tells whether every promise was kept.
func (s Summary) OK() bool {
	return s.Jobs.Lost == 0 && s.GhostRunners == 0 && s.AtMinimum
}

// judge reads the emulated services' own records. The agents are not asked.
func judge(r world.Records) Summary {
	s := Summary{APICalls: APICalls{AutoScaling: r.CallsTo("autoscaling"), GitLab: r.CallsTo("gitlab")}}
	taken := takenBySpot(r)
	var waits []float64
	for _, j := range r.Jobs {
		s.Jobs.Submitted++
		switch fate(j, taken) {
		case succeeded:
			s.Jobs.Succeeded++
		case interrupted:
			s.Jobs.Interrupted++
		default:
			s.Jobs.Lost++
			s.Unfinished = append(s.Unfinished, fmt.Sprintf("job %d (%s) is lost: %s %s", j.ID, j.Name, j.Status, j.FailureReason))
		}
		if !j.StartedAt.IsZero() {
			waits = append(waits, j.StartedAt.Sub(j.QueuedAt).Seconds())
		}
	}
	s.WaitSeconds = spread(waits)
	s.Instances.Launched = len(r.Instances)
	s.Instances.Peak = peak(r.Instances)
	for _, g := range r.Groups {
		s.Instances.AtEnd += len(g.Instances)
		s.AtMinimum = g.Desired == g.Min && settled(g)
	}
	// An instance that EC2 is about to take is no capacity, though it is in service.
	s.AtMinimum = s.AtMinimum && !slices.ContainsFunc(r.Instances, going)
	s.GhostRunners = ghosts(r)
	return s
}

// settled tells whether the group has what it wants, all in service.
func settled(g world.GroupView) bool {
	for _, i := range g.Instances {
		if i.State != world.InService {
			return false
		}
	}
	return len(g.Instances) == g.Desired
}

// going tells whether an instance is on its way out: it leaves, EC2 takes it, or
// it is dead and its group has not noticed.
func going(i world.InstanceRecord) bool {
	onItsWay := !i.LeavingAt.IsZero() || !i.SpotNoticeAt.IsZero() || !i.Alive()
	return onItsWay && i.TerminatedAt.IsZero()
}

type jobFate int

const (
	lost jobFate = iota
	succeeded
	interrupted
)

// fate judges one job. Failed because its instance was taken, and reported so,
// is interrupted; anything else that is no success is lost: the demo's scripts
// do not fail by themselves.
func fate(j world.Job, taken map[string]bool) jobFate {
	switch {
	case j.Status == world.JobSuccess:
		return succeeded
	case j.Status == world.JobFailed && taken[j.SystemID] && reported(j.FailureReason):
		return interrupted
	}
	return lost
}

// reported tells a runner's own report that it was interrupted from what GitLab
// concludes when it hears nothing.
func reported(reason string) bool {
	switch reason {
	case "runner_system_failure", "runner_interrupted", "unknown_failure":
		return true
	}
	return false
}

// takenBySpot are the system ids of the instances that EC2 took.
func takenBySpot(r world.Records) map[string]bool {
	taken := map[string]bool{}
	for _, i := range r.Instances {
		if !i.SpotNoticeAt.IsZero() {
			taken[life.SystemID(i.ID)] = true
		}
	}
	return taken
}

// ghosts counts the managers in GitLab that are not of a living instance.
func ghosts(r world.Records) int {
	alive := map[string]bool{}
	for _, i := range r.Instances {
		if i.Alive() {
			alive[life.SystemID(i.ID)] = true
		}
	}
	n := 0
	for _, runner := range r.Runners {
		for _, m := range runner.Managers {
			if !alive[m.SystemID] {
				n++
			}
		}
	}
	return n
}

// peak is the largest number of instances in service at the same time.
func peak(all []world.InstanceRecord) int {
	most := 0
	for _, at := range all {
		if at.InServiceAt.IsZero() {
			continue
		}
		n := 0
		for _, i := range all {
			if inServiceAt(i, at.InServiceAt) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func inServiceAt(i world.InstanceRecord, t time.Time) bool {
	if i.InServiceAt.IsZero() || i.InServiceAt.After(t) {
		return false
	}
	return (i.LeavingAt.IsZero() || i.LeavingAt.After(t)) && (i.DeadAt.IsZero() || i.DeadAt.After(t))
}

// spread is mean and 95th percentile (the smallest wait that 95 % do not exceed).
func spread(waits []float64) Wait {
	if len(waits) == 0 {
		return Wait{}
	}
	slices.Sort(waits)
	sum := 0.0
	for _, w := range waits {
		sum += w
	}
	return Wait{Mean: round(sum / float64(len(waits))), P95: round(waits[(len(waits)*95+99)/100-1])}
}

func round(seconds float64) float64 { return float64(int(seconds*100+0.5)) / 100 }
