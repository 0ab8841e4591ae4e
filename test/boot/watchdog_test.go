package boot_test

import (
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/life"
)

// TestWatchdog: a daemon that hangs is aborted after the minute of its unit and
// started again, and nothing else comes of it.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	f := open(t)
	m := f.up()
	daemons := []string{life.UnitMonitor, life.UnitLifecycleCheck}
	for _, unit := range daemons {
		// Before it has said that it is up it is its start that times out.
		f.until(unit+" to be up", func() bool { return m.show(unit, "ActiveState") == "active" })
		if _, err := m.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", unit); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range daemons {
		f.within(2*time.Minute, unit+" to be started again", func() bool {
			return m.show(unit, "NRestarts") == "1" && m.show(unit, "ActiveState") == "active"
		})
		f.untilSaid(m, unit, "Watchdog timeout")
	}
	f.works()
	f.drainedNothing(m)
}
