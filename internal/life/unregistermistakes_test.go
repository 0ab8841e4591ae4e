package life_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestMistakesAreSaid once, and only where there is something to do.
func TestMistakesAreSaid(t *testing.T) {
	for _, c := range []struct {
		name   string
		notice bool
		down   fleet.Shutdown
		unit   string
		says   int
	}{
		{"no notice", false, fleet.NotGoingDown, life.UnitUnregister, 0},
		{"a notice", true, fleet.NotGoingDown, life.UnitUnregister, 1},
		{"an ordinary stop", false, fleet.NotGoingDown, shutdownStops, 0},
		{"an ordinary stop in a drain", true, fleet.NotGoingDown, shutdownStops, 0},
		{"a power-off", false, fleet.PowerOff, shutdownStops, 1},
		{"a power-off in a drain", true, fleet.PowerOff, shutdownStops, 1},
	} {
		s, set := stays(t, time.Second), defaults
		set.unregister.Mistakes = &fleet.Failure{Kind: fleet.Invalid, Op: "read the configuration", Message: "unknown key"}
		if c.notice {
			s.files.flags.Notice = &fleet.Notice{Kind: fleet.NoticeScaleIn, SeenAt: s.now}
		}
		s.down = c.down
		s.startWith(c.unit, set)
		s.runUntil(time.Minute, func() bool { return !s.running(c.unit) })
		if n := s.saidAt(life.Error, "the configuration has mistakes"); n != c.says {
			t.Errorf("%s: said %d times, want %d", c.name, n, c.says)
		}
	}
}
