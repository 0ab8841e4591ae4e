package scaling

import (
	"fmt"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// Demand is what the job hook knows of one group's jobs.
type Demand struct {
	Pending, Running int // jobs
	// Ahead is how many slots jobs are expected to need by the time that an instance
	// launched now takes jobs, beyond those; 0 without anticipation.
	Ahead int
}

// Raise decides desired := max(desired, ⌈(pending + running + ahead) / slots⌉), never
// above the maximum. What the group makes good by itself is in desired already:
// instances on their way, and in place of those in standby, being terminated, or
// unhealthy. One that leaves by itself takes desired down with it, and the next look
// raises again. Jobs that run have their places: for those alone nothing is raised,
// nor for what is expected where somebody lowered desired below the number of
// instances.
func (d Demand) Raise(g fleet.Group, slots int) Raise {
	c := take(g, "")
	seen := fleet.Reason(fmt.Sprintf("%d in service, %d pending, desired %d", c.busy+c.idle, c.pending, g.Desired))
	stay := func(why fleet.Reason) Raise { return Raise{Desired: g.Desired, Reasons: []fleet.Reason{why, seen}} }
	switch {
	case g.Weighted:
		return stay("the group gives instance types weights: its desired does not count instances")
	case d.Pending <= 0 && d.Ahead <= 0:
		return stay("no job waits, and none is expected")
	case d.Pending <= 0 && c.lowered(g):
		return stay("desired was lowered below the number of instances: it stays until jobs wait")
	}
	// Those that run on instances which are on their way out need no place beside them.
	running := min(max(d.Running, 0), (c.busy+c.idle+c.pending)*max(slots, 1))
	jobs := max(d.Pending, 0) + running + max(d.Ahead, 0)
	return clamp(g, instancesFor(jobs, max(slots, 1)), d.say(slots), seen)
}

// say is the demand as a reason.
func (d Demand) say(slots int) fleet.Reason {
	s := fmt.Sprintf("%d jobs wait and %d run", d.Pending, d.Running)
	if d.Ahead > 0 {
		s += fmt.Sprintf(", %d more slots will be needed", d.Ahead)
	}
	return fleet.Reason(fmt.Sprintf("%s, %d slots per instance", s, slots))
}
