package systemd

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// States that Notify sends; a daemon's unit has Type=notify.
const (
	Ready    = daemon.SdNotifyReady
	Stopping = daemon.SdNotifyStopping
	Watchdog = daemon.SdNotifyWatchdog
)

// Status is a line that systemctl status shows.
func Status(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ") // a line break would begin another variable
}

// Notify tells systemd a state. Without systemd (NOTIFY_SOCKET unset) it does
// nothing.
func Notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// WatchdogInterval is how often Watchdog must be sent, half of the unit's
// WatchdogSec=; 0 when there is no watchdog.
func WatchdogInterval() time.Duration {
	d, err := daemon.SdWatchdogEnabled(false)
	if err != nil || d <= 0 {
		return 0
	}
	return d / 2
}
