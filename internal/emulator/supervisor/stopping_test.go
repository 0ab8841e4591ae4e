package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stopping is a unit that notes what it runs, and in which order.
const stopping = "[Unit]\nOnSuccess=b.service\nStartLimitIntervalSec=0\n[Service]\nExecStart=/usr/bin/main\n"

const note = `echo "$0" | sed 's,.*/,,' >> "$OUT/said"; `

// untilTerm is a main process that stays until it is told to end.
const untilTerm = `echo x > "$OUT/up"; trap '` + `echo main >> "$OUT/said"; exit 0' TERM; while :; do sleep 0.05; done`

func (i *instance) said() string {
	data, _ := os.ReadFile(filepath.Join(i.root, "said"))
	return strings.Join(strings.Fields(string(data)), " ")
}

// TestExecStop: what systemd 252 was seen to do.
func TestExecStop(t *testing.T) {
	for _, c := range []struct {
		name, unit, main string
		stop             bool
		want, end        string
		success          int
	}{
		{"a stop runs it first", "ExecStop=/usr/bin/stop", untilTerm, true, "stop main", "inactive", 1},
		{"a clean exit runs it too", "ExecStop=/usr/bin/stop\nExecStopPost=/usr/bin/post", note, false, "main stop post", "inactive", 1},
		{"a failure does not, but what comes after all", "ExecStop=/usr/bin/stop\nExecStopPost=/usr/bin/post", note + "exit 4", false, "main post", "failed", 0},
		{"its failure is the unit's", "ExecStop=/usr/bin/bad\nExecStop=/usr/bin/stop", note, false, "main bad", "failed", 0},
		{"but for a dash", "ExecStop=-/usr/bin/bad\nExecStop=/usr/bin/stop", note, false, "main bad stop", "inactive", 1},
		{"what comes after is told", "ExecStop=/usr/bin/dies\nExecStopPost=/bin/sh -c 'case $$SERVICE_RESULT in signal) exec post;; esac'", untilTerm, true, "main post", "failed", 0},
		{"that nothing was, too", "ExecStop=/usr/bin/stop\nExecStopPost=/bin/sh -c 'case $$SERVICE_RESULT in signal) exec post;; esac'", untilTerm, true, "stop main", "inactive", 1},
		{"a stop's too", "ExecStopPost=/usr/bin/bad", untilTerm, true, "main bad", "failed", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			i := boot(t, map[string]string{
				"a.service": stopping + c.unit + "\n", "b.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/then\n",
				"main": c.main, "stop": note, "post": note, "bad": note + "exit 1", "dies": "kill -9 $$", "then": `echo x >> "$OUT/b"`,
			})
			must(t, i.Start(within(t), "a"))
			if c.stop {
				eventually(t, "it is up", func() bool { return i.lines("up") == 1 })
				must(t, i.Stop(within(t), "a"))
			}
			i.is("a", c.end)
			if got := i.said(); got != c.want {
				t.Errorf("ran %q, want %q", got, c.want)
			}
			if c.success > 0 {
				eventually(t, "what OnSuccess= names has run", func() bool { return i.lines("b") == 1 })
			} else if i.lines("b") != 0 {
				t.Error("OnSuccess= fired after a failure")
			}
		})
	}
}

// TestRemainAfterExit: a unit without a process stays active until it is stopped or
// the machine goes down, and ExecStop= runs then.
func TestRemainAfterExit(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStop=-/usr/bin/bad\n", "bad": note + "exit 1",
		"b.service": "[Unit]\nWants=a.service\n[Service]\nType=oneshot\nExecStart=/usr/bin/main\n", "main": note,
	})
	must(t, i.Start(within(t), "b"))
	i.is("a", "active")
	must(t, i.Start(within(t), "a"))
	must(t, i.Stop(within(t), "a"))
	i.is("a", "inactive")
	must(t, i.Start(within(t), "a"))
	i.Shutdown(within(t))
	if got, want := i.said(), "main bad bad"; got != want {
		t.Errorf("ran %q, want %q", got, want)
	}
}

// TestShutdownIsSeen: what runs at the end can ask whether the machine goes down.
func TestShutdownIsSeen(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Service]\nExecStart=/usr/bin/main\nExecStop=/usr/bin/ask\n",
		"main":      untilTerm, "ask": `systemctl show --property=Id,Job poweroff.target reboot.target >> "$OUT/asked"`,
	})
	asked := func() string {
		data, _ := os.ReadFile(filepath.Join(i.root, "asked"))
		return strings.Join(strings.Fields(string(data)), " ")
	}
	must(t, i.Start(within(t), "a"))
	must(t, i.Stop(within(t), "a"))
	if got, want := asked(), "Id=poweroff.target Job= Id=reboot.target Job="; got != want {
		t.Errorf("on a plain stop: %q, want %q", got, want)
	}
	must(t, i.Start(within(t), "a"))
	i.Shutdown(within(t))
	if got, want := asked(), "Id=reboot.target Job=1"; !strings.HasSuffix(got, want) {
		t.Errorf("on a reboot: %q, want it to end in %q", got, want)
	}
}

// TestStartWhileEnding: a start asked for while the unit ends by itself is a new
// run after that one, not a part of it.
func TestStartWhileEnding(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/main\nExecStopPost=/usr/bin/post\n",
		"main":      `echo x >> "$OUT/starts"`, "post": `echo x > "$OUT/ending"; until [ -e "$OUT/go" ]; do sleep 0.01; done`,
	})
	first := make(chan error, 2)
	go func() { first <- i.Start(within(t), "a") }()
	eventually(t, "it is ending", func() bool { return i.lines("ending") == 1 })
	go func() { first <- i.Start(within(t), "a") }()
	eventually(t, "the second start waits", func() bool {
		i.Supervisor.mu.Lock()
		defer i.Supervisor.mu.Unlock()
		return i.services["a.service"].current.again
	})
	must(t, os.WriteFile(filepath.Join(i.root, "go"), nil, 0o600))
	must(t, <-first)
	must(t, <-first)
	if n := i.lines("starts"); n != 2 {
		t.Errorf("started %d times, want 2", n)
	}
}
