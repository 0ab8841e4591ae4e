package life

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/scaling"
)

// turns is how the instances of one fleet that are to be replaced for the same reason
// do so one in ten minutes, with nobody to tell them: each waits for those before it
// in leaving order, and looks at what the group has just done.
type turns struct {
	next   time.Time // not before: look again
	first  time.Time // turns count from then: the first listing, or the end of a pause that all keep
	mine   time.Time // the turn that it has missed, and waits for once more
	others int       // looks in a row that found another instance reported
}

const (
	// turnSpan is the distance between two instances: by then the one before is listed
	// as Unhealthy. It is one for all reasons, or the turns of two would meet.
	turnSpan = 20 * time.Second
	// missedSpan is the distance between two that have missed theirs, within one turn's:
	// a unit that lives for a while between its deaths may be seen well by the next one.
	missedSpan = time.Second
	// illPause is the time in which one fleet replaces one instance for one reason.
	illPause = 10 * time.Minute
	// markedPause is how long the group may take to act on an Unhealthy report.
	markedPause = 5 * time.Minute
	// illLate is after how long an instance that ought to be replaced and is not
	// is somebody's business.
	illLate = time.Hour
	// unhealthyCause is how the group's activities word a replacement after
	// SetInstanceHealth.
	unhealthyCause = "health"
)

// listed takes a listing in: first is an instance that is reported already and goes
// first, mine that it is this one's turn. Flags do not count: one that is ill may be
// protected for a job that is long over.
func (t *turns) listed(g fleet.Group, self string, now time.Time) (first string, mine bool) {
	if t.first.IsZero() {
		t.first = now
	}
	all := slices.Clone(g.Instances)
	for i := range all {
		all[i].Protected = false
		if all[i].ID != self && !all[i].Healthy && all[i].State == fleet.InService {
			t.next = now.Add(min(turnSpan<<min(t.others, 5), markedPause)) // a group that does not act is not asked for ever
			t.others++
			t.mine = time.Time{}
			return all[i].ID, false
		}
	}
	t.others = 0
	g.Instances = all
	if late := now.Sub(t.mine); late >= 0 && late <= turnSpan { // whatever has become of the order meanwhile
		return "", true
	}
	turn := max(0, slices.Index(scaling.LeavingOrder(g, self), self))
	t.next, t.mine = t.first.Add(time.Duration(turn)*turnSpan), time.Time{}
	if now.Sub(t.next) > turnSpan { // others that have missed theirs would act with it
		t.mine = now.Add(time.Duration(turn) * missedSpan % turnSpan)
		t.next = t.mine
	}
	return "", !now.Before(t.next)
}

// missed tells whether it waits a moment for what it has missed.
func (t *turns) missed() bool { return !t.mine.IsZero() }

// onTime has a turn count that has come while this instance was kept from it.
func (t *turns) onTime(now time.Time) { t.mine = now }

// justReplaced finds another instance that the group has replaced for its health
// within the pause: this one gives way. Turns count from the pause's end, by the group
// as it is then: all who waited would act together else.
func (t *turns) justReplaced(all []fleet.Activity, self string, now time.Time) (fleet.Activity, bool) {
	for _, a := range all {
		since := now.Sub(a.Start)
		if a.InstanceID != self && since < illPause && strings.Contains(strings.ToLower(a.Cause), unhealthyCause) {
			t.first = now.Add(illPause - max(0, since))
			t.next, t.mine = t.first, time.Time{}
			return a, true
		}
	}
	return fleet.Activity{}, false
}

// fails has all begin with their turns anew, after a pause.
func (t *turns) fails(now time.Time, pause time.Duration) {
	t.first, t.mine, t.next = time.Time{}, time.Time{}, now.Add(pause)
}

func insteadReplaced(a fleet.Activity, now time.Time) fleet.Reason {
	return fleet.Reason(fmt.Sprintf("instance %s was replaced %s ago: one in %s", a.InstanceID, now.Sub(a.Start).Round(time.Second), illPause))
}

func notReplaced(first string) fleet.Reason {
	return fleet.Reason(fmt.Sprintf("instance %s is to be replaced first, and the group does not: is its process ReplaceUnhealthy or Terminate suspended?", first))
}

const (
	othersWere fleet.Reason = "others were, one in 10m"
	unheeded   fleet.Reason = "the group was told and does not act: is its process ReplaceUnhealthy or Terminate suspended?"
)
