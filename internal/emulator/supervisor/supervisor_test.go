package supervisor

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const forEver = "[Service]\nExecStart=/usr/bin/forever\n"

// foreverProgram is a program that notes each start and stays.
const foreverProgram = `echo x >> "$OUT/starts"; exec sleep 1000`

func TestStartOfARunningUnitIsNothing(t *testing.T) {
	i := boot(t, map[string]string{"a.service": forEver, "forever": foreverProgram})
	must(t, i.Start(within(t), "a.service"))
	_, first := i.State("a")
	must(t, i.Start(within(t), "a.service"))
	if _, second := i.State("a"); first == 0 || second != first {
		t.Errorf("main process was %d, is %d after another start", first, second)
	}
	eventually(t, "it has started once", func() bool { return i.lines("starts") == 1 })
	must(t, i.Stop(within(t), "a"))
	if active, pid := i.State("a"); active != "inactive" || pid != 0 {
		t.Errorf("after stop: %s, main process %d", active, pid)
	}
}

func TestStopIsNotFollowedByARestart(t *testing.T) {
	i := boot(t, map[string]string{"a.service": forEver + "Restart=always\n", "forever": foreverProgram})
	must(t, i.Start(within(t), "a"))
	_, pid := i.State("a")
	must(t, syscall.Kill(pid, syscall.SIGKILL)) // a bare signal is
	eventually(t, "it runs again", func() bool { _, p := i.State("a"); return p != 0 && p != pid })
	i.is("a", "active")
	must(t, i.Stop(within(t), "a"))
	if active, _ := i.State("a"); active != "inactive" {
		t.Errorf("after stop: %s", active)
	}
}

func TestStartDuringStopStartsAgain(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Service]\nExecStart=/usr/bin/slow\n",
		"slow":      `echo x >> "$OUT/starts"; trap 'until [ -e "$OUT/go" ]; do sleep 0.01; done; exit 0' TERM; while :; do sleep 0.05; done`,
	})
	must(t, i.Start(within(t), "a"))
	eventually(t, "it has started", func() bool { return i.lines("starts") == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- i.Stop(within(t), "a") }()
	i.is("a", "deactivating")
	started := make(chan error, 1)
	go func() { started <- i.Start(within(t), "a") }()
	must(t, os.WriteFile(filepath.Join(i.root, "go"), nil, 0o600))
	must(t, <-stopped)
	must(t, <-started)
	eventually(t, "it has started twice", func() bool { return i.lines("starts") == 2 })
}

func TestRestart(t *testing.T) {
	for _, c := range []struct {
		name, unit, program string
		starts              int
		end                 string
	}{
		{"on failure, until it succeeds", "Restart=on-failure", `[ $(wc -l < "$OUT/starts") -ge 3 ]`, 3, "inactive"},
		{"not on success", "Restart=on-failure", `exit 0`, 1, "inactive"},
		{"not by default", "", `exit 1`, 1, "failed"},
		{"not where the status says so", "Restart=on-failure\nRestartPreventExitStatus=2 3", `exit 3`, 1, "failed"},
		{"not where a status counts as success", "Restart=on-failure\nSuccessExitStatus=7", `exit 7`, 1, "inactive"},
		{"not without end, where a limit says so", "Restart=on-failure\n[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=4", `exit 1`, 4, "failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			i := boot(t, map[string]string{
				"a.service": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/usr/bin/try\n" + c.unit + "\n",
				"try":       `echo x >> "$OUT/starts"; ` + c.program,
			})
			_ = i.Start(within(t), "a")
			i.is("a", c.end)
			if n := i.lines("starts"); n != c.starts {
				t.Errorf("started %d times, want %d", n, c.starts)
			}
		})
	}
}

const (
	first = "[Unit]\nOnSuccess=b.service\nOnSuccessJobMode=replace\nOnFailure=c.service\n[Service]\nExecStart=/usr/bin/first\n"
	then  = "[Service]\nType=oneshot\nExecStart=/usr/bin/then "
)

func TestOnSuccessAndOnFailure(t *testing.T) {
	for _, c := range []struct {
		name, program, want string
		stop                bool
	}{
		{"clean exit", "exit 0", "b", false},
		{"failure", "exit 4", "c", false},
		{"clean exit after a stop", "trap 'exit 0' TERM; while :; do sleep 0.05; done", "b", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			i := boot(t, map[string]string{
				"a.service": first, "b.service": then + "b\n", "c.service": then + "c\n",
				"first": c.program, "then": `echo x >> "$OUT/$1"`,
			})
			must(t, i.Start(within(t), "a"))
			if c.stop {
				must(t, i.Stop(within(t), "a"))
			}
			eventually(t, c.want+" has run", func() bool { return i.lines(c.want) == 1 })
			if n := i.lines("b") + i.lines("c"); n != 1 {
				t.Errorf("%d units ran, want one", n)
			}
		})
	}
}

// A reboot must not unregister: OnSuccess= does not fire at power-off.
func TestShutdownFiresNoOnSuccess(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": first, "b.service": then + "b\n", "c.service": then + "c\n",
		"first": "trap 'echo x > $OUT/stopped; exit 0' TERM; echo x > $OUT/up; while :; do sleep 0.05; done", "then": `echo x >> "$OUT/$1"`,
	})
	must(t, i.Start(within(t), "a"))
	eventually(t, "it is up", func() bool { return i.lines("up") == 1 })
	i.Shutdown(within(t))
	if i.lines("stopped") != 1 || i.lines("b") != 0 {
		t.Errorf("stopped in an orderly way: %v; started what OnSuccess= names: %v", i.lines("stopped") == 1, i.lines("b") != 0)
	}
}

func TestConditionThatFailsIsNoFailure(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Unit]\nConditionPathExists=/run/flag\nConditionPathExists=!/run/not\n" + forEver, "forever": foreverProgram,
	})
	flag, not := filepath.Join(i.root, "run/flag"), filepath.Join(i.root, "run/not")
	try := func(want string) {
		t.Helper()
		must(t, i.Start(within(t), "a"))
		if active, _ := i.State("a"); active != want {
			t.Errorf("unit is %s, want %s", active, want)
		}
	}
	try("inactive")
	must(t, os.WriteFile(flag, nil, 0o600))
	must(t, os.WriteFile(not, nil, 0o600))
	try("inactive")
	must(t, os.Remove(not))
	try("active")
}

// runner stands for gitlab-runner with a job: SIGQUIT is for it alone, and what
// it leaves behind goes with SIGKILL.
const runner = `
trap 'echo x > "$OUT/drained"; exit 0' QUIT
env --default-signal=QUIT bash -c 'trap "echo x > $OUT/jobquit; exit 131" QUIT; trap "echo x > $OUT/jobterm; exit 143" TERM; echo $$ > $OUT/job; while :; do sleep 0.05; done' &
while :; do sleep 0.05; done`

func TestKillModes(t *testing.T) {
	for _, c := range []struct {
		mode    string
		jobQuit bool // whether the job sees the kill signal
		jobLeft bool // whether it outlives the unit
	}{{"mixed", false, false}, {"control-group", true, false}, {"process", false, true}} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			i := boot(t, map[string]string{
				"r.service":           "[Service]\nExecStart=/usr/bin/runner\nRestart=always\n",
				"r.service.d/my.conf": "[Service]\nKillSignal=SIGQUIT\nTimeoutStopSec=infinity\nKillMode=" + c.mode + "\n", "runner": runner,
			})
			must(t, i.Start(within(t), "r"))
			job := i.pid("job")
			must(t, i.Stop(within(t), "r"))
			if i.lines("drained") != 1 {
				t.Error("the main process did not see SIGQUIT")
			}
			if got := i.lines("jobquit") == 1; got != c.jobQuit {
				t.Errorf("job saw the signal: %v, want %v", got, c.jobQuit)
			}
			if c.jobLeft != living(job) {
				// A dying process loses its marker a moment before its life.
				eventually(t, "the job's life is as wanted", func() bool { return living(job) == c.jobLeft })
			}
		})
	}
}

func TestStopTimeoutKills(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Service]\nExecStart=/usr/bin/deaf\nTimeoutStopSec=0.2\n",
		"deaf":      `trap '' TERM; echo x > "$OUT/up"; while :; do sleep 0.05; done`,
	})
	must(t, i.Start(within(t), "a"))
	eventually(t, "it is up", func() bool { return i.lines("up") == 1 })
	must(t, i.Stop(within(t), "a"))
	if active, _ := i.State("a"); active != "failed" {
		t.Errorf("unit is %s, want failed", active)
	}
}

// Kill is the power going: nothing is told, and nothing lives on that a job
// started, in whatever session it is.
func TestKillTakesEverything(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Service]\nExecStart=/usr/bin/breeder\nRestart=always\n",
		"breeder":   `trap 'echo x > "$OUT/told"' TERM QUIT; setsid bash -c 'trap "" TERM HUP; echo $$ > "$OUT/orphan"; sleep 1000 & sleep 1000' & sleep 1000`,
	})
	must(t, i.Start(within(t), "a"))
	orphan := i.pid("orphan")
	i.Kill()
	if living(orphan) || i.lines("told") != 0 {
		t.Errorf("a job's child lives on: %v; the unit was told: %v", living(orphan), i.lines("told") != 0)
	}
	if err := i.Start(within(t), "a"); err == nil {
		t.Error("a unit starts without power")
	}
}

func TestNotify(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Service]\nType=notify\nExecStart=/usr/bin/ready\n",
		"b.service": "[Service]\nType=notify\nExecStart=/usr/bin/ready never\n",
		"c.service": "[Service]\nType=notify\nExecStart=/usr/bin/mute\nTimeoutStartSec=0.3\n", "mute": "sleep 1000",
	})
	must(t, i.Start(within(t), "a"))
	i.is("a", "active")
	if err := i.Start(within(t), "b"); err == nil || !strings.Contains(err.Error(), "protocol") {
		t.Errorf("a service that ends unready: %v", err)
	}
	if err := i.Start(within(t), "c"); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("a service that never says it is ready: %v", err)
	}
	must(t, i.Stop(within(t), "a"))
	i.is("a", "inactive")
}

func TestBootOrder(t *testing.T) {
	wanted := "[Install]\nWantedBy=multi-user.target\n"
	i := boot(t, map[string]string{
		"a.service": "[Unit]\nAfter=b.service\n[Service]\nType=oneshot\nExecStart=/usr/bin/note a\n" + wanted,
		"b.service": "[Unit]\nBefore=c.service\n[Service]\nType=oneshot\nExecStart=/usr/bin/note b\n" + wanted,
		"c.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/note c\n" + wanted,
		"d.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/note d\n",
		"note":      `[ $1 = b ] && sleep 0.1; echo $1 >> "$OUT/order"`,
	})
	i.Boot()
	eventually(t, "three have run", func() bool { return i.lines("order") == 3 })
	data, _ := os.ReadFile(filepath.Join(i.root, "order"))
	if !strings.HasPrefix(string(data), "b\n") || strings.Contains(string(data), "d") {
		t.Errorf("order %q, want b first and d never", data)
	}
}

func TestPathsAndEnvironmentAreTheInstances(t *testing.T) {
	i := boot(t, map[string]string{
		"a.service": "[Service]\nType=oneshot\nEnvironment=WHERE=/var/lib/x 'TWO=two words'\nEnvironmentFile=-/etc/missing\nEnvironmentFile=/etc/my.env\nExecStart=/usr/bin/show /etc/a --file=/run/b /usr/c --user nobody-of-that-name end\n",
		"show":      `printf '%s\n' "$@" "$WHERE" "$TWO" "$MORE" "${HOSTILE-unset}" > "$OUT/shown"`,
	})
	t.Setenv("HOSTILE", "leaked")
	must(t, os.WriteFile(filepath.Join(i.root, "etc/my.env"), []byte("# c\nMORE=\"from file\"\n"), 0o600))
	must(t, i.Start(within(t), "a"))
	data, err := os.ReadFile(filepath.Join(i.root, "shown"))
	must(t, err)
	want := strings.Join([]string{i.root + "/etc/a", "--file=" + i.root + "/run/b", "/usr/c", "end", i.root + "/var/lib/x", "two words", "from file", "unset", ""}, "\n")
	if string(data) != want {
		t.Errorf("got\n%s\nwant\n%s", data, want)
	}
}

// A demo that is killed cannot clean up: its units' processes die with it.
func TestUnitsDieWithTheirSupervisor(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"units", "bin"} {
		must(t, os.Mkdir(filepath.Join(root, dir), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(root, "units/a.service"), []byte("[Service]\nExecStart=/usr/bin/breeder\n[Install]\nWantedBy=multi-user.target\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(root, "bin/breeder"), []byte("#!/bin/bash\nsetsid bash -c 'trap \"\" HUP; sleep 1000; true' & exec sleep 1000\n"), 0o700))
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, root)
	cmd.Args[0] = "demo"
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "now active") {
		continue
	}
	id := instanceVariable + "=" + root
	eventually(t, "the job's children run", func() bool { return len(processesWith(id)) == 3 })
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, "all are gone", func() bool { return len(processesWith(id)) == 0 })
}
