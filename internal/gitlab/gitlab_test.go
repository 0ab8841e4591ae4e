package gitlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

const (
	apiSecret    = "glpat-AAAAAAAAAAAAAAAAAAAA"
	runnerSecret = "glrt-BBBBBBBBBBBBBBBBBBBB"
	legacySecret = "GR1348941CCCCCCCCCCCCCCCCCCCC"
)

// asked is one request as the server got it.
type asked struct {
	method, path, query, token string
	body                       map[string]any
}

// server answers with f and returns what it was asked.
func server(t *testing.T, prefix string, f func(asked) (int, string)) (*Client, *[]asked) {
	t.Helper()
	var all []asked
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := asked{method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, token: r.Header.Get("Private-Token")}
		if data, _ := io.ReadAll(r.Body); len(data) > 0 {
			if err := json.Unmarshal(data, &a.body); err != nil {
				t.Errorf("body %q: %v", data, err)
			}
		}
		all = append(all, a)
		code, body := f(a)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	c := client(t, Options{URL: srv.URL + prefix})
	t.Cleanup(func() { c.Close(); srv.Close() })
	return c, &all
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newRunner() fleet.NewRunner {
	return fleet.NewRunner{
		Type: "group_type", GroupID: 7, Description: "ci/i-0abc", Tags: []string{"linux", "big"},
		Locked: true, AccessLevel: "ref_protected", MaximumTimeout: time.Hour, MaintenanceNote: "made by shoal",
	}
}

func TestRequests(t *testing.T) {
	runner := map[string]any{
		"runner_type": "group_type", "group_id": 7.0, "description": "ci/i-0abc", "tag_list": []any{"linux", "big"},
		"run_untagged": false, "locked": true, "access_level": "ref_protected", "maximum_timeout": 3600.0, "maintenance_note": "made by shoal",
	}
	legacy := map[string]any{"token": legacySecret}
	for k, v := range runner {
		if k != "runner_type" && k != "group_id" {
			legacy[k] = v
		}
	}
	made := fleet.RegisteredRunner{ID: 12, Token: fleet.NewToken("glrt-new")}
	const madeBody = `{"id":12,"token":"glrt-new","token_expires_at":null}`
	tests := []struct {
		name   string
		do     func(*Client) (any, error)
		code   int
		answer string
		want   asked
		got    any
	}{
		{
			"create", func(c *Client) (any, error) { return c.Create(t.Context(), fleet.NewToken(apiSecret), newRunner()) },
			201, madeBody,
			asked{method: "POST", path: "/user/runners", token: apiSecret, body: runner},
			made,
		},
		{
			"register", func(c *Client) (any, error) {
				return c.Register(t.Context(), fleet.NewToken(legacySecret), newRunner())
			},
			201, madeBody,
			asked{method: "POST", path: "/runners", body: legacy},
			made,
		},
		{
			"verify", func(c *Client) (any, error) {
				return c.Verify(t.Context(), fleet.NewToken(runnerSecret), "s_0123456789ab")
			},
			200, madeBody,
			asked{method: "POST", path: "/runners/verify", body: map[string]any{"token": runnerSecret, "system_id": "s_0123456789ab"}},
			int64(12),
		},
		{
			"verify on an older GitLab", func(c *Client) (any, error) {
				return c.Verify(t.Context(), fleet.NewToken(runnerSecret), "s_0123456789ab")
			},
			200, "",
			asked{method: "POST", path: "/runners/verify", body: map[string]any{"token": runnerSecret, "system_id": "s_0123456789ab"}},
			int64(0),
		},
		{
			"delete", func(c *Client) (any, error) { return nil, c.Delete(t.Context(), fleet.NewToken(runnerSecret)) },
			204, "",
			asked{method: "DELETE", path: "/runners", body: map[string]any{"token": runnerSecret}},
			nil,
		},
		{
			"delete manager", func(c *Client) (any, error) {
				return nil, c.DeleteManager(t.Context(), fleet.NewToken(runnerSecret), "s_0123456789ab")
			},
			204, "",
			asked{method: "DELETE", path: "/runners/managers", body: map[string]any{"token": runnerSecret, "system_id": "s_0123456789ab"}},
			nil,
		},
		{
			"reset", func(c *Client) (any, error) { return c.ResetToken(t.Context(), fleet.NewToken(apiSecret), 12) },
			201, madeBody,
			asked{method: "POST", path: "/runners/12/reset_authentication_token", token: apiSecret},
			made,
		},
	}
	for _, tt := range tests {
		for _, prefix := range []string{"", "/", "/gitlab", "/gitlab/"} {
			t.Run(tt.name+prefix, func(t *testing.T) {
				c, all := server(t, prefix, func(asked) (int, string) { return tt.code, tt.answer })
				got, err := tt.do(c)
				if err != nil || !reflect.DeepEqual(got, tt.got) {
					t.Errorf("got %v, %v; want %v", got, err, tt.got)
				}
				want := tt.want
				want.path = strings.TrimRight(prefix, "/") + "/api/v4" + want.path
				if len(*all) != 1 || !reflect.DeepEqual((*all)[0], want) {
					t.Errorf("asked %+v\nwant  %+v", *all, want)
				}
			})
		}
	}
}

func TestFindFollowsPages(t *testing.T) {
	for kind, path := range map[string]string{
		"group_type": "/api/v4/groups/7/runners", "project_type": "/api/v4/projects/8/runners", "instance_type": "/api/v4/runners/all",
	} {
		var queries []string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != path || r.Header.Get("Private-Token") != apiSecret {
				t.Errorf("asked %s with %q", r.URL.Path, r.Header.Get("Private-Token"))
			}
			q := r.URL.Query()
			queries = append(queries, q.Get("per_page")+" "+q.Get("type")+" "+q.Get("page"))
			page := max(1, len(queries))
			if page < 3 {
				w.Header().Set("X-Next-Page", fmt.Sprint(page+1))
				// The host of a Link is not to be followed.
				w.Header().Set("Link", fmt.Sprintf(`<https://elsewhere.invalid%s?page=%d&per_page=100>; rel="next"`, path, page+1))
			}
			_, _ = fmt.Fprintf(w, `[{"id":%d,"description":"ci/i-0abc"},{"id":%d,"description":"ci/i-0abcd"},null,{"id":1,"description":"CI/i-0abc"}]`, page*10, page*10+1)
		}))
		c := client(t, Options{URL: srv.URL})
		r := newRunner()
		r.Type, r.ProjectID = kind, 8
		got, err := c.Find(t.Context(), fleet.NewToken(apiSecret), r)
		if want := []int64{10, 20, 30}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v; want %v", kind, got, err, want)
		}
		if want := []string{"100 " + kind + " ", "100 " + kind + " 2", "100 " + kind + " 3"}; !slices.Equal(queries, want) {
			t.Errorf("%s: asked %q, want %q", kind, queries, want)
		}
		c.Close()
		srv.Close()
	}
}

func TestFindEnds(t *testing.T) {
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Set("X-Next-Page", "2")
		_, _ = io.WriteString(w, "[]")
	}))
	defer srv.Close()
	c := client(t, Options{URL: srv.URL})
	defer c.Close()
	_, err := c.Find(t.Context(), fleet.NewToken(apiSecret), newRunner())
	_ = failure(t, err, fleet.Temporary)
	if n != maxPages {
		t.Errorf("%d pages read, want %d", n, maxPages)
	}
	_, err = c.Find(t.Context(), fleet.NewToken(apiSecret), fleet.NewRunner{Description: "x"})
	_ = failure(t, err, fleet.Denied)
}

func TestNewRefuses(t *testing.T) {
	for _, u := range []string{"", "gitlab.example.com", "ftp://x", "https://", "https://u:p@x", "https://x?a=b", "https://x#y", "http://[::1", "://"} {
		_, err := New(Options{URL: u})
		f := failure(t, err, fleet.Invalid)
		if !strings.Contains(f.Mend, "gitlab.url") {
			t.Errorf("%q: %v", u, f)
		}
	}
	for _, path := range []string{t.TempDir() + "/none", "gitlab_test.go"} {
		_, err := New(Options{URL: "https://x", CAFile: path})
		f := failure(t, err, fleet.Invalid)
		if !strings.Contains(f.Mend, "gitlab.ca_file") {
			t.Errorf("%q: %v", path, f)
		}
	}
}

func failure(t *testing.T, err error, kind fleet.FailureKind) *fleet.Failure {
	t.Helper()
	var f *fleet.Failure
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got %v, want a failure of kind %q", err, kind)
	}
	if f.Op == "" {
		t.Errorf("%v names no operation", err)
	}
	for _, s := range []string{apiSecret, runnerSecret, legacySecret} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", f, *f, *f), s) {
			t.Errorf("a token is in %+v", *f)
		}
	}
	return f
}
