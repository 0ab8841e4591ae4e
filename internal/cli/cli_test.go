package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/agent"
	"github.com/shoal-ci/shoal/internal/config"
	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/gitlab"
	"github.com/shoal-ci/shoal/internal/life"
)

// enough is an environment that stands for a whole configuration, on a machine
// where nobody answers.
func enough(t *testing.T) []string {
	t.Helper()
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
	return []string{
		"SHOAL_GITLAB_URL=https://gitlab.example.com", "SHOAL_GITLAB_TOKEN=env:T", "SHOAL_RUNNER_LISTEN_ADDRESS=127.0.0.1:1",
		"SHOAL_STATE_DIR=" + t.TempDir(), "SHOAL_RUN_DIR=" + t.TempDir(),
	}
}

func TestExitCodes(t *testing.T) {
	environ := enough(t)
	for line, want := range map[string]life.ExitCode{
		"version":                           life.Done,
		"config check":                      life.Done,
		"unregister":                        life.Done, // there is no notice
		"frobnicate":                        life.BadUsage,
		"version please":                    life.BadUsage,
		"version --jsn":                     life.BadUsage,
		"config check --config /nowhere":    life.BadUsage,
		"config show --json --defaults":     life.BadUsage,
		"monitor --config /nowhere":         life.BadUsage,
		"unregister --within 1m":            life.BadUsage,
		"scale-up":                          life.TryAgain, // there is no runner
		"config check --json --config /non": life.BadUsage,
	} {
		var out, errs bytes.Buffer
		got := Run(t.Context(), strings.Fields(line), Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Environ: environ})
		if got != int(want) {
			t.Errorf("shoal %s: got exit %d, want %d\n%s%s", line, got, want, &out, &errs)
		}
	}
}

// Two runs in one process share nothing: each keeps its own flags, streams and
// configuration.
func TestRunsDoNotMeet(t *testing.T) {
	environ := enough(t)
	var wg sync.WaitGroup
	for _, level := range []string{"debug", "error"} {
		wg.Go(func() {
			var out bytes.Buffer
			env := Env{Stdout: &out, Stderr: &bytes.Buffer{}, Environ: append(environ[:len(environ):len(environ)], "SHOAL_LOG_LEVEL="+level)}
			if code := Run(t.Context(), []string{"config", "show"}, env); code != 0 || !strings.Contains(out.String(), `"`+level+`"`) {
				t.Errorf("exit %d, no %q in\n%s", code, level, &out)
			}
		})
	}
	wg.Wait()
}

// A daemon that is asked to stop ends with 0 and says what came of it.
func TestDaemonStopsWithItsContext(t *testing.T) {
	environ := enough(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	code := Run(ctx, []string{"lifecycle-check", "--json"}, Env{Stdout: &out, Stderr: &bytes.Buffer{}, Environ: environ})
	var got result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || code != 0 || got.Verb != "lifecycle-check" || got.Exit != 0 || got.Summary == "" {
		t.Errorf("exit %d, %+v, %v", code, got, err)
	}
}

// Every setting of every machine comes from the configuration: a field that
// nobody fills would silently be zero. (A verb's own flags are filled by it.)
func TestEverySettingIsFilled(t *testing.T) {
	c := config.Default()
	c.GitLab.URL, c.GitLab.GroupID, c.GitLab.ProjectID = "https://x", 1, 2
	c.GitLab.Tags, c.GitLab.RunUntagged, c.GitLab.Locked = []string{"a"}, true, true
	c.GitLab.AccessLevel, c.GitLab.MaximumTimeout, c.GitLab.MaintenanceNote = "ref_protected", time.Hour, "note"
	c.Group.Name, c.Group.LaunchHook, c.Group.TerminateHook = "g", "l", "t"
	c.LifecycleCheck.OnRebalance, c.LifecycleCheck.OnMaintenance = config.Leave, config.Leave
	c.Monitor.LearnIdle, c.Spares.Slots, c.Spares.Hold = time.Hour, []string{"6"}, time.Minute
	c.ScaleUp.WebhookGrace = time.Second
	if s := spareSettings(c); s.Slots.At(time.Now()) != 6 || s.Hold != time.Minute {
		t.Errorf("spares %+v", s)
	}
	flags := map[string]bool{"Token": true, "Now": true, "Within": true, "Shutdown": true, "Mistakes": true, "Description": true}
	for _, set := range []any{initSettings(c), newRunner(c.GitLab), monitorSettings(c), scaleUpSettings(c), lifecycleCheckSettings(c), unregisterSettings(c)} {
		v := reflect.ValueOf(set)
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !flags[name] {
				t.Errorf("%s.%s is not filled", v.Type(), name)
			}
		}
	}
}

func TestColourOnlyOnATerminal(t *testing.T) {
	if p := newPalette(&bytes.Buffer{}, nil); p.on {
		t.Error("a buffer gets colours")
	}
	e := &commandError{err: context.Canceled, hint: "again"}
	for on, want := range map[bool]string{
		false: "shoal: context canceled\nhint: again\n",
		true:  "\x1b[31;1mshoal:\x1b[0m context canceled\n\x1b[2mhint:\x1b[0m again\n",
	} {
		var out bytes.Buffer
		palette{on}.print(&out, e)
		if out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	}
}

// What a person waits for is told; what systemd starts every few seconds is not.
func TestLevelOfAnExit(t *testing.T) {
	for _, c := range []struct {
		out    agent.Outcome
		person bool
		want   slog.Level
	}{
		{agent.Outcome{Code: life.Done}, true, slog.LevelInfo},
		{agent.Outcome{Code: life.Done}, false, slog.LevelDebug},
		{agent.Outcome{Code: life.TryAgain}, false, slog.LevelWarn},
		{agent.Outcome{Code: life.Failed}, false, slog.LevelError},
		{agent.Outcome{Code: life.Refused}, true, slog.LevelError},
		{agent.Outcome{Code: life.Refused, Said: true}, true, slog.LevelError},
		{agent.Outcome{Code: life.Refused, Said: true}, false, slog.LevelDebug},
	} {
		if got := levelOf(c.out, c.person); got != c.want {
			t.Errorf("%+v, person %v: got %v, want %v", c.out, c.person, got, c.want)
		}
	}
}

// A certificate file that is gone fails the requests to GitLab, each anew, and
// nothing before.
func TestGitLabIsMadeLate(t *testing.T) {
	pem := filepath.Join(t.TempDir(), "ca.pem")
	g := &lateGitLab{options: gitlab.Options{URL: "https://127.0.0.1:1", CAFile: pem}}
	if _, err := g.Verify(t.Context(), fleet.NewToken("x"), "s_abcdefghijkl"); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("got %v, want the file's name", err)
	}
	g.options.CAFile = ""
	if _, err := g.Verify(t.Context(), fleet.NewToken("x"), "s_abcdefghijkl"); err == nil || g.made == nil {
		t.Errorf("got %v, want that nobody answers", err)
	}
}
