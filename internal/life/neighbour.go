package life

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// neighbour is the eye that monitor and lifecycle-check keep on each other: one
// that crashes at each start, was refused for good, is masked or was stopped would
// else be missed only when it is needed. It costs no call to anyone outside.
type neighbour struct {
	unit    string
	without string // what does not happen while it does not run
	next    time.Time
	missing int // looks in a row
	said    bool
}

const (
	neighbourPeriod = 5 * time.Minute
	// neighbourMissing is how many looks in a row must miss it: an upgrade, or a
	// crash, starts it again within seconds.
	neighbourMissing = 2
)

// due tells whether to look, for the first time a period after the start.
func (n *neighbour) due(now time.Time) bool {
	if n.next.IsZero() {
		n.next = now.Add(neighbourPeriod)
	}
	return !now.Before(n.next)
}

// looked takes the state of the unit in, and tells whether to start it: once, where
// it has failed. One that was stopped by hand stays so.
func (n *neighbour) looked(f *flow, u fleet.UnitState) (start bool) {
	switch u.Active {
	case "active", "reloading", "deactivating":
		if n.said {
			f.say(Info, n.unit+" runs again")
		}
		n.missing, n.said = 0, false
		return false
	}
	n.missing++
	if n.said || n.missing < neighbourMissing {
		return false
	}
	n.said = true
	state := u.Active
	if state == "activating" { // it is started again and again
		state = "it ends as soon as it is started"
	}
	f.say(Error, n.unit+" does not run", fleet.Reason(state), fleet.Reason(n.without),
		fleet.Reason(fmt.Sprintf("see journalctl -u %s, mend what it says, and systemctl restart %s", n.unit, n.unit)))
	return u.Active == "failed"
}

// later plans the next look.
func (n *neighbour) later(now time.Time) { n.next = now.Add(neighbourPeriod) }
