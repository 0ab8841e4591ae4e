package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/simulate"
)

func TestSeeds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]seedRange{
		"7":    {from: 7, to: 7, bounded: true},
		"3..9": {from: 3, to: 9, bounded: true},
		"5..":  {from: 5, to: 5},
	} {
		if got, err := parseSeeds(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "9..3", "..", "1..x"} {
		if _, err := parseSeeds(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestSummary: what a program reads says what was lived, and lists every kind of
// fault; too few of them are a failure.
func TestSummary(t *testing.T) {
	t.Parallel()
	var out, notes bytes.Buffer
	if code := run(t.Context(), []string{"-seeds", "3", "-twice", "-json", "-least", "1000", "-out", t.TempDir()}, &out, &notes); code != 1 {
		t.Errorf("exit %d, want 1: no fault struck a thousand times\n%s", code, &notes)
	}
	var got summary
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if got.Seeds != 1 || got.First != 3 || got.FleetHours < 4 || got.Instances.FewestAtPeak < 20 || got.Broken.Seeds > 0 || len(got.Faults) != len(simulate.Kinds()) {
		t.Errorf("got %s\n%s", &out, &notes)
	}
}

// TestUsage: a flag that is not there is told, and nothing is lived.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-no-such"}, {"-seeds", "b"}, {"-seed", "b"}, {"-replay", "/no/such"}, {"extra"}} {
		var out, notes bytes.Buffer
		if code := run(t.Context(), args, &out, &notes); code != 2 || notes.Len() == 0 || out.Len() > 0 {
			t.Errorf("%v: exit %d, %q, %q", args, code, &out, &notes)
		}
	}
}

// TestBrokenSeedIsKept in a file that -replay takes, and that is the same life.
func TestBrokenSeedIsKept(t *testing.T) {
	t.Parallel()
	var notes bytes.Buffer
	folder := filepath.Join(t.TempDir(), "new")
	s := newSummary(options{out: folder, most: 1}, &notes, func() {})
	schedule := simulate.Schedule{Seed: 11, Faults: []simulate.Fault{{Kind: simulate.Crash, At: time.Hour, Instance: 2}}}
	s.show(schedule, simulate.Result{Broken: []simulate.Broken{{Promise: "job", At: time.Hour, What: "it is lost"}}})
	file := filepath.Join(folder, "11.json")
	if text := notes.String(); !strings.Contains(text, "seed 11 breaks") || !strings.Contains(text, "-replay "+file) {
		t.Errorf("told %q", text)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"-replay", file, "-log"}, &out, &notes); code != 0 {
		t.Errorf("exit %d\n%s", code, &notes)
	}
	if again := simulate.Run(schedule, simulate.Options{Log: true}); !bytes.Equal(out.Bytes(), again.Log) {
		t.Error("the replayed log is another")
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}
