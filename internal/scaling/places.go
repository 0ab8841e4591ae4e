package scaling

import (
	"fmt"
	"math"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// What bounds how many jobs are left to find a place in the fleet as it is. In a small
// one an instance too many costs little, and a job that waits for one much. In a large
// one jobs end all the time, and each launch that they make needless costs a boot and
// an idle threshold.
const (
	// fewUpTo is of how many instances it is not supposed that they have free slots.
	fewUpTo = 5
	// wholeUpTo is up to how many instances jobs that end soon are not counted on.
	wholeUpTo = 20
	// soon is a launch and some: what finds a place by then waits hardly longer
	// than for an instance of its own.
	soon = 165 * time.Second
	// moments is how long a job may wait for another one to end before an instance that
	// comes in a minute and a half is of any use to it.
	moments = 20 * time.Second
	// supposed is how long it takes a slot to end a job where nothing is known. What is
	// seen outweighs that within minutes.
	supposed = 10 * time.Minute
)

// turnover is the share of slots whose job ends soon. One that has seen none end supposes
// so only while others are on their way: they see it next, and the last of them raises
// for all. Those that are to stand ready do not count: as one of them goes to work the
// next is launched, so that there would be no last one.
func (g *Growth) turnover(c census, spares int, now time.Time) float64 {
	guessed := uint64(0)
	if c.pending > instancesFor(spares, max(g.last.Slots(), 1)) {
		guessed = 1
	}
	return min(1, soon.Seconds()*g.endRate(guessed, now))
}

// endRate is how many jobs a second end in one slot, by how long the jobs took that
// have ended here, and those that are guessed, and for how long those that run have kept
// their slots: no higher than what has been seen since all slots are taken, for jobs that
// took minutes in the afternoon may take hours in the night.
func (g *Growth) endRate(guessed uint64, now time.Time) float64 {
	ended, watched := guessed, supposed.Seconds()
	full := float64(g.last.Slots()) * now.Sub(g.full).Seconds()
	for _, r := range g.last.Runners {
		ended, watched = ended+r.JobsEnded, watched+r.JobSeconds
	}
	rate := float64(ended) / (watched + full)
	if full > 0 {
		rate = min(rate, float64(g.taken+1)/full)
	}
	return rate
}

// unplaced is how many of the waiting jobs find no place without another instance.
// Where this instance had slots free when the jobs came, others probably had some, too,
// and have taken of the queue since: half of it, for they poll in any order. In a large
// fleet all of it, and what jobs that end soon make place for, there and on the
// instances to come.
func (g *Growth) unplaced(c census, waiting, spares int, now time.Time) int {
	slots := max(g.last.Slots(), 1)
	few := max(0, waiting-max(0, c.busy-fewUpTo)*g.before/2)
	ends := g.turnover(c, spares, now)
	queued := max(0, waiting-(c.busy-1)*g.before)
	many := max(0, (float64(queued)-ends*float64(c.busy*slots))/(1+ends))
	return min(few, max(int(math.Ceil(many)), (wholeUpTo-c.busy)*slots))
}

// instancesFor is how many instances so many jobs fill.
func instancesFor(jobs, slots int) int { return (jobs + slots - 1) / slots }

// sayPlaced is the reason for a target below what the queue's length asks for.
func sayPlaced(jobs, placed int) fleet.Reason {
	return fleet.Reason(fmt.Sprintf("%d jobs wait; about %d find a place where slots are free or jobs end soon", jobs, placed))
}
