package scaling

import "time"

// PatienceSettings are what an operator can set.
type PatienceSettings struct {
	// Idle is how long an instance is without a job before it offers to leave.
	Idle time.Duration
	// Most is up to how long it may learn to stay; no more than Idle: it does not
	// learn.
	Most time.Duration
}

// Patience is how long an idle instance stays: fixed, or learned from its own gaps
// between jobs so far: how long it was without any; and longer where those before it
// went too soon. The zero value has learned nothing.
type Patience struct {
	gaps [gapsKept]time.Duration
	n    int
	back Comeback
}

// gapsFactor is for how many of its gaps one that learns stays.
const gapsFactor = 4

// gapsKept is from how many gaps it learns: few, for an instance lives for hours
// and its mornings do not tell of its evenings.
const gapsKept = 8

// Took takes in that jobs were taken, and for how long there had been none.
func (p *Patience) Took(gap time.Duration) {
	p.gaps[p.n%gapsKept] = gap
	p.n++
}

// Came takes in how this instance came to be launched. It tells how much longer it
// stays for that.
func (p *Patience) Came(c Comeback) time.Duration {
	p.back = c
	return c.longer()
}

// For is how long to stay before looking whether to leave, never less than the
// fixed time, and longer where this instance was launched because another one had
// left. One that learns stays for four times its mean gap of late, where that is
// longer.
func (p *Patience) For(set PatienceSettings) time.Duration {
	return max(p.learned(set), set.Idle+p.back.longer())
}

func (p *Patience) learned(set PatienceSettings) time.Duration {
	if set.Most <= set.Idle || p.n == 0 {
		return set.Idle
	}
	var sum time.Duration
	n := min(p.n, gapsKept)
	for _, g := range p.gaps[:n] {
		sum += g
	}
	return min(max(gapsFactor*sum/time.Duration(n), set.Idle), set.Most)
}

// activeFor is how long after its last job, or its start, an instance still
// counts as active.
const activeFor = time.Minute

// Pace is the time until the next reading of a runner that has been without a
// job for so long: quick while something may be about to be decided, slow when
// nothing is.
func Pace(idle, slow, quick time.Duration) time.Duration {
	if idle < activeFor {
		return min(slow, quick)
	}
	return slow
}

// outOfTurn and outOfTurnBySpares are after how many looks an instance goes before its
// turn: those before it do not go, for whatever reason of theirs. Spares do not: they
// have been told to stay, and look no more.
const (
	outOfTurn         = 6
	outOfTurnBySpares = 2
)

// OnTerms are the terms of an instance that has looked so often, where so many idle ones
// are to stay.
func OnTerms(looks, spare int, release bool) Terms {
	if spare == 0 {
		return Terms{InTurn: looks < outOfTurn}
	}
	return Terms{InTurn: looks < outOfTurnBySpares, Spare: spare, Release: release, Widen: max(0, looks-outOfTurnBySpares)}
}

const (
	lookFirst = 30 * time.Second
	lookMost  = 10 * time.Minute
)

// LookAgain is the pause after a look at which others were to go first: longer
// each time.
func LookAgain(idle time.Duration, looks int) time.Duration {
	return min(min(lookFirst, idle)<<min(looks, 5), lookMost)
}
