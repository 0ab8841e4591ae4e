package capacity

import "time"

// What a monitor does where a change of the protection is throttled (package life):
// shoalProtectSoon is the pause after it, for shoalProtectTries times, and
// shoalProtectLater from then on. It does not grow.
const (
	shoalProtectSoon  = 2 * time.Second
	shoalProtectTries = 6
	shoalProtectLater = time.Minute
)

// wantsGuard tells whether an instance that is busy is to be protected.
func (p *shoal) wantsGuard(n int32) bool { return !p.listed(n).Protected || p.trouble[n].unsure }

// protect changes the protection, and tells whether that was not throttled.
func (p *shoal) protect(e *engine, n int32, on bool) bool {
	i, past := &p.of[n], &p.trouble[n]
	if e.now < past.protectAt {
		return false
	}
	if past.unsure = !e.call(); past.unsure {
		pause := shoalProtectSoon
		if past.protectTries >= shoalProtectTries {
			pause = shoalProtectLater
		}
		past.protectTries++
		past.protectAt = next(e.now+pause, i.read, i.step)
		e.at(past.protectAt, shoalGuard, n, 0)
		return false
	}
	past.protectTries = 0
	p.listed(n).Protected = on
	return true
}

// guard is a reading after a change of the protection was throttled.
func (p *shoal) guard(e *engine, n int32) {
	switch busy := len(e.instances[n].jobs) > 0; {
	case busy && p.wantsGuard(n):
		if p.protect(e, n, true) {
			p.holdReady(e, n)
		}
	case !busy && p.trouble[n].unsure && e.now-p.of[n].active >= p.unprotect:
		p.protect(e, n, false)
	}
}
