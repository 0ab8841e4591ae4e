package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Schedule is a seed, which draws fleet, work and every order of things, and the
// faults that hit it. It is all that a run depends on.
type Schedule struct {
	Seed    uint64  `json:"seed"`
	Webhook bool    `json:"webhook,omitempty"` // the job hook's machine runs beside the fleet
	Faults  []Fault `json:"faults"`
}

// Fault is one fault. One at an action is named by instance, verb and the n-th
// action of that verb on that instance, counted over restarts; one at an event by how
// many events GitLab's job hook has sent; one of another kind by the time at which it
// begins. What befalls the reaper's or the webhook's host has their verb.
type Fault struct {
	Kind Kind `json:"kind"`
	// Instance is, at an action, the instance's number in the order of launches,
	// from 1. At a time it picks among those that live; 0 there means the whole
	// fleet where the kind can mean that.
	Instance int           `json:"instance,omitempty"`
	Verb     string        `json:"verb,omitempty"`
	N        int           `json:"n,omitempty"`
	Only     string        `json:"only,omitempty"`  // the action's name, or what an event tells: N counts those alone
	At       time.Duration `json:"at,omitempty"`    // since the run began, or
	Since    Moment        `json:"since,omitempty"` // since the instance of this number, as at an action, came to this
	For      time.Duration `json:"for,omitempty"`
	Amount   time.Duration `json:"amount,omitempty"` // how slow, how old, how far a clock jumps, how late a notice
	Count    int           `json:"count,omitempty"`  // how many instances or runners; percent of requests
}

// String is the fault in one line.
func (f Fault) String() string {
	switch f.Verb {
	case verbReap:
		return f.ofReaper()
	case verbHook:
		return f.ofHook()
	}
	if f.Kind.atAction() {
		return fmt.Sprintf("%s at action %d%s of %s on instance %d", f.Kind, f.N, orEmpty(" ", f.Only), f.Verb, f.Instance)
	}
	s := fmt.Sprintf("%s at %s", f.Kind, f.At)
	if f.Since != "" {
		s = fmt.Sprintf("%s %s after the %s of instance %d", f.Kind, f.At, f.Since, f.Instance)
	} else if f.Instance > 0 {
		s += fmt.Sprintf(" on the instance that %d picks", f.Instance)
	}
	if f.For > 0 {
		s += fmt.Sprintf(" for %s", f.For)
	}
	if f.Amount != 0 {
		s += fmt.Sprintf(", by %s", f.Amount)
	}
	if f.Count > 0 {
		s += fmt.Sprintf(", %d", f.Count)
	}
	if f.N > 1 {
		s += fmt.Sprintf(", and on %d others", f.N-1)
	}
	return s
}

func orEmpty(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

// DrawAny makes the schedule of a seed: beside every fourth fleet the webhook runs.
func DrawAny(seed uint64) Schedule {
	if seed%4 == 3 {
		return DrawHooked(seed)
	}
	return Draw(seed)
}

// Draw makes the schedule of a seed for a fleet without a webhook.
func Draw(seed uint64) Schedule { return drawFor(Schedule{Seed: seed}) }

// DrawHooked makes the schedule of a seed for a fleet with one.
func DrawHooked(seed uint64) Schedule { return drawFor(Schedule{Seed: seed, Webhook: true}) }

func drawFor(s Schedule) Schedule {
	seed, fleet := s.Seed, setupOf(s)
	d := &dice{state: mix(seed ^ 0xfa017)}
	for range d.from(20, 60) {
		s.Faults = append(s.Faults, atAction(d))
	}
	for range d.from(10, 30) {
		s.Faults = append(s.Faults, atTime(d, fleet.quietAt))
	}
	s.Faults = append(s.Faults, drawReapFaults(seed, fleet)...)
	if s.Webhook {
		s.Faults = append(s.Faults, drawHookFaults(seed, fleet)...)
	}
	for range d.from(6, 14) {
		s.Faults = append(s.Faults, atMoment(d))
	}
	for range d.from(0, 2) {
		s.Faults = append(s.Faults, together(d)...)
	}
	slices.SortStableFunc(s.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return s
}

// aims are actions worth hitting, by verb: the rare ones would else never be.
var aims = []struct {
	verb, only string
	most       int // occurrence
}{
	{"init", "", 30},
	{"init", "", 30},
	{"init", "CreateRunner", 1},
	{"init", "WriteRegistration", 2},
	{"init", "CompleteHook", 1},
	{"init", "Heartbeat", 2},
	{"init", "VerifyRunner", 2},
	{"init", "DescribeGroup", 1},
	{"init", "StopUnit", 1},
	{"init", "DeleteRunner", 1},
	{"monitor", "", 2000},
	{"monitor", "SetProtection", 4},
	{"monitor", "DescribeGroup", 6},
	{"monitor", "TerminateSelf", 1},
	{"monitor", "HoldRunner", 3},
	{"monitor", "SignalUnit", 3},
	{"monitor", "StopUnit", 1},
	{"monitor", "StartUnit", 4},
	{"monitor", "ResumeRunner", 2},
	{"monitor", "ScrapeMetrics", 1000},
	{"monitor", "SetUnhealthy", 1},
	{"monitor", "DescribeActivities", 1},
	{"monitor", "SetFlag", 4},
	{"monitor", "WriteNotice", 1},
	{"scale-up", "", 60},
	{"scale-up", "DescribeGroup", 5},
	{"scale-up", "SetDesired", 2},
	{"scale-up", "WriteSeen", 3},
	{"lifecycle-check", "", 3000},
	{"lifecycle-check", "ReadTarget", 1500},
	{"lifecycle-check", "ReadSpot", 1500},
	{"lifecycle-check", "WriteNotice", 1},
	{"lifecycle-check", "ReadRebalance", 100},
	{"lifecycle-check", "DescribeGroup", 1},
	{"lifecycle-check", "SetUnhealthy", 1},
	{"unregister", "", 40},
	{"unregister", "", 40},
	{"unregister", "Heartbeat", 3},
	{"unregister", "CompleteHook", 1},
	{"unregister", "DeleteRunner", 1},
	{"unregister", "DeleteManager", 1},
	{"unregister", "StopUnit", 2},
	{"unregister", "HoldRunner", 1},
	{"unregister", "RemoveRegistration", 1},
	{"unregister", "TerminateSelf", 1},
	{"unregister", "SignalUnit", 2},
	{"unregister", "DescribeHooks", 1},
	{"shutdown", "", 20},
}

func atAction(d *dice) Fault {
	aim := aims[d.n(len(aims))]
	f := Fault{
		Kind: pick(d, KillBefore, KillAfter, KillBefore, KillAfter, Throttled, Unavailable, AnswerLost, AnswerLost, Slow, Hang, StaleListing, Unauthorized, Garbage, WriteFails, UnitBusy),
		Verb: aim.verb, Only: aim.only, N: d.from(1, aim.most), Instance: d.from(1, 30),
	}
	switch f.Kind {
	case Slow:
		f.Amount = d.span(2*time.Second, 14*time.Second)
	case StaleListing:
		// Few listings differ from the one before: aimed elsewhere it would hit none.
		f.Verb, f.Only, f.N = pick(d, "monitor", "scale-up", "scale-up"), "DescribeGroup", d.from(1, 4)
		f.Amount = d.span(5*time.Second, 30*time.Second)
	case Throttled:
		f.Amount = pick(d, 0, time.Second, 10*time.Second, 30*time.Second)
	case Unauthorized, Garbage:
		f.Verb, f.Only = pick(d, "lifecycle-check", "lifecycle-check", "init"), ""
	}
	return f
}

func atTime(d *dice, until time.Duration) Fault {
	f := Fault{
		Kind: pick(d,
			AWSThrottles, AWSAway, AWSSlow, AWSStale, HeartbeatsLost, GitLabAway, GitLabSlow, MetadataSick, DiskFull, TokenRevoked, TokenRotated,
			Spot, Spot, SpotLate, SpotAgain, Rebalance, Maintenance, Crash, Crash, Reboot, SoftReboot, PowerOff, RunnerKill, RunnerMute, RunnerDeaf, ClockJump, UnitRestart, UnitBroken,
			DesiredZero, Refresh, Suspend, DeleteRunners, Standby, Detach, ScaleInByHand, BoundsChange, AZRebalance),
		At: d.span(time.Minute, until), Instance: d.from(1, 1000),
	}
	switch f.Kind {
	case AWSThrottles, AWSAway, AWSSlow, GitLabSlow:
		f.Instance, f.For = 0, d.span(5*time.Second, 8*time.Minute)
		f.Amount, f.Count = d.span(time.Second, 10*time.Second), pick(d, 30, 100)
	case AWSStale:
		f.Instance, f.For, f.Amount = 0, d.span(time.Minute, 20*time.Minute), d.span(time.Second, 15*time.Second)
	case GitLabAway:
		f.Instance, f.For = 0, pick(d, 30*time.Second, 5*time.Minute, 20*time.Minute, time.Hour)
	case HeartbeatsLost:
		f.Instance = pick(d, 0, f.Instance) // one alone seldom has a hook to keep
		f.For = d.span(time.Minute, 30*time.Minute)
	case MetadataSick:
		f.Instance = pick(d, 0, f.Instance)
		f.For, f.Count = d.span(10*time.Second, time.Hour), pick(d, 20, 100)
	case DiskFull, RunnerMute:
		f.For = d.span(5*time.Second, 25*time.Minute)
	case TokenRevoked, TokenRotated:
		f.Instance, f.For = 0, d.span(time.Minute, 40*time.Minute)
	case RunnerDeaf:
		f.Count = d.from(1, 3)
	case SpotLate:
		f.Amount = d.span(5*time.Second, 55*time.Second)
	case ClockJump:
		f.Amount = d.span(-2*time.Hour, 2*time.Hour)
	case UnitBroken:
		f.Count, f.For = pick(d, 1, 2, 1, 2, 3, 4, 5, 6), pick(d, 10*time.Minute, 25*time.Minute, 0, 0)
		switch f.N = pick(d, 1, 1, 4); {
		case f.Count < 3:
			f.Amount = pick(d, 0, 0, 3*time.Second, time.Minute)
		case f.Count%3 == 0: // init, which nobody needs who is registered
			f.N *= 3
		}
	default:
		atTimeByHand(d, &f)
	}
	return f
}

// atTimeByHand is what an operator does.
func atTimeByHand(d *dice, f *Fault) {
	switch f.Kind {
	case DesiredZero, Suspend, BoundsChange:
		f.Instance, f.For = 0, d.span(5*time.Minute, 30*time.Minute)
		f.Count = d.from(1, 7)
	case Refresh:
		f.Instance, f.For = 0, time.Hour
	case DeleteRunners:
		f.Count = d.from(1, 3)
	case Standby:
		f.For = d.span(10*time.Second, 20*time.Minute)
	case Detach:
		f.For = 30 * time.Minute
	case ScaleInByHand:
		f.Instance, f.Count = 0, d.from(1, 6)
	case AZRebalance:
		f.Instance, f.Count = 0, d.from(1, 3)
	}
}
