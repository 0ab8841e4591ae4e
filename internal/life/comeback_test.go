package life_test

import (
	"cmp"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestMonitorStaysWhereAnotherWasMissed: an instance that was launched because one had
// only just left stays for its launch time longer than that one, asks for the reason
// once, and leaves then.
func TestMonitorStaysWhereAnotherWasMissed(t *testing.T) {
	for name, c := range map[string]struct {
		past []fleet.Activity
		fail *fleet.Failure
		want time.Duration
	}{
		"one had left 20 s before": {past: []fleet.Activity{
			{InstanceID: "i-self", Description: "Launching a new EC2 instance: i-self", Start: epoch.Add(-100 * time.Second), End: epoch, Status: "Successful"},
			{InstanceID: "i-0", Description: "Terminating EC2 instance: i-0", Cause: "shrinking the capacity from 1 to 0", Start: epoch.Add(-120 * time.Second)},
		}, want: 280 * time.Second},
		"none had left":              {want: 180 * time.Second},
		"nobody is permitted to ask": {fail: kind(fleet.Denied), want: 180 * time.Second},
		"the question is throttled":  {fail: kind(fleet.Throttled), want: 180 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			asked, left := 0, time.Duration(0)
			monitorAlone(t, life.MonitorSettings{
				Group: "ci", Period: 10 * time.Second, SaturatedPeriod: 10 * time.Second, IdleThreshold: 3 * time.Minute,
				UnprotectAfter: time.Minute, HoldTimeout: 2 * time.Minute, UnhealthyAfter: time.Hour,
			}, func(a life.Action, now time.Time) (any, *fleet.Failure, bool) {
				switch a := a.(type) {
				case life.ReadUnit:
					return fleet.UnitState{Active: cmp.Or(map[string]string{life.UnitInit: "inactive"}[a.Unit], "active")}, nil, true
				case life.DescribeActivities:
					asked++
					return c.past, c.fail, true
				case life.TerminateSelf, life.HoldRunner:
					left = now.Sub(epoch)
					return nil, nil, false
				}
				return nil, nil, true
			})
			if left < c.want || left > c.want+20*time.Second || asked != 1 {
				t.Errorf("it left after %s, and asked %d times; want %s, and once", left, asked, c.want)
			}
		})
	}
}
