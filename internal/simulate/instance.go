package simulate

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// instance is one machine: its files, its units and its runner.
type instance struct {
	l          *loop
	number     int // in the order of launches, from 1
	id         string
	system     string // its runner manager's id
	launchedAt time.Duration
	up         bool // the operating system runs
	dead       bool
	diedAt     time.Duration
	boots      int
	down       fleet.Shutdown // how the machine is going down
	told       bool           // every unit to stop
	soft       bool
	offset     time.Duration // of its wall clock

	flags  fleet.Flags
	who    *life.Whoami
	seen   *life.Seen
	before *life.Before
	reg    *fleet.Registration
	disk   []configured // config.toml's sections
	aside  []configured // those that were taken out

	armed      []*armed // faults at its actions
	flagsValue any      // flags as a result, until they change

	units  [unitCount]unit
	runner runner
	instanceRecord
	instanceSight
}

// configured is one [[runners]] section.
type configured struct {
	name  string
	token fleet.Token
}

func (l *loop) launched(e world.InstanceLaunched) {
	i := &instance{l: l, number: len(l.instances) + 1, id: e.ID, system: life.SystemID(e.ID), launchedAt: l.at}
	i.armed = l.armed[i.number]
	l.instances = append(l.instances, i)
	l.byID[e.ID], l.bySystem[i.system] = i, i
	for u := range i.units {
		i.units[u] = unit{in: i, id: unitID(u)}
	}
	i.runner.in = i
	l.moved = true
	l.alive++
	l.peak = max(l.peak, l.alive)
	l.line(l.at, "i%02d is %s", i.number, i.id)
}

// boot starts what is enabled.
func (i *instance) boot() {
	if i.dead || i.up {
		return
	}
	i.up, i.down = true, fleet.NotGoingDown
	i.boots++
	i.workedAt = max(i.workedAt, i.l.at) // monitor counts anew: a boot may have mended it
	i.l.line(i.l.at, "i%02d boots (%d)", i.number, i.boots)
	i.comesTo(Boot)
	boot := i.boots
	for n, u := range []unitID{unitInit, unitCheck, unitMonitor} {
		i.l.after(i.drawn(uint64(100+n), 100*time.Millisecond, 2*time.Second), func() {
			if i.boots == boot && i.up {
				i.units[u].start()
			}
		})
	}
	i.l.after(i.drawn(99, 100*time.Millisecond, 2*time.Second), func() {
		if i.boots == boot && i.up {
			i.runner.start()
		}
	})
}

// drawn is a time for a purpose of this instance's.
func (i *instance) drawn(purpose uint64, low, high time.Duration) time.Duration {
	return within(of(i.l.seed, uint64(i.number), purpose, uint64(i.boots)), low, high) //nolint:gosec // small
}

// goDown is the operating system shutting down: every unit is told to stop.
func (i *instance) goDown(how fleet.Shutdown) {
	if i.dead || !i.up || i.down != fleet.NotGoingDown {
		return
	}
	i.down = how
	i.downAt = i.l.at
	i.l.line(i.l.at, "i%02d goes down: %s", i.number, how)
	i.told = false
	for u := range i.units {
		i.units[u].again = false
		i.units[u].stop()
	}
	i.runner.stop()
	i.shutDown()
	i.told = true
	i.maybeOff()
}

// shutDown runs runner-shutdown's ExecStop= where no stop of another unit stands for
// it: that unit is active from boot on.
func (i *instance) shutDown() {
	c := &i.units[unitCheck]
	if s := c.state; s != unitDown && s != unitFailed || i.units[unitUnregister].main != nil || i.units[unitUnregister].stops != nil {
		return
	}
	c.gen++
	c.state, c.asked = unitStopping, true
	c.giveUpLater()
	c.runStop(func() {
		c.state = unitDown
		i.maybeOff()
	})
}

// maybeOff ends the shutdown when nothing is left to wait for.
func (i *instance) maybeOff() {
	if i.down == fleet.NotGoingDown || !i.told || !i.up || i.dead || i.runner.state != runnerDown {
		return
	}
	for u := range i.units {
		if s := i.units[u].state; s != unitDown && s != unitFailed {
			return
		}
	}
	i.off()
}

// off is the machine without power.
func (i *instance) off() {
	l := i.l
	l.line(l.at, "i%02d is off", i.number)
	i.end()
	if i.down == fleet.PowerOff {
		_ = l.world.Crash(l.now, i.id) // EC2 sees that it has stopped
		return
	}
	pause := i.drawn(98, 15*time.Second, 40*time.Second)
	if i.soft {
		pause = i.drawn(98, time.Second, 5*time.Second)
	} else {
		i.flags, i.who, i.seen, i.before = fleet.Flags{}, nil, nil, nil
		i.changedFlags()
		if l.host != nil {
			l.host.Wiped(i.number)
		}
	}
	i.soft = false
	l.after(pause, i.boot)
}

// end stops everything that runs.
func (i *instance) end() {
	i.up = false
	for u := range i.units {
		i.units[u].vanish()
	}
	i.runner.vanish("the machine is off")
}

// die is the machine gone for good.
func (i *instance) die(why world.Reason) {
	i.ends(why)
	i.dead, i.diedAt, i.death = true, i.l.at, why
	i.l.alive--
	i.end()
}

func (i *instance) changedFlags() { i.flagsValue = nil }

// pickAlive is the instance that n names among those that live.
func (l *loop) pickAlive(n int) *instance {
	alive := slices.DeleteFunc(slices.Clone(l.instances), func(i *instance) bool { return i.dead || !i.up })
	if len(alive) == 0 {
		return nil
	}
	return alive[n%len(alive)]
}

// changed takes a lifecycle change in.
func (l *loop) changed(e world.InstanceChanged) {
	i := l.byID[e.ID]
	i.moved(e)
	if e.To == world.TerminatingProceed && !i.dead && i.up {
		// EC2 presses the power button; after Options.Shutdown it pulls the plug.
		l.after(i.drawn(97, 50*time.Millisecond, 500*time.Millisecond), func() { i.goDown(fleet.PowerOff) })
	}
}
