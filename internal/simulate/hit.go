package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// sight keeps what has struck until a machine has seen something of it: a fault
// that nobody could tell from none is not counted, and none is counted twice.
type sight struct {
	hits    map[Kind]int
	counted map[*Fault]bool
	pending []groupFault // changed what a listing shows
}

// groupFault is a fault that changed the group at a time.
type groupFault struct {
	*Fault
	at time.Duration
}

// instanceSight is what one instance has not seen yet.
type instanceSight struct {
	unseen []*Fault // until the metadata tell of it, or it ends the instance
	onPage []*Fault // until the metrics are read
}

// counts a fault that changed a result or an event that a machine saw.
func (s *sight) counts(f *Fault) {
	if !s.counted[f] {
		s.counted[f] = true
		s.hits[f.Kind]++
	}
}

// seesFaults counts what made the answer that a machine is told now.
func (l *loop) seesFaults(p *process) {
	if p.hit != nil && p.hit.struck {
		l.counts(p.hit.Fault)
	}
	for _, w := range p.by {
		l.counts(w.Fault)
	}
	p.by = p.by[:0]
}

// hitByWindow notes a fault that lasts and that makes the answer another.
func (p *process) hitByWindow(w *window) { p.by = append(p.by, w) }

// changesGroup notes a fault that the next listing shows.
func (l *loop) changesGroup(f *Fault) {
	l.pending = append(l.pending, groupFault{f, l.at})
}

// seesListing counts what a listing shows that was taken at a time.
func (l *loop) seesListing(taken time.Duration) {
	l.pending = slices.DeleteFunc(l.pending, func(g groupFault) bool {
		if g.at > taken {
			return false
		}
		l.counts(g.Fault)
		return true
	})
}

// sees counts what is unseen of these kinds.
func (i *instance) sees(kinds ...Kind) {
	i.unseen = slices.DeleteFunc(i.unseen, func(f *Fault) bool {
		if !slices.Contains(kinds, f.Kind) {
			return false
		}
		i.l.counts(f)
		return true
	})
}

// seesPage counts what the metrics show, or that nobody answers there.
func (i *instance) seesPage() {
	i.onPage = slices.DeleteFunc(i.onPage, func(f *Fault) bool {
		if i.runner.state != runnerActive && f.Kind != RunnerKill { // what it counted is gone with it
			return false
		}
		i.l.counts(f)
		return true
	})
}

// toPage has the next reading of the metrics count a fault.
func (i *instance) toPage(f *Fault) {
	if !i.l.counted[f] && !slices.Contains(i.onPage, f) {
		i.onPage = append(i.onPage, f)
	}
}

// refusedPoll: GitLab refuses a poll, which the metrics tell.
func (i *instance) refusedPoll() {
	i.refusedAt = i.l.at
	if t := i.l.tokenBy; t != nil && i.l.mode == fleet.ModeToken {
		i.toPage(t)
	}
	for _, f := range i.unseen {
		if f.Kind == DeleteRunners {
			i.toPage(f)
		}
	}
}

// refusedCall: GitLab refuses what a machine asked for.
func (i *instance) refusedCall(a life.Action) {
	t := i.l.tokenBy
	switch a.(type) {
	case life.VerifyRunner, life.DeleteRunner, life.DeleteManager: // by the runner's own token
		i.sees(DeleteRunners)
		if t != nil && i.l.mode == fleet.ModeToken {
			i.l.counts(t)
		}
	default:
		if t != nil {
			i.l.counts(t)
		}
	}
}

// seesTarget counts what a target state tells.
func (l *loop) seesTarget(i *instance, s world.State) {
	switch s {
	case world.Standby:
		i.sees(Standby)
	case world.Detached:
		i.sees(Detach)
	case world.Terminated:
		i.sees(SpotAgain)
		if r, ok := l.world.Instance(l.now, i.id); !ok || r.Reason != world.ReasonScaleIn || len(l.pending) == 0 {
			return
		}
		// A group shrinks by its own choice only where an operator had it to.
		l.pending = slices.DeleteFunc(l.pending, func(g groupFault) bool {
			if g.Kind != DesiredZero && g.Kind != ScaleInByHand {
				return false
			}
			l.counts(g.Fault)
			return true
		})
	}
}

// seesTime: a machine is told a moment while its clock is wrong.
func (i *instance) seesTime() {
	if len(i.unseen) > 0 {
		i.sees(ClockJump)
	}
}

// ends counts what ended an instance whose machines ran.
func (i *instance) ends(why world.Reason) {
	switch {
	case !i.up:
	case why == world.ReasonSpot:
		i.sees(Spot, SpotLate, SpotAgain)
	case why == world.ReasonCrash:
		i.sees(Crash)
	}
}

// withheld: the group would have acted, and a suspended process kept it.
func (l *loop) withheld(process string) {
	for _, f := range l.suspends {
		if slices.Contains(f.suspends(), process) && !l.counted[f] && !slices.ContainsFunc(l.pending, func(g groupFault) bool { return g.Fault == f }) {
			l.changesGroup(f)
		}
	}
}
