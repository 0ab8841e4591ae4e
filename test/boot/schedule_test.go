package boot_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
)

// schedule is what a fleet goes through. All of it comes of the seed: the same seed
// is the same schedule, though not the same timing.
type schedule struct {
	seed      uint64
	own       bool          // each instance makes a runner of its own
	instances int           // at the beginning; the least is one
	idle      time.Duration // after which an instance leaves
	events    []happening   // by time
	blows     []*blow
}

// happening is what comes from the outside at a time after the first instance is
// in service.
type happening struct {
	at      time.Duration
	kind    string
	lasts   time.Duration // a job's work, or how long ahead EC2 tells that it takes an instance
	machine int           // by the order of the boots
}

const (
	aJob     = "a job comes"
	aScaleIn = "the group takes an instance"
	aSpot    = "EC2 announces that it takes an instance"
)

// blow is one kill -9 of a unit's main process.
type blow struct {
	unit    string
	machine int // by the order of the boots

	after time.Duration // since the machine's boot, then as soon as the unit runs; where no operation is named

	operation string // at the nth such request of the machine, or the first after it that finds the unit running
	nth       int
	late      bool // when it has taken effect; else before

	fell string // what came of it; "" while it has not fallen
}

// targets are what each unit asks for in its life: where a kill hurts the most.
var targets = []struct {
	unit       string
	operations []string
}{
	{life.UnitInit, []string{"DescribeLifecycleHooks", "POST /api/v4/runners/verify", "POST /api/v4/user/runners", "POST /api/v4/jobs/request", "CompleteLifecycleAction"}},
	{life.UnitMonitor, []string{"SetInstanceProtection", "DescribeAutoScalingGroups", "TerminateInstanceInAutoScalingGroup"}},
	{life.UnitScaleUp, []string{"DescribeAutoScalingGroups", "SetDesiredCapacity"}},
	{life.UnitLifecycleCheck, []string{"target-lifecycle-state", "spot/instance-action", "api/token"}},
	{life.UnitUnregister, []string{"DescribeLifecycleHooks", "RecordLifecycleActionHeartbeat", "DELETE /api/v4/runners", "CompleteLifecycleAction"}},
	{life.UnitRunner, []string{"POST /api/v4/jobs/request", "PUT /api/v4/jobs/", "/trace"}},
}

// drawSchedule draws a schedule.
func drawSchedule(seed uint64) schedule {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a schedule, which must be the same again
	s := schedule{seed: seed, own: r.IntN(2) == 0, instances: 2 + r.IntN(2), idle: seconds(r, 6, 15)}
	for range 5 + r.IntN(5) {
		s.events = append(s.events, happening{kind: aJob, at: seconds(r, 0, 40), lasts: seconds(r, 1, 25)})
	}
	// One goes by the group, another by EC2; what is left goes for being idle.
	first := r.IntN(s.instances)
	s.events = append(
		s.events,
		happening{kind: aScaleIn, at: seconds(r, 1, 30), machine: first},
		happening{kind: aSpot, at: seconds(r, 1, 30), machine: (first + 1) % s.instances, lasts: seconds(r, 45, 110)},
	)
	slices.SortStableFunc(s.events, func(a, b happening) int { return int(a.at - b.at) })
	for range 8 + r.IntN(5) {
		s.blows = append(s.blows, drawBlow(r, s.instances))
	}
	return s
}

// drawBlow draws a kill, of gitlab-runner itself one time in twelve: nobody can
// report the jobs that die with it, and it is not started again for two minutes.
func drawBlow(r *rand.Rand, instances int) *blow {
	target := targets[len(targets)-1]
	if r.IntN(12) > 0 {
		target = targets[r.IntN(len(targets)-1)]
	}
	b := &blow{unit: target.unit, machine: r.IntN(instances + 1)} // the first of those that come later among them
	// init and unregister run for moments, which only their requests tell.
	timed := target.unit != life.UnitInit && target.unit != life.UnitUnregister && r.IntN(2) == 0
	if timed {
		b.after = seconds(r, 1, 60)
		return b
	}
	b.operation, b.nth, b.late = target.operations[r.IntN(len(target.operations))], 1+r.IntN(3), r.IntN(2) == 0
	if target.unit == life.UnitUnregister || target.unit == life.UnitInit {
		b.nth = 1 // few of their requests come twice
	}
	return b
}

// seconds draws a time between two bounds, to the tenth.
func seconds(r *rand.Rand, least, most int) time.Duration {
	return time.Duration(least*10+r.IntN((most-least)*10+1)) * time.Second / 10
}

func (s schedule) String() string {
	var b strings.Builder
	mode := "a shared runner"
	if s.own {
		mode = "a runner for each"
	}
	fmt.Fprintf(&b, "seed %d: %d instances, %s, idle for %s\n", s.seed, s.instances, mode, s.idle)
	for _, e := range s.events {
		fmt.Fprintf(&b, "  at %s %s: machine %d, %s\n", e.at, e.kind, e.machine, e.lasts)
	}
	for _, k := range s.blows {
		fmt.Fprintf(&b, "  kill %s\n", k)
	}
	return b.String()
}

func (b *blow) String() string {
	if b.operation == "" {
		return fmt.Sprintf("%s of machine %d, %s after its boot", b.unit, b.machine, b.after)
	}
	when := "before"
	if b.late {
		when = "after"
	}
	return fmt.Sprintf("%s of machine %d %s request %d for %s takes effect", b.unit, b.machine, when, b.nth, b.operation)
}
