package scaling

import (
	"fmt"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// steps are the raises of an instance that cannot know how many jobs wait, for as long
// as it is full. The first is by one. Where all that came of the last one are at work,
// none idle and none on its way, too little was launched: the next is twice as large, and
// the group at most doubles. The original's instances did the same together, for each
// newcomer raised by one of its own.
type steps struct {
	busy int // instances when the last one was made; 0: none yet, or it was enough
}

// going tells whether this instance has raised, and is to see what came of it.
func (s *steps) going() bool { return s.busy > 0 }

// next is the next step where one is due. A runner with the gauge tells how many jobs
// wait as soon as the newcomer has taken one: then each is by one.
func (s *steps) next(group fleet.Group, c census, gauge bool) Raise {
	r := step(group, c, gauge)
	if c.idle > 0 {
		s.busy = 0
	}
	if gauge || !r.Needed {
		return r
	}
	if came := c.busy - s.busy; s.going() && came > 0 {
		r = clamp(group, group.Desired+min(2*came, c.busy), append(r.Reasons[:2:2], fleet.Reason(fmt.Sprintf("all %d that came since the last raise are at work", came)))...)
	}
	s.busy = c.busy
	return r
}
