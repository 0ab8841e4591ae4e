package capacity

import "time"

// budget is how many calls Auto Scaling answers: a bucket that fills with time.
type budget struct {
	rate, burst, left float64
	at                time.Duration
}

// take tells whether a call is answered now; else it is throttled.
func (b *budget) take(now time.Duration) bool {
	if b.rate <= 0 {
		return true
	}
	b.left = min(max(b.burst, 1), b.left+(now-b.at).Seconds()*b.rate)
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// call counts a call to Auto Scaling and tells whether it was answered.
func (e *engine) call() bool {
	e.score.calls++
	return e.budget.take(e.now)
}
