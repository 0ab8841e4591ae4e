package capacity

import "math/bits"

// phases is the set of runners that poll, each by its place in the polling
// interval: a bit for each place, and a bit for each word that has one, so that
// the next to poll is found in a few steps however many there are.
type phases struct {
	levels [3][]uint64
	who    []int32 // the instance at a place
	n      int
}

// places is into how many an interval is divided.
const places = 1 << 18

func newPhases() *phases {
	p := &phases{who: make([]int32, places)}
	for l := range p.levels {
		p.levels[l] = make([]uint64, places>>(6*(l+1)))
	}
	return p
}

func (p *phases) has(at int32) bool { return p.levels[0][at>>6]&(1<<(at&63)) != 0 }

func (p *phases) add(at, who int32) {
	p.who[at] = who
	p.n++
	for l := range p.levels {
		p.levels[l][at>>6] |= 1 << (at & 63)
		at >>= 6
	}
}

func (p *phases) remove(at int32) {
	p.n--
	for l := range p.levels {
		p.levels[l][at>>6] &^= 1 << (at & 63)
		if p.levels[l][at>>6] != 0 {
			return
		}
		at >>= 6
	}
}

// next is the first taken place at or after from, around the end where there is
// none; -1 when the set is empty.
func (p *phases) next(from int32) int32 {
	if p.n == 0 {
		return -1
	}
	if at := p.seek(from); at >= 0 {
		return at
	}
	return p.seek(0)
}

// seek climbs until a word has a bit at or after the place, then descends.
func (p *phases) seek(from int32) int32 {
	at := from
	for l := range p.levels {
		word := int(at >> 6)
		if word >= len(p.levels[l]) {
			return -1
		}
		if rest := p.levels[l][word] >> (at & 63); rest != 0 {
			at += int32(bits.TrailingZeros64(rest)) //nolint:gosec // at most 63
			for down := l - 1; down >= 0; down-- {
				at = at<<6 + int32(bits.TrailingZeros64(p.levels[down][at])) //nolint:gosec // at most 63
			}
			return at
		}
		at = at>>6 + 1
	}
	return -1
}
