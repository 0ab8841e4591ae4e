package simulate

import (
	"fmt"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// reapAims are the reaper's actions worth hitting: the rare ones would else never be.
var reapAims = []struct {
	only string
	most int // occurrence
}{
	{"", 150},
	{"DescribeGroup", 40},
	{"DescribeInstances", 40},
	{"ListRunners", 80},
	{"ReadRunner", 3},
	{"DeleteRunnerByID", 3},
	{"DeleteRunnerByID", 1},
	{"CompleteHook", 1},
}

// drawReapFaults draws what hits the reaper alone, from a source of its own. What
// lasts and hits all that ask AWS or GitLab hits it as well.
func drawReapFaults(seed uint64, s setup) []Fault {
	if !s.reap.runs {
		return nil
	}
	d := &dice{state: mix(seed ^ 0x4eaf)}
	var list []Fault
	for range d.from(2, 8) {
		aim := reapAims[d.n(len(reapAims))]
		f := Fault{Kind: pick(d, KillBefore, KillAfter, Throttled, Unavailable, AnswerLost, Slow, Hang, StaleListing), Verb: verbReap, Only: aim.only, N: d.from(1, aim.most)}
		switch f.Kind {
		case Slow:
			f.Amount = d.span(2*time.Second, 14*time.Second)
		case StaleListing:
			f.Only, f.Amount = "DescribeGroup", d.span(5*time.Second, 30*time.Second)
		case Throttled:
			f.Amount = pick(d, 0, time.Second, 10*time.Second, 30*time.Second)
		}
		list = append(list, f)
	}
	if d.chance(0.3) {
		list = append(list, Fault{Kind: UnitRestart, Verb: verbReap, At: d.span(time.Minute, s.quietAt)})
	}
	if d.chance(0.2) {
		list = append(list, Fault{Kind: ClockJump, Verb: verbReap, At: d.span(time.Minute, s.quietAt), Amount: d.span(-time.Hour, time.Hour)})
	}
	return list
}

// ofReaper is a fault of the reaper's in one line.
func (f Fault) ofReaper() string {
	if f.Kind.atAction() {
		return fmt.Sprintf("%s at action %d%s of %s", f.Kind, f.N, orEmpty(" ", f.Only), f.Verb)
	}
	s := fmt.Sprintf("%s at %s on the reaper's host", f.Kind, f.At)
	if f.Amount != 0 {
		s += fmt.Sprintf(", by %s", f.Amount)
	}
	return s
}

// strikeReaper is the beginning of a fault at a time on the reaper's host.
func (l *loop) strikeReaper(f *Fault) {
	x := l.reaper
	if x == nil {
		return
	}
	l.hitBy(f, nil, "on the reaper's host")
	x.host.hurt(l.at, local, f.Kind)
	switch {
	case f.Kind == ClockJump:
		x.host.offset += f.Amount
		x.host.unseen = append(x.host.unseen, f)
	case x.unit.state == unitRunning:
		l.counts(f)
		x.unit.stop()
		x.unit.start()
	}
}

// refusesReaper: the token that it shares with those that make runners is taken away.
func (l *loop) refusesReaper(f *fleet.Failure) {
	if t := l.tokenBy; t != nil && !l.reap.ownToken && (f.Kind == fleet.BadToken || f.Kind == fleet.Denied) {
		l.counts(t)
		l.reaper.host.hurt(l.at, gitlab, t.Kind)
	}
}
