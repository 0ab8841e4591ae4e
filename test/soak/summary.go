package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate"
)

// summary adds up what the fleets tell; what is exported is what -json prints.
type summary struct {
	mu    sync.Mutex
	o     options
	notes io.Writer
	began time.Time
	stop  func()

	Seeds         int                   `json:"seeds"`
	First         uint64                `json:"first_seed"`
	Last          uint64                `json:"last_seed"`
	Broken        broken                `json:"broken"`
	FleetHours    float64               `json:"fleet_hours"`
	InstanceHours float64               `json:"instance_hours"`
	Instances     instances             `json:"instances"`
	Jobs          jobs                  `json:"jobs"`
	Calls         calls                 `json:"calls"`
	Reaper        reaper                `json:"reaper"`
	Steps         int                   `json:"steps"` // of machines
	Faults        map[simulate.Kind]int `json:"faults"`
	Seldom        []simulate.Kind       `json:"seldom,omitempty"` // struck fewer times than -least asks for
	WallSeconds   float64               `json:"wall_seconds"`
	CPUSeconds    float64               `json:"cpu_seconds"`
	Workers       int                   `json:"workers"`
	PerMinute     perMinute             `json:"per_minute"`
}

type broken struct {
	Seeds    int            `json:"seeds"`
	List     []uint64       `json:"list"`
	Promises map[string]int `json:"promises"` // seeds that broke it
}

type instances struct {
	Lived        int `json:"lived"`
	FewestLived  int `json:"fewest_lived"`   // in one fleet
	FewestAtPeak int `json:"fewest_at_peak"` // at once, in the fleet with the lowest peak
}

type jobs struct {
	Submitted   int `json:"submitted"`
	Finished    int `json:"finished"`
	Interrupted int `json:"interrupted"` // and reported
	Lost        int `json:"lost"`        // with an instance or a runner that a fault took
	Gone        int `json:"gone"`        // handed to a poll that was cancelled
}

type calls struct {
	AWS    int `json:"aws"`
	GitLab int `json:"gitlab"`
}

type reaper struct {
	Deleted   int `json:"deleted"`   // runners
	Completed int `json:"completed"` // hooks of the dead
}

type perMinute struct {
	FleetHours   float64 `json:"fleet_hours"`
	FleetHours20 float64 `json:"fleet_hours_of_20_instances"` // a twentieth of the instance hours
}

func newSummary(o options, notes io.Writer, stop func()) *summary {
	return &summary{
		o: o, notes: notes, stop: stop, began: time.Now(), Workers: o.workers,
		Broken: broken{List: []uint64{}, Promises: map[string]int{}}, Faults: map[simulate.Kind]int{},
	}
}

// add takes a run in, and tells whether there is something to show.
func (s *summary) add(seed uint64, r simulate.Result) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Seeds == 0 {
		s.First, s.Instances.FewestLived, s.Instances.FewestAtPeak = seed, r.Instances, r.Peak
	}
	s.Seeds++
	s.First, s.Last = min(s.First, seed), max(s.Last, seed)
	s.FleetHours += r.Length.Hours()
	s.InstanceHours += r.InstanceHours
	s.Instances.Lived += r.Instances
	s.Instances.FewestLived = min(s.Instances.FewestLived, r.Instances)
	s.Instances.FewestAtPeak = min(s.Instances.FewestAtPeak, r.Peak)
	s.Jobs.Submitted += r.Jobs
	s.Jobs.Finished += r.Finished
	s.Jobs.Interrupted += r.Interrupted
	s.Jobs.Lost += r.Lost
	s.Jobs.Gone += r.Gone
	s.Calls.AWS += r.CallsAWS
	s.Calls.GitLab += r.CallsGitLab
	s.Reaper.Deleted += r.Reaped
	s.Reaper.Completed += r.Freed
	s.Steps += r.Steps
	for k, n := range r.Hits {
		s.Faults[k] += n
	}
	return len(r.Broken) > 0 && s.addBroken(seed, r.Broken)
}

// addBroken tells whether this is one of the first, which are shown.
func (s *summary) addBroken(seed uint64, list []simulate.Broken) bool {
	s.Broken.Seeds++
	s.Broken.List = append(s.Broken.List, seed)
	var promises []string
	for _, b := range list {
		if !slices.Contains(promises, b.Promise) {
			promises = append(promises, b.Promise)
			s.Broken.Promises[b.Promise]++
		}
	}
	if s.Broken.Seeds >= s.o.most {
		s.stop()
	}
	return s.Broken.Seeds <= s.o.most
}

func (s *summary) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprint(s.notes, text)
}

// tellProgress tells now and then how far it is, until the returned function is
// called.
func (s *summary) tellProgress(ctx context.Context) (stop func()) {
	if s.o.progress <= 0 {
		return func() {}
	}
	ctx, stop = context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(s.o.progress)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.mu.Lock()
				fmt.Fprintf(s.notes, "%s: %d seeds, %.0f fleet hours, %d jobs, %d broken\n",
					time.Since(s.began).Round(time.Second), s.Seeds, s.FleetHours, s.Jobs.Submitted, s.Broken.Seeds)
				s.mu.Unlock()
			}
		}
	}()
	return stop
}

// finish adds what is known at the end alone.
func (s *summary) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	wall := time.Since(s.began)
	s.WallSeconds = wall.Seconds()
	s.PerMinute = perMinute{FleetHours: s.FleetHours / wall.Minutes(), FleetHours20: s.InstanceHours / 20 / wall.Minutes()}
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		s.CPUSeconds = time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
	}
	slices.Sort(s.Broken.List)
	for _, k := range simulate.Kinds() {
		if s.Faults[k] += 0; s.Faults[k] < s.o.least { // each is listed, those that never struck too
			s.Seldom = append(s.Seldom, k)
		}
	}
}

func (s *summary) print(out io.Writer) {
	if s.o.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(s)
		return
	}
	p := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	hours := max(s.InstanceHours, 1)
	p("seeds               %d, %d..%d", s.Seeds, s.First, s.Last)
	p("broken              %d %v", s.Broken.Seeds, s.Broken.Promises)
	p("fleet hours         %.0f; %.0f instance hours, that is %.0f hours of fleets of 20", s.FleetHours, s.InstanceHours, s.InstanceHours/20)
	p("instances           %d, at least %d in a fleet, and %d at once", s.Instances.Lived, s.Instances.FewestLived, s.Instances.FewestAtPeak)
	p("jobs                %d: %d ended by themselves, %d interrupted and reported, %d lost with an instance or a runner, %d handed to a poll that was cancelled",
		s.Jobs.Submitted, s.Jobs.Finished, s.Jobs.Interrupted, s.Jobs.Lost, s.Jobs.Gone)
	p("calls               %.1f to AWS, %.1f to GitLab per instance hour", float64(s.Calls.AWS)/hours, float64(s.Calls.GitLab)/hours)
	p("reaper              %d runners deleted, %d hooks of the dead completed", s.Reaper.Deleted, s.Reaper.Completed)
	p("steps of machines   %d", s.Steps)
	p("time                %.1f s with %d workers, %.1f s of processors", s.WallSeconds, s.Workers, s.CPUSeconds)
	p("speed               %.0f fleet hours a minute, %.0f of fleets of 20", s.PerMinute.FleetHours, s.PerMinute.FleetHours20)
	p("faults that changed a result or an event that a machine saw:")
	for _, k := range simulate.Kinds() {
		p("  %-18s %d", k, s.Faults[k])
	}
	if len(s.Seldom) > 0 {
		p("fewer than %d times: %v", s.o.least, s.Seldom)
	}
}
