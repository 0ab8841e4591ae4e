package life

import (
	"fmt"
	"strings"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// keeper keeps a lifecycle hook from timing out while there is work to do.
type keeper struct {
	action   fleet.HookAction
	timeout  time.Duration // the hook's heartbeat time-out
	cap      time.Duration // the cap on the whole wait
	abandons bool          // the time-out abandons the launch
	on       bool
	waiting  bool // an action waits, or may: only the answer that none does tells
	began    bool // one was accepted ever
	refused  bool // heartbeats are not permitted: the time-out will strike
	next     time.Time
	asked    time.Time // when the last heartbeat was sent
	since    time.Time // when it was found
	notAt    time.Time // no action waited as late as then
	// persistent keeps asking where no action waits yet: a termination hook may
	// begin to wait some time after the notice.
	persistent bool
}

// due tells whether it is time for a heartbeat.
func (k keeper) due(now time.Time) bool { return k.on && !now.Before(k.next) }

// earlier is the earlier of t and the next heartbeat.
func (k keeper) earlier(t time.Time) time.Time {
	if k.on && k.next.Before(t) {
		return k.next
	}
	return t
}

// every is the time between heartbeats: a third of the time-out, so that two
// may be lost. A hook that tells no time-out must not become a busy loop.
func (k keeper) every() time.Duration { return max(k.timeout/3, heartbeatLeast) }

// hookPatience is how long a hook may take to begin to wait: an instance is up
// before the group holds its launch, and the metadata tell of a termination
// first.
const hookPatience = 30 * time.Second

// heartbeatRest is left between an answer and the next heartbeat: where answers
// take as long as heartbeats are apart, the work that the hook waits for goes on.
const heartbeatRest = time.Second

// heartbeatLeast is far below a third of the shortest time-out, 30 s.
const heartbeatLeast = 5 * time.Second

// keep starts heartbeats for a hook, the first at once: it tells whether an
// action waits at all.
func (f *flow) keep(group, instance string, h fleet.Hook, persistent bool) {
	f.hook = keeper{
		action:  fleet.HookAction{Group: group, Hook: h.Name, InstanceID: instance},
		timeout: h.HeartbeatTimeout, cap: h.GlobalTimeout,
		abandons: h.DefaultResult != fleet.Continue,
		on:       true, waiting: true, next: f.now, since: f.now, persistent: persistent,
	}
	if f.hook.cap <= 0 {
		f.hook.cap = min(100*h.HeartbeatTimeout, 48*time.Hour)
	}
}

// after is the time of the next heartbeat, counted from when the last one was
// sent: an answer that takes a third of the time-out says nothing of when the
// time-out began afresh.
func (k keeper) after(d time.Duration, now time.Time) time.Time {
	next := k.asked.Add(d)
	if least := now.Add(heartbeatRest); next.Before(least) {
		return least
	}
	return next
}

// beaten takes a heartbeat's result in.
func (f *flow) beaten(_ Heartbeat, failure *fleet.Failure) {
	k := &f.hook
	k.next = k.after(k.every(), f.now)
	switch {
	case failure == nil:
		k.waiting, k.began = true, true
	case failure.Kind == fleet.NotWaiting:
		k.waiting, k.on, k.notAt = false, k.persistent, f.now
		if !k.began && f.now.Sub(k.since) < hookPatience {
			k.next = f.now.Add(heartbeatLeast) // it may begin to wait any moment
		}
	case failure.Final():
		k.on, k.refused = false, true
		f.fails(Error, fmt.Sprintf("cannot extend hook %q: it will time out after %s", k.action.Hook, k.timeout), failure)
	default:
		// sooner than a whole interval: two more tries fit before the time-out, also
		// where the other side asks for more patience than the hook has
		k.next = k.after(max(k.every()/4, min(failure.RetryAfter, k.every()/2)), f.now)
		f.fails(Warn, fmt.Sprintf("heartbeat of hook %q failed, trying again", k.action.Hook), failure)
	}
}

// pickHook chooses the hook of one transition: the configured one, else the
// only one. None is no failure: found is false.
func pickHook(hooks []fleet.Hook, t fleet.Transition, configured, key string) (h fleet.Hook, found bool, failure *fleet.Failure) {
	var of []fleet.Hook
	var names []string
	for _, h := range hooks {
		if h.Transition == t {
			of, names = append(of, h), append(names, fmt.Sprintf("%q", h.Name))
		}
	}
	kind := "launch"
	if t == fleet.AtTermination {
		kind = "termination"
	}
	if configured != "" {
		for _, h := range of {
			if h.Name == configured {
				return h, true, nil
			}
		}
		return h, false, &fleet.Failure{
			Kind: fleet.Invalid, Op: "choose the " + kind + " hook", Message: fmt.Sprintf("the group has none named %q", configured),
			Mend: fmt.Sprintf("set %s to one of [%s], or leave it out", key, strings.Join(names, " ")),
		}
	}
	switch len(of) {
	case 0:
		return h, false, nil
	case 1:
		return of[0], true, nil
	}
	return h, false, &fleet.Failure{
		Kind: fleet.Invalid, Op: "choose the " + kind + " hook", Message: fmt.Sprintf("the group has %d: %s", len(of), strings.Join(names, ", ")),
		Mend: fmt.Sprintf("set %s to the one that Shoal is to complete", key),
	}
}
