package cli

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/simulate/capacity"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
	"github.com/shoal-ci/shoal/internal/simulate/tune"
)

// TestTunedSnippetsAreConfigurations: whatever is recommended is a configuration that is
// accepted, and puts into force what was played.
func TestTunedSnippetsAreConfigurations(t *testing.T) {
	flags := tuneFlags{slots: 6, Options: capacity.Options{Max: 40, CheckInterval: 3 * time.Second}}
	if got := settingsInForce(config.Default(), flags); !reflect.DeepEqual(got, tune.Defaults()) {
		t.Fatalf("the defaults are %+v, the configuration's %+v", tune.Defaults(), got)
	}
	for name, turn := range map[string]func(*tune.Settings){
		"nothing":  func(*tune.Settings) {},
		"idle":     func(s *tune.Settings) { s.Idle = 90 * time.Second },
		"all day":  func(s *tune.Settings) { s.Spares, s.Hold = []string{"12"}, 10*time.Minute },
		"schedule": func(s *tune.Settings) { s.Spares = []string{"18 * 22-23,0-5 * * mon-fri"} },
		"readings": func(s *tune.Settings) {
			s.Saturated, s.BlindAfter, s.Learn = time.Second, 30*time.Second, 30*time.Minute
		},
		"webhook": func(s *tune.Settings) { s.Webhook, s.WebhookGrace, s.Anticipate = true, 2*time.Minute, true },
	} {
		s := tune.Defaults()
		turn(&s)
		text := "[gitlab]\nurl = \"https://gitlab.example.com\"\ntoken = \"env:TOKEN\"\n" + tune.Snippet(s.From(tune.Defaults()), tune.InConfig)
		file := filepath.Join(t.TempDir(), "shoal.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := config.Load(config.Source{Path: file})
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		if got := settingsInForce(l.Config, flags); !reflect.DeepEqual(got, s) {
			t.Errorf("%s: played %+v, in force %+v", name, s, got)
		}
		if _, err := capacity.Parse(s.Policy()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTracesOnTheSparesClock: a trace with times is read by the clock of
// spares.time_zone, one in seconds begins at its midnight.
func TestTracesOnTheSparesClock(t *testing.T) {
	start := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		start time.Time
		want  string
	}{{start, "2026-03-02T07:00:00-05:00"}, {trace.Monday, "2024-01-01T00:00:00-05:00"}} {
		if got := inZone(trace.Trace{Start: x.start}, "America/New_York").Start.Format(time.RFC3339); got != x.want {
			t.Errorf("%s: %s, want %s", x.start, got, x.want)
		}
	}
}

// TestTuneBar: the bar goes from a batch's beginning to its end.
func TestTuneBar(t *testing.T) {
	b := newTuneBench(trace.New(trace.Monday, []trace.Job{{Duration: time.Minute}, {Duration: time.Minute}}))
	b.begin(tune.Batch{Plays: []tune.Play{{}, {}}, From: 0.5, To: 0.9})
	if got, want := b.bar(), "[####################....................]  50 % of the search"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	b.done.Add(2)
	if got, want := b.bar(), "[############################............]  70 % of the search"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestTuneIsInterrupted: a search that is stopped ends without waiting for its batch.
func TestTuneIsInterrupted(t *testing.T) {
	b := newTuneBench(trace.New(trace.Monday, []trace.Job{{Duration: time.Minute}}))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	s := tune.Defaults()
	if _, err := b.evaluate(ctx, tune.Batch{Plays: []tune.Play{{Settings: s, Options: s.Options(capacity.Options{})}}}); err == nil || err.Error() != "interrupted" {
		t.Errorf("%v", err)
	}
}
