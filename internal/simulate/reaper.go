package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// reaper is what stands beside most fleets: shoal reap --every 5m by its unit, on
// a host of its own. It is the instance number 0, which no group has.
type reaper struct {
	host      *instance
	unit      unit
	strangers map[string]bool // descriptions of runners that it is to leave alone
	early     map[string]bool // those of an instance that was gone before the run
	earlyLaid bool            // and none of them is left

	lists  int    // first pages that it was given
	most   int    // runners in a list
	next   string // what the last page said of the next
	looked int64  // the runner that it looked at last
	reaped int    // runners deleted
	freed  int    // hooks of the dead completed
	said   map[string]bool
}

// reapSetup is what is drawn for a fleet's reaper.
type reapSetup struct {
	runs     bool
	ownToken bool // else it uses the one that makes runners
	perPage  int  // of GitLab's lists
}

const (
	reapEvery = 5 * time.Minute
	// reapApart is the least time between a death and what follows from it: two
	// looks, and the first may come at once.
	reapApart = 4 * time.Minute
	// reapedWithin is the promise.
	reapedWithin = 15 * time.Minute
	// strangersCome after the fleet's first runners: each poll looks for its runner
	// from the first one on.
	strangersCome = 4 * time.Minute

	reapToken     = "glpat-reap"
	reapSecretRef = "ssm:/shoal/reap-token" //nolint:gosec // a reference, not a secret
)

// drawReap draws from a source of its own: the rest of a fleet is the same with a
// reaper beside it. In some of its fleets a dead instance holds its hook for longer
// than the reaper needs.
func (s *setup) drawReap(seed uint64) {
	d := &dice{state: mix(seed ^ 0x4ea9)}
	s.reap = reapSetup{runs: d.chance(0.75), ownToken: !s.mayList || d.chance(0.5), perPage: pick(d, 16, 40, 100)}
	if hook := pick(d, 0, 0, 15*time.Minute, 30*time.Minute); s.reap.runs && hook > 0 {
		s.endHook = hook
	}
}

func (l *loop) reapSettings(seed uint64) life.ReapSettings {
	set := life.ReapSettings{
		Groups: []string{groupName}, Where: fleet.NewRunner{Type: "group_type", GroupID: 7}, Every: reapEvery, Seed: seed,
	}
	switch {
	case l.mode == fleet.ModeToken: // instances leave no runners: hooks alone
	case l.reap.ownToken:
		set.Token = reapSecretRef
	default:
		set.Token = secretRef
	}
	return set
}

// at is what stands in the secret store.
func (t *tokens) at(a life.Action) string {
	if s, ok := a.(life.ResolveSecret); ok && s.Ref == reapSecretRef {
		return reapToken
	}
	return t.stored
}

// isReaper tells the reaper's host from an instance.
func (i *instance) isReaper() bool { return i.number == 0 }

// startReaper has one run beside the fleet, within the first minutes.
func (l *loop) startReaper() {
	if !l.reap.runs {
		return
	}
	host := &instance{l: l, id: "reaper", up: true, armed: l.armed[0]}
	x := &reaper{host: host, strangers: map[string]bool{}, early: map[string]bool{}, said: map[string]bool{}}
	x.unit = unit{in: host, id: unitReap}
	l.reaper = x
	if l.mode != fleet.ModeToken {
		l.world.AddAccessToken(world.AccessToken{Token: reapToken, Scopes: []string{world.ScopeManageRunner}})
		l.after(strangersCome, l.addStrangers)
	}
	l.line(l.at, "i00 is the reaper's host")
	l.after(within(of(l.seed, 11, 0, 0), time.Second, 5*time.Minute), x.unit.start)
}

// addStrangers makes the runners that others have in the same place of GitLab, with
// names like ours, and one that an instance left which died long ago.
func (l *loop) addStrangers() {
	const dead = "i-0dead0000000000"
	add := func(n int, description string) {
		r := l.sharedRunner(sprintf("glrt-stranger-%d", n))
		r.Description, r.Tags, r.RunUntagged = description, []string{"strange"}, false
		l.world.AddRunner(l.now, r)
	}
	for n, d := range []string{"ci2/" + dead + "1", "my-ci/" + dead + "2", "team/ci/" + dead + "3", groupName + "/by-hand", groupName + "/" + dead + "4/2", "shared"} {
		l.reaper.strangers[d] = true
		add(n, d)
	}
	d := groupName + "/" + dead + "5"
	l.reaper.early[d] = true
	add(9, d)
}

// knows tells whether a runner is none of the fleet's.
func (x *reaper) knows(description string) bool {
	return x != nil && (x.strangers[description] || x.early[description])
}
