// Command perf takes the whole-process figures of docs/performance.md: how long
// the commands take and how much memory, and what the two daemons cost an hour.
// Everything talks to the emulator, which runs in this process; the program that
// is measured is a file of its own, so that no page is shared with the emulator.
//
//	go run ./test/perf commands
//	go run ./test/perf daemons -for 1h
//	go run ./test/perf webhook -for 10m -rate 2000
//	go run ./test/perf trace -jobs 100000
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/emulator/machine"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 1 && args[0] == launchVerb {
		return launch(args[1:])
	}
	flags := flag.NewFlagSet("perf", flag.ContinueOnError)
	runs := flags.Int("n", 20, "counted runs of each command")
	flags.BoolVar(&verbose, "v", false, "print what the units say")
	length := flags.Duration("for", time.Hour, "how long the daemons are watched, or the webhook is sent events")
	rate := flags.Int("rate", 2000, "events a second for the webhook")
	jobs := flags.Int("jobs", 100_000, "jobs that are exported")
	if len(args) == 0 {
		return errors.New("say what to measure: commands, daemons, webhook or trace")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "webhook":
		return webhookLoad(ctx, *length, *rate)
	case "trace":
		return historyLoad(ctx, max(*jobs, 1))
	}
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	switch args[0] {
	case "commands":
		return errors.Join(b.scaleUp(ctx, *runs), b.unregister(ctx, *runs))
	case "daemons":
		return b.daemons(ctx, *length)
	}
	return fmt.Errorf("unknown measurement %q: commands, daemons, webhook or trace", args[0])
}

const (
	group  = "perf"
	region = "eu-central-1"
	token  = "glrt-perf-0123456789abcd" //nolint:gosec // of an emulated GitLab
	slots  = 2
	// patience bounds each wait for the emulated fleet.
	patience = time.Minute
)

// verbose is the flag -v.
var verbose bool

// bench is an emulated cloud with instances that are processes.
type bench struct {
	dir      string
	cloud    *emulator.Cloud
	machines *machine.Machines
	events   chan struct{}
}

func newBench(ctx context.Context) (*bench, error) {
	dir, err := os.MkdirTemp("", "shoal-perf-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, events: make(chan struct{})}
	shoal, err := build(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b.cloud, err = emulator.Start(emulator.Options{
		// A machine takes a moment to go: the command that completes the hook ends by itself.
		World: world.Options{Region: region, Shutdown: 2 * time.Second},
		Groups: []world.GroupSpec{{Name: group, Min: 1, Max: 20, Desired: 1, Hooks: []world.Hook{
			{Name: "launch", Transition: world.AtLaunch, HeartbeatTimeout: 5 * time.Minute, DefaultResult: world.Abandon},
			{Name: "terminate", Transition: world.AtTermination, HeartbeatTimeout: 5 * time.Minute, DefaultResult: world.Continue},
		}}},
		Runners: []world.NewRunner{{Type: world.TypeInstance, Description: "perf", RunUntagged: true, Token: token}},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b.machines, err = machine.New(machine.Options{
		Dir: dir, Cloud: b.cloud, Region: region, Token: token, Slots: slots, Shoal: shoal, Standin: shoal + "-standin",
		Line: func(id, unit, text string) {
			if verbose {
				fmt.Fprintln(os.Stderr, time.Now().Format(time.TimeOnly), id, unit, text)
			}
		},
	})
	go b.follow()
	return b, err
}

// build makes the program and a copy of it for the emulator's stand-ins.
func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "shoal")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/shoal")
	cmd.Env, cmd.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build shoal: %w", err)
	}
	data, err := os.ReadFile(path)
	return path, errors.Join(err, os.WriteFile(path+"-standin", data, 0o700)) //nolint:gosec // a program
}

// follow makes processes of what the world says of instances.
func (b *bench) follow() {
	defer close(b.events)
	for e := range b.cloud.Events() {
		switch e := e.(type) {
		case world.InstanceBooted:
			if err := b.machines.Boot(e.ID, e.Again); err != nil {
				fmt.Fprintln(os.Stderr, "perf:", err)
			}
		case world.InstanceDead:
			b.machines.Kill(e.ID)
		}
	}
}

func (b *bench) close() {
	b.cloud.Close()
	<-b.events
	b.machines.KillAll()
	if err := os.RemoveAll(b.dir); err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
	}
}

func report(what string, all []figure) {
	row := func(name string, of func(figure) float64, unit string) {
		values := make([]float64, len(all))
		for i, f := range all {
			values[i] = of(f)
		}
		slices.Sort(values)
		fmt.Printf("%-12s %-5s median %7.1f %s  (%.1f to %.1f, %d runs)\n", what, name, values[len(values)/2], unit, values[0], values[len(values)-1], len(values))
	}
	row("wall", func(f figure) float64 { return f.Wall.Seconds() * 1000 }, "ms")
	row("cpu", func(f figure) float64 { return f.CPU.Seconds() * 1000 }, "ms")
	row("rss", func(f figure) float64 { return float64(f.RSS) / (1 << 20) }, "MB")
}

// inService waits for an instance in service and returns its id.
func (b *bench) inService(ctx context.Context) (string, error) {
	var id string
	err := b.wait(ctx, "an instance in service", func(r world.Records) bool {
		for _, i := range r.Instances {
			if i.State == world.InService && i.Alive() {
				id = i.ID
				return true
			}
		}
		return false
	})
	return id, err
}

func (b *bench) wait(ctx context.Context, what string, is func(world.Records) bool) error {
	deadline := time.Now().Add(patience)
	for !is(b.cloud.Records()) {
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for %s: not within %s", what, patience)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// still stops the daemons of an instance, so that only what is measured acts.
func (b *bench) still(ctx context.Context, id string) error {
	cmd, err := b.machines.Command(ctx, id, "systemctl", "stop", life.UnitMonitor, life.UnitLifecycleCheck, life.UnitScaleUp)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("stop the daemons: %w: %s", err, out)
	}
	return nil
}

// notice writes the notice that lifecycle-check would.
func (b *bench) notice(id string, n fleet.Notice) error {
	data, err := json.Marshal(n)
	return errors.Join(err, os.WriteFile(filepath.Join(b.machines.Root(id), "run/shoal/notice.json"), data, 0o600))
}

// unregister: an idle runner, a spot notice.
func (b *bench) unregister(ctx context.Context, runs int) error {
	var all []figure
	for range runs + 1 { // the first is not counted
		id, err := b.inService(ctx)
		if err != nil {
			return err
		}
		f, err := b.unregisterOne(ctx, id)
		if err != nil {
			return err
		}
		all = append(all, f)
		err = b.wait(ctx, "the instance to be gone", func(r world.Records) bool {
			return slices.ContainsFunc(r.Instances, func(i world.InstanceRecord) bool { return i.ID == id && !i.Alive() })
		})
		if err != nil {
			return err
		}
	}
	report("unregister", all[1:])
	return nil
}

func (b *bench) unregisterOne(ctx context.Context, id string) (figure, error) {
	if err := b.still(ctx, id); err != nil {
		return figure{}, err
	}
	if err := b.cloud.Interrupt(id, 2*time.Minute); err != nil {
		return figure{}, err
	}
	deadline := time.Now().Add(2 * time.Minute)
	if err := b.notice(id, fleet.Notice{Kind: fleet.NoticeSpot, SeenAt: time.Now(), Deadline: &deadline, Source: "measurement"}); err != nil {
		return figure{}, err
	}
	cmd, err := b.machines.Command(ctx, id, "shoal", "unregister")
	if err != nil {
		return figure{}, err
	}
	return measure(cmd)
}

// scaleUp: one step, then a slot is free. The runner's metrics are a page of this
// process, saturated when the command first looks and free when it looks again.
func (b *bench) scaleUp(ctx context.Context, runs int) error {
	id, err := b.inService(ctx)
	if err != nil {
		return err
	}
	b.protect(id) // the group is to choose others when desired is put back
	page, err := newPage()
	if err != nil {
		return err
	}
	defer page.close()
	var all []figure
	for range runs + 1 {
		page.saturate()
		b.setDesired(1)
		cmd, err := b.machines.Command(ctx, id, "shoal", "scale-up", "--json")
		if err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, "SHOAL_RUNNER_LISTEN_ADDRESS="+page.address())
		f, err := measure(cmd)
		if err != nil {
			return err
		}
		if d := b.cloud.Records().Groups[0].Desired; d != 3 {
			return fmt.Errorf("scale-up left desired at %d, want 3", d)
		}
		all = append(all, f)
	}
	b.setDesired(1)
	report("scale-up", all[1:])
	return nil
}

func (b *bench) protect(id string) {
	b.cloud.Do(func(w *world.World, now time.Time) {
		if err := w.Protect(now, group, true, id); err != nil {
			panic(err) // it is in service
		}
	})
}

func (b *bench) setDesired(n int) {
	b.cloud.Do(func(w *world.World, now time.Time) {
		if err := w.SetDesired(now, group, n); err != nil {
			panic(err) // within the bounds that this program set
		}
	})
}

// daemons watches monitor and lifecycle-check of an idle instance.
func (b *bench) daemons(ctx context.Context, length time.Duration) error {
	id, err := b.inService(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	calls := b.cloud.Records()
	fmt.Fprintf(os.Stderr, "watching the daemons of %s until %s\n", id, start.Add(length).Format(time.TimeOnly))
	if err := pause(ctx, length); err != nil {
		return err
	}
	var cpu time.Duration
	var pss int64
	for _, unit := range []string{life.UnitMonitor, life.UnitLifecycleCheck} {
		pid, err := b.mainPID(ctx, id, unit)
		if err != nil {
			return err
		}
		c, p, err := usage(pid)
		if err != nil {
			return fmt.Errorf("%s: %w", unit, err)
		}
		fmt.Printf("%-24s cpu %6.2f s in %s since its start  pss %5.1f MB\n", unit, c.Seconds(), length, float64(p)/(1<<20))
		cpu, pss = cpu+c, pss+p
	}
	fmt.Printf("%-24s cpu %6.2f s in %s since their start  pss %5.1f MB\n", "together", cpu.Seconds(), length, float64(pss)/(1<<20))
	now := b.cloud.Records()
	fmt.Printf("calls meanwhile: %d to Auto Scaling, %d to GitLab but the runner's own polls\n",
		now.CallsTo("autoscaling")-calls.CallsTo("autoscaling"), gitlabCalls(now)-gitlabCalls(calls))
	return nil
}

// gitlabCalls are those that are not gitlab-runner's polls.
func gitlabCalls(r world.Records) int {
	n := 0
	for _, c := range r.Calls {
		if c.API == "gitlab" && !strings.Contains(strings.ToLower(c.Operation), "jobs/request") {
			n += c.Count
		}
	}
	return n
}

func (b *bench) mainPID(ctx context.Context, id, unit string) (int, error) {
	cmd, err := b.machines.Command(ctx, id, "systemctl", "show", "--property=MainPID", "--value", unit)
	if err != nil {
		return 0, err
	}
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("find the process of %s: %w", unit, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

// usage reads CPU time so far and proportional set size of a process.
func usage(pid int) (time.Duration, int64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may hold spaces
	fields := strings.Fields(rest)
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, 0, err
		}
		ticks += n
	}
	rollup, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0, err
	}
	defer rollup.Close()
	text, err := io.ReadAll(rollup)
	for line := range strings.Lines(string(text)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kb); n == 1 {
			return time.Duration(ticks) * 10 * time.Millisecond, kb << 10, err // a tick is 10 ms on Linux
		}
	}
	return 0, 0, errors.Join(err, errors.New("no Pss in smaps_rollup"))
}
