package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// unitHealth is what looks at a unit of this machine, one after the other, tell of it.
type unitHealth struct {
	looked  time.Time     // last
	starts  int           // restarts by then
	dies    bool          // by the last look: it was met alive, or starting, once more
	ran     bool          // by the last look
	missing int           // looks in a row that found it down, or hanging
	broken  bool          // by the last look
	lasted  time.Duration // broken so far
	why     fleet.Reason  // how it ends

	restarts int       // when they were last counted
	counted  time.Time // at that time
	hangs    bool      // by the last count: it runs, and was started again and again
	hung     time.Time // it was last seen started again while it was looked at for that
}

const (
	// hangLasts is longer than two watchdogs' times: a unit that hangs is started again
	// within it, before anything is done about one that runs.
	hangLasts = 150 * time.Second
	// hangRestarts is how many starts between two looks are more than a crash: a unit
	// that hangs is killed by its watchdog, and runs most of the time.
	hangRestarts = 2
)

// isBroken tells whether a unit ends as soon as it is started, for a reason that it
// did not tell itself. One that was stopped by hand, that finds its configuration
// wrong, was refused, or asks for another try, is not broken: another instance would
// fare no better.
func isBroken(u fleet.UnitState) bool {
	if u.Active != "failed" && u.Active != "activating" || u.Result == "" || u.Result == "success" {
		return false
	}
	if u.Result != "exit-code" {
		return true
	}
	switch ExitCode(u.ExitStatus) {
	case BadUsage, Refused, TryAgain:
		return false
	}
	return true
}

// howItEnds says in systemd's words why a unit is broken.
func howItEnds(u fleet.UnitState) fleet.Reason {
	if u.Result == "exit-code" {
		return fleet.Reason(fmt.Sprintf("it ends with status %d", u.ExitStatus))
	}
	return fleet.Reason("it ends by " + u.Result)
}

// saw takes a look in, and tells whether the unit is well. Looks are a period apart, or
// up to as much more as a last resort pauses.
func (h *unitHealth) saw(u fleet.UnitState, now time.Time, period time.Duration) bool {
	passed := max(0, min(now.Sub(h.looked), illPause+period)) // clocks are set
	h.looked = now
	runs := u.Active == "active" || u.Active == "reloading" || u.Active == "deactivating"
	again := h.count(u, now, period, h.ran && runs)
	h.ran = runs
	was := h.broken
	// One that dies some seconds after each start is met alive, or starting, too.
	h.dies = was && u.Restarts > h.starts && (runs || u.Active == "activating") && !isBroken(u)
	h.starts = u.Restarts
	if runs && !h.hangs && !h.dies {
		*h = unitHealth{looked: h.looked, starts: h.starts, ran: h.ran, restarts: h.restarts, counted: h.counted}
		return true
	}
	h.missing++
	h.broken = h.hangs || h.dies || isBroken(u)
	switch {
	case !h.broken:
		h.lasted = 0
	case was:
		h.lasted += passed
	}
	switch {
	case isBroken(u):
		h.why = howItEnds(u)
	case again > 0:
		h.why = fleet.Reason(fmt.Sprintf("it was started again %d times within %s", again, period))
	}
	return false
}

// stillBroken tells by one more look whether it is what it was; one that hangs may run
// at that instant, and must have been seen started again a moment ago.
func (h *unitHealth) stillBroken(u fleet.UnitState, now time.Time) bool {
	return isBroken(u) || h.hangs && now.Sub(h.hung) < hangLasts && u.Restarts >= h.restarts
}

// count tells how often the unit was started again since the last count, and by that
// whether it hangs; runs: it did at this look and at the one before. Looks may be
// seconds apart: a count takes a period.
func (h *unitHealth) count(u fleet.UnitState, now time.Time, period time.Duration, runs bool) int {
	again := u.Restarts - h.restarts
	passed := now.Sub(h.counted)
	if h.hangs && again > 0 && passed <= hangLasts+time.Minute { // not of some time ago
		h.hung = now
	}
	switch {
	case h.counted.IsZero() || again < 0: // systemctl restart counts from nought
		h.hangs = false
	case h.hangs && passed < min(hangLasts, period), !h.hangs && passed < period:
		return 0
	default:
		h.hangs = runs && again >= hangRestarts || h.hangs && again > 0 // who ends at once does not hang
	}
	h.restarts, h.counted = u.Restarts, now
	return again
}
