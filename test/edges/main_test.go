// Package edges_test lives simulated fleets through the real edges: the schedules
// of package simulate, with their fleets, jobs, operators and faults, and its
// judge; but each process of an instance is a run of package agent with the AWS
// SDK and the clients for the metadata, for GitLab and for the metrics, and with
// real files. Their requests reach the emulator's faces of the simulated world
// over memory, and time is that of a testing/synctest bubble. systemctl and
// gitlab-runner itself are those of the simulator.
//
// What runs at once is shuffled, so that a seed gives the same fleet and the same
// faults but not the same life twice. Where a seed breaks a promise, its schedule and
// the log of that very run are kept:
//
//	go test ./test/edges -run Fleets -v -seeds 300
//	go test ./test/edges -run Fleets -v -from 17 -count 10
package edges_test

import (
	"flag"
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

var (
	seeds  = flag.Int("seeds", 0, "how many seeds to live; 0: those that every change is held against")
	from   = flag.Uint64("from", 0, "the first seed; 0 with -seeds: one by the clock")
	length = flag.Duration("length", 0, "how long each run is; 0: one in twelve two hours, the others 36 minutes")
	keep   = flag.String("out", "../../dist/soak", "where the schedule and the log of a run that breaks a promise are kept")
)

func TestMain(m *testing.M) {
	flag.Parse()
	for _, v := range os.Environ() { // what leads the SDK elsewhere
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	// A few megabytes live, and much garbage: collecting it only when there is a lot
	// saves a fifth of the time.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(512 << 20)
	os.Exit(m.Run())
}
