package simulate

import (
	"slices"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// readFlags is the run directory. A notice's moments are the wall clock's.
func (i *instance) readFlags(p *process) any {
	if i.flags.Notice != nil && p.offset != i.offset {
		i.seesTime()
		f := i.flags
		n := *f.Notice
		n.SeenAt = p.toOwn(n.SeenAt)
		if n.Deadline != nil {
			d := p.toOwn(*n.Deadline)
			n.Deadline = &d
		}
		f.Notice, f.Held = &n, i.isHeld()
		return f
	}
	if i.flagsValue == nil {
		f := i.flags
		f.Held = i.isHeld()
		i.flagsValue = f
	}
	return i.flagsValue
}

// isHeld: there is a copy, and config.toml has no sections.
func (i *instance) isHeld() bool { return i.aside != nil && len(i.disk) == 0 }

func (l *loop) doFiles(p *process, a life.Action) (any, *fleet.Failure) {
	i := p.in
	switch a.(type) {
	case life.ReadWhoami:
		return clone(i.who), nil
	case life.ReadSeen:
		seen := clone(i.seen)
		if seen != nil {
			seen.Look.At = p.toOwn(seen.Look.At)
		}
		return seen, nil
	case life.ReadBefore:
		return clone(i.before), nil
	case life.ReadRegistration:
		r := clone(i.reg)
		if r != nil {
			r.Runners = slices.Clone(r.Runners)
			r.IntentAt = p.toOwn(r.IntentAt)
			if p.offset != i.offset {
				i.seesTime()
			}
		}
		return r, nil
	case life.CountSections:
		return l.sections, nil
	case life.LoadBacklog, life.SaveBacklog, life.ListJobs:
		return l.webhook.doHook(p, a), nil
	}
	l.writeFile(p, a)
	i.changedFlags()
	l.did(p, a, nil)
	return nil, nil
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func (l *loop) writeFile(p *process, a life.Action) {
	i := p.in
	switch a := a.(type) {
	case life.WriteNotice:
		if i.flags.Notice == nil {
			n := a.Notice
			n.SeenAt = p.toWall(n.SeenAt)
			if n.Deadline != nil {
				d := p.toWall(*n.Deadline)
				n.Deadline = &d
			}
			i.flags.Notice = &n
			i.noticeAt, i.noticeKind = l.at, n.Kind
			i.writesNotice(p, a.Notice)
			i.comesTo(Notice)
		}
	case life.SetFlag:
		i.setFlag(a)
	case life.WriteWhoami:
		i.who = &a.Whoami
	case life.WriteSeen:
		seen := a.Seen
		seen.Look.At = p.toWall(seen.Look.At)
		i.seen = &seen
	case life.WriteBefore:
		i.before = &a.Before
	case life.WriteRegistration:
		r := a.Registration
		r.Runners = slices.Clone(r.Runners)
		r.IntentAt = p.toWall(r.IntentAt)
		i.reg, p.unsaved = &r, 0
	case life.RemoveRegistration:
		i.reg = nil
	case life.WriteRunnerConfig:
		i.disk = nil
		for n, r := range a.Registration.Runners {
			i.disk = append(i.disk, configured{name: sectionName(n), token: r.Token})
		}
		i.aside = nil
		i.runner.configChanged()
	case life.HoldRunner:
		i.heldAt = l.at
		if len(i.disk) > 0 {
			i.aside, i.disk = i.disk, nil
			i.runner.configChanged()
		}
	case life.ResumeRunner:
		i.resumes(p)
		if i.aside != nil {
			if len(i.disk) == 0 {
				i.disk = i.aside
			}
			i.aside = nil
			i.runner.configChanged()
		}
	}
}

func sectionName(n int) string { return [...]string{"one", "two", "three"}[n%3] }

func (i *instance) setFlag(a life.SetFlag) {
	f := &i.flags
	switch a.Flag {
	case life.FlagStandby:
		f.Standby = a.On
	case life.FlagRegistered:
		f.Registered = a.On
	case life.FlagWarmed:
		f.Warmed = a.On
	case life.FlagProtected:
		f.Protected = a.On
	case life.FlagUnable:
		f.Unable = a.On
	case life.FlagRefused:
		f.Refused = a.On
	case life.FlagCompleted:
		f.Completed = a.On
	case life.FlagNotice:
		f.Notice = nil
	}
}

// doUnits is systemctl. A shutdown refuses what it is about to stop.
func (l *loop) doUnits(p *process, a life.Action) (any, *fleet.Failure) {
	i := p.in
	switch a := a.(type) {
	case life.ReadShutdown:
		return i.down, nil
	case life.ReadUnit:
		if a.Unit == life.UnitRunner {
			i.seesPage()
			return i.runner.unitState(), nil
		}
		return i.unitNamed(a.Unit).shown(), nil
	}
	f := l.changeUnit(p, a)
	l.did(p, a, f)
	return nil, f
}

func (l *loop) changeUnit(p *process, a life.Action) *fleet.Failure {
	i := p.in
	switch a := a.(type) {
	case life.StartUnit:
		if i.down != fleet.NotGoingDown {
			return &fleet.Failure{Op: "start " + a.Unit, Message: "transaction is destructive"}
		}
		if a.Unit == life.UnitRunner {
			i.runner.start()
			return nil
		}
		i.unitNamed(a.Unit).start()
	case life.StopUnit:
		if a.Unit == life.UnitRunner {
			i.stopsRunner(p)
			i.runner.stop()
			return nil
		}
		i.unitNamed(a.Unit).stop()
	case life.SignalUnit:
		return i.runner.signal(a.Signal)
	case life.KillJobs:
		i.runner.killJobs()
	}
	return nil
}

func (i *instance) unitNamed(name string) *unit {
	for u := range i.units {
		if unitNames[u] == name {
			return &i.units[u]
		}
	}
	panic("simulate: no unit " + name)
}
