package gitlab

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

type call func(*testing.T, *Client) error

var (
	create call = func(t *testing.T, c *Client) error {
		_, err := c.Create(t.Context(), fleet.NewToken(apiSecret), newRunner())
		return err
	}
	find call = func(t *testing.T, c *Client) error {
		_, err := c.Find(t.Context(), fleet.NewToken(apiSecret), newRunner())
		return err
	}
	reset call = func(t *testing.T, c *Client) error {
		_, err := c.ResetToken(t.Context(), fleet.NewToken(apiSecret), 12)
		return err
	}
	register call = func(t *testing.T, c *Client) error {
		_, err := c.Register(t.Context(), fleet.NewToken(legacySecret), newRunner())
		return err
	}
	verify call = func(t *testing.T, c *Client) error {
		_, err := c.Verify(t.Context(), fleet.NewToken(runnerSecret), "s_0123456789ab")
		return err
	}
	remove        call = func(t *testing.T, c *Client) error { return c.Delete(t.Context(), fleet.NewToken(runnerSecret)) }
	removeManager call = func(t *testing.T, c *Client) error {
		return c.DeleteManager(t.Context(), fleet.NewToken(runnerSecret), "s_0123456789ab")
	}
)

func TestAnswersAreClassified(t *testing.T) {
	const scope = `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"create_runner"}`
	tests := []struct {
		name string
		do   call
		code int
		body string
		kind fleet.FailureKind
		want string // in the whole error
	}{
		{"unknown runner token", verify, 403, `{"message":"403 Forbidden"}`, fleet.BadToken, "does not know this runner token"},
		{"unknown runner token, no body", verify, 403, "", fleet.BadToken, "403"},
		{"runner token, 401", verify, 401, `{"message":"401 Unauthorized"}`, fleet.BadToken, ""},
		{"runner gone already", remove, 403, `{"message":"403 Forbidden"}`, fleet.BadToken, ""},
		{"manager gone already", removeManager, 404, `{"message":"404 Runner manager not found"}`, fleet.NotFound, "Runner manager not found"},
		{"bad system id", verify, 400, `{"error":"system_id is invalid"}`, fleet.Invalid, "system_id is invalid"},

		{"revoked", create, 401, `{"error":"invalid_token","error_description":"Token was revoked. You have to re-authorize from the user."}`, fleet.BadToken, "revoked or has expired"},
		{"expired", find, 401, `{"error":"invalid_token","error_description":"Token is expired. You can either do re-authorization or token refresh."}`, fleet.BadToken, "Token is expired"},
		{"unknown token", create, 401, `{"message":"401 Unauthorized"}`, fleet.BadToken, "scope create_runner"},
		{"no scope to create", create, 403, scope, fleet.Denied, "scope create_runner"},
		{"no scope to list", find, 403, scope, fleet.Denied, "scope manage_runner or api"},
		{"no scope to reset", reset, 403, scope, fleet.Denied, "scope manage_runner or api"},
		{"no role", create, 403, `{"message":"403 Forbidden"}`, fleet.Denied, "owner of group 7"},
		{"no role, another way to say it", create, 400, `{"message":"Insufficient permissions"}`, fleet.Denied, "owner of group 7"},
		{"no role, no body", find, 403, "", fleet.Denied, "owner of group 7"},
		{"no such group", create, 404, `{"message":"404 Group Not Found"}`, fleet.NotFound, "gitlab.group_id = 7"},
		{"no such runner", reset, 404, `{"message":"404 Not found"}`, fleet.NotFound, "404 Not found"},
		{"refused fields", create, 400, `{"message":{"tags_list":["can not be empty when runner is not allowed to pick untagged jobs"]}}`, fleet.Invalid, "tags_list: can not be empty"},
		{"unprocessable", create, 422, `{"error":"maximum_timeout is too short"}`, fleet.Invalid, "maximum_timeout is too short"},

		{"registration tokens off, 410", register, 410, `{"message":"410 Gone - runner registration disallowed"}`, fleet.Denied, "gitlab.mode to token or create"},
		{"registration tokens off, 403", register, 403, `{"message":"403 Forbidden - runner registration disallowed"}`, fleet.Denied, "gitlab.mode to token or create"},
		{"registration tokens gone", register, 404, `{"error":"404 Not Found"}`, fleet.Denied, "gitlab.mode to token or create"},
		{"bad registration token", register, 403, `{"message":"403 Forbidden - invalid token supplied"}`, fleet.BadToken, "registration token that is valid"},

		{"throttled", create, 429, `{"message":{"error":"This endpoint has been requested too many times. Try again later."}}`, fleet.Throttled, "too many times"},
		{"throttled in words", verify, 429, "Retry later\n", fleet.Throttled, ""},
		{"broken", create, 500, `{"message":"500 Internal Server Error"}`, fleet.Temporary, "500"},
		{"away", verify, 502, "<html>GitLab is not responding</html>", fleet.Temporary, "502"},
		{"deploying", remove, 503, "<html>Deploy in progress</html>", fleet.Temporary, "503"},
		{"conflict", create, 409, `{"message":"409 Conflict"}`, fleet.Temporary, "409"},
		{"a proxy's password", verify, 407, "", fleet.Temporary, "HTTPS_PROXY"},
		{"a firewall's 403", verify, 403, "<html>Blocked</html>", fleet.Temporary, "not GitLab's API answers 403"},
		{"a web server's 404", remove, 404, "<html>nginx</html>", fleet.Temporary, "gitlab.url"},
		{"a login page", create, 200, "<!doctype html>", fleet.Temporary, "gitlab.url"},
		{"no id", create, 201, `{"token":"glrt-x"}`, fleet.Temporary, "no id or no token"},
		{"null", create, 201, `null`, fleet.Temporary, "no id or no token"},
		{"nothing", register, 201, ``, fleet.Temporary, ""},
		{"null for a token", reset, 201, `{"token":null}`, fleet.Temporary, "no id or no token"},
		{"another type", verify, 200, `{"id":"x"}`, fleet.Temporary, ""},
		{"no list", find, 200, `{"message":"hello"}`, fleet.Temporary, ""},
		{"cut off", find, 200, `[{"id":1,"descr`, fleet.Temporary, ""},
		{"huge", find, 200, `["` + strings.Repeat("x", maxBody) + `"]`, fleet.Temporary, "larger than"},
		{"not for this", remove, 405, `{"error":"405 Not Allowed"}`, fleet.Invalid, "gitlab.url"},
		{"echoes the token", create, 400, `{"message":"bad token ` + apiSecret + ` and ` + runnerSecret + ` ` + legacySecret + `"}`, fleet.Invalid, "[secret]"},
		{"long", create, 400, `{"message":"` + strings.Repeat("word ", 10000) + `"}`, fleet.Invalid, "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, all := server(t, "", func(asked) (int, string) { return tt.code, tt.body })
			f := failure(t, tt.do(t, c), tt.kind)
			if !strings.Contains(f.Error(), tt.want) || len(f.Error()) > 1000 {
				t.Errorf("got %q, want %q in it", f.Error(), tt.want)
			}
			if f.Kind == fleet.Denied && f.Mend == "" {
				t.Error("a refusal that does not say what to mend")
			}
			if len(*all) != 1 {
				t.Errorf("%d requests, want one attempt", len(*all))
			}
		})
	}
}

func TestMendsNameTheRightPlace(t *testing.T) {
	for _, tt := range []struct {
		kind, role, missing string
	}{
		{"group_type", "owner of group 7", "gitlab.group_id = 7"},
		{"project_type", "maintainer of project 8", "gitlab.project_id = 8"},
		{"instance_type", "administrator", "16.0"},
	} {
		q := question{needs: needs{scope: "create_runner", runner: fleet.NewRunner{Type: tt.kind, GroupID: 7, ProjectID: 8}}}
		if got := q.mendRole(); !strings.Contains(got, tt.role) {
			t.Errorf("%s: %q, want %q", tt.kind, got, tt.role)
		}
		if got := q.mendMissing(); !strings.Contains(got, tt.missing) {
			t.Errorf("%s: %q, want %q", tt.kind, got, tt.missing)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	tests := map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 0, "-5": 0, "soon": 0, "3600": maxRetryAfter, "99999999999999999999": 0,
		time.Now().Add(time.Minute + 500*time.Millisecond).UTC().Format(http.TimeFormat): time.Minute,
		time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat):                     maxRetryAfter,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat):                         0,
	}
	for header, want := range tests {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.Header().Set("Ratelimit-Limit", "1") // would make the library wait
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		c := client(t, Options{URL: srv.URL})
		for range 2 {
			f := failure(t, verify(t, c), fleet.Throttled)
			if d := f.RetryAfter - want; d > time.Second || d < -2*time.Second {
				t.Errorf("Retry-After %q: got %v, want %v", header, f.RetryAfter, want)
			}
		}
		c.Close()
		srv.Close()
	}
}

func TestEmptyTokenIsNotSent(t *testing.T) {
	c, all := server(t, "", func(asked) (int, string) { return 200, "{}" })
	_, err := c.Verify(t.Context(), fleet.Token{}, "s_0123456789ab")
	_ = failure(t, err, fleet.BadToken)
	if len(*all) != 0 {
		t.Errorf("asked %v", *all)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"id":12,"token":"glrt-new"}`, `[{"id":1,"description":"ci/i-0abc"}]`, `{"message":{"a":["b",{"c":null}]}}`,
		`{"error":"insufficient_scope"}`, "", "null", "[[[[[[[[[[", "<html>",
	} {
		f.Add(200, s, "7")
		f.Add(403, s, "Wed, 21 Oct 2026 07:28:00 GMT")
	}
	f.Fuzz(func(t *testing.T, code int, body, wait string) {
		if code < 200 || code > 599 {
			return
		}
		c := client(t, Options{URL: "https://gitlab.example", Transport: canned{code, body + runnerSecret, wait}})
		for _, do := range []call{create, find, reset, register, verify, remove, removeManager} {
			err := do(t, c)
			if err == nil {
				continue
			}
			ff := fleet.AsFailure("?", err)
			if ff.Op == "?" || strings.Contains(ff.Error(), runnerSecret) || len(ff.Error()) > 4*maxMessage+600 {
				t.Errorf("%q", ff.Error())
			}
			if ff.RetryAfter < 0 || ff.RetryAfter > maxRetryAfter {
				t.Errorf("RetryAfter %v", ff.RetryAfter)
			}
		}
	})
}
