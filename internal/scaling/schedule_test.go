package scaling_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/scaling"
)

func period(t *testing.T, text string) scaling.Period {
	t.Helper()
	p, err := scaling.ParsePeriod(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPeriods(t *testing.T) {
	for _, c := range []struct {
		period string
		at     string
		want   bool
	}{
		{"* * * * *", "2026-03-02T09:00:00Z", true}, // a Monday
		{"* 8-18 * * mon-fri", "2026-03-02T08:00:00Z", true},
		{"* 8-18 * * mon-fri", "2026-03-02T18:59:59Z", true},
		{"* 8-18 * * mon-fri", "2026-03-02T19:00:00Z", false},
		{"* 8-18 * * MON-FRI", "2026-03-01T09:00:00Z", false},
		{"* * * * 7", "2026-03-01T09:00:00Z", true},
		{"* * * * 0", "2026-03-01T09:00:00Z", true},
		{"*/15 * * * *", "2026-03-02T09:30:00Z", true},
		{"*/15 * * * *", "2026-03-02T09:31:00Z", false},
		{"5/10 * * * *", "2026-03-02T09:25:00Z", true},
		{"0,30 6,7,8-9 * * *", "2026-03-02T09:30:00Z", true},
		{"* * 2 jan,mar *", "2026-03-02T09:30:00Z", true},
		{"* * 1 * mon", "2026-03-02T09:30:00Z", true}, // the first, or a Monday
		{"* * 1 * mon", "2026-03-03T09:30:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := period(t, c.period).Contains(at); got != c.want {
			t.Errorf("%q contains %s: %v", c.period, c.at, got)
		}
	}
}

func TestPeriodsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"* * * *":       "4 fields; it has five",
		"60 * * * *":    `minute: "60" is no number from 0 to 59`,
		"* 18-8 * * *":  "hour: 18-8: from later to earlier",
		"* * * foo *":   `month: "foo" is no number`,
		"*/0 * * * *":   "a step is a number from 1",
		"* * 0 * *":     `day of the month: "0"`,
		"* * * * mon-8": `"8" is no number from 0 to 7`,
		"-1 * * * *":    "minute",
	} {
		if _, err := scaling.ParsePeriod(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestScheduleLastWins, by each policy's own clock.
func TestScheduleLastWins(t *testing.T) {
	east := time.FixedZone("east", 3*3600)
	s := scaling.Schedule{
		{Slots: 1},
		{Periods: []scaling.Period{period(t, "* 8-18 * * mon-fri")}, Zone: east, Slots: 12},
		{Periods: []scaling.Period{period(t, "* 12 * * *"), period(t, "* 13 * * *")}, Zone: east, Slots: 6},
	}
	for at, want := range map[string]int{
		"2026-03-02T04:59:00Z": 1, "2026-03-02T05:00:00Z": 12, "2026-03-02T09:30:00Z": 6, "2026-03-02T10:30:00Z": 6,
		"2026-03-02T11:00:00Z": 12, "2026-03-01T05:00:00Z": 1,
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.At(now); got != want {
			t.Errorf("at %s: %d slots, want %d", at, got, want)
		}
	}
	if got := (scaling.Schedule{}).At(time.Now()); got != 0 {
		t.Errorf("no policy: %d", got)
	}
}

func TestParseSpares(t *testing.T) {
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]int{"6": 6, " 0 ": 0, "6\t* 12 * * *": 6, "12 * 12 * * *": 12, "12 * 13 * * *": 0} {
		s, err := scaling.ParseSpares(text, time.UTC)
		if got := (scaling.Schedule{s}).At(noon); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "number of slots", "-1": "number of slots", "* 8 * * *": "number of slots", "1000001": "number of slots", "6x": "number of slots",
		"6 * 8": "2 fields", "6 * 25 * * *": "hour",
	} {
		if _, err := scaling.ParseSpares(text, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParsePeriod(f *testing.F) {
	f.Add("* 8-18 * * mon-fri")
	f.Add("*/15 1,2 1-31/2 jan-dec 7")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := scaling.ParsePeriod(text)
		if err != nil {
			return
		}
		for h := range 24 * 366 { // every period comes round, or never by the calendar
			_ = p.Contains(time.Date(2024, 1, 1, h, 0, 0, 0, time.UTC))
		}
	})
}
