package simulate

import "time"

// Moment is what a fault may wait for instead of a time. The first minute of a
// machine, and its drain, are a small part of its life, and most of what its
// commands do is done then: faults at times alone seldom meet it.
type Moment string

// The moments; each counts once for an instance.
const (
	Boot   Moment = "boot"   // it boots for the first time
	Notice Moment = "notice" // it writes down that it is to go
	Breaks Moment = "breaks" // one of its units breaks
)

// atMoment draws a fault that waits for a moment of one instance.
func atMoment(d *dice) Fault {
	f := Fault{Since: pick(d, Boot, Notice), Instance: d.from(1, 50)}
	f.Kind = pick(d,
		AWSThrottles, AWSAway, HeartbeatsLost, GitLabAway, MetadataSick, DiskFull, DiskFull, RunnerMute, RunnerMute,
		Spot, SpotLate, SpotAgain, Crash, Reboot, SoftReboot, PowerOff, RunnerKill, ClockJump, UnitRestart, UnitBroken)
	f.At = d.span(0, pick(d, 3*time.Second, 30*time.Second, 5*time.Minute))
	switch f.Kind {
	case AWSThrottles, AWSAway, HeartbeatsLost, GitLabAway, MetadataSick:
		f.For, f.Count = d.span(5*time.Second, 5*time.Minute), pick(d, 30, 100)
	case DiskFull, RunnerMute:
		f.For = d.span(5*time.Second, 15*time.Minute)
	case UnitBroken:
		f.Count, f.For = pick(d, 1, 2, 3, 3), pick(d, 10*time.Minute, 25*time.Minute, 0, 0)
		if f.Count == 3 { // init is done soon
			f.Since, f.At = Boot, d.span(0, time.Second)
		} else {
			f.Amount = pick(d, 0, 0, time.Minute)
		}
	case SpotLate:
		f.Amount = d.span(5*time.Second, 55*time.Second)
	case ClockJump:
		f.Amount = d.span(-2*time.Hour, 2*time.Hour)
	}
	return f
}

// together draws what seldom meets by chance: an instance whose lifecycle-check, or
// monitor, breaks for good, and what else befalls it while the other stands in for that.
func together(d *dice) []Fault {
	n := d.from(1, 40)
	breaks := Fault{Kind: UnitBroken, Since: Boot, Instance: n, At: d.span(time.Minute, time.Hour), Count: pick(d, 2, 2, 2, 5, 1), Amount: pick(d, 0, 0, 3*time.Second, time.Minute)}
	f := Fault{Kind: pick(d, RunnerMute, RunnerMute, KillAfter, DiskFull, UnitRestart), Since: Breaks, Instance: n, At: d.span(0, 25*time.Minute)}
	switch f.Kind {
	case RunnerMute:
		f.For = d.span(15*time.Minute, time.Hour)
	case KillAfter:
		f = Fault{Kind: KillAfter, Instance: n, Verb: "monitor", Only: "SetUnhealthy", N: 1}
	case DiskFull:
		f.For = d.span(5*time.Second, 5*time.Minute)
	}
	return []Fault{breaks, f}
}

// comesTo begins the faults that wait for this. None begins in the quiet time.
func (i *instance) comesTo(m Moment) {
	l := i.l
	list := l.waits[i.number]
	if len(list) == 0 {
		return
	}
	var rest []*Fault
	for _, f := range list {
		switch {
		case f.Since != m:
			rest = append(rest, f)
		case l.at+f.At < l.quietAt:
			l.after(f.At, func() { l.strikeMoment(f, i) })
		}
	}
	l.waits[i.number] = rest
}

// strikeMoment is the beginning of such a fault, where the instance still runs.
func (l *loop) strikeMoment(f *Fault, i *instance) {
	switch {
	case !i.up || i.dead:
	case f.Kind.ofFleet():
		l.strikeAt(f, nil)
	default:
		l.strikeAt(f, i)
	}
}

// ofFleet tells whether a fault that lasts hits all instances alike.
func (k Kind) ofFleet() bool {
	switch k {
	case AWSThrottles, AWSAway, AWSSlow, AWSStale, GitLabAway, GitLabSlow:
		return true
	}
	return false
}
