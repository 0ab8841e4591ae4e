package life_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// do carries an action of verb out on the model.
func (s *site) do(verb string, a life.Action) (any, *fleet.Failure) {
	s.record(verb, a)
	switch a.(type) {
	case life.ReadIdentity:
		return fleet.Identity{InstanceID: self, GroupTag: "ci", AvailabilityZone: "a"}, nil
	case life.ReadTarget:
		return s.target, nil
	case life.ReadSpot:
		return s.spot, nil
	case life.ReadRebalance:
		return s.rebalance, nil
	case life.ReadMaintenance:
		return s.upkeep, nil
	case life.FindGroup:
		return "ci", nil
	case life.DescribeGroup:
		g := s.group
		g.Instances = slices.Clone(g.Instances)
		return g, nil
	case life.DescribeHooks:
		return slices.Clone(s.hooks), nil
	case life.DescribeActivities:
		return slices.Clone(s.activities), nil
	case life.ReadFlags:
		f := s.files.flags
		f.Held = s.proc.held > 0 && s.proc.config == 0
		return f, nil
	}
	if v, f, ok := s.doAutoScaling(a); ok {
		return v, f
	}
	if v, f, ok := s.doGitLab(a); ok {
		return v, f
	}
	return s.doLocal(verb, a)
}

// quiet are the actions that are not worth a line.
func (s *site) record(verb string, a life.Action) {
	name := strings.TrimPrefix(fmt.Sprintf("%T", a), "life.")
	switch a.(type) {
	case life.ReadIdentity, life.ReadTarget, life.ReadSpot, life.ReadRebalance, life.ReadMaintenance:
		s.calls["metadata"]++
		return
	case life.FindGroup, life.DescribeGroup, life.DescribeHooks, life.DescribeActivities, life.Heartbeat, life.CompleteHook,
		life.SetDesired, life.SetProtection, life.TerminateSelf, life.SetUnhealthy:
		s.calls["aws"]++
	case life.CreateRunner, life.RegisterRunner, life.VerifyRunner, life.FindRunners, life.ResetRunnerToken, life.DeleteRunner, life.DeleteManager:
		s.calls["gitlab"]++
	case life.ResolveSecret:
		s.calls["secret"]++
	case life.ReadFlags, life.ReadUnit, life.ScrapeMetrics, life.ReadWhoami, life.ReadRegistration, life.CountSections, life.ReadShutdown:
		return
	}
	s.done = append(s.done, fmt.Sprintf("%s %s %s %+v", s.now.Format("15:04:05.000"), verb, name, a))
}

func (s *site) doAutoScaling(a life.Action) (any, *fleet.Failure, bool) {
	switch a := a.(type) {
	case life.Heartbeat:
		h, w := s.waitOf(a.Hook.Hook)
		if w == nil || !w.open {
			return nil, kind(fleet.NotWaiting), true
		}
		s.extend(w, h)
	case life.CompleteHook:
		h, w := s.waitOf(a.Hook.Hook)
		if w == nil || !w.open {
			return nil, kind(fleet.NotWaiting), true
		}
		s.completed = append(s.completed, h.Name+" "+string(a.Result))
		if h.Transition == fleet.AtTermination && s.proc.state != "inactive" {
			s.never("termination hook completed while the runner is %s", s.proc.state)
		}
		s.endWait(h, w, a.Result)
	case life.SetDesired:
		if a.Desired < s.group.Min || a.Desired > s.group.Max {
			return nil, kind(fleet.OutOfBounds), true
		}
		if a.Desired < s.group.Desired {
			s.never("desired lowered from %d to %d", s.group.Desired, a.Desired)
		}
		s.group.Desired = a.Desired
	case life.SetProtection:
		s.me().Protected = a.Protected
	case life.TerminateSelf:
		return nil, s.terminate(a.Decrement), true
	case life.SetUnhealthy:
		s.me().Healthy = false
		if !s.suspended {
			s.after(30e9, func() { s.leave(true) })
		}
	default:
		return nil, nil, false
	}
	return nil, nil, true
}

func (s *site) waitOf(hook string) (fleet.Hook, *wait) {
	for _, h := range s.hooks {
		if h.Name == hook {
			return h, map[fleet.Transition]*wait{fleet.AtLaunch: &s.launch, fleet.AtTermination: &s.end}[h.Transition]
		}
	}
	return fleet.Hook{}, nil
}

func (s *site) terminate(decrement bool) *fleet.Failure {
	if s.me().State.IsLeaving() {
		return nil
	}
	if decrement {
		if s.group.Desired-1 < s.group.Min {
			return kind(fleet.OutOfBounds)
		}
		s.group.Desired--
	}
	s.leave(!decrement)
	return nil
}

func (g *gitlab) knows(token string) bool {
	for _, r := range g.runners {
		if r.token == token {
			return true
		}
	}
	return false
}

func (g *gitlab) byToken(token string) (int64, *fleet.Failure) {
	for id, r := range g.runners {
		if r.token == token {
			return id, nil
		}
	}
	return 0, kind(fleet.BadToken)
}

func (g *gitlab) add(description string) fleet.RegisteredRunner {
	id := g.next
	g.next++
	g.runners[id] = &glRunner{token: fmt.Sprintf("glrt-own-%d", id), description: description, managers: map[string]bool{}}
	return fleet.RegisteredRunner{ID: id, Token: fleet.NewToken(g.runners[id].token)}
}

func (s *site) doGitLab(a life.Action) (any, *fleet.Failure, bool) {
	g := &s.gitlab
	switch a.(type) {
	case life.CreateRunner, life.RegisterRunner, life.VerifyRunner, life.FindRunners, life.ResetRunnerToken, life.DeleteRunner, life.DeleteManager:
		if g.down != nil {
			return nil, g.down, true
		}
	}
	switch a := a.(type) {
	case life.ResolveSecret:
		return fleet.NewToken(s.secret), nil, true
	case life.CreateRunner:
		if a.Auth.Reveal() != g.auth {
			return nil, kind(fleet.BadToken), true
		}
		return g.add(a.Runner.Description), nil, true
	case life.RegisterRunner:
		if a.Auth.Reveal() != g.auth {
			return nil, kind(fleet.BadToken), true
		}
		return g.add(a.Runner.Description), nil, true
	case life.VerifyRunner:
		id, f := g.byToken(a.Token.Reveal())
		if f != nil {
			return nil, f, true
		}
		g.runners[id].managers[a.SystemID] = true
		return id, nil, true
	case life.FindRunners:
		return s.findRunners(a)
	case life.ResetRunnerToken:
		r, ok := g.runners[a.ID]
		if !ok {
			return nil, kind(fleet.NotFound), true
		}
		r.token += "-reset"
		return fleet.RegisteredRunner{ID: a.ID, Token: fleet.NewToken(r.token)}, nil, true
	case life.DeleteRunner:
		id, f := g.byToken(a.Token.Reveal())
		if f != nil {
			return nil, f, true
		}
		if s.proc.state != "inactive" {
			s.never("runner %d deleted while its process is %s", id, s.proc.state)
		}
		delete(g.runners, id)
	case life.DeleteManager:
		id, f := g.byToken(a.Token.Reveal())
		if f != nil {
			return nil, f, true
		}
		delete(g.runners[id].managers, a.SystemID)
	default:
		return nil, nil, false
	}
	return nil, nil, true
}

func (s *site) findRunners(a life.FindRunners) (any, *fleet.Failure, bool) {
	if !s.gitlab.mayList {
		return nil, kind(fleet.Denied), true
	}
	var ids []int64
	for id := int64(1); id < s.gitlab.next; id++ {
		if r, ok := s.gitlab.runners[id]; ok && r.description == a.Runner.Description {
			ids = append(ids, id)
		}
	}
	return ids, nil, true
}

func (s *site) doLocal(verb string, a life.Action) (any, *fleet.Failure) {
	switch a := a.(type) {
	case life.WriteNotice:
		if s.files.flags.Notice == nil {
			n := a.Notice
			s.files.flags.Notice = &n
		}
	case life.SetFlag:
		s.setFlag(a)
	case life.ReadWhoami:
		return s.files.whoami, nil
	case life.WriteWhoami:
		w := a.Whoami
		s.files.whoami = &w
	case life.ReadSeen:
		return s.files.seen, nil
	case life.WriteSeen:
		seen := a.Seen
		s.files.seen = &seen
	case life.ReadBefore:
		return s.files.before, nil
	case life.WriteBefore:
		s.files.before = &a.Before
	case life.ReadRegistration:
		if s.files.registration == nil {
			return (*fleet.Registration)(nil), nil
		}
		r := *s.files.registration
		r.Runners = slices.Clone(r.Runners)
		return &r, nil
	case life.WriteRegistration:
		r := a.Registration
		r.Runners = slices.Clone(r.Runners)
		s.files.registration = &r
	case life.RemoveRegistration:
		s.files.registration = nil
	case life.CountSections:
		return s.proc.sections, nil
	case life.WriteRunnerConfig:
		s.proc.config = s.proc.sections
		s.proc.changed()
	case life.HoldRunner:
		s.proc.hold()
	case life.ResumeRunner:
		s.proc.resume()
	case life.ScrapeMetrics:
		return s.proc.observe()
	default:
		return s.doUnit(verb, a)
	}
	return nil, nil
}

func (s *site) setFlag(a life.SetFlag) {
	f := &s.files.flags
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

func (s *site) doUnit(verb string, a life.Action) (any, *fleet.Failure) {
	switch a := a.(type) {
	case life.ReadShutdown:
		return s.down, nil
	case life.StartUnit:
		if s.down != fleet.NotGoingDown {
			return nil, &fleet.Failure{Op: "start " + a.Unit, Message: "the transaction is destructive"}
		}
		if a.Unit == life.UnitRunner {
			s.proc.start()
		} else {
			delete(s.unitStates, a.Unit)
			s.start(a.Unit)
		}
	case life.StopUnit:
		if a.Unit == life.UnitRunner {
			if verb == "monitor" && s.proc.polling {
				s.never("monitor stops the runner with a poll in flight")
			}
			s.proc.quit()
		} else {
			s.stop(a.Unit)
		}
	case life.ReadUnit:
		if a.Unit == life.UnitRunner {
			return fleet.UnitState{Active: s.proc.state}, nil
		}
		if state, broken := s.broken[a.Unit]; broken {
			return state, nil
		}
		if state := s.unitStates[a.Unit]; state != "" {
			return fleet.UnitState{Active: state}, nil
		}
		return fleet.UnitState{Active: map[bool]string{true: "active", false: "inactive"}[s.running(a.Unit)]}, nil
	case life.SignalUnit:
		return nil, s.proc.signal(a.Signal)
	case life.KillJobs:
		if !s.proc.termed {
			s.never("jobs killed before SIGTERM")
		}
		s.proc.killJobs()
	default:
		s.t.Fatalf("the model has no %T", a)
	}
	return nil, nil
}
