package main

import (
	"bytes"
	"context"
	_ "embed" // wrk.lua
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/world"
)

// The load on the webhook: an endless stream of jobs that wait, run and end, over as
// many connections as GitLab has workers, to a process that has one core; and an AWS
// that takes its time.
const (
	hookSecret  = "perf-0123456789abcdef" //nolint:gosec // of a measurement
	connections = 20
	awsLatency  = 300 * time.Millisecond
	jobsAtOnce  = 2000 // pending, and twice as many running
	sampleEvery = time.Second
)

const hookConfig = `[gitlab]
url = %q
token = "env:UNUSED"
[webhook]
listen = %q
secrets = ["file:%s"]
groups = ["perf"]
slots = 6
[log]
level = "warn"
`

// webhookLoad sends events at a rate for so long, and prints what came of it; withWrk
// lets wrk send them, and then again as fast as it is answered.
func webhookLoad(ctx context.Context, length time.Duration, rate int, withWrk bool) (err error) {
	dir, err := os.MkdirTemp("", "shoal-perf-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cloud, err := emulator.Start(emulator.Options{
		Groups: []world.GroupSpec{{Name: group, Max: 5000}},
		Fault: func(q emulator.Request) emulator.Fault {
			if q.Service == emulator.ServiceAutoScaling {
				return emulator.Fault{Latency: awsLatency}
			}
			return emulator.Fault{}
		},
	})
	if err != nil {
		return err
	}
	defer cloud.Close()
	shoal, err := build(ctx, dir)
	if err != nil {
		return err
	}
	hook, address, err := startHook(ctx, dir, shoal, cloud)
	if err != nil {
		return err
	}
	defer func() {
		_ = hook.Process.Signal(syscall.SIGTERM)
		err = errors.Join(err, hook.Wait())
	}()
	if withWrk {
		pause := time.Second * connections / time.Duration(rate)
		return errors.Join(wrk(ctx, address, length, pause), wrk(ctx, address, length, 0))
	}
	before := cpu(hook.Process.Pid)
	l := &load{url: "http://" + address + "/hook", rate: rate, memory: make([]float64, 0, 1024)}
	began := time.Now()
	l.run(ctx, length, hook.Process.Pid)
	l.print(time.Since(began), cpu(hook.Process.Pid)-before, cloud)
	return nil
}

func startHook(ctx context.Context, dir, shoal string, cloud *emulator.Cloud) (*exec.Cmd, string, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	address := free.Addr().String()
	secret, config := filepath.Join(dir, "secret"), filepath.Join(dir, "shoal.toml")
	err = errors.Join(free.Close(), os.WriteFile(secret, []byte(hookSecret), 0o600),
		os.WriteFile(config, fmt.Appendf(nil, hookConfig, cloud.GitLabURL(), address, secret), 0o600))
	if err != nil {
		return nil, "", err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), shoal, "webhook")
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "SHOAL_CONFIG="+config, "SHOAL_STATE_DIR="+dir,
		"AWS_ENDPOINT_URL="+cloud.AutoScalingURL(), "AWS_REGION="+region, "AWS_ACCESS_KEY_ID=perf", "AWS_SECRET_ACCESS_KEY=perf")
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	for range 200 {
		if resp, err := http.Get("http://" + address + "/readyz"); err == nil { //nolint:gosec,noctx // its own
			_ = resp.Body.Close()
			return cmd, address, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, "", errors.Join(errors.New("the webhook does not answer"), cmd.Process.Kill(), cmd.Wait())
}

//go:embed wrk.lua
var wrkScript []byte

// wrk lets the program of that name send events over as many connections, each of which
// waits for so long between an answer and the next request, and print its own figures.
func wrk(ctx context.Context, address string, length, pause time.Duration) error {
	script, err := os.CreateTemp("", "shoal-perf-*.lua")
	if err != nil {
		return err
	}
	defer os.Remove(script.Name())
	_, err = script.Write(wrkScript)
	if err = errors.Join(err, script.Close()); err != nil {
		return err
	}
	fmt.Printf("\neach of %d connections pauses for %s\n", connections, pause)
	cmd := exec.CommandContext(ctx, "wrk", "--threads", "1", "--connections", strconv.Itoa(connections), "--duration", fmt.Sprintf("%.0fs", length.Seconds()), //nolint:gosec // its own numbers
		"--latency", "--script", script.Name(), "http://"+address, "--", hookSecret, strconv.FormatInt(pause.Milliseconds(), 10))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// load is a stream of events, each sent when it is due whether or not those before it
// were answered: waiting for them would hide that they are late.
type load struct {
	url  string
	rate int

	next    atomic.Int64
	bad     atomic.Int64
	mu      sync.Mutex
	answers []time.Duration
	memory  []float64 // MB, each second
}

func (l *load) run(ctx context.Context, length time.Duration, pid int) {
	ctx, stop := context.WithTimeout(ctx, length)
	defer stop()
	began := time.Now()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var senders sync.WaitGroup
	for range connections {
		senders.Go(func() { l.send(ctx, client, began) })
	}
	for tick := time.NewTicker(sampleEvery); ctx.Err() == nil; {
		select {
		case <-tick.C:
			l.memory = append(l.memory, resident(pid))
		case <-ctx.Done():
			tick.Stop()
		}
	}
	senders.Wait()
}

func (l *load) send(ctx context.Context, client *http.Client, began time.Time) {
	var mine []time.Duration
	for {
		n := l.next.Add(1) - 1
		due := began.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			l.mu.Lock()
			l.answers = append(l.answers, mine...)
			l.mu.Unlock()
			return
		}
		if !post(client, l.url, streamed(n)) {
			l.bad.Add(1)
		}
		mine = append(mine, time.Since(due))
	}
}

// streamed is the n-th event: a job begins to wait, one that waited runs, one that
// ran ends.
func streamed(n int64) []byte {
	id, status := n/3+1, "pending"
	switch n % 3 {
	case 1:
		id, status = id-jobsAtOnce, "running"
	case 2:
		id, status = id-3*jobsAtOnce, "success"
	}
	id = max(id, 1) // the first ones of the stream
	return fmt.Appendf(nil, `{"object_kind":"build","build_id":%d,"build_name":"job %d","build_stage":"test","build_status":%q,"pipeline_id":%d,"project_id":%d,"commit":{"message":%q}}`,
		id, id%100, status, id/10, 1+id%50, strings.Repeat("a change ", 300))
}

func post(client *http.Client, url string, body []byte) bool {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body)) //nolint:noctx // the client's own
	if err != nil {
		return false
	}
	req.Header.Set("X-Gitlab-Event", "Job Hook")
	req.Header.Set("X-Gitlab-Token", hookSecret)
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// resident is a process's memory in MB.
func resident(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	return 0
}

// cpu is what a process has used, in seconds.
func cpu(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var user, system float64
	_, _ = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return (user + system) / 100
}

func (l *load) print(took time.Duration, used float64, cloud *emulator.Cloud) {
	slices.Sort(l.answers)
	at := func(share float64) time.Duration {
		return l.answers[int(share*float64(len(l.answers)-1))].Round(10 * time.Microsecond)
	}
	fmt.Printf("%d events in %s: %.0f a second, %d not answered with 200\n", len(l.answers), took.Round(time.Second), float64(len(l.answers))/took.Seconds(), l.bad.Load())
	fmt.Printf("answered within: p50 %s, p99 %s, p99.9 %s, most %s\n", at(.5), at(.99), at(.999), at(1))
	fmt.Printf("CPU %.1f s, %.0f %% of one core\n", used, 100*used/took.Seconds())
	half := len(l.memory) / 2
	if half > 0 {
		fmt.Printf("memory: %.1f MB at most in the first half, %.1f MB in the second\n", slices.Max(l.memory[:half]), slices.Max(l.memory[half:]))
	}
	fmt.Printf("calls to Auto Scaling: %d\n", cloud.Records().CallsTo("autoscaling"))
}
