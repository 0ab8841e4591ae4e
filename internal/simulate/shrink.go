package simulate

import "slices"

// Shrink drops faults for as long as the same promise breaks, and returns the
// shortest schedule that it found. It runs the schedule at most tries times.
func Shrink(s Schedule, promise string, tries int) Schedule {
	return Schedule{Seed: s.Seed, Faults: shrink(s.Faults, tries, func(faults []Fault) bool {
		broken := Run(Schedule{Seed: s.Seed, Faults: faults}, Options{}).Broken
		return slices.ContainsFunc(broken, func(b Broken) bool { return b.Promise == promise })
	})}
}

// shrink drops halves, then quarters, and so on down to single faults, and these
// again and again until none can go.
func shrink(faults []Fault, tries int, breaks func([]Fault) bool) []Fault {
	for size := (len(faults) + 1) / 2; size > 0; {
		dropped := false
		for from := 0; from < len(faults); {
			if tries--; tries < 0 {
				return faults
			}
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
