package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// errStartLimit is how a unit ends that was started too often too fast.
var errStartLimit = errors.New("start request repeated too quickly")

// live is an activation from start to end, automatic restarts among it.
func (svc *service) live(a *activation) {
	var e ending
	for {
		if err := svc.withinLimit(); err != nil {
			svc.end(a, ending{cause: "start-limit-hit"}, fmt.Errorf("start %s: %w", svc.unit.name, err))
			return
		}
		e = svc.runOnce(a)
		svc.note(e)
		if a.stopping() || svc.isDown() || svc.startsAgain(a) || !svc.unit.wantsRestart(e) {
			break
		}
		if !svc.pause(a) {
			break
		}
	}
	svc.end(a, e, svc.startError(e))
}

// startError is what a start job says that ended before the unit was up. A
// oneshot's is over when it is done.
func (svc *service) startError(e ending) error {
	if svc.unit.clean(e) && svc.unit.kind == "oneshot" {
		return nil
	}
	return fmt.Errorf("start %s: %v", svc.unit.name, e)
}

// startsAgain tells whether a start was asked for while the unit was ending by
// itself: that start takes the place of an automatic restart.
func (svc *service) startsAgain(a *activation) bool {
	svc.sup.mu.Lock()
	defer svc.sup.mu.Unlock()
	return a.again
}

func (svc *service) isDown() bool {
	svc.sup.mu.Lock()
	defer svc.sup.mu.Unlock()
	return svc.sup.down
}

func (svc *service) note(e ending) {
	svc.sup.mu.Lock()
	defer svc.sup.mu.Unlock()
	svc.lastExit, svc.result, svc.mainPID = e, svc.unit.resultOf(e), 0
	svc.main = nil
	if !svc.unit.clean(e) {
		svc.sup.options.Log(svc.unit.name, "failed: "+e.String())
	}
}

// withinLimit counts a start and tells whether StartLimit* allows it.
func (svc *service) withinLimit() error {
	svc.sup.mu.Lock()
	defer svc.sup.mu.Unlock()
	u := svc.unit
	if u.limitInterval == 0 || u.limitBurst == 0 {
		return nil
	}
	now := time.Now()
	svc.starts = slices.DeleteFunc(svc.starts, func(t time.Time) bool { return now.Sub(t) > u.limitInterval })
	if len(svc.starts) >= u.limitBurst {
		return errStartLimit
	}
	svc.starts = append(svc.starts, now)
	return nil
}

// pause waits RestartSec=; false when the unit is to go down instead. The start
// job of a unit that failed is over before it is tried again.
func (svc *service) pause(a *activation) bool {
	wait := svc.unit.restartPause
	if most := svc.sup.options.MaxRestartSec; most > 0 {
		wait = min(wait, most)
	}
	svc.sup.mu.Lock()
	svc.set("activating", "auto-restart")
	svc.restarts++
	svc.sup.mu.Unlock()
	a.started(svc.startError(svc.lastExit))
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.kick:
	case <-a.stop:
		return false
	case <-svc.sup.dead:
	}
	return !svc.isDown()
}

// end settles the unit's last state, then answers who waits (for a start that
// came to nothing: with the failure), and starts what the unit names for that.
func (svc *service) end(a *activation, e ending, failure error) {
	s := svc.sup
	clean := svc.unit.clean(e)
	s.mu.Lock()
	svc.current, svc.mainPID, svc.main = nil, 0, nil
	switch {
	case !clean:
		if e.cause == "start-limit-hit" {
			svc.result = e.cause
		}
		svc.set("failed", "failed")
	case svc.unit.remainAfterExit && !a.stopping():
		svc.set("active", "exited")
	default:
		svc.set("inactive", "dead")
	}
	next := svc.unit.onSuccess
	if !clean {
		next = svc.unit.onFailure
	}
	if s.down || svc.active == "active" {
		next = nil // OnSuccess= does not fire at power-off
	}
	s.mu.Unlock()
	a.started(failure)
	close(a.down)
	for _, name := range next {
		if other := s.services[name]; other != nil {
			s.enqueue(func() { _ = s.start(context.Background(), other) })
		}
	}
}
