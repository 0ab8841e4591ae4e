// Package scaling decides when a group grows and how far, and when an instance
// may leave it. It is pure: from one listing of the group and one reading of
// the runner follows one decision, with its reasons.
//
// It guarantees that a raise never lowers desired and never exceeds the
// group's maximum, that deciding twice on the same listing gives the same
// target, and that no leave brings desired below the minimum. A listing may be
// some seconds old: whatever follows from it is harmless then.
package scaling

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// Waiting is what a runner's metrics tell of the queue.
type Waiting struct {
	Jobs  int  // jobs that waited at the newest reading; meaningless unless Fresh
	Fresh bool // a job was taken since the reading before, so the gauge is news
}

// ReadQueue compares two readings. gitlab_runner_job_queue_size is set with
// each job that a section is given, that job among them, and is stale
// afterwards: only a section whose jobs_total has risen since prev tells
// anything. Sections may share a queue, so the longest counts, not the sum. A
// restart of the runner (totals fall) makes every job of the new process news.
// Without a reading before, nobody knows which section took the newest job:
// then the shortest counts, for the others may be hours old.
func ReadQueue(prev, cur fleet.Observation) Waiting {
	same := prev.StartedAt == cur.StartedAt
	first := len(prev.Runners) == 0
	var w Waiting
	for _, r := range cur.Runners {
		switch {
		case r.QueueSize <= 0 || same && r.JobsTotal <= totalOf(prev, r.Name) || r.JobsTotal <= 0:
		case w.Fresh && first:
			w.Jobs = min(w.Jobs, r.QueueSize-1)
		default:
			w.Fresh, w.Jobs = true, max(w.Jobs, r.QueueSize-1)
		}
	}
	return w
}

// totalOf is how many jobs a section had been given.
func totalOf(o fleet.Observation, name string) int64 {
	for _, r := range o.Runners {
		if r.Name == name {
			return r.JobsTotal
		}
	}
	return 0
}

// noWait is how long a job may have waited and yet count as not having waited:
// it is handed out at the runner's next poll.
const noWait = 2 // seconds

// waitsBetween is how many jobs were taken between two readings of the same
// process, and how long they had waited together, in seconds, from
// gitlab_runner_job_queue_duration_seconds: what runners before 18.1 know. 0 where
// that is not known.
func waitsBetween(prev, cur fleet.Observation) (jobs int64, seconds float64) {
	if prev.StartedAt != cur.StartedAt || len(prev.Runners) == 0 {
		return 0, 0
	}
	for _, r := range prev.Runners {
		jobs, seconds = jobs-int64(r.QueueWaits), seconds-r.QueueWaitSeconds //nolint:gosec // a count of jobs
	}
	for _, r := range cur.Runners {
		jobs, seconds = jobs+int64(r.QueueWaits), seconds+r.QueueWaitSeconds //nolint:gosec // a count of jobs
	}
	return jobs, seconds
}

// Raise is a decision about desired.
type Raise struct {
	Desired int  // what desired is to be; the present one when nothing is to be done
	Needed  bool // desired is to be set
	AtMax   bool // the maximum forbids what the queue asks for
	Reasons []fleet.Reason
}

// RaiseTo decides desired := max(desired, busy + ⌈waiting/slots⌉), never above
// the maximum: busy are the in-service instances that are protected, and self,
// which is saturated or it would not ask. Pending instances are in desired
// already. Doing it twice, or on ten instances at once, gives the same result.
func RaiseTo(g fleet.Group, self string, slots, waiting int) Raise {
	return raiseTo(g, take(g, self), slots, waiting)
}

// raiseBeside is raiseTo with slots that are to stand ready beside those that the
// waiting jobs take. For those alone a desired capacity that was lowered stays.
func raiseBeside(g fleet.Group, c census, slots, waiting, spares int) Raise {
	if spares == 0 || waiting == 0 && c.lowered(g) {
		return raiseTo(g, c, slots, waiting)
	}
	r := raiseTo(g, c, slots, waiting+spares)
	r.Reasons[0] = fleet.Reason(fmt.Sprintf("%d jobs wait and %d slots are to stand ready, %d slots per instance", waiting, spares, slots))
	return r
}

func raiseTo(g fleet.Group, c census, slots, waiting int) Raise {
	target := c.busy + instancesFor(waiting, max(slots, 1))
	return clamp(g, target,
		fleet.Reason(fmt.Sprintf("%d jobs wait, %d slots per instance", waiting, slots)),
		fleet.Reason(fmt.Sprintf("%d of %d in service are busy, desired %d", c.busy, c.busy+c.idle, g.Desired)))
}

// HoldReady decides for how many instances beyond the busy ones desired is to stand,
// so that so many slots are free. self is empty where the instance that asks is idle.
func HoldReady(g fleet.Group, self string, slots, spares int) Raise {
	c := take(g, self)
	if c.lowered(g) {
		return Raise{Desired: g.Desired, Reasons: []fleet.Reason{"desired was lowered below the number of instances: it stays until jobs are seen to wait"}}
	}
	return clamp(g, c.busy+instancesFor(spares, max(slots, 1)),
		fleet.Reason(fmt.Sprintf("%d slots are to stand ready, %d per instance", spares, slots)),
		fleet.Reason(fmt.Sprintf("%d of %d in service are busy, %d pending, desired %d", c.busy, c.busy+c.idle, c.pending, g.Desired)))
}

// Bears is how many waiting jobs a group with this desired capacity provides for:
// with no more of them RaiseTo raises nothing on this listing. At the maximum that
// is any number.
func Bears(g fleet.Group, self string, slots, desired int) int {
	return bears(g, take(g, self), slots, desired)
}

func bears(g fleet.Group, c census, slots, desired int) int {
	if desired >= g.Max {
		return math.MaxInt
	}
	return max(0, desired-c.busy) * max(slots, 1)
}

// Step decides without knowing the queue: one instance more, but only while
// every instance in service is busy and none is on its way. So ten saturated
// instances raise by one together, not by ten. Where desired was lowered below the
// number of instances a raise launches nothing and would only undo that, again and
// again: with gauge, which tells in time when jobs do wait, desired stays.
func Step(g fleet.Group, self string, gauge bool) Raise { return step(g, take(g, self), gauge) }

func step(g fleet.Group, c census, gauge bool) Raise {
	seen := fleet.Reason(fmt.Sprintf("%d busy, %d idle, %d pending, desired %d", c.busy, c.idle, c.pending, g.Desired))
	blind := fleet.Reason("saturated, and the queue's length is not known")
	switch {
	case g.Desired > c.busy+c.idle || c.pending > 0:
		return Raise{Desired: g.Desired, Reasons: []fleet.Reason{blind, seen, "an instance is on its way"}}
	case gauge && g.Desired < c.busy+c.idle:
		return Raise{Desired: g.Desired, Reasons: []fleet.Reason{blind, seen, "desired was lowered below the number of instances: it stays until jobs are seen to wait"}}
	case c.idle > 0:
		return Raise{Desired: g.Desired, Reasons: []fleet.Reason{blind, seen, "an idle instance can take what waits"}}
	}
	return clamp(g, g.Desired+1, blind, seen)
}

// clamp keeps a target within [desired, max].
func clamp(g fleet.Group, target int, reasons ...fleet.Reason) Raise {
	r := Raise{Desired: max(g.Desired, min(target, g.Max)), Reasons: reasons}
	r.Needed = r.Desired > g.Desired
	if target > g.Max {
		r.AtMax = true
		r.Reasons = append(r.Reasons, fleet.Reason(fmt.Sprintf("wanted %d, the group's maximum is %d", target, g.Max)))
	}
	return r
}

// census is what a listing says of the members as one of them sees it.
type census struct {
	busy, idle, pending int  // busy: in service and protected, and self; pending: on their way
	first               bool // of the busy ones none comes before self by id
}

// lowered tells whether somebody wants fewer than there are.
func (c census) lowered(g fleet.Group) bool { return g.Desired < c.busy+c.idle+c.pending }

// take counts in one pass, without looking at most ids: a fleet of thousands is
// counted often.
func take(g fleet.Group, self string) census {
	c := census{first: true}
	for n := range g.Instances {
		i := &g.Instances[n]
		switch {
		case i.State == fleet.InService && i.Protected:
			c.busy++
			c.first = c.first && i.ID >= self
		case i.ID == self && !i.State.IsLeaving(): // saturated, in service or not yet
			c.busy++
		case i.State == fleet.InService:
			c.idle++
		case i.State.IsPending():
			c.pending++
		}
	}
	return c
}

// Verdict is what an idle instance is to do.
type Verdict string

// The verdicts.
const (
	// Go: leave the group, desired falls by one.
	Go Verdict = "go"
	// Wait: others go first; look again later.
	Wait Verdict = "wait"
	// Stay: the minimum, or the spares that are to be idle, need this instance;
	// nothing to look at until it has run another job, or fewer spares are wanted.
	Stay Verdict = "stay"
	// Yield: the group itself wants fewer than it has. Clear the protection and
	// let it choose: leaving with decrement would lower desired once more.
	Yield Verdict = "yield"
)

// Leave is a decision about leaving.
type Leave struct {
	Verdict Verdict
	Rank    int // how many idle instances go before this one
	Reasons []fleet.Reason
}

// MayLeave decides whether the idle instance self may go. Of the idle ones
// those go that come first in LeavingOrder, as many as the minimum leaves
// room for; inTurn false ignores the order, for an instance that has waited
// long for others that do not go.
func MayLeave(g fleet.Group, self string, inTurn bool) Leave {
	return MayLeaveWith(g, self, Terms{InTurn: inTurn})
}

// Terms are what bounds leaving beside the group's own minimum.
type Terms struct {
	InTurn bool // only when it is its turn
	// Spare is how many idle instances are to stay: a place for what comes next.
	Spare int
	// Release lets those go, too, while no instance of the group is busy.
	Release bool
	// Widen is how many more of those out of turn may go than there is room for.
	Widen int
}

// MayLeaveWith is MayLeave on terms.
func MayLeaveWith(g fleet.Group, self string, t Terms) Leave {
	me, ok := g.Find(self)
	if !ok || me.State != fleet.InService {
		return Leave{Verdict: Wait, Reasons: []fleet.Reason{fleet.Reason(fmt.Sprintf("the group shows this instance as %q", stateOf(me, ok)))}}
	}
	if g.Weighted {
		return Leave{Verdict: Stay, Reasons: []fleet.Reason{"the group gives instance types weights: its desired does not count instances"}}
	}
	c := take(g, "")
	busy, idle, pending := c.busy, c.idle, c.pending
	if me.Protected { // a listing of some seconds ago: it has no job
		busy, idle = busy-1, idle+1
	}
	seen := fleet.Reason(fmt.Sprintf("%d busy, %d idle, %d pending, desired %d, minimum %d", busy, idle, pending, g.Desired, g.Min))
	if g.Desired < busy+idle+pending {
		return Leave{Verdict: Yield, Reasons: []fleet.Reason{seen, "desired is below the number of instances: the group chooses who goes"}}
	}
	room := g.Desired - g.Min
	if room <= 0 {
		return Leave{Verdict: Stay, Reasons: []fleet.Reason{seen, "desired is at the minimum"}}
	}
	held := false // by the spares, not by the minimum
	if spare := min(t.Spare, g.Max-busy); spare > 0 && (busy > 0 || !t.Release) {
		held = g.Desired-busy-spare < room
		room = min(room, g.Desired-busy-spare)
		seen += fleet.Reason(fmt.Sprintf(", %d are to stay idle", spare))
	}
	rank := rankOf(g, me)
	// Of those that wait beside spares, which have been told to stay and do not go in their
	// turn, only the last may go, one more of them with each look: else all would at once.
	last := !held || idle-1-rank < room+t.Widen
	if (t.InTurn || room <= 0 || !last) && rank >= room {
		if room <= 0 && !t.Release { // of the minimum there is room
			return Leave{Verdict: Stay, Rank: rank, Reasons: []fleet.Reason{seen, "none is idle beyond those"}}
		}
		return Leave{Verdict: Wait, Rank: rank, Reasons: []fleet.Reason{seen, fleet.Reason(fmt.Sprintf("%d idle instances go first, %d may go", rank, max(0, room)))}}
	}
	return Leave{Verdict: Go, Rank: rank, Reasons: []fleet.Reason{seen}}
}

// rankOf is how many idle instances come before me in LeavingOrder, found
// without sorting: a fleet of thousands is listed often.
func rankOf(g fleet.Group, me fleet.Instance) int {
	less := leavesBefore(g)
	rank := 0
	for _, i := range g.Instances {
		if i.State == fleet.InService && !i.Protected && i.ID != me.ID && less(i, me) < 0 {
			rank++
		}
	}
	return rank
}

func stateOf(i fleet.Instance, ok bool) fleet.LifecycleState {
	if !ok {
		return "not a member"
	}
	return i.State
}

// LeavingOrder lists the idle instances in service (self among them, whatever
// its flag says) in the order in which they leave, the same for all who read
// the same listing: an outdated launch template first, then the availability
// zone with the most instances, then by id.
func LeavingOrder(g fleet.Group, self string) []string {
	var idle []fleet.Instance
	for _, i := range g.Instances {
		if i.State == fleet.InService && (!i.Protected || i.ID == self) {
			idle = append(idle, i)
		}
	}
	slices.SortFunc(idle, leavesBefore(g))
	ids := make([]string, len(idle))
	for n, i := range idle {
		ids[n] = i.ID
	}
	return ids
}

// leavesBefore compares two instances by who leaves first.
func leavesBefore(g fleet.Group) func(a, b fleet.Instance) int {
	current := currentTemplate(g)
	zone := make(map[string]int)
	for _, i := range g.Instances {
		if i.State == fleet.InService {
			zone[i.AvailabilityZone]++
		}
	}
	return func(a, b fleet.Instance) int {
		return cmp.Or(
			compareBool(a.TemplateVersion == current, b.TemplateVersion == current),
			cmp.Compare(zone[b.AvailabilityZone], zone[a.AvailabilityZone]),
			cmp.Compare(a.ID, b.ID))
	}
}

// currentTemplate is the version that a launch would use: the group's where it
// names one, else ($Latest, $Default) the highest number among the members.
func currentTemplate(g fleet.Group) string {
	if g.TemplateVersion != "" {
		return g.TemplateVersion
	}
	best, bestNumber := "", -1
	for _, i := range g.Instances {
		if n, err := strconv.Atoi(i.TemplateVersion); err == nil && n > bestNumber {
			best, bestNumber = i.TemplateVersion, n
		}
	}
	return best
}

// compareBool sorts false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
