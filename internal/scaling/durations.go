package scaling

import (
	"cmp"
	"slices"
	"time"
)

// durationsKept is from how many jobs of a kind it is learnt how long they take: the
// latest, for jobs change with their code.
const durationsKept = 128

// durations is how long the jobs of one kind took.
type durations struct {
	ring   []time.Duration // as they came
	next   int             // the place of the next one
	sorted []time.Duration
	used   uint64 // when it was last of use
}

func (d *durations) add(took time.Duration) {
	if len(d.ring) < durationsKept {
		d.ring = append(d.ring, took)
	} else {
		at, _ := slices.BinarySearch(d.sorted, d.ring[d.next])
		d.sorted = slices.Delete(d.sorted, at, at+1)
		d.ring[d.next] = took
	}
	d.next = (d.next + 1) % durationsKept
	at, _ := slices.BinarySearch(d.sorted, took)
	d.sorted = slices.Insert(d.sorted, at, took)
}

// within is how probable it is that a job which has run for so long ends within span:
// the share of those that took longer. Beyond what was seen nothing is probable.
func (d *durations) within(ran, span time.Duration) float64 {
	if span <= 0 {
		return 0
	}
	longer := len(d.sorted) - d.upTo(ran)
	return float64(d.upTo(ran+span)-len(d.sorted)+longer) / float64(longer+1)
}

// upTo is how many took no longer than that.
func (d *durations) upTo(t time.Duration) int {
	at, _ := slices.BinarySearch(d.sorted, t+1)
	return at
}

// longest is what the longest of so many jobs takes in half of all cases.
func (d *durations) longest(jobs int) time.Duration {
	at := len(d.sorted) - 1 - int(0.69*float64(len(d.sorted))/float64(max(jobs, 1))) // ½^(1/n) ≈ 1 − 0.69/n
	return d.sorted[max(at, 0)]
}

// kind is what jobs have in common that take similar times: a name within a project,
// or a stage, where the name is empty.
type kind struct {
	project     int64
	stage, name string
}

// learnt is how long jobs of each kind took, of so many kinds at most.
type learnt struct {
	of  map[kind]*durations
	use uint64
}

// kindsKept bounds the memory: a kind takes 2 kB at most.
const kindsKept = 4096

func (l *learnt) add(k kind, took time.Duration) {
	d := l.of[k]
	if d == nil {
		l.forget()
		d = &durations{}
		l.of[k] = d
	}
	l.touch(d)
	d.add(took)
}

func (l *learnt) touch(d *durations) {
	l.use++
	d.used = l.use
}

// find is what is known of a kind from so many jobs at least; nil where it is less.
func (l *learnt) find(k kind, samples int) *durations {
	d := l.of[k]
	if d == nil || len(d.sorted) < max(samples, 1) {
		return nil
	}
	l.touch(d)
	return d
}

// forget makes room: a quarter of the kinds goes, those that were of no use for longest.
func (l *learnt) forget() {
	if len(l.of) < kindsKept {
		return
	}
	type age struct {
		kind kind
		used uint64
	}
	all := make([]age, 0, len(l.of))
	for k, d := range l.of {
		all = append(all, age{k, d.used})
	}
	slices.SortFunc(all, func(a, b age) int { return cmp.Compare(a.used, b.used) })
	for _, a := range all[:len(all)/4] {
		delete(l.of, a.kind)
	}
}
