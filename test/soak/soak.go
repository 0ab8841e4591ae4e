package main

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	// fixedSeeds are those that every change is held against, from 0 on.
	fixedSeeds = 100
	// freshTime is how long a change is held against seeds that are its own, and
	// freshSeedsMost how many at most: a gate that is run again lives the same ones,
	// however fast the machine is.
	freshTime      = 2 * time.Minute
	freshSeedsMost = 400
)

// spell is one part of a soak.
type spell struct {
	seeds seedRange
	twice bool
	long  time.Duration // where the seeds have no end
}

func (o options) spells() []spell {
	if !o.ci {
		if o.seeds.bounded {
			return []spell{{seeds: o.seeds, twice: o.twice}}
		}
		return []spell{{seeds: o.seeds, twice: o.twice, long: o.long}}
	}
	return []spell{
		{seeds: seedRange{from: 0, to: fixedSeeds - 1, bounded: true}, twice: true},
		{seeds: o.seeds.first(freshSeedsMost), twice: o.twice, long: freshTime},
	}
}

// soak lives seed after seed on all cores.
func soak(ctx context.Context, o options, out, notes io.Writer) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := newSummary(o, notes, stop)
	defer s.tellProgress(ctx)()
	for _, part := range o.spells() {
		s.live(ctx, part)
	}
	s.finish()
	s.print(out)
	if s.Broken.Seeds > 0 || len(s.Seldom) > 0 {
		return 1
	}
	return 0
}

// live lives the seeds of a spell.
func (s *summary) live(ctx context.Context, part spell) {
	if part.long > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, part.long)
		defer stop()
	}
	seeds := make(chan uint64)
	go func() {
		defer close(seeds)
		for n := part.seeds.from; !part.seeds.bounded || n <= part.seeds.to; n++ {
			select {
			case <-ctx.Done():
				return
			case seeds <- n:
			}
		}
	}()
	var workers sync.WaitGroup
	for range max(1, s.o.workers) {
		workers.Go(func() {
			for n := range seeds {
				s.seed(n, part.twice)
			}
		})
	}
	workers.Wait()
}
