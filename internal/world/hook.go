package world

import (
	"slices"
	"time"
)

// The two transitions that a hook can hold.
const (
	AtLaunch      = "autoscaling:EC2_INSTANCE_LAUNCHING"
	AtTermination = "autoscaling:EC2_INSTANCE_TERMINATING"
)

// The two results of a lifecycle action.
const (
	Continue = "CONTINUE"
	Abandon  = "ABANDON"
)

// What bounds a hook, from Auto Scaling's documentation.
const (
	minHeartbeat     = 30 * time.Second
	maxHeartbeat     = 7200 * time.Second
	defaultHeartbeat = time.Hour
	maxWait          = 48 * time.Hour
	maxHeartbeats    = 100
)

// Hook is a lifecycle hook.
type Hook struct {
	Name             string
	Transition       string
	HeartbeatTimeout time.Duration // default 1 h
	DefaultResult    string        // default ABANDON
}

// GlobalTimeout is the cap on the whole wait, whatever the heartbeats.
func (h Hook) GlobalTimeout() time.Duration {
	return min(maxWait, maxHeartbeats*h.HeartbeatTimeout)
}

func (h Hook) withDefaults() Hook {
	orDuration(&h.HeartbeatTimeout, defaultHeartbeat)
	orString(&h.DefaultResult, Abandon)
	return h
}

// wait is one lifecycle action: an instance held by a hook.
type wait struct {
	hook  Hook
	timer *timer
	until time.Time // when the cap ends it
}

// PutHook makes or changes a hook; waits that have begun keep what they had.
func (w *World) PutHook(now time.Time, groupName string, h Hook) error {
	g, err := w.enter(now, groupName)
	if err != nil {
		return err
	}
	h = h.withDefaults()
	if h.Transition != AtLaunch && h.Transition != AtTermination {
		return invalid("Invalid Lifecycle Transition: %s", h.Transition)
	}
	if h.HeartbeatTimeout < minHeartbeat || h.HeartbeatTimeout > maxHeartbeat {
		return invalid("1 validation error detected: Value '%d' at 'heartbeatTimeout' failed to satisfy constraint: Member must be between 30 and 7200", int(h.HeartbeatTimeout.Seconds()))
	}
	if h.DefaultResult != Continue && h.DefaultResult != Abandon {
		return invalid("Lifecycle Action Result must be one of [CONTINUE, ABANDON]")
	}
	for i := range g.hooks {
		if g.hooks[i].Name == h.Name {
			g.hooks[i] = h
			return nil
		}
	}
	g.hooks = append(g.hooks, h)
	return nil
}

// DeleteHook removes a hook; actions that wait at it are abandoned or continued
// as its default says.
func (w *World) DeleteHook(now time.Time, groupName, hook string) error {
	g, err := w.enter(now, groupName)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(g.hooks, func(h Hook) bool { return h.Name == hook })
	if i < 0 {
		return invalid("No Lifecycle Hook found with name: %s", hook)
	}
	g.hooks = slices.Delete(g.hooks, i, i+1)
	for _, m := range slices.Clone(g.members) {
		if a := m.waiting(hook); a != nil {
			w.complete(m, a, a.hook.DefaultResult, false)
		}
	}
	return nil
}

// Hooks describes a group's hooks in the order of their making.
func (w *World) Hooks(now time.Time, groupName string) ([]Hook, error) {
	g, err := w.enter(now, groupName)
	if err != nil {
		return nil, err
	}
	return slices.Clone(g.hooks), nil
}

// Heartbeat is RecordLifecycleActionHeartbeat: it starts the time-out afresh,
// never beyond the cap.
func (w *World) Heartbeat(now time.Time, groupName, hook, id string) error {
	m, a, err := w.action(now, groupName, hook, id)
	if err != nil {
		return err
	}
	w.arm(m, a)
	return nil
}

// Complete is CompleteLifecycleAction.
func (w *World) Complete(now time.Time, groupName, hook, id, result string) error {
	if result != Continue && result != Abandon {
		return invalid("Lifecycle Action Result must be one of [CONTINUE, ABANDON]")
	}
	m, a, err := w.action(now, groupName, hook, id)
	if err != nil {
		return err
	}
	w.complete(m, a, result, false)
	w.remember()
	return nil
}

func (w *World) action(now time.Time, groupName, hook, id string) (*machine, *wait, error) {
	if _, err := w.enter(now, groupName); err != nil {
		return nil, nil, err
	}
	m := w.member(id)
	if m == nil || m.Group != groupName || m.waiting(hook) == nil {
		return nil, nil, noAction(id)
	}
	return m, m.waiting(hook), nil
}

func (m *machine) waiting(hook string) *wait {
	for _, a := range m.waits {
		if a.hook.Name == hook {
			return a
		}
	}
	return nil
}

// hold puts an instance into the waits of all hooks of a transition, and tells
// whether there is any.
func (w *World) hold(m *machine, transition string) bool {
	for _, h := range m.group.hooks {
		if h.Transition != transition {
			continue
		}
		a := &wait{hook: h, until: w.now.Add(h.GlobalTimeout())}
		m.waits = append(m.waits, a)
		w.arm(m, a)
	}
	return len(m.waits) > 0
}

func (w *World) arm(m *machine, a *wait) {
	a.timer.stop()
	d := min(a.hook.HeartbeatTimeout, a.until.Sub(w.now))
	a.timer = w.after(d, func() { w.complete(m, a, a.hook.DefaultResult, true) })
}

// release ends every wait of an instance without a result.
func (m *machine) release() {
	for _, a := range m.waits {
		a.timer.stop()
	}
	m.waits = nil
}

// complete ends one wait. ABANDON ends the others with it.
func (w *World) complete(m *machine, a *wait, result string, timedOut bool) {
	a.timer.stop()
	m.waits = slices.DeleteFunc(m.waits, func(o *wait) bool { return o == a })
	if result == Abandon {
		m.release()
	}
	switch {
	case m.state.leaving() && len(m.waits) == 0:
		w.proceed(m) // either result lets a terminating instance go
	case result == Abandon && !m.state.leaving():
		w.abandonLaunch(m, timedOut)
	case len(m.waits) == 0:
		w.enterService(m)
	}
}
