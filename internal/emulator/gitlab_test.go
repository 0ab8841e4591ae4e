package emulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// TestRunnerCalls: every call of the runners' API, with who may and who may not.
func TestRunnerCalls(t *testing.T) {
	c := start(t, Options{})
	api := c.GitLabURL() + "/api/v4"
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "PRIVATE-TOKEN", createToken}
	got := call(t, "POST", api+"/user/runners", "runner_type=group_type&group_id=7&description=ci/i-1&tag_list=a,b&run_untagged=false&maximum_timeout=600&maintenance_note=n", form...)
	token, _ := got.field("token").(string)
	if got.status != 201 || !strings.HasPrefix(token, "glrt-") || got.field("id") == nil {
		t.Fatalf("create: %d %s", got.status, got.text)
	}
	id := fmt.Sprint(got.field("id"))
	legacy := call(t, "POST", api+"/runners", map[string]any{"token": legacyToken, "description": "old", "tag_list": "x"})
	if legacy.status != 201 || strings.HasPrefix(legacy.field("token").(string), "glrt-") {
		t.Fatalf("register: %d %s", legacy.status, legacy.text)
	}
	for _, tt := range []struct {
		name, method, path string
		body               any
		auth               string
		status             int
		says               string
	}{
		{"create without a token", "POST", "/user/runners", map[string]any{"runner_type": "instance_type"}, "", 401, "401 Unauthorized"},
		{"create without the scope", "POST", "/user/runners", map[string]any{"runner_type": "instance_type"}, readToken, 403, "insufficient_scope"},
		{"create without a group", "POST", "/user/runners", map[string]any{"runner_type": "group_type"}, createToken, 400, "group_id is missing"},
		{"create without a type", "POST", "/user/runners", map[string]any{}, createToken, 400, "runner_type"},
		{"create that takes nothing", "POST", "/user/runners", map[string]any{"runner_type": "instance_type", "run_untagged": false}, createToken, 400, "Tags list can not be empty"},
		{"register with a bad token", "POST", "/runners", map[string]any{"token": "bad"}, "", 403, "403 Forbidden"},
		{"register without a token", "POST", "/runners", map[string]any{}, "", 400, "token is missing"},
		{"verify", "POST", "/runners/verify", map[string]any{"token": token, "system_id": testSystemID}, "", 200, token},
		{"verify again", "POST", "/runners/verify", map[string]any{"token": token, "system_id": "r_abcDEF012345"}, "", 200, token},
		{"verify a bad token", "POST", "/runners/verify", map[string]any{"token": "bad", "system_id": testSystemID}, "", 403, "403 Forbidden"},
		{"verify a bad machine", "POST", "/runners/verify", map[string]any{"token": token, "system_id": "i-0abc"}, "", 400, "system_id"},
		{"managers", "GET", "/runners/" + id + "/managers", nil, readToken, 200, "r_abcDEF012345"},
		{"one runner", "GET", "/runners/" + id, nil, readToken, 200, `"tag_list":["a","b"]`},
		{"one runner for nobody", "GET", "/runners/" + id, nil, "", 401, ""},
		{"no such runner", "GET", "/runners/999", nil, adminToken, 404, "404 Runner Not Found"},
		{"pause", "PUT", "/runners/" + id, map[string]any{"paused": true}, adminToken, 200, `"paused":true`},
		{"pause without the scope", "PUT", "/runners/" + id, map[string]any{"paused": true}, createToken, 403, "insufficient_scope"},
		{"list of a group", "GET", "/groups/7/runners?paused=true&tag_list=a", nil, adminToken, 200, `"description":"ci/i-1"`},
		{"list without the scope", "GET", "/groups/7/runners", nil, createToken, 403, "insufficient_scope"},
		{"list of another group", "GET", "/groups/8/runners", nil, adminToken, 200, "[]"},
		{"list by status", "GET", "/runners/all?status=never_contacted", nil, adminToken, 200, `"description":"old"`},
		{"reset by id", "POST", "/runners/" + id + "/reset_authentication_token", nil, adminToken, 201, "glrt-"},
		{"the old token is dead", "POST", "/runners/verify", map[string]any{"token": token}, "", 403, ""},
		{"drop a manager of a bad token", "DELETE", "/runners/managers", map[string]any{"token": token, "system_id": testSystemID}, "", 403, ""},
		{"drop a manager that is none", "DELETE", "/runners/managers", map[string]any{"token": sharedToken, "system_id": "s_000000000000"}, "", 404, ""},
		{"drop a manager without a machine", "DELETE", "/runners/managers", map[string]any{"token": sharedToken}, "", 400, "system_id is missing"},
		{"delete by token", "DELETE", "/runners", map[string]any{"token": legacy.field("token")}, "", 204, ""},
		{"delete by token again", "DELETE", "/runners", map[string]any{"token": legacy.field("token")}, "", 403, ""},
		{"delete by id", "DELETE", "/runners/" + id, nil, adminToken, 204, ""},
		{"delete by id again", "DELETE", "/runners/" + id, nil, adminToken, 404, ""},
		{"no such path", "GET", "/nonsense", nil, adminToken, 404, ""},
		{"not JSON", "POST", "/runners/verify", "{", "", 400, ""},
	} {
		got := call(t, tt.method, api+tt.path, tt.body, "PRIVATE-TOKEN", tt.auth)
		if got.status != tt.status || !strings.Contains(got.text, tt.says) {
			t.Errorf("%s: got %d %s, want %d with %q", tt.name, got.status, got.text, tt.status, tt.says)
		}
	}
	own := call(t, "POST", api+"/runners/reset_authentication_token", map[string]any{"token": sharedToken})
	if own.status != 201 || own.field("token") == sharedToken {
		t.Errorf("reset by token: %d %s", own.status, own.text)
	}
}

// TestAccessTokens: revoked and expired tokens are told apart from unknown ones.
func TestAccessTokens(t *testing.T) {
	c := start(t, Options{AccessTokens: []world.AccessToken{
		{Token: "old", Scopes: []string{"api"}, ExpiresAt: time.Now().Add(-time.Hour)},
		{Token: "gone", Scopes: []string{"api"}},
	}})
	c.Do(func(w *world.World, _ time.Time) { w.RevokeAccessToken("gone") })
	for token, want := range map[string]string{"old": "Token is expired.", "gone": "Token was revoked.", "other": "401 Unauthorized"} {
		got := call(t, "GET", c.GitLabURL()+"/api/v4/runners/all", nil, "Authorization", "Bearer "+token)
		if got.status != 401 || !strings.Contains(got.text, want) {
			t.Errorf("%s: %d %s", token, got.status, got.text)
		}
	}
}

func TestRegistrationClosed(t *testing.T) {
	c := start(t, Options{World: world.Options{RegistrationClosed: true}})
	if got := call(t, "POST", c.GitLabURL()+"/api/v4/runners", map[string]any{"token": legacyToken}); got.status != http.StatusGone {
		t.Errorf("%d %s, want 410", got.status, got.text)
	}
}

// TestPages: lists lead from page to page by their Link headers.
func TestPages(t *testing.T) {
	c := start(t, Options{})
	c.Do(func(w *world.World, now time.Time) {
		for i := range 6 {
			w.AddRunner(now, world.NewRunner{Description: fmt.Sprint(i), RunUntagged: true})
		}
	})
	url, pages, runners := c.GitLabURL()+"/api/v4/runners/all?per_page=3", 0, 0
	for url != "" {
		got := call(t, "GET", url, nil, "PRIVATE-TOKEN", adminToken)
		list, _ := got.json.([]any)
		runners += len(list)
		pages++
		url = ""
		for link := range strings.SplitSeq(got.header.Get("Link"), ", ") {
			if target, ok := strings.CutSuffix(link, `>; rel="next"`); ok {
				url = strings.TrimPrefix(target, "<")
			}
		}
	}
	if pages != 3 || runners != 7 {
		t.Errorf("%d runners on %d pages, want 7 on 3", runners, pages)
	}
	if got := call(t, "GET", c.GitLabURL()+"/api/v4/runners/all?per_page=1000", nil, "PRIVATE-TOKEN", adminToken); got.header.Get("X-Per-Page") != "100" {
		t.Errorf("per_page is %s, want 100 at most", got.header.Get("X-Per-Page"))
	}
}
