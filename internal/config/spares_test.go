package config

import (
	"testing"
	"time"
)

// TestSparesByTheirOwnClock: what the file says is in force by the zone that it names,
// and the last that matches counts.
func TestSparesByTheirOwnClock(t *testing.T) {
	l, err := load(t, good+"[spares]\nslots = [\"6\", \"12 * 8-18 * * mon-fri\", \"0 * * 24,25 12 *\"]\ntime_zone = \"Europe/Berlin\"\nhold = \"10m\"\n")
	if err != nil {
		t.Fatal(err)
	}
	s := l.Spares.Schedule()
	for text, want := range map[string]int{
		"2026-03-02T06:59:00Z": 6, "2026-03-02T07:00:00Z": 12, "2026-03-02T18:00:00Z": 6, // an hour ahead in winter
		"2026-07-06T05:59:00Z": 6, "2026-07-06T06:00:00Z": 12, // two in summer
		"2026-03-01T09:00:00Z": 6, "2026-12-24T09:00:00Z": 0,
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.At(at); got != want {
			t.Errorf("%s: %d slots, want %d", text, got, want)
		}
	}
	if l.Spares.Hold != 10*time.Minute {
		t.Errorf("held for %s", l.Spares.Hold)
	}
	if got := Default().Spares.Schedule().At(time.Unix(0, 0)); got != 0 {
		t.Errorf("with nothing set %d", got)
	}
}

// TestSparesFromAVariable: a period may have commas of its own; several policies stand
// in brackets, as in the file.
func TestSparesFromAVariable(t *testing.T) {
	for text, want := range map[string]int{`["6 0,30 8-18 * * mon-fri"]`: 1, `6 0,30 8-18 * * mon-fri`: 1, `["0", "6 0,30 8-18 * * mon,tue"]`: 2} {
		l, err := load(t, good, "SHOAL_SPARES_SLOTS="+text)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Spares.Slots) != want || l.Spares.Schedule().At(time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)) != 6 {
			t.Errorf("%s: got %q", text, l.Spares.Slots)
		}
	}
}
