package simulate

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// unitID names a unit of ours.
type unitID int

const (
	unitInit unitID = iota
	unitCheck
	unitMonitor
	unitScaleUp
	unitUnregister
	unitCount // of an instance

	unitReap  = unitCount // on a host of its own
	unitHook  = unitReap + 1
	unitKinds = unitHook + 1
)

var unitNames = [unitKinds]string{life.UnitInit, life.UnitLifecycleCheck, life.UnitMonitor, life.UnitScaleUp, life.UnitUnregister, "shoal-reap.service", "shoal-webhook.service"}

// verbs are the machines' names by their units; shutdown is that of the command
// that two units run when they stop.
var verbs = [unitKinds]string{"init", "lifecycle-check", "monitor", "scale-up", "unregister", verbReap, verbHook}

const (
	verbShutdown = "shutdown"
	verbReap     = "reap"
	verbHook     = "webhook"
)

// restartPause is RestartSec=.
var restartPause = [unitKinds]time.Duration{10 * time.Second, 3 * time.Second, 5 * time.Second, 5 * time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Second}

// stopPatience is TimeoutStopSec=, after which systemd kills.
var stopPatience = [unitKinds]time.Duration{90 * time.Second, 29 * time.Minute, 90 * time.Second, 90 * time.Second, 29 * time.Minute, 90 * time.Second, 90 * time.Second}

type unitState int

const (
	unitDown     unitState = iota
	unitFailed             // and not started again
	unitRunning            // its main process runs
	unitStopping           // main has ended, or is about to: ExecStop= or ExecStopPost= runs
	unitWaiting            // for its restart
)

// unit is one unit of packaging/systemd with what systemd makes of it.
type unit struct {
	in     *instance
	id     unitID
	state  unitState
	main   *process
	stops  *process // ExecStop= or ExecStopPost=
	gen    uint32   // a restart that was planned before is void
	again  bool     // a start job waits for the unit to be down
	asked  bool     // to stop: no restart
	after  func()   // what follows when stops has ended
	redone bool     // stops was killed, and is run once more: ExecStopPost= of runner-shutdown
	code   life.ExitCode
	killed bool // how main ended while stops ran

	restarts int    // NRestarts=
	result   string // Result=
	status   int    // ExecMainStatus=

	broken   *Fault        // it dies at each start
	brokenAt time.Duration // since when
	mendedAt time.Duration
	hung     bool // it was hanging then: for a while nobody can tell
}

// start is systemctl start.
func (u *unit) start() {
	switch u.state {
	case unitRunning:
		u.again = u.again || u.asked // the start job waits for the stop
	case unitStopping:
		u.again = true
	default:
		u.restarts = 0
		u.run()
	}
}

// run starts the main process where the unit's condition holds.
func (u *unit) run() {
	i := u.in
	if i.down != fleet.NotGoingDown || !i.up || i.dead {
		return
	}
	if u.id == unitUnregister && i.flags.Notice == nil { // ConditionPathExists=
		u.state = unitDown
		return
	}
	u.gen++
	u.asked, u.again, u.state = false, false, unitRunning
	u.result, u.status = "success", 0
	if u.broken != nil {
		u.dies()
		return
	}
	u.main = i.l.begin(u, verbs[u.id])
}

// stop is systemctl stop.
func (u *unit) stop() {
	switch u.state {
	case unitWaiting:
		u.gen++
		u.state = unitFailed
	case unitRunning:
		if u.asked {
			return
		}
		u.asked = true
		u.giveUpLater()
		if u.id == unitCheck { // ExecStop= runs while main still does
			u.runStop(u.askMain)
			return
		}
		u.askMain()
	}
}

// askMain sends SIGTERM to the main process.
func (u *unit) askMain() {
	if u.main != nil {
		u.in.l.interrupt(u.main)
		return
	}
	u.ended(u.code, u.killed)
}

// giveUpLater is the stop's time-out.
func (u *unit) giveUpLater() {
	gen := u.gen
	u.in.l.after(stopPatience[u.id], func() {
		if u.gen == gen && u.asked && u.state != unitDown && u.state != unitFailed {
			u.in.l.line(u.in.l.at, "i%02d %s: stop timed out", u.in.number, unitNames[u.id])
			u.vanish()
			u.in.maybeOff()
		}
	})
}

// runStop runs shoal unregister --shutdown, then what follows.
func (u *unit) runStop(then func()) {
	u.after, u.redone = then, false
	u.stops = u.in.l.begin(u, verbShutdown)
}

// stopEnded is the end of ExecStop= or ExecStopPost=, however it came: their
// command lines begin with a dash.
func (u *unit) stopEnded() {
	then := u.after
	u.stops, u.after = nil, nil
	then()
}

// stopKilled is ExecStop= ended by a signal.
func (u *unit) stopKilled() {
	if u.redone || u.in.down == fleet.NotGoingDown {
		u.stopEnded()
		return
	}
	u.redone = true
	u.stops = u.in.l.begin(u, verbShutdown)
}

// mainEnded is the main process's end.
func (u *unit) mainEnded(code life.ExitCode, killed bool) {
	u.main = nil
	clean := code == life.Done && !killed
	switch {
	case u.stops != nil: // ExecStop= still runs, and goes on to this
		u.code, u.killed = code, killed
	case u.id == unitUnregister, u.id == unitCheck && clean && !u.asked:
		u.state = unitStopping
		u.runStop(func() { u.ended(code, killed) })
	default:
		u.ended(code, killed)
	}
}

// ended is the unit's end: what its file says follows.
func (u *unit) ended(code life.ExitCode, killed bool) {
	i := u.in
	clean := code == life.Done && !killed
	u.state = unitDown
	u.result, u.status = "success", int(code)
	switch {
	case killed:
		u.result = "signal"
	case !clean:
		u.result = "exit-code"
	}
	if !clean {
		u.state = unitFailed
	}
	switch {
	case clean && u.id == unitCheck && i.down == fleet.NotGoingDown:
		i.units[unitUnregister].start() // OnSuccess=
	case !clean && !u.asked && i.down == fleet.NotGoingDown && code != life.BadUsage && code != life.Refused:
		u.restart()
	}
	if u.again && u.state != unitRunning {
		u.again = false
		u.run()
	}
	i.maybeOff()
}

// restart is Restart=on-failure.
func (u *unit) restart() {
	u.state = unitWaiting
	u.gen++
	gen := u.gen
	u.in.l.after(restartPause[u.id], func() {
		if u.gen == gen && u.state == unitWaiting {
			u.restarts++
			u.run()
		}
	})
}

// vanish ends all its processes without a word.
func (u *unit) vanish() {
	u.gen++
	u.again, u.asked, u.after = false, false, nil
	for _, p := range []*process{u.main, u.stops} {
		if p != nil {
			p.gone()
		}
	}
	u.main, u.stops, u.state = nil, nil, unitDown
}

// brokenUnits are those that a fault can break, by its Count from 1 on; from 4 on they
// end by a status, not by a signal.
var brokenUnits = [...]unitID{unitMonitor, unitCheck, unitInit}

// dies is a start of a unit that is broken: it ends at once, or hangs until its
// watchdog ends it.
func (u *unit) dies() {
	gen, how := u.gen, u.broken // which may be mended by then
	u.in.l.after(how.Amount, func() {
		if u.gen == gen && u.state == unitRunning && !u.asked { // else its stop ends it
			status := life.ExitCode(how.Count / 4) // 1 is what a program exits with that cannot say why
			u.ended(status, status == 0)
		}
	})
}

// breakUnits has a unit die at each start, for a while or for good; that of several
// instances where something that they have in common is to blame.
func (l *loop) breakUnits(f *Fault, i *instance) {
	l.breakUnit(f, i)
	left := f.N - 1
	for _, o := range l.instances {
		if left > 0 && o != i && o.up && !o.dead {
			o.hurt(l.at, local, f.Kind)
			l.breakUnit(f, o)
			left--
		}
	}
}

func (l *loop) breakUnit(f *Fault, i *instance) {
	u := &i.units[brokenUnits[(f.Count+2)%len(brokenUnits)]]
	if u.broken != nil || i.down != fleet.NotGoingDown {
		return
	}
	if u.brokenAt == 0 || l.at-u.mendedAt > neighbourLooks+30*time.Second { // else nobody may have seen it mended
		u.brokenAt = l.at
	}
	u.broken = f
	i.unseen = append(i.unseen, f)
	l.line(l.at, "i%02d %s is broken", i.number, unitNames[u.id])
	i.comesTo(Breaks)
	if u.main != nil && !u.asked {
		l.kill(u.main)
	}
	if f.For > 0 {
		l.after(f.For, func() {
			l.line(l.at, "i%02d %s is mended", i.number, unitNames[u.id])
			u.broken, u.mendedAt, u.hung = nil, l.at, f.Amount > 0
		})
	}
}

// shown is what systemctl show tells.
func (u *unit) shown() fleet.UnitState {
	s := fleet.UnitState{Active: u.active(), Result: u.result, ExitStatus: u.status, Restarts: u.restarts}
	if u.main != nil {
		s.MainPID = 100 + int(u.id)
	}
	if u.broken != nil && u.restarts > 0 {
		u.in.sees(UnitBroken)
	}
	return s
}

// active is ActiveState.
func (u *unit) active() string {
	switch u.state {
	case unitFailed:
		return "failed"
	case unitStopping:
		return "deactivating"
	case unitWaiting:
		return "activating"
	case unitRunning:
		switch {
		case u.asked:
			return "deactivating"
		case u.id == unitInit || u.id == unitUnregister: // oneshots
			return "activating"
		}
		return "active"
	}
	return "inactive"
}
