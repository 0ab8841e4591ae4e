package demo

import (
	"fmt"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// script is what the show does by itself: it submits the bursts and takes an
// instance.
type script struct {
	*show
	bursts      []burst
	interrupted bool
	lull        bool
}

func newScript(s *show) *script {
	return &script{show: s, bursts: workload(s.Duration)}
}

// act does what is due.
func (s *script) act(r world.Records) {
	elapsed := s.screen.elapsed()
	if len(s.bursts) > 0 && elapsed >= s.bursts[0].at {
		b := s.bursts[0]
		s.bursts = s.bursts[1:]
		for _, j := range b.jobs {
			s.cloud.SubmitJob(j)
		}
		s.lull = false
		s.screen.announce("%s: %d jobs", b.title, len(b.jobs))
		return
	}
	if !s.lull && len(s.bursts) > 0 && allEnded(r.Jobs) {
		s.lull = true
		s.screen.announce("a lull: idle instances leave")
	}
	if !s.interrupted && elapsed >= share(s.Duration, interruptAt) {
		s.interrupt(r)
	}
}

// interrupt takes the instance that runs the long job.
func (s *script) interrupt(r world.Records) {
	for _, j := range r.Jobs {
		if j.Status != world.JobRunning || j.Name != longJob.Name {
			continue
		}
		for _, i := range r.Instances {
			if i.Alive() && life.SystemID(i.ID) == j.SystemID && s.cloud.Interrupt(i.ID, 0) == nil {
				s.interrupted = true
				s.screen.announce("a spot interruption: EC2 takes %s in %s", short(i.ID), spotLead)
				return
			}
		}
	}
}

func allEnded(jobs []world.Job) bool {
	for _, j := range jobs {
		if !j.Status.Finished() {
			return false
		}
	}
	return len(jobs) > 0
}

// over tells whether the show has settled, or its time is up and what is
// missing then.
func (s *script) over(r world.Records) (bool, []string) {
	missing := s.missing(r)
	if len(missing) == 0 {
		return true, nil
	}
	return s.screen.elapsed() > s.Duration+overtime, missing
}

func (s *script) missing(r world.Records) []string {
	var missing []string
	add := func(unless bool, format string, args ...any) {
		if !unless {
			missing = append(missing, fmt.Sprintf(format, args...))
		}
	}
	add(len(s.bursts) == 0, "%d bursts were not submitted", len(s.bursts))
	add(s.interrupted, "no instance was interrupted")
	for _, j := range r.Jobs {
		add(j.Status.Finished(), "job %d (%s) is %s", j.ID, j.Name, j.Status)
	}
	for _, g := range r.Groups {
		add(g.Desired == g.Min, "desired capacity is %d, the minimum %d", g.Desired, g.Min)
		add(settled(g), "the group has not settled")
	}
	for _, i := range r.Instances {
		add(!going(i), "instance %s is still going (%s)", i.ID, i.State)
	}
	return missing
}

// Lines is the summary for people.
func (s Summary) Lines() []string {
	lines := []string{
		fmt.Sprintf("jobs        %d submitted, %d succeeded, %d interrupted by EC2 and reported so, %d lost", s.Jobs.Submitted, s.Jobs.Succeeded, s.Jobs.Interrupted, s.Jobs.Lost),
		fmt.Sprintf("waiting     %.1f s on average, 95 %% within %.1f s", s.WaitSeconds.Mean, s.WaitSeconds.P95),
		fmt.Sprintf("instances   %d launched, %d in service at peak, %d at the end", s.Instances.Launched, s.Instances.Peak, s.Instances.AtEnd),
		fmt.Sprintf("ghosts      %d runner managers without an instance", s.GhostRunners),
		fmt.Sprintf("API calls   %d to Auto Scaling, %d to GitLab (the runners' polls among them)", s.APICalls.AutoScaling, s.APICalls.GitLab),
	}
	for _, u := range s.Unfinished {
		lines = append(lines, "unfinished  "+u)
	}
	if s.OK() {
		return append(lines, "Every promise was kept, by the emulated services' own records.")
	}
	return append(lines, "A promise was broken.")
}
