package simulate

import (
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// While a notice stands the instance is the drain's: what else runs on it keeps
// still, and nothing new is registered.

// keepsStill holds what a process asks for against the notice that it has read.
func (l *loop) keepsStill(p *process, a life.Action) {
	if p.in.flags.Notice == nil { // almost always
		return
	}
	if s, ok := a.(life.StartUnit); ok && s.Unit == life.UnitUnregister && (p.in.noticeBy == "monitor" || p.in.units[unitCheck].broken != nil) {
		return // nobody else may
	}
	if p.toGo && (p.verb == "monitor" || p.verb == "scale-up") && classOf(a) != local && changes(a) {
		l.breaks("notice", "i%02d is to go, and its %s, which has read that, does %s", p.in.number, p.verb, nameOf(a))
		p.toGo = false
	}
	if p.verb == "init" && registers(a) && p.in.isToGo() && p.begun > p.in.noticeAt {
		l.breaks("notice", "i%02d is to go, and an init that began after that registers", p.in.number)
	}
}

// isToGo tells whether a notice stands that nobody on the instance takes back.
func (i *instance) isToGo() bool {
	n := i.flags.Notice
	return n != nil && n.Kind != fleet.NoticeOperator && n.Kind != fleet.NoticeShutdown
}

// registers tells whether an action makes GitLab know a runner, or a machine of one.
func registers(a life.Action) bool {
	switch a := a.(type) {
	case life.CreateRunner, life.RegisterRunner:
		return true
	case life.VerifyRunner:
		return a.SystemID != ""
	}
	return false
}

// owesGoing: one that has put its runner away is of no use where it is.
func owesGoing(_ *loop, i *instance, v view) bool {
	u := &i.units[unitUnregister]
	return i.inService && i.up && i.down == fleet.NotGoingDown && v.state == world.InService && v.target == world.InService && !v.spot &&
		i.flags.Notice != nil && i.runner.state != runnerActive && (u.state == unitDown || u.state == unitFailed)
}
