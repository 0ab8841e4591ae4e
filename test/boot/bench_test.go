package boot_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// BenchmarkLaunch takes the time from the start of shoal init on a booted machine
// to the completed launch hook, machine after machine: the median, and the longest.
// Run it with -benchtime 10x.
func BenchmarkLaunch(b *testing.B) {
	f := open(b, func(p *plan) { p.group.Desired = 0 })
	var took []time.Duration
	for b.Loop() {
		f.do(func(w *world.World, now time.Time) error { return w.SetDesired(now, group, 1) })
		m := f.up()
		took = append(took, launchTime(b, m))
		f.do(func(w *world.World, now time.Time) error { return w.SetDesired(now, group, 0) })
		f.gone(m)
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds(), "s(median)")
	b.ReportMetric(took[len(took)-1].Seconds(), "s(max)")
	b.ReportMetric(0, "ns/op") // of the whole turn, which nobody asked for
}

// launchTime is how long a machine's init took, by its journal.
func launchTime(b *testing.B, m *instance) time.Duration {
	b.Helper()
	var begun, ended []line
	if !waitFor(patience, func() bool {
		begun, ended = m.said(life.UnitInit, "Starting"), m.said(life.UnitInit, "completed launch hook")
		return len(begun) > 0 && len(ended) > 0
	}) {
		b.Fatalf("%s does not say when its launch began and ended", m.id)
	}
	return ended[0].at.Sub(begun[0].at)
}
