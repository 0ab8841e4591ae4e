package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate"
)

// summary adds up what the fleets tell.
type summary struct {
	mu    sync.Mutex
	out   io.Writer
	o     options
	began time.Time
	stop  func()

	fleets        int
	first, last   uint64
	hours         float64 // of fleets
	instanceHours float64
	instances     int
	fewest, peak  int // instances of one fleet, and at once
	jobs          int
	finished      int
	interrupted   int
	lost, gone    int
	aws, gitlab   int
	steps         int
	hits          map[simulate.Kind]int
	broken        int
	breaks        map[string]int
}

// live lives one seed, and shows what it breaks.
func (s *summary) live(seed uint64) {
	schedule := simulate.Draw(seed)
	r := simulate.Run(schedule, simulate.Options{})
	if s.o.twice {
		if again := simulate.Run(schedule, simulate.Options{}); again.Digest != r.Digest {
			r.Broken = append(r.Broken, simulate.Broken{Promise: "replay", What: "two runs of one schedule differ"})
		}
	}
	s.add(seed, r)
	if len(r.Broken) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken++
	if s.broken > s.o.most {
		return
	}
	fmt.Fprintf(s.out, "seed %d breaks %d promises:\n", seed, len(r.Broken))
	for n, b := range r.Broken {
		if n < 5 {
			fmt.Fprintf(s.out, "  at %s: %s: %s\n", b.At, b.Promise, b.What)
		}
	}
	if s.o.shrink > 0 {
		showShrunk(s.out, schedule, r.Broken[0].Promise, s.o.shrink)
	}
	if s.broken == s.o.most {
		s.stop()
	}
}

func (s *summary) add(seed uint64, r simulate.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fleets == 0 {
		s.first, s.fewest, s.peak, s.breaks = seed, r.Instances, r.Peak, map[string]int{}
	}
	s.fleets++
	s.first, s.last, s.fewest = min(s.first, seed), max(s.last, seed), min(s.fewest, r.Instances)
	s.peak = min(s.peak, r.Peak)
	s.hours += r.Length.Hours()
	s.instanceHours += r.InstanceHours
	s.instances += r.Instances
	s.jobs += r.Jobs
	s.finished += r.Finished
	s.interrupted += r.Interrupted
	s.lost += r.Lost
	s.gone += r.Gone
	s.aws += r.CallsAWS
	s.gitlab += r.CallsGitLab
	s.steps += r.Steps
	for k, n := range r.Hits {
		s.hits[k] += n
	}
	seen := map[string]bool{}
	for _, b := range r.Broken {
		if !seen[b.Promise] {
			s.breaks[b.Promise]++
		}
		seen[b.Promise] = true
	}
}

func (s *summary) print() {
	wall := time.Since(s.began)
	p := func(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }
	p("seeds               %d, %d..%d", s.fleets, s.first, s.last)
	p("broken              %d %v", s.broken, s.breaks)
	p("fleet hours         %.0f; %.0f instance hours, that is %.0f hours of fleets of 20", s.hours, s.instanceHours, s.instanceHours/20)
	p("instances           %d, the smallest fleet had %d, at least %d at once", s.instances, s.fewest, s.peak)
	p("jobs                %d: %d ended by themselves, %d interrupted and reported, %d lost with an instance or a runner, %d handed to a poll that was cancelled", s.jobs, s.finished, s.interrupted, s.lost, s.gone)
	p("calls               %.1f to AWS, %.1f to GitLab per instance hour", float64(s.aws)/s.instanceHours, float64(s.gitlab)/s.instanceHours)
	p("steps of machines   %d", s.steps)
	p("wall time           %s, %d workers: %.0f fleet hours a minute, %.0f of fleets of 20", wall.Round(time.Millisecond), s.o.workers, s.hours/wall.Minutes(), s.instanceHours/20/wall.Minutes())
	p("faults that changed a result or an event:")
	for _, k := range simulate.Kinds() {
		p("  %-18s %d", k, s.hits[k])
	}
}
