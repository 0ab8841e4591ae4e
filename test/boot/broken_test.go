package boot_test

import (
	"fmt"
	"testing"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestBrokenDaemon: monitor or lifecycle-check cannot be run any more. The other one
// has the instance replaced: its job runs to its end, its runner is unregistered, its
// hook completed, and another instance takes its place.
func TestBrokenDaemon(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{life.UnitMonitor, life.UnitLifecycleCheck} {
		t.Run(unit, func(t *testing.T) {
			t.Parallel()
			f := open(t, func(p *plan) { p.settings["monitor.unhealthy_after"] = `"12s"` })
			m := f.up()
			job := f.submit("sleep 45 & wait $!", "echo the child has ended")
			f.untilJob(job, world.JobRunning)
			dropin := fmt.Sprintf("mkdir -p /run/systemd/system/%[1]s.d && printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' > /run/systemd/system/%[1]s.d/broken.conf && systemctl daemon-reload && systemctl kill --kill-whom=main --signal=KILL %[1]s", unit)
			if _, err := m.run("sh", "-c", dropin); err != nil {
				t.Fatal(err)
			}
			f.untilSaid(m, unit+" does not") // run, or stay up: by whether the first look met it between two starts
			f.untilSaid(m, "reported this instance Unhealthy", unit+" is broken")
			f.untilSaid(m, "unreg-runner", "drain and unregister (scale-in)")
			j := f.untilJob(job, world.JobSuccess)
			if i := f.gone(m); i.DeadAt.Before(j.FinishedAt) {
				t.Errorf("the machine died at %s, its job ended at %s", i.DeadAt, j.FinishedAt)
			}
			if f.registered(m) {
				t.Error("it is still registered in GitLab")
			}
			if f.record(m).Reason != world.ReasonUnhealthy {
				t.Errorf("the group took it because %s", f.record(m).Reason)
			}
			if f.up() == m {
				t.Error("it is still in service")
			}
			f.works()
		})
	}
}
