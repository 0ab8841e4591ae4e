package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/shoal-ci/shoal/internal/emulator"
)

// webhookName is the machine beside the fleet that GitLab's job events go to: the
// group begins with no instance, and somebody must see that jobs wait.
const webhookName = "webhook"

const (
	hookSecret = "demo-0123456789abcdef" //nolint:gosec // of an emulated GitLab that lives for two minutes
	// webhookStarts is how long the webhook may take to serve: a process on a loaded
	// machine.
	webhookStarts = 20 * time.Second
	webhookPolls  = 50 * time.Millisecond
)

// webhookConfig is the webhook's shoal.toml, as an operator would write it.
const webhookConfig = `[gitlab]
url = %q
token = "env:UNUSED" # the instances'; the webhook does not read it

[webhook]
listen = "127.0.0.1:%d"
secrets = ["file:%s"]
groups = [%q]
slots = %d
token = "file:%s"

[log]
format = "json"
`

// startWebhook boots the webhook and has GitLab send it its job events once it
// answers: GitLab disables a hook that fails.
func (s *show) startWebhook(ctx context.Context) error {
	port, err := s.machines.FreePort()
	if err != nil {
		return err
	}
	secret, token := filepath.Join(s.dir, "hook-secret"), filepath.Join(s.dir, "read-token")
	err = errors.Join(os.WriteFile(secret, []byte(hookSecret), 0o600), os.WriteFile(token, []byte(accessToken), 0o600))
	if err == nil {
		err = s.machines.Serve(webhookName, fmt.Sprintf(webhookConfig, s.cloud.GitLabURL(), port, secret, groupName, s.Slots, token))
	}
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	if err := answers(ctx, url+"/readyz"); err != nil {
		return fmt.Errorf("start the webhook: %w", err)
	}
	s.cloud.AddJobHook(emulator.JobHook{URL: url + "/hook", Secret: hookSecret})
	return nil
}

// answers waits until the address answers.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, webhookStarts)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(webhookPolls)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
