package systemd

import (
	"context"
	"strings"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// anyWayDown is part of every way down: each final target requires it.
const anyWayDown = "shutdown.target"

// waysDown are the targets that a machine goes down to. While it does, one has a
// start job that waits until every unit has stopped. The first that has one counts.
var waysDown = []struct {
	target string
	means  fleet.Shutdown
}{
	{"poweroff.target", fleet.PowerOff},
	{"halt.target", fleet.PowerOff},
	{"exit.target", fleet.PowerOff},
	{"reboot.target", fleet.Reboot},
	{"kexec.target", fleet.Reboot},
	{"soft-reboot.target", fleet.Reboot}, // systemd 254 and later; older ones know no such unit and say so
	// A target of somebody's own: what is kept can still be removed later.
	{anyWayDown, fleet.Reboot},
}

// Shutdown tells whether the machine is going down, and how. It is asked by the
// jobs that wait: `is-system-running` says "stopping" for every way alike, and a
// target is active only when nobody is left to ask. Any user may ask; a process
// of root's without capabilities reaches systemd by /run/systemd/private, which
// stays to the very end, the bus does not.
func (u *Units) Shutdown(ctx context.Context) (fleet.Shutdown, error) {
	args := []string{"show", "--property=Id,Job"}
	for _, w := range waysDown {
		args = append(args, w.target)
	}
	out, err := u.systemctl(ctx, "read the job of", anyWayDown, args...)
	if err != nil {
		return fleet.NotGoingDown, err
	}
	return parseShutdown(out)
}

// parseShutdown reads one block of KEY=value lines for each unit, with a blank
// line between two. Job= is a number where a job waits; else it is empty, 0 or
// not there, by systemd's version.
func parseShutdown(out string) (fleet.Shutdown, error) {
	waits := map[string]bool{}
	for block := range strings.SplitSeq(out, "\n\n") {
		id, job := "", ""
		for line := range strings.Lines(block) {
			switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
			case "Id":
				id = value
			case "Job":
				job = value
			}
		}
		waits[id] = job != "" && job != "0"
	}
	if _, answered := waits[anyWayDown]; !answered { // an empty answer is no answer
		return fleet.NotGoingDown, notUnderstood(anyWayDown, out)
	}
	for _, w := range waysDown {
		if waits[w.target] {
			return w.means, nil
		}
	}
	return fleet.NotGoingDown, nil
}
