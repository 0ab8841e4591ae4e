package capacity

import "time"

// next is the first of the moments …, base, base+period, base+2·period, … at or
// after now.
func next(now, base, period time.Duration) time.Duration {
	if now <= base {
		return now + (base-now)%period
	}
	return now + (period-(now-base)%period)%period
}
