package e2e_test

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
	"github.com/shoal-ci/shoal/internal/world"
)

// TestReapByHand: the program as somebody runs it beside a fleet. The dry run
// names what a dead instance left, and nothing else; that it deletes only after
// four minutes is for package reap, where time is virtual.
func TestReapByHand(t *testing.T) {
	cloud, err := emulator.Start(emulator.Options{
		World:        world.Options{Region: region},
		Groups:       []world.GroupSpec{{Name: group, Max: 3, Desired: 2, Hooks: []world.Hook{terminateHook("terminate")}}},
		AccessTokens: []world.AccessToken{{Token: apiToken, Scopes: []string{world.ScopeManageRunner}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	var dead string
	cloud.Do(func(w *world.World, now time.Time) {
		for _, i := range w.Instances(now) {
			dead = i.ID
			w.AddRunner(now, world.NewRunner{Description: group + "/" + i.ID, RunUntagged: true})
		}
	})
	if err := cloud.Crash(dead); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "reap", "--group", group, "--dry-run", "--json") //nolint:gosec // our own
	cmd.Env = []string{
		"AWS_REGION=" + region, "AWS_ENDPOINT_URL=" + cloud.AutoScalingURL(), "AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=example",
		"SHOAL_GITLAB_URL=" + cloud.GitLabURL(), "SHOAL_GITLAB_RUNNER_TYPE=instance_type", "SHOAL_REAP_TOKEN=env:TOKEN", "TOKEN=" + apiToken,
	}
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	var said struct {
		Changed bool
		Found   []struct {
			Instance, Hook string
			Runner         int64
			Done           bool
		}
	}
	if err := json.Unmarshal(out, &said); err != nil || said.Changed || len(said.Found) == 0 || strings.Contains(log.String()+string(out), apiToken) {
		t.Fatalf("%v, said %s\n%s", err, out, log.String())
	}
	for _, f := range said.Found {
		if f.Instance != dead || f.Done || f.Runner == 0 && f.Hook != "terminate" {
			t.Errorf("found %+v", f)
		}
	}
	if n := len(runnersOf(cloud)); n != 2 {
		t.Errorf("%d runners are left", n)
	}
}

func runnersOf(c *emulator.Cloud) (list []world.Runner) {
	c.Do(func(w *world.World, now time.Time) { list = w.AllRunners(now) })
	return list
}
