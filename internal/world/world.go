// Package world is a deterministic model of what Shoal lives in: Auto Scaling
// groups with their lifecycle hooks, their instances and what the metadata
// service says of them, spot interruptions and crashes, and a GitLab with
// runners, tokens and a queue of jobs.
//
// A World does nothing by itself and holds no lock: every method takes the time
// at which it happens, [World.Next] says when something will happen unasked, and
// [World.Advance] lets it happen and returns what did. The same calls with the
// same times give the same events, so that a driver may jump, sleep or be a
// test. Times must not run backwards; an earlier one counts as the latest seen.
//
// It keeps its own words for states and errors, taken from the vendors'
// documentation, and shares none with the code that it tests. Carrying events
// out as processes and speaking HTTP are left to package emulator.
package world

import (
	"math/rand/v2"
	"time"
)

// Options are a world's constants. The zero value works: everything takes no
// time, nothing is stale, and what has a usual value has it.
type Options struct {
	Region    string // default eu-central-1
	AccountID string // default 000000000000

	// Rand draws boot times; nil draws none. It is the only randomness.
	Rand *rand.Rand
	// Boot is how long a machine takes from its launch until it is up; the
	// launch hook's wait starts then.
	Boot time.Duration
	// BootSpread is the share by which Boot varies either way, 0 to 1.
	BootSpread float64
	// HoldLag is how long after a machine is up its group begins to hold the
	// launch: until then nothing waits that could be completed.
	HoldLag time.Duration
	// React is how long a group takes to see that its count is not what is
	// desired, or that an instance was called unhealthy.
	React time.Duration
	// HealthCheck is how long EC2's health check takes to tell the group that a
	// machine is dead.
	HealthCheck time.Duration
	// Shutdown is how long a machine takes to go once nothing holds it.
	Shutdown time.Duration
	// SpotLead is how long before its end a spot interruption is announced where
	// the interruption itself does not say; default two minutes.
	SpotLead time.Duration
	// Staleness is how old a description of a group is when it is given; 0 is
	// the truth of this moment. See SetStaleness.
	Staleness time.Duration

	// JobTimeout is how long a job may run where the job does not say; default 1 h.
	JobTimeout time.Duration
	// StuckAfter is how long a running job may be silent before GitLab gives it
	// up; default 1 h.
	StuckAfter time.Duration
	// PendingTimeout is how long a job may wait before GitLab gives it up; default 24 h.
	PendingTimeout time.Duration
	// TwoPhase has GitLab keep a job pending until the runner that it was handed
	// to acknowledges it, where that runner says that it does so.
	TwoPhase bool
	// RegistrationClosed has GitLab refuse registration tokens, as newer servers do.
	RegistrationClosed bool
}

func (o Options) withDefaults() Options {
	orString(&o.Region, "eu-central-1")
	orString(&o.AccountID, "000000000000")
	orDuration(&o.SpotLead, 2*time.Minute)
	orDuration(&o.JobTimeout, time.Hour)
	orDuration(&o.StuckAfter, time.Hour)
	orDuration(&o.PendingTimeout, 24*time.Hour)
	return o
}

func orString(s *string, d string) {
	if *s == "" {
		*s = d
	}
}

func orDuration(v *time.Duration, d time.Duration) {
	if *v <= 0 {
		*v = d
	}
}

// World is the model. It is not safe for concurrent use.
type World struct {
	opt    Options
	now    time.Time
	clock  clock
	events []Event

	groups   []*group
	machines []*machine
	byID     map[string]*machine
	serial   uint64 // behind every id and token

	lab   lab
	calls map[callKey]int
	stale time.Duration // how old descriptions are now
}

// New makes an empty world that begins at now.
func New(opt Options, now time.Time) *World {
	w := &World{opt: opt.withDefaults(), now: now, byID: map[string]*machine{}, calls: map[callKey]int{}, stale: opt.Staleness}
	w.lab.init()
	return w
}

// SetStaleness has descriptions of groups be so old from now on, at most the
// Staleness of the options: no more than that is remembered.
func (w *World) SetStaleness(d time.Duration) { w.stale = min(d, w.opt.Staleness) }

// Next is when something will happen by itself; the zero time when nothing will.
func (w *World) Next() time.Time { return w.clock.next() }

// Advance lets everything happen that is due at now, in order of time, and
// returns the events since it was last called, those of other methods among them.
func (w *World) Advance(now time.Time) []Event {
	w.advance(now)
	out := w.events
	w.events = nil
	return out
}

// advance brings the world to now; every method that reads or changes it begins
// with this, so that no effect comes out of order.
func (w *World) advance(now time.Time) {
	for t := w.clock.due(now); t != nil; t = w.clock.due(now) {
		if t.at.After(w.now) {
			w.now = t.at
		}
		t.do()
		w.remember()
	}
	if now.After(w.now) {
		w.now = now
	}
}

func (w *World) after(d time.Duration, do func()) *timer { return w.clock.add(w.now.Add(d), do) }

func (w *World) emit(e Event) { w.events = append(w.events, e) }

// id makes a new identifier: n hexadecimal digits that depend only on how many
// were made before.
func (w *World) id(n int) string {
	w.serial++
	var text [32]byte
	for i, x := range [2]uint64{mix(w.serial), mix(w.serial + 1<<32)} {
		for digit := range 16 {
			text[16*i+digit] = "0123456789abcdef"[x>>(60-4*digit)&15]
		}
	}
	return string(text[:n])
}

// mix spreads a counter over 64 bits (splitmix64), so that ids look like ids
// and do not sort by age.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
