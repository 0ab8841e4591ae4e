package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/shoal-ci/shoal/internal/simulate"
)

// one lives one schedule and shows it.
func one(o options, out, notes io.Writer) int {
	schedule, err := scheduleOf(o)
	if err != nil {
		fmt.Fprintln(notes, err)
		return 2
	}
	if o.faults {
		_ = json.NewEncoder(out).Encode(schedule)
	}
	r := simulate.Run(schedule, simulate.Options{Log: o.log})
	_, _ = out.Write(r.Log)
	if len(r.Broken) == 0 {
		fmt.Fprintf(notes, "no promise is broken: %d instances, %d jobs, %d steps, digest %016x\n", r.Instances, r.Jobs, r.Steps, r.Digest)
		return 0
	}
	s := newSummary(o, notes, func() {})
	if o.log || o.replay != "" { // the schedule is in a file already, or the log is what was asked for
		s.o.shrink, s.o.out = 0, ""
	}
	s.show(schedule, r)
	return 1
}

func scheduleOf(o options) (simulate.Schedule, error) {
	if o.replay == "" {
		seed, err := strconv.ParseUint(o.seed, 10, 64)
		return simulate.DrawAny(seed), err
	}
	var s simulate.Schedule
	text, err := os.ReadFile(o.replay)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("read schedule: %w", err)
	}
	return s, nil
}
