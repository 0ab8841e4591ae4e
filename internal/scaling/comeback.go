package scaling

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// Comeback is what a group's activities say of one launch: whether it made good for
// an instance that had only just left.
type Comeback struct {
	// InRow is how many leaves in a row were made good within a launch time, up to
	// this launch; 0: it was no comeback.
	InRow int
	// Launch is how long the launch took.
	Launch time.Duration
}

// Comebacks reads out of a group's activities, in any order, what the launch of self
// was. Each leave is made good by the first launch after it that made none other
// good: where twenty come after one has left, one of them was let go in vain.
func Comebacks(all []fleet.Activity, self string) Comeback {
	mine := slices.IndexFunc(all, func(a fleet.Activity) bool { return a.InstanceID == self && a.Launches() && !a.End.IsZero() })
	if mine < 0 {
		return Comeback{}
	}
	c := Comeback{Launch: all[mine].End.Sub(all[mine].Start)}
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b fleet.Activity) int { return a.Start.Compare(b.Start) })
	inRow := map[string]int{}
	var left []fleet.Activity
	for _, a := range order {
		switch {
		case a.Shrinks():
			left = append(left, a)
		case a.Launches():
			left = slices.DeleteFunc(left, func(l fleet.Activity) bool { return a.Start.Sub(l.Start) > c.Launch })
			if len(left) > 0 {
				inRow[a.InstanceID] = inRow[left[0].InstanceID] + 1
				left = left[1:]
			}
		}
		if a.InstanceID == self && a.Launches() {
			break
		}
	}
	c.InRow = inRow[self]
	return c
}

// mostInRow and longestLaunch bound what a row of comebacks asks for: four launch
// times, of one that did not hang in its hook.
const (
	mostInRow     = 3
	longestLaunch = 5 * time.Minute
)

// longer is for how much longer such an instance stays idle: for a launch time, in
// which the one before it was needed again; and for twice as long each time that this
// was too short.
func (c Comeback) longer() time.Duration {
	if c.InRow == 0 {
		return 0
	}
	return max(0, min(c.Launch, longestLaunch)) << (min(c.InRow, mostInRow) - 1)
}
