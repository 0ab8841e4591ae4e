package simulate

import (
	"testing"
	"time"
)

// TestOnlyWhatIsSeenCounts: a fault that changes nothing for any machine is none.
func TestOnlyWhatIsSeenCounts(t *testing.T) {
	t.Parallel()
	none := Run(Schedule{Seed: 5, Faults: []Fault{
		{Kind: Spot, At: time.Millisecond, Instance: 1},                // nobody is up
		{Kind: Suspend, At: time.Hour, For: 5 * time.Minute, Count: 4}, // nobody is unhealthy
		{Kind: HeartbeatsLost, At: time.Millisecond, For: time.Millisecond},
		{Kind: StaleListing, Verb: "monitor", N: 1, Instance: 1, Amount: time.Nanosecond},
		{Kind: RunnerMute, At: time.Hour, For: time.Millisecond, Instance: 1},
		{Kind: ClockJump, At: time.Millisecond, Instance: 1, Amount: time.Hour},
	}}, Options{})
	if len(none.Hits) > 0 {
		t.Errorf("counted %v", none.Hits)
	}
	some := Run(Schedule{Seed: 5, Faults: []Fault{
		{Kind: Spot, At: 30 * time.Minute, Instance: 1},
		{Kind: Spot, At: 30*time.Minute + time.Second, Instance: 1}, // EC2 has said so already
		{Kind: KillBefore, Verb: "monitor", N: 100, Instance: 2},
		{Kind: DesiredZero, At: 2 * time.Hour, For: 5 * time.Minute},
		{Kind: GitLabAway, At: time.Hour, For: 5 * time.Minute},
		{Kind: RunnerMute, At: 70 * time.Minute, For: time.Minute, Instance: 1},
	}}, Options{})
	for _, k := range []Kind{Spot, KillBefore, DesiredZero, GitLabAway, RunnerMute} {
		if some.Hits[k] != 1 {
			t.Errorf("%s: counted %d times, want 1", k, some.Hits[k])
		}
	}
}
