package capacity

// bench keeps the instances that a manager can give a job to, by how many slots
// they have free: the fullest first, so that others fall empty and can go.
type bench struct {
	byFree [][]int32
	place  []int32 // of an instance in its list
	in     []int32 // which list it is in; 0: none
}

// put files an instance under its free slots; 0 takes it out.
func (b *bench) put(n int32, free int) {
	for len(b.in) <= int(n) {
		b.in, b.place = append(b.in, 0), append(b.place, 0)
	}
	for len(b.byFree) <= free {
		b.byFree = append(b.byFree, nil)
	}
	if was := b.in[n]; was > 0 {
		list := b.byFree[was]
		last := list[len(list)-1]
		list[b.place[n]] = last
		b.place[last] = b.place[n]
		b.byFree[was] = list[:len(list)-1]
	}
	b.in[n] = int32(free) //nolint:gosec // at most MaxSlots
	if free > 0 {
		b.place[n] = int32(len(b.byFree[free])) //nolint:gosec // at most MaxInstances
		b.byFree[free] = append(b.byFree[free], n)
	}
}

// fullest is an instance with the fewest free slots; -1 where none is free.
func (b *bench) fullest() int32 {
	for _, list := range b.byFree[min(1, len(b.byFree)):] {
		if len(list) > 0 {
			return list[len(list)-1]
		}
	}
	return -1
}

// any is the instance of one of the free slots, drawn evenly; -1 where none is free.
func (b *bench) any(e *engine) int32 {
	slots := 0
	for free, list := range b.byFree {
		slots += free * len(list)
	}
	if slots == 0 {
		return -1
	}
	drawn := e.rand.IntN(slots)
	for free, list := range b.byFree {
		if drawn < free*len(list) {
			return list[drawn/free]
		}
		drawn -= free * len(list)
	}
	panic("a slot beyond the free ones")
}

// listed is how many instances have so many slots free.
func (b *bench) listed(free int) int {
	if free >= len(b.byFree) {
		return 0
	}
	return len(b.byFree[free])
}

// file puts an instance where it belongs now.
func (b *bench) file(e *engine, n int32) {
	i := &e.instances[n]
	if i.state != inService {
		b.put(n, 0)
		return
	}
	b.put(n, i.free())
}

// handOut gives waiting jobs to free slots.
func (b *bench) handOut(e *engine) {
	for e.queue.len() > 0 {
		n := b.fullest()
		if n < 0 {
			return
		}
		e.begin(n, e.queue.pop())
		b.file(e, n)
		e.policy.filled(e, n)
	}
}
