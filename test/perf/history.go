package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/world"
)

const (
	historyToken = "glpat-perf-0123456789abcd" //nolint:gosec // of an emulated GitLab
	// troubleEvery is how many requests there are to each one that is refused, cut or
	// lost.
	troubleEvery = 25
)

// historyLoad exports so many jobs, of a GitLab that fails now and then, and prints
// what that took.
func historyLoad(ctx context.Context, jobs int) (err error) {
	dir, err := os.MkdirTemp("", "shoal-perf-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var mu sync.Mutex
	requests := 0
	cloud, err := emulator.Start(emulator.Options{
		AccessTokens: []world.AccessToken{{Token: historyToken, Scopes: []string{world.ScopeReadAPI}}},
		Fault: func(emulator.Request) emulator.Fault {
			mu.Lock()
			defer mu.Unlock()
			requests++
			return trouble(requests)
		},
	})
	if err != nil {
		return err
	}
	defer cloud.Close()
	cloud.AddHistory(longPast(jobs))
	shoal, err := build(ctx, dir)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, shoal, "trace", "--url", cloud.GitLabURL(), "--project", "acme/app", "--since", "28d", "--output", filepath.Join(dir, "trace.csv"), "--json")
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "GITLAB_TOKEN="+historyToken), os.Stdout, os.Stderr
	if !verbose {
		cmd.Stderr = nil
	}
	f, err := measure(cmd)
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, "trace.csv"))
	if err != nil {
		return err
	}
	fmt.Printf("%d requests, %.1f MB of trace\n", requests, float64(info.Size())/1e6)
	report("trace", []figure{f})
	return nil
}

// trouble is what goes wrong with the n-th request.
func trouble(n int) emulator.Fault {
	if n%troubleEvery != 0 {
		return emulator.Fault{}
	}
	switch n / troubleEvery % 4 {
	case 0:
		return emulator.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}}
	case 1:
		return emulator.Fault{Status: http.StatusBadGateway}
	case 2:
		return emulator.Fault{Cut: 50_000}
	}
	return emulator.Fault{Drop: true}
}

// longPast is a project whose pipelines have ten jobs in three stages.
func longPast(jobs int) emulator.PastProject {
	p := emulator.PastProject{ID: 1, Path: "acme/app", Jobs: make([]emulator.PastJob, 0, jobs)}
	begin := time.Now().Add(-27 * 24 * time.Hour)
	every := 26 * 24 * time.Hour / time.Duration(max(jobs/10, 1))
	for i := range jobs {
		pipeline, n := i/10, i%10
		stage := []int{0, 1, 1, 1, 1, 1, 1, 1, 2, 2}[n]
		created := begin.Add(time.Duration(pipeline) * every).Truncate(time.Millisecond)
		queued := created.Add(time.Duration(stage) * 5 * time.Minute)
		p.Jobs = append(p.Jobs, emulator.PastJob{
			ID: int64(i + 1), Pipeline: int64(pipeline + 1), Name: fmt.Sprintf("unit %d/10", n), Stage: []string{"build", "test", "deploy"}[stage],
			Status: "success", Ref: "main", Tags: []string{"docker"}, Created: created, Queued: queued, Started: queued.Add(5 * time.Second),
			Finished: queued.Add(4 * time.Minute), RunnerID: int64(i % 50), Runner: fmt.Sprintf("ci/i-%d", i%50), SystemID: fmt.Sprintf("s_%d", i%50),
			User: "Jane Doe", Username: "jane", Email: "jane@example.com", Commit: "0ff3ae198f8601a285adcf5c0fff204ee6fba5fd",
			Message: "Say why, in two or three sentences as people do who are asked for it later on.\n",
		})
	}
	return p
}
