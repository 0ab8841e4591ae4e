package life_test

import (
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// shutdownStops is what runner-shutdown runs when it is stopped, as if it were a
// unit itself. It is active from boot on.
const shutdownStops = "runner-shutdown.service, ExecStop="

// The patience of others: systemd's with a reboot, EC2's with an instance that
// it stops.
const (
	systemdsPatience = 30 * time.Minute
	ec2sPatience     = 150 * time.Second
)

// refuses tells whether systemd starts a unit no more: the machine goes down.
func (s *site) refuses(unit string) bool {
	return s.down != fleet.NotGoingDown && unit != shutdownStops
}

// goDown takes the machine down: every unit is told to stop at once, and the
// machine goes when all have.
func (s *site) goDown(how fleet.Shutdown) {
	if s.dead || s.down != fleet.NotGoingDown {
		return
	}
	s.down = how
	s.proc.quit()
	for _, unit := range []string{life.UnitInit, life.UnitMonitor, life.UnitScaleUp, life.UnitUnregister} {
		s.stop(unit)
	}
	s.start(shutdownStops)
	patience := map[fleet.Shutdown]time.Duration{fleet.Reboot: systemdsPatience, fleet.PowerOff: ec2sPatience}[how]
	boots := s.boots
	s.after(patience, func() {
		if s.boots == boots && !s.dead {
			s.never("%s forced after %s", how, patience)
			s.off()
		}
	})
	s.after(time.Second, func() { s.until(s.allStopped, s.off) })
}

// until does f as soon as it is so.
func (s *site) until(so func() bool, f func()) {
	if so() {
		f()
		return
	}
	s.after(20*time.Millisecond, func() { s.until(so, f) })
}

func (s *site) allStopped() bool {
	if s.running(shutdownStops) || s.due > 0 || s.proc.state != "inactive" {
		return false
	}
	s.stop(life.UnitLifecycleCheck)
	return !s.running(life.UnitLifecycleCheck) && !s.running(life.UnitInit) && !s.running(life.UnitUnregister)
}

// off is the moment without power.
func (s *site) off() {
	for _, j := range s.proc.jobs {
		s.never("job %d lost: the machine is off", j.id)
	}
	if s.down == fleet.PowerOff {
		s.die()
		return
	}
	for _, p := range s.units {
		p.gen++
		p.step, p.stopped = nil, false
	}
	s.proc.state, s.proc.jobs, s.proc.polling = "inactive", nil, false
	s.proc.gen++
	if !s.soft {
		s.files.flags, s.files.whoami, s.files.seen = fleet.Flags{}, nil, nil
	}
	s.down = fleet.NotGoingDown
	s.boots++
	for _, unit := range []string{life.UnitInit, life.UnitLifecycleCheck, life.UnitMonitor} {
		s.start(unit)
	}
}
