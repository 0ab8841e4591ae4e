package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate"
)

// found is what the program with the defect in it reports.
type found struct {
	Found   bool              `json:"found"`
	Seed    uint64            `json:"seed"`
	Promise string            `json:"promise"`
	What    string            `json:"what"`
	Small   simulate.Schedule `json:"small"` // what is left of the schedule
	Drawn   int               `json:"drawn"` // faults that it had
}

// hunt lives seeds until a promise breaks, and shrinks what broke it.
func hunt(from, to uint64, tries int) found {
	for seed := from; seed <= to; seed++ {
		s := simulate.DrawAny(seed)
		r := simulate.Run(s, simulate.Options{})
		if len(r.Broken) == 0 {
			continue
		}
		f := found{Found: true, Seed: seed, Promise: r.Broken[0].Promise, What: r.Broken[0].What, Small: s, Drawn: len(s.Faults)}
		if tries > 0 {
			f.Small = simulate.Shrink(s, f.Promise, tries)
		}
		return f
	}
	return found{}
}

// row is one line of the table.
type row struct {
	patch
	found
	seeds uint64 // lived until it was found
	took  time.Duration
	err   error
}

func (r row) String() string {
	if r.err != nil {
		return r.err.Error()
	}
	return fmt.Sprintf("%s: seed %d breaks %q: %s; %d of %d faults are enough, %s", r.name, r.Seed, r.Promise, r.What, len(r.Small.Faults), r.Drawn, r.took.Round(time.Second))
}

// prove hunts one defect. A seed that breaks a promise without the defect too is
// no find of it: the hunt goes on.
func prove(p patch, o options) row {
	r := row{patch: p}
	dir, err := os.MkdirTemp("", "planted-")
	if err != nil {
		r.err = err
		return r
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "planted")
	if r.err = p.build(dir, binary); r.err != nil {
		return r
	}
	if o.recorded {
		r.err = r.replay(binary)
		return r
	}
	for from := o.from; from <= o.to; from = r.Seed + 1 {
		if r.found, r.err = run1(binary, from, o.to, o.tries); r.err != nil {
			return r
		}
		if !r.Found {
			break
		}
		if keeps(simulate.DrawAny(r.Seed)) && keeps(r.Small) {
			r.seeds = r.Seed - o.from + 1
			if n := len(r.Small.Faults); n > faultsMost && o.tries > 0 {
				r.err = fmt.Errorf("%s: %d faults are left of the schedule that found it, at most %d may be (seed %d, %q: %s)", p.name, n, faultsMost, r.Seed, r.Promise, r.What)
			}
			return r
		}
	}
	r.err = fmt.Errorf("%s: NOT FOUND within %d seeds: %s", p.name, o.to-o.from+1, p.says)
	return r
}

// keeps tells whether the code without the defect keeps every promise.
func keeps(s simulate.Schedule) bool { return len(simulate.Run(s, simulate.Options{}).Broken) == 0 }

// replay lives the seed that the table names.
func (r *row) replay(binary string) error {
	seed, err := recordedSeed(r.name)
	if err != nil {
		return err
	}
	if r.found, err = run1(binary, seed, seed, 0); err != nil {
		return err
	}
	r.seeds = seed + 1
	if !r.Found || !keeps(simulate.DrawAny(seed)) {
		return fmt.Errorf("%s: seed %d no longer finds it: go run ./test/planted -update", r.name, seed)
	}
	return nil
}

func run1(binary string, from, to uint64, tries int) (found, error) {
	var f found
	cmd := exec.Command(binary, "-hunt", "-from", strconv.FormatUint(from, 10), "-to", strconv.FormatUint(to, 10), "-shrink", strconv.Itoa(tries)) //nolint:gosec // our own binary
	text, err := cmd.Output()
	if err != nil {
		return f, fmt.Errorf("hunt: %w", err)
	}
	return f, json.Unmarshal(text, &f)
}
