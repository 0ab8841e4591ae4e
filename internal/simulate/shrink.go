package simulate

import (
	"slices"
	"time"
)

// Shrink drops faults for as long as the same promise breaks, and returns the
// shortest schedule that it found. It runs the schedule at most tries times.
func Shrink(s Schedule, promise string, tries int) Schedule {
	first, at := breaksAt(s, promise, 0)
	if first == nil {
		return s
	}
	faults := struckBefore(s, first, at)
	if len(faults) < len(s.Faults) {
		tries--
		if r, _ := breaksAt(Schedule{Seed: s.Seed, Webhook: s.Webhook, Faults: faults}, promise, 0); r == nil {
			faults = s.Faults // what did not strike was an excuse for something, or a draw
		}
	}
	until := at + shrinkSlack
	return Schedule{Seed: s.Seed, Webhook: s.Webhook, Faults: shrink(faults, tries, func(faults []Fault) bool {
		r, _ := breaksAt(Schedule{Seed: s.Seed, Webhook: s.Webhook, Faults: faults}, promise, until)
		return r != nil
	})}
}

// shrinkSlack is how much later than it did the promise may break without some
// of the faults: a run is ended then, for most of them the end is far away.
const shrinkSlack = 45 * time.Minute

// breaksAt runs a schedule until the promise breaks; nil when it does not.
func breaksAt(s Schedule, promise string, until time.Duration) (*Result, time.Duration) {
	r := Run(s, Options{Stop: promise, At: until})
	for _, b := range r.Broken {
		if b.Promise == promise {
			return &r, b.At
		}
	}
	return nil, 0
}

// struckBefore are the faults that can have had a part in what happened at a
// time: those that changed something, and had begun.
func struckBefore(s Schedule, r *Result, at time.Duration) []Fault {
	var kept []Fault
	for n, f := range s.Faults {
		if r.Struck[n] && f.At <= at {
			kept = append(kept, f)
		}
	}
	return kept
}

// few is how many faults a person can follow: with fewer left nothing is drawn.
const few = 8

// shrink drops halves, then quarters, and so on down to single faults, and these
// again and again until none can go. A fleet is such that one fault less may change
// everything that follows: where many are left then, halves of them are drawn until
// one breaks the promise as well, and dropped from that.
func shrink(faults []Fault, tries int, breaks func([]Fault) bool) []Fault {
	d := &dice{state: uint64(len(faults))}
	counted := func(f []Fault) bool { tries--; return tries >= 0 && breaks(f) }
	for {
		faults = drop(faults, counted)
		half := faults
		for len(faults) > few && tries > 0 && len(half) == len(faults) {
			if drawn := d.half(faults); counted(drawn) {
				half = drawn
			}
		}
		if len(half) == len(faults) {
			return faults
		}
		faults = half
	}
}

// half draws about half of the faults; never all.
func (d *dice) half(faults []Fault) []Fault {
	var out []Fault
	for _, f := range faults {
		if d.chance(0.55) {
			out = append(out, f)
		}
	}
	return out[:min(len(out), len(faults)-1)]
}

// drop leaves out what is not needed, ever smaller pieces.
func drop(faults []Fault, breaks func([]Fault) bool) []Fault {
	for size := (len(faults) + 1) / 2; size > 0; {
		dropped := false
		for from := 0; from < len(faults); {
			rest := slices.Concat(faults[:from], faults[min(from+size, len(faults)):])
			if breaks(rest) {
				faults, dropped = rest, true
				continue
			}
			from += size
		}
		switch {
		case size > 1:
			size /= 2
		case !dropped:
			size = 0
		}
	}
	return faults
}
