package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/simulate/trace"
	"github.com/shoal-ci/shoal/internal/world"
)

const pastToken = "glpat-00000000000000000000"

// past is a history of three projects with so many jobs, by hand: pipelines of a build
// and three tests.
func past(jobs int) []emulator.PastProject {
	projects := []emulator.PastProject{{ID: 71, Path: "acme/web"}, {ID: 72, Path: "acme/infra/base"}, {ID: 73, Path: "acme/infra/closed", Denied: true}}
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for i := range jobs {
		pipeline, n := i/4, i%4
		created := at.Add(time.Duration(pipeline) * time.Minute)
		stage, queued := "build", created
		if n > 0 {
			build := i - n
			stage, queued = "all-tests", created.Add(time.Minute+time.Second+time.Duration(build%50)*time.Second+time.Duration(build)*time.Millisecond)
		}
		started := queued.Add(time.Duration(i%50) * time.Second)
		p := &projects[pipeline%2]
		p.Jobs = append(p.Jobs, emulator.PastJob{
			ID: int64(1000 + i), Pipeline: int64(500 + pipeline), Name: fmt.Sprintf("%s %d/3", stage, max(n, 1)), Stage: stage, Status: "success", Ref: "main",
			Tags: []string{"docker"}, Created: created, Queued: queued, Started: started, Finished: started.Add(time.Minute + time.Duration(i)*time.Millisecond),
			RunnerID: int64(1 + i%5), Runner: fmt.Sprintf("ci/i-%d", i%5), User: "Jane Doe", Username: "jdoe", Email: "jdoe@acme.example", Commit: "0ff3ae198f8601a285adcf5c0fff204ee6fba5fd", Message: "Mend it",
		})
	}
	return projects
}

func pastGitLab(t interface {
	Helper()
	Fatal(...any)
}, jobs int, fault func(emulator.Request) emulator.Fault,
) *emulator.Cloud {
	t.Helper()
	cloud, err := emulator.Start(emulator.Options{Fault: fault, AccessTokens: []world.AccessToken{{Token: pastToken, Scopes: []string{world.ScopeReadAPI}}}})
	if err != nil {
		t.Fatal(err)
	}
	cloud.AddHistory(past(jobs)...)
	return cloud
}

// TestTraceKilled kills the process at random, again and again, and compares what
// comes of it in the end with an export that nobody disturbed.
func TestTraceKilled(t *testing.T) {
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 0))
	const jobs = 4000
	var asked atomic.Int64
	var kill atomic.Pointer[func()]
	cloud := pastGitLab(t, jobs, func(emulator.Request) emulator.Fault {
		if asked.Add(-1) == 0 {
			(*kill.Load())()
		}
		return emulator.Fault{}
	})
	defer cloud.Close()
	export := func(output string, after int64, delay time.Duration) (killed bool) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), asNobody+"=shoal trace --url "+cloud.GitLabURL()+" --group acme --since 2026-03-01 --until 2026-04-01 --output "+output,
			"GITLAB_TOKEN="+pastToken, "GORACE=atexit_sleep_ms=0")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		started := make(chan struct{}) // there is no process to be killed before
		end := func() {
			time.AfterFunc(delay, func() {
				<-started
				_ = cmd.Process.Kill()
			})
		}
		kill.Store(&end)
		asked.Store(after)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		close(started)
		err := cmd.Wait()
		if err != nil && cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("seed %d: %v\n%s", seed, err, out.String())
		}
		return err != nil
	}
	read := func(output string) trace.Trace {
		file, err := os.Open(output)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		got, err := trace.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	dir := t.TempDir()
	whole, broken := filepath.Join(dir, "whole.csv"), filepath.Join(dir, "broken.csv")
	export(whole, 0, 0)
	kills := 0
	for export(broken, 3+dice.Int64N(9), time.Duration(dice.Int64N(int64(8*time.Millisecond)))) {
		kills++
		if _, err := os.Stat(broken); err == nil && kills > jobs {
			t.Fatalf("seed %d: it never ends", seed)
		}
	}
	want, got := read(whole), read(broken)
	if len(want.Jobs) != jobs || !want.Real {
		t.Fatalf("an undisturbed export has %d jobs", len(want.Jobs))
	}
	if kills < 3 || !reflect.DeepEqual(got, want) {
		t.Errorf("seed %d: %d kills, %d jobs; first difference: %s", seed, kills, len(got.Jobs), difference(got, want))
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("seed %d: left behind: %v", seed, left)
	}
}

func difference(got, want trace.Trace) string {
	for i := range want.Jobs {
		if i >= len(got.Jobs) || got.Jobs[i] != want.Jobs[i] {
			return fmt.Sprintf("job %d: %+v, want %+v", i, got.Jobs[min(i, len(got.Jobs)-1)], want.Jobs[i])
		}
	}
	return cmp.Or(fmt.Sprint(got.Start, want.Start), "none")
}
