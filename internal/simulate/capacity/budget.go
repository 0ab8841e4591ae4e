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
	if now > b.at { // a call that was tried again has been ahead
		b.left = min(max(b.burst, 1), b.left+(now-b.at).Seconds()*b.rate)
		b.at = now
	}
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// retryWithin is within what time a throttled call is tried once more (package
// autoscaling).
const retryWithin = 500 * time.Millisecond

// call counts a call to Auto Scaling and tells whether it was answered. The client
// tries one that is throttled once more.
func (e *engine) call() bool {
	if e.callOnce() {
		return true
	}
	e.score.calls++
	return e.budget.take(e.now + e.within(retryWithin))
}

// callOnce is a call whose repetition might take effect twice: the client tries it once.
func (e *engine) callOnce() bool {
	e.score.calls++
	return e.budget.take(e.now)
}
