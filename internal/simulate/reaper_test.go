package simulate

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// reaped is a scene with a reaper beside it, whose jobs come one after the other.
func reaped(mode fleet.Mode, faults ...Fault) *loop {
	s := sceneOf(6, 10, steadily(2*time.Minute, 3*time.Minute))
	s.mode, s.endHook, s.reap = mode, 30*time.Minute, reapSetup{runs: true, ownToken: true, perPage: 4}
	return newLoopOf(s, Schedule{Seed: 6, Faults: faults}, Options{Log: true}, nil, 0)
}

// runnersOf are an instance's in GitLab.
func runnersOf(l *loop, i *instance) (n int) {
	for _, r := range l.world.AllRunners(l.now) {
		if instanceOf(r.Description) == i.id {
			n++
		}
	}
	return n
}

func mustKeep(t *testing.T, l *loop) {
	t.Helper()
	for _, b := range l.broken {
		t.Errorf("at %s: %s: %s", clock(b.At), b.Promise, b.What)
	}
}

func mustBreak(t *testing.T, l *loop, promise, what string) {
	t.Helper()
	for _, b := range l.broken {
		if b.Promise == promise && strings.Contains(b.What, what) {
			return
		}
	}
	t.Errorf("broken: %v; want %s: … %s …", l.broken, promise, what)
}

// TestReaperClearsAwayWhatTheDeadLeft, and nothing else: each kill of its process
// makes it look twice again.
func TestReaperClearsAwayWhatTheDeadLeft(t *testing.T) {
	t.Parallel()
	l := reaped(fleet.ModeCreate,
		Fault{Kind: KillBefore, Verb: verbReap, Only: "DeleteRunnerByID", N: 2},
		Fault{Kind: KillAfter, Verb: verbReap, Only: "DeleteRunnerByID", N: 3},
		Fault{Kind: AnswerLost, Verb: verbReap, Only: "DeleteRunnerByID", N: 4},
		Fault{Kind: UnitRestart, Verb: verbReap, At: 20 * time.Minute},
		Fault{Kind: ClockJump, Verb: verbReap, At: 25 * time.Minute, Amount: -20 * time.Minute},
	)
	play(t, l, 30*time.Minute)
	var dead []*instance
	for n := range 3 {
		i := strikeBusy(t, l, &Fault{Kind: Crash})
		dead = append(dead, i)
		play(t, l, time.Duration(30+70*(n+1))*time.Minute)
		if runnersOf(l, i) > 0 {
			t.Errorf("70m after i%02d died its runner is in GitLab", i.number)
		}
	}
	strangers := 0
	for _, r := range l.world.AllRunners(l.now) {
		if l.reaper.strangers[r.Description] {
			strangers++
		}
	}
	if strangers != len(l.reaper.strangers) || l.reaper.reaped != 1+len(dead) {
		t.Errorf("%d of %d strangers are left, %d runners deleted", strangers, len(l.reaper.strangers), l.reaper.reaped)
	}
	for _, k := range []Kind{KillBefore, KillAfter, AnswerLost, UnitRestart, ClockJump} {
		if l.hits[k] != 1 {
			t.Errorf("%s: counted %d times, want 1", k, l.hits[k])
		}
	}
	mustKeep(t, l)
}

// TestReaperFreesTheGroupOfTheDead, in every mode: an instance that dies in its
// drain.
func TestReaperFreesTheGroupOfTheDead(t *testing.T) {
	t.Parallel()
	for _, mode := range []fleet.Mode{fleet.ModeCreate, fleet.ModeToken} {
		l := reaped(mode)
		play(t, l, 30*time.Minute)
		i := strikeBusy(t, l, &Fault{Kind: SpotAgain}) // its group has it go
		for l.stateOf(i) != world.TerminatingWait && l.step() {
			continue
		}
		_ = l.world.Crash(l.now, i.id)
		play(t, l, l.at+reapedWithin)
		if s := l.stateOf(i); s != "" || l.reaper.freed != 1 {
			t.Errorf("%s: 15m after it died in its hook it is %q; %d were freed", mode, s, l.reaper.freed)
		}
		mustKeep(t, l)
	}
}

// TestReaperLeavesTheLiving: one that was detached ends its jobs outside of the
// group.
func TestReaperLeavesTheLiving(t *testing.T) {
	t.Parallel()
	l := reaped(fleet.ModeCreate)
	play(t, l, 30*time.Minute)
	i := strikeBusy(t, l, &Fault{Kind: Detach, For: time.Hour})
	j := i.runner.jobs[0]
	play(t, l, 31*time.Minute)
	if j.fate != jobRuns || runnersOf(l, i) != 1 {
		t.Errorf("its job %v, %d runners", j.fate, runnersOf(l, i))
	}
	play(t, l, 2*time.Hour)
	mustKeep(t, l)
}

// TestTheJudgeOfTheReaper: what must not be done is told.
func TestTheJudgeOfTheReaper(t *testing.T) {
	t.Parallel()
	token := fleet.NewToken(reapToken)
	deletes := func(l *loop, which func(world.Runner) bool) {
		for _, r := range l.world.AllRunners(l.now) {
			if which(r) {
				l.reaper.looked = r.ID
				_ = l.reaps(l.reaper.unit.main, life.DeleteRunnerByID{Auth: token, ID: r.ID})
			}
		}
	}
	l := reaped(fleet.ModeCreate)
	play(t, l, 30*time.Minute)
	i := strikeBusy(t, l, &Fault{Kind: Crash})
	play(t, l, l.at+time.Minute)
	deletes(l, func(r world.Runner) bool { return instanceOf(r.Description) == i.id })
	mustBreak(t, l, "reap", "it cannot have looked twice")
	alive := l.pickAlive(0)
	deletes(l, func(r world.Runner) bool { return instanceOf(r.Description) == alive.id })
	mustBreak(t, l, "reap", sprintf("a runner of i%02d, which lives", alive.number))
	deletes(l, func(r world.Runner) bool { return r.Description == "my-ci/i-0dead00000000002" })
	mustBreak(t, l, "reap", "not an instance's of its group")
	_ = l.frees(l.reaper.unit.main, life.CompleteHook{Hook: fleet.HookAction{Group: groupName, Hook: "stop", InstanceID: alive.id}, Result: fleet.Continue})
	mustBreak(t, l, "reap", sprintf("the hook of i%02d, which lives", alive.number))
}

// idler is a reaper that does nothing.
type idler struct{}

func (idler) Take(_ life.Event, now time.Time, out []life.Action) []life.Action {
	return append(out, life.Sleep{Until: now.Add(time.Hour)})
}

// TestTheJudgeFindsGhosts where the reaper runs and does nothing, not where it does
// not run.
func TestTheJudgeFindsGhosts(t *testing.T) {
	t.Parallel()
	for _, runs := range []bool{true, false} {
		l := reaped(fleet.ModeCreate)
		play(t, l, 30*time.Minute)
		l.reaper.unit.vanish()
		if runs {
			l.reaper.unit.run()
			l.reaper.unit.main.step = idler{}
		}
		strikeBusy(t, l, &Fault{Kind: Crash})
		play(t, l, l.at+20*time.Minute)
		if runs {
			mustBreak(t, l, "ghost", "still in GitLab")
		} else {
			mustKeep(t, l)
		}
	}
}

// TestTheReaperHidesNoGhost: what an instance left that had the time to unregister is
// told at the end, though the reaper has taken it away.
func TestTheReaperHidesNoGhost(t *testing.T) {
	t.Parallel()
	l := reaped(fleet.ModeCreate)
	play(t, l, 30*time.Minute)
	i := strikeBusy(t, l, &Fault{Kind: PowerOff})
	i.reaped++
	l.run()
	l.judge()
	mustBreak(t, l, "ghost", "has ended cleanly")
}
