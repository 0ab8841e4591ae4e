// Command soak lives seeded fleets under faults for as long as told, and says
// what it saw. A seed that breaks a promise prints itself and is shrunk to the
// faults that it needs; both schedules are written to files that -replay takes.
// Its exit status is 0 where every promise held, 1 where one was broken or a kind
// of fault struck too seldom, 2 where it was called wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the command line says.
type options struct {
	long     time.Duration
	seeds    seedRange
	ci       bool
	seed     string
	replay   string
	log      bool
	faults   bool
	twice    bool
	json     bool
	workers  int
	shrink   int
	most     int // broken seeds until it stops
	least    int // times that each kind of fault must have struck
	out      string
	progress time.Duration
	profile  string
}

const usage = `Usage: go run ./test/soak [flags]

Lives seeded fleets under faults and judges them. Without -seeds the seeds are
fresh, by the clock. Ctrl-C ends it with the summary of what was lived.

  go run ./test/soak -for 10m                     fresh seeds for ten minutes
  go run ./test/soak -seeds 0..9999 -least 1000   these seeds, each kind of fault often
  go run ./test/soak -seeds 500.. -for 2m         from 500 on, for two minutes
  go run ./test/soak -ci                          what every change is held against; see the Makefile
  go run ./test/soak -seed 17 -log                one fleet's log
  go run ./test/soak -replay dist/soak/17.shrunk.json -log
  go run ./test/soak -for 2m -json | jq .faults

Flags:
`

// gcPercent: a few megabytes live, and collecting them less often saves a quarter
// of the time.
const gcPercent = 800

func run(ctx context.Context, args []string, out, notes io.Writer) int {
	o, err := parse(args, notes)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(notes, err)
		return 2
	}
	debug.SetGCPercent(gcPercent)
	if o.profile != "" {
		stop, err := profile(o.profile)
		if err != nil {
			fmt.Fprintln(notes, err)
			return 2
		}
		defer stop()
	}
	if o.seed != "" || o.replay != "" {
		return one(o, out, notes)
	}
	return soak(ctx, o, out, notes)
}

func parse(args []string, notes io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(notes)
	f.Usage = func() { fmt.Fprint(notes, usage); f.PrintDefaults() }
	f.DurationVar(&o.long, "for", time.Minute, "how long to go on, where the seeds have no end")
	seeds := f.String("seeds", "", "A..B: these `seeds`, and no others; A..: from A on")
	f.BoolVar(&o.ci, "ci", false, fmt.Sprintf("live %d fixed seeds, each twice, and then %d of -seeds, for %s at most", fixedSeeds, freshSeedsMost, freshTime))
	f.StringVar(&o.seed, "seed", "", "live this `seed` alone")
	f.StringVar(&o.replay, "replay", "", "live the schedule in this `file` alone")
	f.BoolVar(&o.log, "log", false, "with -seed or -replay: print the log")
	f.BoolVar(&o.faults, "faults", false, "with -seed or -replay: print the schedule as JSON")
	f.BoolVar(&o.twice, "twice", false, "live each seed twice, and compare the logs byte for byte")
	f.BoolVar(&o.json, "json", false, "print the summary as one JSON object on stdout, all else on stderr")
	f.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "how many fleets at once")
	f.IntVar(&o.shrink, "shrink", 200, "how many runs to spend on shrinking a schedule that breaks a promise; 0: none")
	f.IntVar(&o.most, "most", 5, "stop after so many seeds that break a promise")
	f.IntVar(&o.least, "least", 0, "fail where a kind of fault changed fewer results or events than this")
	f.StringVar(&o.out, "out", "dist/soak", "the `folder` for schedules that break a promise; empty: write none")
	f.DurationVar(&o.progress, "progress", 30*time.Second, "tell on stderr how far it is; 0: never")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile to this `file`")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q; see -help", f.Arg(0))
	}
	var err error
	o.seeds, err = parseSeeds(*seeds)
	return o, err
}

// seedRange is which seeds to live.
type seedRange struct {
	from, to uint64
	bounded  bool
}

// first are the first n of the seeds, where they have no end.
func (r seedRange) first(n uint64) seedRange {
	if !r.bounded {
		r.to, r.bounded = r.from+n-1, true
	}
	return r
}

// freshSeeds begin where no run has begun before.
func freshSeeds() seedRange {
	return seedRange{from: uint64(time.Now().UnixNano()) % 1_000_000_000_000} //nolint:gosec // after 1970
}

func parseSeeds(text string) (seedRange, error) {
	if text == "" {
		return freshSeeds(), nil
	}
	from, to, both := strings.Cut(text, "..")
	a, err := strconv.ParseUint(from, 10, 64)
	r := seedRange{from: a, to: a, bounded: !both || to != ""}
	if both && to != "" {
		var errTo error
		r.to, errTo = strconv.ParseUint(to, 10, 64)
		err = errors.Join(err, errTo)
	}
	if err != nil || r.bounded && r.to < r.from {
		return r, fmt.Errorf("-seeds must be A..B or A..: %q", text)
	}
	return r, nil
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
