package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestSeedsTwice lives fleets twice: no promise breaks, and both lives are the
// same, byte for byte, the second from a schedule that went through a file.
func TestSeedsTwice(t *testing.T) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			first := Run(Draw(seed), Options{Log: true})
			for _, b := range first.Broken {
				t.Errorf("at %s: %s: %s", clock(b.At), b.Promise, b.What)
			}
			again := Run(throughFile(t, Draw(seed)), Options{Log: true})
			if !bytes.Equal(first.Log, again.Log) || first.Digest != again.Digest {
				t.Error("two runs of one schedule differ")
			}
			if first.Peak < fewest || first.Length < 4*time.Hour || first.Finished < 100 || len(first.Hits) < 5 {
				t.Errorf("%d instances at once, %s, %d jobs finished, %d kinds of faults: this proves nothing", first.Peak, first.Length, first.Finished, len(first.Hits))
			}
			if shows(string(first.Log)) {
				t.Error("the log shows a token")
			}
		})
	}
}

func throughFile(t *testing.T, s Schedule) Schedule {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Schedule
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s, back) {
		t.Fatal("a schedule does not survive a file")
	}
	return back
}

// TestNothingGoesWrongWithoutFaults: the judge has nothing to say, and no job is
// interrupted or lost.
func TestNothingGoesWrongWithoutFaults(t *testing.T) {
	t.Parallel()
	r := Run(Schedule{Seed: 5}, Options{})
	if len(r.Broken) > 0 || r.Lost > 0 || r.Interrupted > 0 || r.Finished < r.Jobs*9/10 {
		t.Errorf("broken %v; of %d jobs %d finished, %d lost, %d interrupted", r.Broken, r.Jobs, r.Finished, r.Lost, r.Interrupted)
	}
}

// TestTheLogChangesNothing: a run that nobody listens to is the same run.
func TestTheLogChangesNothing(t *testing.T) {
	t.Parallel()
	loud, still := Run(Draw(3), Options{Log: true}), Run(Draw(3), Options{})
	if loud.Digest != still.Digest || loud.Jobs != still.Jobs || loud.Finished != still.Finished || loud.Steps != still.Steps || len(still.Log) > 0 {
		t.Errorf("%d and %d steps, %d and %d jobs", loud.Steps, still.Steps, loud.Finished, still.Finished)
	}
}

func TestShrink(t *testing.T) {
	var all []Fault
	for n := range 60 {
		all = append(all, Fault{Kind: Crash, Instance: n})
	}
	has := func(list []Fault, n int) bool {
		return slices.ContainsFunc(list, func(f Fault) bool { return f.Instance == n })
	}
	runs := 0
	small := shrink(all, 300, func(list []Fault) bool { runs++; return has(list, 7) && has(list, 8) && has(list, 51) })
	if len(small) != 3 || runs > 300 {
		t.Errorf("%d faults are left after %d runs", len(small), runs)
	}
}

// TestTurnsComeInOrder whatever they are put in.
func TestTurnsComeInOrder(t *testing.T) {
	d := &dice{state: 1}
	var q turns
	var want []turn
	last := time.Duration(0)
	for range 20_000 {
		if _, any := q.next(); any && d.chance(0.48) {
			slices.SortFunc(want, func(a, b turn) int {
				if a.before(&place{at: b.at, order: b.order}) {
					return -1
				}
				return 1
			})
			got := q.pop()
			if got.at != want[0].at || got.order != want[0].order {
				t.Fatalf("got %s/%d, want %s/%d", got.at, got.order, want[0].at, want[0].order)
			}
			want, last = want[1:], got.at
			continue
		}
		if len(want) > 60 {
			continue
		}
		n := turn{at: last + time.Duration(d.n(50)), order: d.next()}
		q.push(n)
		want = append(want, n)
	}
}
