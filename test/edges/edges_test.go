package edges_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate"
)

// TestFleets lives fleets through the edges: no promise breaks.
func TestFleets(t *testing.T) {
	first, n := *from, *seeds
	switch {
	case n == 0 && first == 0:
		first, n = 1, held
	case n == 0:
		n = 1
	case first == 0:
		first = uint64(time.Now().UnixNano()) % 1_000_000_000_000 //nolint:gosec // after 1970
	}
	sum := newSummary()
	t.Cleanup(func() { t.Logf("seeds %d..%d", first, first+uint64(n)-1); sum.print(t) }) //nolint:gosec // not negative
	for seed := first; seed < first+uint64(n); seed++ {                                  //nolint:gosec // not negative
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			s := simulate.Draw(seed)
			var r simulate.Result
			synctest.Test(t, func(t *testing.T) { r = live(t, s, lengthOf(seed), nil) })
			sum.add(r)
			report(t, s, r)
		})
	}
}

// lengthOf is how long a seed's run is. The whole of each schedule would be an hour
// of a processor for 300 seeds; and a leak shows only after half an hour.
func lengthOf(seed uint64) time.Duration {
	switch {
	case *length > 0:
		return *length
	case *seeds == 0 && *from == 0:
		return heldLength
	case seed%12 == 0:
		return 2 * time.Hour
	}
	return 36 * time.Minute
}

// TestNothingGoesWrongWithoutFaults: the judge has nothing to say, no job is
// interrupted or lost, and nothing is counted that did not happen.
func TestNothingGoesWrongWithoutFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := live(t, simulate.Schedule{Seed: 5}, heldLength, nil)
		if len(r.Broken) > 0 || r.Lost > 0 || r.Interrupted > 0 || len(r.Hits) > 0 || r.Finished < 50 {
			t.Errorf("broken %v; of %d jobs %d finished, %d lost, %d interrupted; faults %v", r.Broken, r.Jobs, r.Finished, r.Lost, r.Interrupted, r.Hits)
		}
	})
}

// report tells of broken promises, with all that brings them about again.
func report(t *testing.T, s simulate.Schedule, r simulate.Result) {
	t.Helper()
	for _, b := range r.Broken {
		t.Errorf("at %s: %s: %s", b.At, b.Promise, b.What)
	}
	if len(r.Broken) > 0 {
		t.Errorf("seed %d of %s; the schedule and the log are in %s", s.Seed, lengthOf(s.Seed), kept(t, s, r))
	}
	if r.Peak < 20 || r.Finished == 0 {
		t.Errorf("%d instances at once, %d jobs finished: this proves nothing", r.Peak, r.Finished)
	}
}

// kept writes down what a run was that nobody can have again.
func kept(t *testing.T, s simulate.Schedule, r simulate.Result) string {
	t.Helper()
	base := filepath.Join(*keep, fmt.Sprintf("edges-%d", s.Seed))
	text, err := json.Marshal(s)
	if err := errors.Join(err, os.MkdirAll(*keep, 0o755), os.WriteFile(base+".json", text, 0o600), os.WriteFile(base+".log", r.Log, 0o600)); err != nil {
		t.Error(err)
	}
	return base + ".*"
}
