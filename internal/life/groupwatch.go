package life

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// groupWatch is how monitor sees that the group takes this instance while
// lifecycle-check, which sees it in the metadata, does not run: by listings.
type groupWatch struct {
	next   time.Time            // the next listing; zero: not needed
	soon   time.Time            // until then they are close: the group was told to replace the instance
	pace   time.Duration        // how close
	member bool                 // a listing has had this instance: else the group may be another's
	absent int                  // listings in a row that did not have it
	gone   fleet.LifecycleState // by the last listing the instance goes; else empty
}

const (
	// watchPause is the time between two listings: a termination hook of two minutes is
	// seen in time, and an hour of it is half of what may be asked.
	watchPause = time.Minute
	// watchSoon is the same for watchFor after a report: the group acts within a minute
	// or so, and a hook may wait for half a minute alone.
	watchSoon = 15 * time.Second
	watchFor  = 2 * time.Minute
	// watchAgain is the same after a later report: a group that was kept from replacing
	// anything may be kept from it for hours.
	watchAgain = 30 * time.Second
)

func (w *groupWatch) due(now time.Time) bool { return !w.next.IsZero() && !now.Before(w.next) }

// begin has the group looked at from now on.
func (w *groupWatch) begin(now time.Time) {
	if w.next.IsZero() {
		w.next = now
	}
}

// expect has it looked at more often for a while, where it is at all.
func (w *groupWatch) expect(now time.Time, first bool) {
	if w.next.IsZero() {
		return
	}
	w.pace = watchAgain
	if first {
		w.pace = watchSoon
	}
	w.soon, w.next = now.Add(watchFor), now.Add(w.pace)
}

// on plans the next listing.
func (w *groupWatch) on(now time.Time, atLeast time.Duration) {
	switch {
	case w.next.IsZero():
	case now.Before(w.soon):
		w.next = now.Add(max(w.pace, atLeast))
	default:
		w.next = now.Add(max(watchPause, atLeast))
	}
}

// sees takes in what a listing says of the instance itself, and tells whether it is in
// service. Listings are eventually consistent: one that leaves it out may be old.
func (w *groupWatch) sees(g fleet.Group, self string, now time.Time) bool {
	me, member := g.Find(self)
	if w.absent++; member {
		w.member, w.absent = true, 0
	}
	w.gone = ""
	switch {
	case me.State.IsLeaving():
		w.gone = me.State
	case w.member && w.absent >= neighbourMissing:
		w.gone = fleet.Detached
	}
	w.on(now, 0)
	return me.State == fleet.InService
}
