package world

import (
	"fmt"
	"slices"
	"time"
)

// maxProtectIDs is how many instances one SetInstanceProtection may name.
const maxProtectIDs = 50

// Terminate is TerminateInstanceInAutoScalingGroup. Without decrement the group
// launches a replacement. It asks neither protection nor jobs.
func (w *World) Terminate(now time.Time, id string, decrement bool) (Activity, error) {
	w.advance(now)
	m := w.member(id)
	if m == nil {
		return Activity{}, noInstance(id)
	}
	if m.state.leaving() {
		return *m.act, nil
	}
	g := m.group
	cause := fmt.Sprintf("At %s instance %s was taken out of service in response to a user request", second(w.now), id)
	if decrement && !m.state.InWarmPool() && m.state != Standby {
		if g.Desired-1 < g.Min {
			return Activity{}, invalid("Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.", g.Min)
		}
		cause += fmt.Sprintf(", shrinking the capacity from %d to %d", g.Desired, g.Desired-1)
		w.setDesired(g, g.Desired-1, "TerminateInstanceInAutoScalingGroup")
	}
	act := w.terminate(m, ReasonUser, cause+".")
	w.remember()
	return *act, nil
}

// Protect is SetInstanceProtection: all of the ids or none.
func (w *World) Protect(now time.Time, groupName string, on bool, ids ...string) error {
	if _, err := w.enter(now, groupName); err != nil {
		return err
	}
	if len(ids) == 0 || len(ids) > maxProtectIDs {
		return invalid("1 validation error detected: Value at 'instanceIds' failed to satisfy constraint: Member must have length between 1 and %d", maxProtectIDs)
	}
	list, err := w.inGroup(groupName, ids)
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.state != InService && m.state != EnteringStandby && m.state != Standby {
			return invalid("The instance %s is not in InService or EnteringStandby or Standby.", m.ID)
		}
	}
	for _, m := range list {
		m.protected = on
		w.reconcileSoon(m.group)
	}
	w.remember()
	return nil
}

// inGroup finds members of a group.
func (w *World) inGroup(groupName string, ids []string) ([]*machine, error) {
	var out []*machine
	for _, id := range ids {
		m := w.member(id)
		if m == nil || m.Group != groupName {
			return nil, invalid("The instance %s is not part of Auto Scaling group %s.", id, groupName)
		}
		out = append(out, m)
	}
	return out, nil
}

// SetHealth is SetInstanceHealth. Within the grace period after InService an
// Unhealthy that respects it changes nothing.
func (w *World) SetHealth(now time.Time, id string, healthy, respectGrace bool) error {
	w.advance(now)
	m := w.member(id)
	if m == nil {
		return noInstance(id)
	}
	if !healthy && respectGrace && w.inGrace(m) {
		return nil
	}
	m.healthy = healthy
	w.reconcileSoon(m.group)
	w.remember()
	return nil
}

func (w *World) inGrace(m *machine) bool {
	return m.InServiceAt.IsZero() || w.now.Before(m.InServiceAt.Add(m.group.HealthGrace))
}

// EnterStandby takes instances out of service without ending them.
func (w *World) EnterStandby(now time.Time, groupName string, decrement bool, ids ...string) ([]Activity, error) {
	return w.takeOut(now, groupName, decrement, ids, "Moving EC2 instance to Standby: ", "moved to standby", func(m *machine) {
		w.to(m, EnteringStandby)
		w.to(m, Standby)
		m.target = Standby
		m.act.finish(w.now, "Successful", "")
	})
}

// Detach lets instances go from their group; the machines live on.
func (w *World) Detach(now time.Time, groupName string, decrement bool, ids ...string) ([]Activity, error) {
	return w.takeOut(now, groupName, decrement, ids, "Detaching EC2 instance: ", "detached", func(m *machine) {
		m.leaving(ReasonDetached, w.now)
		w.to(m, Detaching)
		w.to(m, Detached)
		m.target = Detached
		m.act.finish(w.now, "Successful", "")
		w.leave(m)
	})
}

func (w *World) takeOut(now time.Time, groupName string, decrement bool, ids []string, what, verb string, do func(*machine)) ([]Activity, error) {
	g, err := w.enter(now, groupName)
	if err != nil {
		return nil, err
	}
	list, err := w.inGroup(groupName, ids)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if m.state != InService {
			return nil, invalid("The instance %s is not in InService.", m.ID)
		}
	}
	if decrement && g.Desired-len(list) < g.Min {
		return nil, invalid("Currently, desiredSize equals minSize (%d). Instances can't be %s without replacement.", g.Min, verb)
	}
	var out []Activity
	for _, m := range list {
		cause := fmt.Sprintf("At %s instance %s was %s in response to a user request", second(w.now), m.ID, verb)
		if decrement {
			cause += fmt.Sprintf(", shrinking the capacity from %d to %d", g.Desired, g.Desired-1)
			w.setDesired(g, g.Desired-1, verb)
		}
		m.act = w.began(g, m.ID, what+m.ID, cause+".")
		out = append(out, *m.act)
		do(m)
		w.reconcileSoon(g)
	}
	w.remember()
	return out, nil
}

// ExitStandby puts instances back into service; desired rises with them.
func (w *World) ExitStandby(now time.Time, groupName string, ids ...string) ([]Activity, error) {
	g, err := w.enter(now, groupName)
	if err != nil {
		return nil, err
	}
	list, err := w.inGroup(groupName, ids)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list, func(m *machine) bool { return m.state != Standby }); i >= 0 {
		return nil, invalid("The instance %s is not in Standby.", list[i].ID)
	}
	if g.Desired+len(list) > g.Max {
		return nil, invalid("Your requested DesiredCapacity of %d is above the maximum capacity of %d.", g.Desired+len(list), g.Max)
	}
	var out []Activity
	for _, m := range list {
		cause := fmt.Sprintf("At %s instance %s was moved out of standby in response to a user request, increasing the capacity from %d to %d.", second(w.now), m.ID, g.Desired, g.Desired+1)
		m.act = w.began(g, m.ID, "Moving EC2 instance out of Standby: "+m.ID, cause)
		out = append(out, *m.act)
		m.target = InService
		w.to(m, Pending)
		w.setDesired(g, g.Desired+1, "ExitStandby")
		w.enterService(m)
	}
	w.remember()
	return out, nil
}
