package simulate

import (
	"math/rand/v2"
	"time"
)

// mix spreads 64 bits (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// of draws a number for a purpose: the same for the same purpose, whatever was
// drawn before.
func of(seed, a, b, c uint64) uint64 { return mix(seed ^ mix(a^mix(b^mix(c)))) }

// odd spreads a counter (the golden ratio), so that one mixing is enough.
const odd = 0x9e3779b97f4a7c15

// share is a drawn number in [0, 1).
func share(x uint64) float64 { return float64(x>>11) / (1 << 53) }

// within is a drawn time in [low, high].
func within(x uint64, low, high time.Duration) time.Duration {
	return low + time.Duration(share(x)*float64(high-low))
}

// dice is a stream of draws, for what is drawn once before a run.
type dice struct{ state uint64 }

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	return mix(d.state)
}

func (d *dice) n(n int) int            { return int(d.next() % uint64(n)) } //nolint:gosec // n is small
func (d *dice) chance(p float64) bool  { return share(d.next()) < p }
func (d *dice) from(low, high int) int { return low + d.n(high-low+1) }
func (d *dice) span(low, high time.Duration) time.Duration {
	return within(d.next(), low, high).Round(time.Millisecond)
}

func pick[T any](d *dice, list ...T) T { return list[d.n(len(list))] }

// worldDice is the world's own source: it draws boot times.
func worldDice(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0xb007)) } //nolint:gosec // a simulation
