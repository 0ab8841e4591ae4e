package capacity_test

import (
	"fmt"
	"testing"

	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
)

// BenchmarkPlay plays jobs of ten minutes that come evenly: more jobs on the same
// fleet, and a million on one of ten thousand instances.
func BenchmarkPlay(b *testing.B) {
	for _, c := range []struct{ jobs, instances int }{
		{100_000, 500}, {300_000, 500}, {1_000_000, 500}, {1_000_000, 10_000},
	} {
		const mean = 600.0
		o := usual()
		o.Max = 10_000
		rate := 0.9 * float64(c.instances*o.Slots[0]) / mean
		plan := capacity.NewPlan(trace.New(trace.Monday, poisson(c.jobs, rate, mean, 1)))
		for _, name := range []string{"shoal", "taskscaler"} {
			p, err := capacity.Parse(name)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%s/%d_jobs/%d_instances", name, c.jobs, c.instances), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r := capacity.Run(plan, p, o, 1, nil)
					b.ReportMetric(r.InstanceHours, "instance-hours")
				}
			})
		}
	}
}
