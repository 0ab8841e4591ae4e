package cli

import (
	"slices"
	"testing"

	"github.com/shoal-ci/shoal/internal/systemd"
)

// TestPulse: systemd hears of the webhook only while all of its machines go round, and
// that it is ready or stops from nobody but the server.
func TestPulse(t *testing.T) {
	var told []string
	p := newPulse(func(s string) { told = append(told, s) }, 2)
	one, two := p.member(), p.member()
	for _, s := range []string{systemd.Ready, "STATUS=busy", systemd.Watchdog, systemd.Watchdog, systemd.Stopping} {
		one(s)
	}
	if !slices.Equal(told, []string{"STATUS=busy"}) {
		t.Errorf("told %q though one machine hangs", told)
	}
	two(systemd.Watchdog)
	one(systemd.Watchdog)
	if !slices.Equal(told, []string{"STATUS=busy", systemd.Watchdog}) {
		t.Errorf("told %q", told)
	}
}
