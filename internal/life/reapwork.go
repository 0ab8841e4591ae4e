package life

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// nextHooks asks for the hooks of the next group that waits for a dead instance,
// then goes to work.
func (s *Reap) nextHooks() {
	if len(s.dead) > 0 {
		s.goTo(reapHooks)
		return
	}
	// What blocks a group comes first.
	slices.SortStableFunc(s.work, func(a, b fleet.Leftover) int { return cmp.Compare(b.Hook, a.Hook) })
	s.nextWork(0)
}

// gotHooks finds the hook that each dead instance of one group waits at: ours.
// Others' may still have something to do for a dead instance.
func (s *Reap) gotHooks(hooks []fleet.Hook) {
	group := s.dead[0].group
	for _, m := range s.dead {
		if m.group != group {
			continue
		}
		transition, name, key := fleet.AtTermination, s.set.TerminateHook, "group.terminate_hook"
		if m.State == fleet.PendingWait {
			transition, name, key = fleet.AtLaunch, s.set.LaunchHook, "group.launch_hook"
		}
		h, found, f := pickHook(hooks, transition, name, key)
		if f != nil {
			s.complain("leave a dead instance to its hook's time-out", f)
		} else if found {
			s.toDo(fleet.Leftover{Group: group, InstanceID: m.ID, Hook: h.Name, Why: s.why(m.ID)})
		}
	}
	s.passGroup(group)
}

// passGroup leaves a group's dead members behind.
func (s *Reap) passGroup(group string) {
	s.dead = slices.DeleteFunc(slices.Clone(s.dead), func(m member) bool { return m.group == group })
	s.nextHooks()
}

func (s *Reap) why(id string) string {
	for _, m := range s.marks {
		if m.instance == id {
			return m.why
		}
	}
	return ""
}

// nextWork begins with the next leftover after a pause, or ends the round.
func (s *Reap) nextWork(pause time.Duration) {
	switch {
	case len(s.work) == 0:
		s.endRound()
	case s.work[0].Hook != "":
		s.goToAfter(reapComplete, pause)
	default:
		s.goToAfter(reapLook, pause)
	}
}

// complete lets a dead instance go: a launch that never became one is abandoned,
// so that the group replaces it.
func (s *Reap) complete() Action {
	l := s.work[0]
	result := fleet.Continue
	if g := s.read(l.Group); g != nil {
		if i, _ := g.Find(l.InstanceID); i.State == fleet.PendingWait {
			result = fleet.Abandon
		}
	}
	return CompleteHook{fleet.HookAction{Group: l.Group, Hook: l.Hook, InstanceID: l.InstanceID}, result}
}

// gotRunner looks once more before a runner is deleted: it must still be the one
// that was listed, and nobody may have used it since its instance was gone.
func (s *Reap) gotRunner(d fleet.RunnerDetails) {
	l := s.work[0]
	since := s.since(l.InstanceID)
	switch {
	case d.Description != l.Group+"/"+l.InstanceID:
		s.keep("its description has changed")
	case d.ContactedAt.After(since):
		s.remark(l.InstanceID)
		s.keep(fmt.Sprintf("it was used at %s, after its instance was gone", d.ContactedAt.UTC().Format("15:04:05Z")))
	default:
		s.goTo(reapDelete)
	}
}

// keep leaves a runner alone after all; said once.
func (s *Reap) keep(why string) {
	l := s.work[0]
	level := Warn
	if slices.Contains(s.kept, l.Runner) {
		level = Debug
	} else {
		s.kept = append(slices.Clip(s.kept), l.Runner)
	}
	s.say(level, fmt.Sprintf("keep runner %d of %s/%s", l.Runner, l.Group, l.InstanceID), fleet.Reason(why))
	s.pass()
}

// remark starts an instance's time anew: a clock of GitLab's that is ahead delays
// a deletion, and does not forbid it.
func (s *Reap) remark(id string) {
	s.marks = slices.Clone(s.marks)
	for i := range s.marks {
		if s.marks[i].instance == id {
			s.marks[i].since = s.now
		}
	}
}

// did notes what was done, and goes on after a pause. What was gone already is
// done too, by somebody else or before a kill.
func (s *Reap) did(by fleet.Reason) {
	l := s.work[0]
	l.Done = true
	s.deleted = append(slices.Clip(s.deleted), l.Runner)
	if len(s.found) < reapKeeps {
		s.found = append(slices.Clip(s.found), l)
	}
	what := fmt.Sprintf("deleted runner %d of %s/%s", l.Runner, l.Group, l.InstanceID)
	if l.Hook != "" {
		what = fmt.Sprintf("completed hook %q of %s in group %q for it", l.Hook, l.InstanceID, l.Group)
	}
	reasons := []fleet.Reason{fleet.Reason(l.Why), fleet.Reason("first seen at " + s.since(l.InstanceID).UTC().Format("15:04:05Z"))}
	if by != "" {
		reasons = append(reasons, by)
	}
	s.say(Info, what, reasons...)
	s.pass()
}

// pass goes on to the next leftover. Deletions are not urgent.
func (s *Reap) pass() {
	s.work = s.work[1:]
	s.nextWork(reapPause)
}

// failed tries a request again, or goes on without what it asked for.
func (s *Reap) failed(f *fleet.Failure) {
	gone := f.Kind == fleet.NotFound || f.Kind == fleet.NotWaiting
	switch {
	case gone && s.phase == reapLook && slices.ContainsFunc(s.ours, func(o ours) bool { return o.id == s.work[0].Runner && o.unlisted }):
		s.pass() // as the list had it
		return
	case gone && s.phase == reapLook, gone && s.phase == reapDelete:
		s.did("GitLab knows it no more")
		return
	case gone && s.phase == reapComplete:
		s.did("it waits no more")
		return
	case !f.Final() && s.backoff.tries < reapTries-1:
		s.fails(Debug, "trying again", f)
		s.again(f)
		return
	}
	if f.Kind == fleet.BadToken {
		s.token = fleet.Token{} // it may have been rotated
		if s.phase == reapList && !s.asTold {
			s.goTo(reapToken) // at once: a round more is a third of the time that a ghost has
			return
		}
	}
	s.without(f)
}

// without goes on where a request has failed for good, or for long.
func (s *Reap) without(f *fleet.Failure) {
	switch s.phase {
	case reapGroup:
		s.complain(fmt.Sprintf("leave group %q alone in this round", s.set.Groups[s.at]), f)
		s.nextGroup()
	case reapToken, reapList:
		s.complain("leave the runners alone in this round", f)
		s.ours = nil
		s.askEC2()
	case reapInstances:
		s.complain("do nothing in this round", f)
		s.endRound()
	case reapHooks:
		s.complain("leave the dead to their hook's time-out in this round", f)
		s.passGroup(s.dead[0].group)
	case reapLook, reapDelete: // the next would fail alike
		s.complain("leave the runners alone for the rest of this round", f)
		s.work, s.soon = nil, s.soon+len(s.work)
		s.endRound()
	case reapComplete:
		s.complain("leave a dead instance to its hook's time-out in this round", f)
		s.pass()
	}
}

// complain tells of a failure once for as long as it lasts, and keeps how bad it
// is for the exit code.
func (s *Reap) complain(action string, f *fleet.Failure) {
	level, code := Warn, TryAgain
	if f.Final() {
		level, code = Error, Refused
	}
	if s.trouble != Refused {
		s.trouble = code
	}
	key := action + string(f.Kind) + f.Op
	if slices.Contains(s.told, key) {
		level = Debug
	} else {
		s.told = append(slices.Clip(s.told), key)
	}
	s.out = append(s.out, Say{Level: level, Decision: fleet.Decision{Verb: s.verb, Action: action}, Err: f})
}
