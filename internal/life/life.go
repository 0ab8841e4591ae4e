// Package life holds the machines of an instance's life, one file per verb:
// init, monitor, scale-up, lifecycle-check and unregister; the reaper's, which
// looks after what instances could not; and the job hook's, which sees jobs that no
// instance could.
//
// A machine is a value with a pure Step: given an event and the time it returns
// its next state and the actions that it wants carried out. It does no I/O,
// reads no clock and draws no randomness but from a seed in its settings, so
// the same events at the same times give the same actions, always. Its state
// lives in memory alone: a killed machine starts again at zero with Started and
// finds out, from the outside or from a file that was written before the
// effect, what was done.
//
// At most one action with an effect is under way at a time; its Result is the
// next event. Carrying actions out is left to package agent (for real) and to
// package simulate (on a model).
package life

import (
	"slices"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// Machine is what an interpreter drives: one verb.
type Machine[S any] interface {
	// Step returns the state after e and what is to be done: any number of Says,
	// then exactly one effect, Sleep or Exit. now must not go back between steps:
	// time.Now's monotonic reading does not, whatever is done to the clock.
	Step(e Event, now time.Time) (S, []Action)
}

// Stepper is a Machine that is changed in place: for an interpreter that lives
// thousands of them, and would spend its time on copies.
type Stepper interface {
	// Take is Step. The actions are appended to out, and e may be a *Result, which
	// it does not keep.
	Take(e Event, now time.Time, out []Action) []Action
}

// flow is what the machines are built from. A phase names the effect that is
// asked for next; when its result arrives the machine sets the next phase.
type flow struct {
	verb      string
	phase     phase
	now       time.Time
	notBefore time.Time // nothing but a heartbeat is asked for earlier
	backoff   backoff
	hook      keeper
	said      [3]string // the failures that were last said: repeated ones are said once, also where two take turns
	out       []Action
	exit      *Exit
}

// phase names what a machine does next.
type phase string

// begin takes an event in and tells whether it is a result for the machine
// itself: heartbeats' results are the keeper's.
func (f *flow) begin(e Event, now time.Time, out []Action) (Result, bool) {
	f.now, f.out = now, out
	r, ok := e.(Result)
	if at, is := e.(*Result); is {
		r, ok = *at, true
	}
	if !ok {
		return Result{}, false
	}
	if hb, is := r.Action.(Heartbeat); is {
		f.beaten(hb, r.Failure)
		return Result{}, false
	}
	return r, true
}

// next returns what is to be done: the exit, a heartbeat that is due, the
// phase's effect, or sleep until one of them.
func (f *flow) next(ask func() Action) []Action {
	if f.exit != nil {
		return append(f.out, *f.exit)
	}
	if f.hook.due(f.now) {
		f.hook.asked = f.now
		return append(f.out, Heartbeat{f.hook.action})
	}
	if f.now.Before(f.notBefore) {
		return append(f.out, Sleep{f.hook.earlier(f.notBefore)})
	}
	a := ask()
	if f.exit != nil { // a phase may find that there is nothing left to do
		return append(f.out, *f.exit)
	}
	return append(f.out, a)
}

// goTo makes p the next phase, asked for at once and with fresh patience.
func (f *flow) goTo(p phase) {
	f.phase, f.notBefore, f.backoff.tries = p, time.Time{}, 0
}

// onTo makes p the next phase, asked for at once, but with the patience that is
// left: two phases that fail in turns must not start over with each other.
func (f *flow) onTo(p phase) { f.phase, f.notBefore = p, time.Time{} }

// goToAfter makes p the next phase, after d.
func (f *flow) goToAfter(p phase, d time.Duration) {
	f.goTo(p)
	f.notBefore = f.now.Add(d)
}

// again asks for the present phase's effect once more after a pause that grows
// with each try, and not before the other side allows.
func (f *flow) again(cause *fleet.Failure) {
	f.notBefore = f.now.Add(max(f.backoff.next(), min(cause.RetryAfter, retryAfterMost)))
}

// retryAfterMost bounds what the other side may ask for: a machine that sleeps
// for a day on a Retry-After leaves a hook, or a stopped runner, alone with it.
const retryAfterMost = 5 * time.Minute

// done ends the machine.
func (f *flow) done(code ExitCode, summary string) { f.exit = &Exit{Code: code, Summary: summary} }

// unsaid has the next failure said again: something has gone well meanwhile.
func (f *flow) unsaid() { f.said = [len(f.said)]string{} }

// say logs a decision.
func (f *flow) say(l Level, action string, reasons ...fleet.Reason) {
	f.out = append(f.out, Say{Level: l, Decision: fleet.Decision{Verb: f.verb, Action: action, Reasons: reasons}})
}

// fails logs what failed and what follows, once for as long as the same fails
// in the same way: a fleet that waits for GitLab fills no disk with it.
func (f *flow) fails(l Level, action string, cause *fleet.Failure) {
	key := string(l) + action + string(cause.Kind) + cause.Op
	if slices.Contains(f.said[:], key) {
		l = Debug
	} else {
		f.said = [len(f.said)]string{key, f.said[0], f.said[1]}
	}
	f.out = append(f.out, Say{Level: l, Decision: fleet.Decision{Verb: f.verb, Action: action}, Err: cause})
}

// backoff is a growing pause with jitter from a seed.
type backoff struct {
	tries int
	seed  uint64
}

const (
	backoffFirst = time.Second
	// backoffMost keeps a machine that waits for an outage to end within half a
	// minute of its end, and within GitLab's and AWS's limits meanwhile.
	backoffMost = 30 * time.Second
)

// next returns the next pause: between half and all of 1 s, 2 s, 4 s … 30 s.
// The jitter keeps a fleet that failed together from trying again together.
func (b *backoff) next() time.Duration {
	d := min(backoffFirst<<min(b.tries, 10), backoffMost)
	b.tries++
	return d/2 + b.draw(d/2)
}

// draw returns a span from none to d, from the seed.
func (b *backoff) draw(d time.Duration) time.Duration {
	b.seed += 0x9e3779b97f4a7c15 // splitmix64
	z := b.seed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return time.Duration(z % uint64(d+1)) //nolint:gosec // at most half a minute
}
