package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/shoal-ci/shoal/internal/simulate"
)

// seed lives one seed, and shows what it breaks.
func (s *summary) seed(seed uint64, twice bool) {
	schedule := simulate.DrawAny(seed)
	r := simulate.Run(schedule, simulate.Options{Log: twice})
	if twice {
		again := simulate.Run(schedule, simulate.Options{Log: true})
		if again.Digest != r.Digest || !bytes.Equal(again.Log, r.Log) {
			r.Broken = append(r.Broken, simulate.Broken{Promise: "replay", What: "two runs of one schedule differ"})
		}
	}
	if s.add(seed, r) {
		s.show(schedule, r)
	}
}

// show tells of a seed that breaks a promise, in one piece.
func (s *summary) show(schedule simulate.Schedule, r simulate.Result) {
	var text bytes.Buffer
	fmt.Fprintf(&text, "seed %d breaks %d promises:\n", schedule.Seed, len(r.Broken))
	for n, b := range r.Broken {
		if n < 5 {
			fmt.Fprintf(&text, "  at %s: %s: %s\n", b.At, b.Promise, b.What)
		}
	}
	file := filepath.Join(s.o.out, strconv.FormatUint(schedule.Seed, 10))
	write(&text, s.o.out, file+".json", schedule)
	if s.o.shrink > 0 {
		small := simulate.Shrink(schedule, r.Broken[0].Promise, s.o.shrink)
		fmt.Fprintf(&text, "  %d of %d faults are enough to break %q:\n", len(small.Faults), len(schedule.Faults), r.Broken[0].Promise)
		for _, f := range small.Faults {
			fmt.Fprintf(&text, "    %s\n", f)
		}
		write(&text, s.o.out, file+".shrunk.json", small)
	}
	s.say(text.String())
}

// write keeps a schedule in a file, and tells how to live it again.
func write(text *bytes.Buffer, folder, file string, schedule simulate.Schedule) {
	if folder == "" {
		return
	}
	content, err := json.MarshalIndent(schedule, "", "  ")
	if err == nil {
		err = os.MkdirAll(folder, 0o755) //nolint:gosec // nothing secret
	}
	if err == nil {
		err = os.WriteFile(file, append(content, '\n'), 0o644) //nolint:gosec // nothing secret
	}
	if err != nil {
		fmt.Fprintf(text, "  cannot keep the schedule: %v\n", err)
		return
	}
	fmt.Fprintf(text, "  again: go run ./test/soak -replay %s -log\n", file)
}
