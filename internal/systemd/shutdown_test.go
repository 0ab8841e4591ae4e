package systemd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// shown is what systemctl of systemd 252 printed, recorded in an ExecStop= under
// each way down (the numbers of jobs differ from one to the next).
func shown(jobs string) string {
	queued := strings.Fields(jobs)
	var blocks []string
	for _, w := range waysDown {
		job := ""
		if i := slices.Index(queued, w.target); i >= 0 {
			job = fmt.Sprint(178 + i)
		}
		blocks = append(blocks, fmt.Sprintf("Id=%s\nJob=%s\n", w.target, job))
	}
	return strings.Join(blocks, "\n")
}

func TestShutdown(t *testing.T) {
	tests := []struct {
		name, out string
		want      fleet.Shutdown
		fails     bool
	}{
		{name: "systemctl restart of the unit", out: shown(""), want: fleet.NotGoingDown},
		{name: "systemctl poweroff", out: shown("poweroff.target shutdown.target"), want: fleet.PowerOff},
		{name: "systemctl halt", out: shown("halt.target shutdown.target"), want: fleet.PowerOff},
		{name: "systemctl exit in a container", out: shown("exit.target shutdown.target"), want: fleet.PowerOff},
		{name: "systemctl reboot", out: shown("reboot.target shutdown.target"), want: fleet.Reboot},
		{name: "systemctl kexec", out: shown("kexec.target shutdown.target"), want: fleet.Reboot},
		{name: "systemctl soft-reboot", out: shown("soft-reboot.target shutdown.target"), want: fleet.Reboot},
		{name: "power-off in the middle of a reboot", out: shown("reboot.target shutdown.target poweroff.target"), want: fleet.PowerOff},
		{name: "a target of somebody's own", out: shown("shutdown.target"), want: fleet.Reboot},
		{name: "no Job= where there is none", out: "Id=poweroff.target\n\nId=shutdown.target\n", want: fleet.NotGoingDown},
		{name: "Job=0 where there is none", out: "Job=0\nId=poweroff.target\n\nJob=0\nId=shutdown.target\n", want: fleet.NotGoingDown},
		{name: "Job= before Id=", out: "Job=7\nId=poweroff.target\n\nJob=8\nId=shutdown.target\n", want: fleet.PowerOff},
		{name: "nothing", out: "", fails: true},
		{name: "something else", out: "ActiveState=active\n", fails: true},
		{name: "cut short", out: "Id=poweroff.target\nJob=1\n", fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, asked := fake(t, map[string]answer{"show ": {out: tt.out}})
			got, err := u.Shutdown(t.Context())
			if tt.fails {
				_ = failure(t, err, fleet.Temporary)
			} else if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			if a := asked(); len(a) != 1 || !strings.HasPrefix(a[0], "C show --property=Id,Job poweroff.target ") {
				t.Errorf("asked %q", a)
			}
		})
	}
}

// TestShutdownUnknown is a failure: what follows is life's to decide.
func TestShutdownUnknown(t *testing.T) {
	for _, a := range []answer{
		{1, "", "Failed to get properties: Transport endpoint is not connected\n"},
		{1, "", "Failed to get properties: Connection timed out\n"},
	} {
		u, _ := fake(t, map[string]answer{"show ": a})
		if _, err := u.Shutdown(t.Context()); failure(t, err, fleet.Temporary).Op != "read the job of shutdown.target" {
			t.Error(err)
		}
	}
	u, _ := fake(t, map[string]answer{"show ": {1, "", "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down\n"}})
	_, err := u.Shutdown(t.Context())
	_ = failure(t, err, fleet.Local)
}

func FuzzShutdown(f *testing.F) {
	f.Add(shown("reboot.target shutdown.target"))
	f.Add("Job=1\n\n\n\nId=shutdown.target")
	f.Fuzz(func(t *testing.T, out string) {
		how, err := parseShutdown(out)
		if err == nil && !strings.Contains(out, "Id="+anyWayDown) || err != nil && how != fleet.NotGoingDown {
			t.Errorf("%q, %v", how, err)
		}
	})
}
