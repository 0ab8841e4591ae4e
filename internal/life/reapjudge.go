package life

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// instanceForm is an instance id's: nothing else in a description is ours.
var instanceForm = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// splitDescription takes <group>/<instance id> apart. A group's name may have a
// slash in it, an instance id has none.
func splitDescription(d string) (group, instance string, ok bool) {
	i := strings.LastIndexByte(d, '/')
	if i <= 0 || !instanceForm.MatchString(d[i+1:]) {
		return "", "", false
	}
	return d[:i], d[i+1:], true
}

// read returns a group as this round read it; nil where it could not.
func (s *Reap) read(name string) *fleet.Group {
	for i := range s.groups {
		if s.groups[i].Name == name {
			return &s.groups[i]
		}
	}
	return nil
}

// waits tells whether a member waits at a hook.
func waits(i fleet.Instance) bool {
	return i.State == fleet.TerminatingWait || i.State == fleet.PendingWait
}

// questions are the instances to ask EC2 about: those with a runner, those that
// wait at a hook, and of each group one in service, whom EC2 must know.
func (s *Reap) questions() []string {
	var ids []string
	for _, o := range s.ours {
		ids = append(ids, o.instance)
	}
	for _, g := range s.groups {
		asked := len(ids)
		for _, i := range g.Instances {
			if waits(i) {
				ids = append(ids, i.ID)
			}
		}
		mine := slices.ContainsFunc(s.ours, func(o ours) bool { return o.group == g.Name })
		in := slices.IndexFunc(g.Instances, func(i fleet.Instance) bool { return i.State == fleet.InService })
		if in >= 0 && (mine || len(ids) > asked) {
			ids = append(ids, g.Instances[in].ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// judge tells who is gone, and what there is to do about it. Who is not gone in
// this round is forgotten; of whom it knows nothing keeps the mark.
func (s *Reap) judge() {
	var told []fleet.Group
	for _, g := range s.groups {
		if f := s.believed(g); f != nil {
			s.complain(fmt.Sprintf("leave group %q alone in this round", g.Name), f)
		} else {
			told = append(told, g)
		}
	}
	old := s.marks
	s.marks = s.unknown(told)
	var left []fleet.Leftover
	for _, g := range told {
		left = append(left, s.judgeGroup(g, old)...)
	}
	s.plan(left)
}

// unknown are the marks of which this round tells nothing, either way.
func (s *Reap) unknown(told []fleet.Group) []mark {
	var keep []mark
	for _, m := range s.marks {
		group := slices.ContainsFunc(told, func(g fleet.Group) bool { return g.Name == m.group })
		listed := s.listed || s.set.Token == ""
		if !group || !listed && !slices.Contains(s.asked, m.instance) {
			keep = append(keep, m)
		}
	}
	return keep
}

// believed tells whether EC2's answer is about the same world as the group's: a
// wrong region or endpoint knows no instance at all.
func (s *Reap) believed(g fleet.Group) *fleet.Failure {
	asked, known := "", false
	for _, i := range g.Instances {
		if i.State == fleet.InService && slices.Contains(s.asked, i.ID) {
			asked = i.ID
			_, is := s.state(i.ID)
			known = known || is
		}
	}
	if asked == "" || known {
		return nil
	}
	return &fleet.Failure{
		Op: fmt.Sprintf("ask EC2 about group %q", g.Name), Message: fmt.Sprintf("it does not know %s, which the group has in service", asked),
		Mend: "do AWS_ENDPOINT_URL_EC2 and the group's endpoint lead to the same account and region?",
	}
}

func (s *Reap) marked(id string) bool {
	return slices.ContainsFunc(s.marks, func(m mark) bool { return m.instance == id })
}

// judgeGroup returns what the instances that are gone have left: hooks first,
// for the group waits for these.
func (s *Reap) judgeGroup(g fleet.Group, old []mark) []fleet.Leftover {
	var left []fleet.Leftover
	for _, i := range g.Instances {
		if why := s.gone(g, i.ID); waits(i) && why != "" {
			s.mark(old, g.Name, i.ID, why)
			left = append(left, fleet.Leftover{Group: g.Name, InstanceID: i.ID, Hook: string(i.State), Why: why})
		}
	}
	for _, o := range s.ours {
		if why := s.gone(g, o.instance); o.group == g.Name && why != "" {
			s.mark(old, g.Name, o.instance, why)
			left = append(left, fleet.Leftover{Group: g.Name, InstanceID: o.instance, Runner: o.id, Why: why})
		}
	}
	return left
}

// gone says why an instance counts as gone; empty where it does not. What EC2
// knows in any state but terminated is there, whatever the group says: it may be
// detached, and end its jobs. What EC2 does not know is gone where the group does
// not count on it either.
func (s *Reap) gone(g fleet.Group, id string) string {
	state, known := s.state(id)
	i, member := g.Find(id)
	switch {
	case known && state == fleet.EC2Terminated:
		return "EC2 says that it is terminated"
	case known:
		return ""
	case !member:
		return "neither EC2 nor the group knows it"
	case i.State.IsLeaving() || i.State == fleet.PendingWait:
		return fmt.Sprintf("EC2 does not know it, and the group has it in %s", i.State)
	}
	return ""
}

func (s *Reap) state(id string) (fleet.EC2State, bool) {
	for _, i := range s.known {
		if i.ID == id {
			return i.State, true
		}
	}
	return "", false
}

// mark notes that an instance is gone, since the first round that saw it.
func (s *Reap) mark(old []mark, group, id, why string) {
	if s.marked(id) {
		return
	}
	m := mark{group, id, s.now, why}
	for _, o := range old {
		if o.group == group && o.instance == id {
			m.since = o.since
		}
	}
	if !slices.ContainsFunc(old, func(o mark) bool { return o.instance == id }) && !s.set.DryRun {
		s.say(Info, fmt.Sprintf("instance %s seems gone", id), fleet.Reason(why))
	}
	s.marks = append(s.marks, m)
}

// since is when an instance was first seen gone.
func (s *Reap) since(id string) time.Time {
	for _, m := range s.marks {
		if m.instance == id {
			return m.since
		}
	}
	return s.now
}

// plan sets out what is to be done now: what has been gone for long enough.
func (s *Reap) plan(left []fleet.Leftover) {
	for _, l := range left {
		switch {
		case !s.set.DryRun && (s.now.Sub(s.since(l.InstanceID)) < reapApart || len(s.work) == reapMost):
			s.soon++
		case l.Hook != "":
			i, _ := s.read(l.Group).Find(l.InstanceID)
			s.dead = append(s.dead, member{l.Group, i})
		case s.listed:
			s.toDo(l)
		}
	}
	s.nextHooks()
}

// toDo notes something to be done, or in a dry run that it would be.
func (s *Reap) toDo(l fleet.Leftover) {
	if !s.set.DryRun {
		s.work = append(slices.Clip(s.work), l)
		return
	}
	s.wouldDo(l)
}

// wouldDo notes a find of a dry run, once.
func (s *Reap) wouldDo(l fleet.Leftover) {
	if slices.Contains(s.found, l) || len(s.found) == reapKeeps {
		return
	}
	s.found = append(slices.Clip(s.found), l)
	s.say(Info, "would "+deed(l), fleet.Reason(l.Why), fleet.Reason(fmt.Sprintf("if it is still gone in %s", reapApart)))
}

// deed says what is done about a leftover.
func deed(l fleet.Leftover) string {
	if l.Runner != 0 {
		return fmt.Sprintf("delete runner %d of %s/%s", l.Runner, l.Group, l.InstanceID)
	}
	return fmt.Sprintf("complete hook %q of %s in group %q", l.Hook, l.InstanceID, l.Group)
}
