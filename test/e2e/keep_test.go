package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// kept is a demo that was left running, seen through nothing but what it printed.
type kept struct {
	*demo
	t       *testing.T
	printed string            // the lines for a shell
	vars    map[string]string // their variables, without PATH
}

// startKept waits for what a kept demo prints.
func startKept(t *testing.T) *kept {
	t.Helper()
	k := &kept{demo: startDemo(t, "--keep"), t: t, vars: map[string]string{}}
	if !waitFor(demoPatience, func() bool {
		_, said, _ := strings.Cut(k.stderr.String(), "Other programs talk to it with:\n\n")
		var whole bool // what happens meanwhile is said behind it
		k.printed, _, whole = strings.Cut(said, "\n\n")
		return whole || startedAt(k.Process.Pid) == ""
	}) || k.printed == "" {
		t.Fatal("the demo did not print how to talk to it")
	}
	for line := range strings.Lines(k.printed) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			name, value, _ := strings.Cut(v, "=")
			k.vars[name] = value
		}
	}
	return k
}

// shell runs a command in a shell that what was printed was pasted into.
func (k *kept) shell(command string) outcome {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, "sh", "-c", k.printed+"\n"+command) //nolint:gosec // a test's own
	cmd.Env = append(os.Environ(), "TMPDIR="+k.tmp)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		k.t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

var (
	curlURL    = regexp.MustCompile(`"(\$CI_SERVER_URL[^"]*)"`)
	curlBody   = regexp.MustCompile(`-d '([^']*)'`)
	curlHeader = regexp.MustCompile(`-H "([^:"]+): ([^"]+)"`)
)

// curl does what the printed line with this text in it does, and reads the answer
// into out.
func (k *kept) curl(text string, out any) {
	k.t.Helper()
	line := k.line(text)
	method, body := http.MethodGet, ""
	if m := curlBody.FindStringSubmatch(line); m != nil {
		method, body = http.MethodPost, m[1]
	}
	if strings.Contains(line, "-X POST") {
		method = http.MethodPost
	}
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, k.expand(curlURL.FindStringSubmatch(line)[1]), strings.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	if m := curlHeader.FindStringSubmatch(line); m != nil {
		req.Header.Set(m[1], k.expand(m[2]))
	}
	req.Close = true // no connection outlives the test
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode/100 != 2 {
		k.t.Fatalf("%s: %s %s (%v)", line, answer.Status, data, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(data, out); err != nil {
		k.t.Fatalf("%s: %v: %s", line, err, data)
	}
}

// line finds the printed curl line that has a text in it.
func (k *kept) line(text string) string {
	k.t.Helper()
	for line := range strings.Lines(k.printed) {
		if strings.HasPrefix(line, "#   curl ") && strings.Contains(line, text) && curlURL.MatchString(line) {
			return line
		}
	}
	k.t.Fatalf("no curl line with %q was printed:\n%s", text, k.printed)
	return ""
}

func (k *kept) expand(text string) string {
	return os.Expand(text, func(name string) string { return k.vars[name] })
}

// TestDemoKeep: what a kept demo prints is enough to work with it.
func TestDemoKeep(t *testing.T) {
	t.Parallel()
	k := startKept(t)
	k.look()
	if got := k.shell("shoal config check"); got.code != 0 || got.stdout != "ok\n" || strings.Contains(got.stderr, "shoal.toml") {
		t.Errorf("config check: %+v, want ok, and no complaint of the demo's own file", got)
	}
	if got := k.shell("shoal reap --group demo --dry-run"); got.code != 0 {
		t.Errorf("reap: %+v, want exit code 0", got)
	}
	var runners, managers []struct{ Status string }
	k.curl("/managers", &managers)
	if len(managers) != 0 {
		t.Errorf("managers %v though no instance is there", managers)
	}

	var submitted struct{ ID int64 }
	k.curl("-d ", &submitted)
	until(t, "the submitted job to succeed", func() bool {
		var jobs []struct {
			ID     int64
			Status string
		}
		k.curl(`curl "$CI_SERVER_URL/emulator/jobs"`, &jobs)
		for _, j := range jobs {
			if j.ID == submitted.ID {
				return j.Status == "success"
			}
		}
		return false
	})

	k.look()
	k.curl("/runners/all", &runners)
	k.curl("/managers", &managers)
	if len(runners) != 1 || len(managers) != 1 || managers[0].Status != "online" {
		t.Errorf("runners %v with managers %v, want one with one that is online", runners, managers)
	}

	var all []struct{ ID, State string }
	k.curl(`curl "$CI_SERVER_URL/emulator/instances"`, &all)
	k.printed = strings.Replace(k.printed, "/ID/", "/"+all[len(all)-1].ID+"/", 1)
	k.curl("/interrupt", nil)
	if err := k.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := k.end(t); code != 0 {
		t.Errorf("a kept demo that is ended exits with %d, want 0", code)
	}
	k.leavesNothing(t)
}
