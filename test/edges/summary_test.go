package edges_test

import (
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate"
)

// summary adds up what the fleets tell.
type summary struct {
	mu             sync.Mutex
	began          time.Time
	sum            simulate.Result
	fleets, broken int
}

func newSummary() *summary {
	return &summary{began: time.Now(), sum: simulate.Result{Hits: map[simulate.Kind]int{}}}
}

func (s *summary) add(r simulate.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleets++
	if len(r.Broken) > 0 {
		s.broken++
	}
	s.sum.Length += r.Length
	s.sum.InstanceHours += r.InstanceHours
	s.sum.Instances += r.Instances
	s.sum.Peak = max(s.sum.Peak, r.Peak)
	s.sum.Jobs += r.Jobs
	s.sum.Finished += r.Finished
	s.sum.Interrupted += r.Interrupted
	s.sum.Lost += r.Lost
	s.sum.Gone += r.Gone
	s.sum.Reaped += r.Reaped
	s.sum.Freed += r.Freed
	s.sum.Steps += r.Steps
	s.sum.CallsAWS += r.CallsAWS
	s.sum.CallsGitLab += r.CallsGitLab
	for k, n := range r.Hits {
		s.sum.Hits[k] += n
	}
}

func (s *summary) print(t *testing.T) {
	r := s.sum
	wall := time.Since(s.began)
	t.Logf("%d fleets in %s, %.1f a minute; %d broken", s.fleets, wall.Round(time.Millisecond), float64(s.fleets)/wall.Minutes(), s.broken)
	t.Logf("%.0f fleet hours, %.0f instance hours, %d instances, the biggest fleet had %d at once", r.Length.Hours(), r.InstanceHours, r.Instances, r.Peak)
	t.Logf("%d jobs submitted: %d ended by themselves, %d interrupted and reported, %d lost with an instance or a runner, %d handed to a poll that was cancelled", r.Jobs, r.Finished, r.Interrupted, r.Lost, r.Gone)
	t.Logf("the reaper deleted %d runners and completed %d hooks of the dead", r.Reaped, r.Freed)
	t.Logf("%d steps of machines, %d requests to AWS, %d to GitLab", r.Steps, r.CallsAWS, r.CallsGitLab)
	for _, k := range simulate.Kinds() {
		t.Logf("  %-18s %d", k, r.Hits[k])
	}
}
