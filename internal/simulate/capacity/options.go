package capacity

import (
	"errors"
	"fmt"
	"time"
)

// Options are what all policies of a comparison share: the fleet and the world
// around it.
type Options struct {
	Slots         []int         // jobs that an instance runs at once; several: drawn for each launch, evenly
	Boot          time.Duration // from the launch until the machine is up
	Init          time.Duration // from then until it is in service
	Idle          time.Duration // how long an instance is without a job before it leaves
	Min, Max      int           // instances
	CheckInterval time.Duration // between two polls of a runner
	SpotMTBF      time.Duration // mean time until EC2 takes an instance; 0: never
	// APIRate is how many calls a second Auto Scaling answers, APIBurst how many at
	// once; beyond that they are throttled. 0: any number.
	APIRate  float64
	APIBurst int
}

// The bounds of options: wide enough for any fleet, and tight enough for no run
// to take for ever.
const (
	MaxSlots     = 1000
	MaxInstances = 100_000
	longest      = 24 * time.Hour
	shortestSpot = time.Minute
)

// Validate tells every problem at once.
func (o Options) Validate() error {
	var all []error
	bad := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	bad(len(o.Slots) == 0 || len(o.Slots) > 16, "slots: 1 to 16 numbers; got %d", len(o.Slots))
	for _, s := range o.Slots {
		bad(s < 1 || s > MaxSlots, "slots: %d; allowed are 1 to %d", s, MaxSlots)
	}
	bad(o.Boot < 0 || o.Boot > longest, "boot: %s; allowed are 0s to %s", o.Boot, longest)
	bad(o.Init < 0 || o.Init > longest, "init: %s; allowed are 0s to %s", o.Init, longest)
	bad(o.Idle < time.Second || o.Idle > longest, "idle: %s; allowed are 1s to %s", o.Idle, longest)
	bad(o.Max < 1 || o.Max > MaxInstances, "max: %d; allowed are 1 to %d", o.Max, MaxInstances)
	bad(o.Min < 0 || o.Min > o.Max, "min: %d; allowed are 0 to max, %d", o.Min, o.Max)
	bad(o.CheckInterval < time.Millisecond || o.CheckInterval > time.Hour, "check interval: %s; allowed are 1ms to 1h", o.CheckInterval)
	bad(o.SpotMTBF != 0 && (o.SpotMTBF < shortestSpot || o.SpotMTBF > 10_000*time.Hour), "spot MTBF: %s; allowed are 0s, for never, and 1m to 10000h", o.SpotMTBF)
	bad(!(o.APIRate >= 0 && o.APIRate <= 1e6), "API rate: %g calls a second; allowed are 0, for any number, to 1e6", o.APIRate)
	return errors.Join(all...)
}

// meanSlots is how many jobs an instance runs at once, as one counts who cannot tell
// them apart.
func (o Options) meanSlots() int {
	sum := 0
	for _, s := range o.Slots {
		sum += s
	}
	return max(1, (sum+len(o.Slots)/2)/len(o.Slots))
}

// spread is how far the time from launch to in service varies either way.
const spread = 0.15
