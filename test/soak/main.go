// Command soak lives seeded fleets under faults for as long as told, and says
// what it saw. A seed that breaks a promise prints itself, is shrunk to the
// faults that it needs, and can be replayed:
//
//	go run ./test/soak -for 2m
//	go run ./test/soak -seeds 0..999
//	go run ./test/soak -seed 17 -log
//	go run ./test/soak -replay schedule.json -log
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout)) }

// options are what the command line says.
type options struct {
	long        time.Duration
	from, to    uint64 // seeds
	bounded     bool
	seed        string
	replay      string
	log, twice  bool
	workers     int
	shrink      int
	most        int // broken seeds until it stops
	profile     string
	printFaults bool
}

func run(args []string, out io.Writer) int {
	o, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return 2
	}
	// The live heap is a few megabytes: collecting it less often is a third of the time.
	debug.SetGCPercent(800)
	if o.profile != "" {
		stop, err := profile(o.profile)
		if err != nil {
			fmt.Fprintln(out, err)
			return 2
		}
		defer stop()
	}
	if o.seed != "" || o.replay != "" {
		return one(o, out)
	}
	return soak(o, out)
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(out)
	f.DurationVar(&o.long, "for", time.Minute, "how long to go on, where no seeds are given")
	seeds := f.String("seeds", "", "A..B: these seeds, and no others; A..: from A on")
	f.StringVar(&o.seed, "seed", "", "live this seed alone")
	f.StringVar(&o.replay, "replay", "", "live the schedule in this file alone")
	f.BoolVar(&o.log, "log", false, "with -seed or -replay: print the log")
	f.BoolVar(&o.printFaults, "faults", false, "with -seed or -replay: print the schedule as JSON")
	f.BoolVar(&o.twice, "twice", false, "live each seed twice and compare")
	f.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "how many fleets at once")
	f.IntVar(&o.shrink, "shrink", 200, "how many runs to spend on shrinking a schedule that breaks a promise; 0: none")
	f.IntVar(&o.most, "most", 5, "stop after so many seeds that break a promise")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile to this file")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *seeds == "" {
		o.from = uint64(time.Now().UnixNano()) % 1_000_000_000_000 //nolint:gosec // after 1970
		return o, nil
	}
	from, to, both := strings.Cut(*seeds, "..")
	var err, err2 error
	o.from, err = strconv.ParseUint(from, 10, 64)
	o.to = o.from
	if both && to != "" {
		o.to, err2 = strconv.ParseUint(to, 10, 64)
	}
	o.bounded = !both || to != ""
	if err = errors.Join(err, err2); err != nil || o.bounded && o.to < o.from {
		return o, fmt.Errorf("-seeds must be A..B: %q", *seeds)
	}
	return o, nil
}

func profile(path string) (stop func(), err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}, nil
}

// one lives one schedule and shows it.
func one(o options, out io.Writer) int {
	s, err := schedule(o)
	if err != nil {
		fmt.Fprintln(out, err)
		return 2
	}
	if o.printFaults {
		_ = json.NewEncoder(out).Encode(s)
	}
	r := simulate.Run(s, simulate.Options{Log: o.log})
	_, _ = out.Write(r.Log)
	for _, b := range r.Broken {
		fmt.Fprintf(out, "BROKEN at %s: %s: %s\n", b.At, b.Promise, b.What)
	}
	if len(r.Broken) > 0 {
		if o.shrink > 0 && !o.log {
			showShrunk(out, s, r.Broken[0].Promise, o.shrink)
		}
		return 1
	}
	return 0
}

func schedule(o options) (simulate.Schedule, error) {
	if o.replay == "" {
		seed, err := strconv.ParseUint(o.seed, 10, 64)
		return simulate.Draw(seed), err
	}
	var s simulate.Schedule
	text, err := os.ReadFile(o.replay)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

func showShrunk(out io.Writer, s simulate.Schedule, promise string, tries int) {
	small := simulate.Shrink(s, promise, tries)
	text, _ := json.Marshal(small) //nolint:errchkjson // plain fields
	fmt.Fprintf(out, "  %d of %d faults are enough to break %q:\n", len(small.Faults), len(s.Faults), promise)
	for _, f := range small.Faults {
		fmt.Fprintf(out, "    %s\n", f)
	}
	fmt.Fprintf(out, "  replay: go run ./test/soak -log -replay FILE, with in FILE:\n  %s\n", text)
}

// soak lives seed after seed on all cores.
func soak(o options, out io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !o.bounded {
		ctx, cancel = context.WithTimeout(ctx, o.long)
		defer cancel()
	}
	seeds := make(chan uint64)
	go func() {
		defer close(seeds)
		for s := o.from; !o.bounded || s <= o.to; s++ {
			select {
			case seeds <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
	sum := summary{out: out, o: o, hits: map[simulate.Kind]int{}, began: time.Now(), stop: cancel}
	var workers sync.WaitGroup
	for range max(1, o.workers) {
		workers.Go(func() {
			for s := range seeds {
				sum.live(s)
			}
		})
	}
	workers.Wait()
	sum.print()
	if sum.broken > 0 {
		return 1
	}
	return 0
}
