// Command planted proves that the judge judges. Each patch in patches/ puts one
// defect into the production machines. On a copy that has it, seeds are lived
// from 0 on until a promise breaks; the schedule that broke it is shrunk to the
// faults that it needs; and the code without the defect must keep every promise
// under both. A defect that is not found within 500 seeds, or needs more than
// twelve faults, fails the program.
//
//	go run ./test/planted
//	go run ./test/planted -update              # and write the table into docs/reliability.md
//	go run ./test/planted -recorded            # only the seeds that the table names
//	go run ./test/planted no-heartbeat …       # these alone
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// What is promised of the judge.
const (
	seedsMost  = 500
	faultsMost = 12
	fewest     = 25 // defects
)

func main() { os.Exit(run(os.Args[1:], os.Stdout)) }

type options struct {
	update, recorded bool
	hunts            bool // this is the program with the defect in it
	from, to         uint64
	tries            int
	workers          int
	names            []string
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
	// The live heap is a few megabytes: collecting it less often saves a third of the time.
	debug.SetGCPercent(800)
	if o.hunts {
		if err := json.NewEncoder(out).Encode(hunt(o.from, o.to, o.tries)); err != nil {
			return 1
		}
		return 0
	}
	if err := proveAll(o, out); err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	return 0
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("planted", flag.ContinueOnError)
	f.SetOutput(out)
	f.BoolVar(&o.update, "update", false, "write the table into docs/reliability.md")
	f.BoolVar(&o.recorded, "recorded", false, "live only the seed that the table names for each defect, and shrink nothing")
	f.IntVar(&o.tries, "shrink", 300, "how many runs to spend on shrinking a schedule")
	f.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "how many defects at once")
	f.Uint64Var(&o.from, "from", 0, "the first seed")
	f.Uint64Var(&o.to, "to", seedsMost-1, "the last seed")
	f.BoolVar(&o.hunts, "hunt", false, "used by the program itself: live seeds in this process")
	err := f.Parse(args)
	o.names = f.Args()
	return o, err
}

// proveAll proves each defect found and prints the table.
func proveAll(o options, out io.Writer) error {
	all, err := patches()
	if err != nil {
		return err
	}
	if len(all) < fewest {
		return fmt.Errorf("%d defects are planted, at least %d must be", len(all), fewest)
	}
	var list []patch
	for _, p := range all {
		if len(o.names) == 0 || slices.Contains(o.names, p.name) {
			list = append(list, p)
		}
	}
	rows := proveEach(list, o, out)
	text := table(rows)
	fmt.Fprint(out, "\n", text)
	var failures []error
	for _, r := range rows {
		failures = append(failures, r.err)
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	if o.update {
		return document(text, len(o.names) == 0)
	}
	return nil
}

// proveEach proves a few at once; the rows come in the patches' order.
func proveEach(list []patch, o options, out io.Writer) []row {
	rows := make([]row, len(list))
	next := make(chan int)
	go func() {
		defer close(next)
		for n := range list {
			next <- n
		}
	}()
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range max(1, o.workers) {
		workers.Go(func() {
			for n := range next {
				began := time.Now()
				r := prove(list[n], o)
				r.took = time.Since(began)
				mu.Lock()
				rows[n] = r
				fmt.Fprintln(out, r)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return rows
}
