package gitlab

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

var group7 = fleet.NewRunner{Type: "group_type", GroupID: 7}

func TestListPages(t *testing.T) {
	var asked []string
	var c *Client
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Query().Get("page") {
		case "": // the link leads astray: only its parameters count
			w.Header().Set("Link", `<https://elsewhere.example/api/v4/groups/7/runners?page=2&per_page=100&type=group_type>; rel="next"`)
			_, _ = w.Write([]byte(`[{"id":1,"description":"ci/i-0a","status":"online"},null,{"id":2,"description":"x"}]`))
		case "2": // a proxy takes links away
			w.Header().Set("X-Next-Page", "3")
			_, _ = w.Write([]byte(`[{"id":3,"description":""}]`))
		default:
			_, _ = w.Write([]byte(`[]`))
		}
	}))
	c = client(t, Options{URL: srv.URL})
	t.Cleanup(func() { c.Close(); srv.Close() })

	var ids []int64
	page := ""
	for range 3 {
		p, err := c.List(t.Context(), fleet.NewToken(apiSecret), group7, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Runners {
			ids = append(ids, r.ID)
		}
		page = p.Next
	}
	if !reflect.DeepEqual(ids, []int64{1, 2, 3}) || page != "" {
		t.Errorf("got %v, then %q", ids, page)
	}
	for i, want := range []string{"per_page=100", "page=2", "page=3"} {
		if !strings.HasPrefix(asked[i], "/api/v4/groups/7/runners?") || !strings.Contains(asked[i], want) || !strings.Contains(asked[i], "type=group_type") {
			t.Errorf("page %d: asked %s", i+1, asked[i])
		}
	}
}

func TestDetails(t *testing.T) {
	c, _ := server(t, "", func(a asked) (int, string) {
		switch a.path {
		case "/api/v4/runners/12":
			return 200, `{"id":12,"description":"ci/i-0a","contacted_at":"2026-01-02T03:04:05.678Z","status":"online"}`
		case "/api/v4/runners/13":
			return 200, `{"id":13,"description":"ci/i-0b","contacted_at":null}`
		case "/api/v4/runners/14":
			return 200, `{"id":15}`
		}
		return 404, `{"message":"404 Runner Not Found"}`
	})
	d, err := c.Details(t.Context(), fleet.NewToken(apiSecret), 12)
	if err != nil || d.ID != 12 || d.Description != "ci/i-0a" || !d.ContactedAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)) {
		t.Errorf("got %+v, %v", d, err)
	}
	if d, err := c.Details(t.Context(), fleet.NewToken(apiSecret), 13); err != nil || !d.ContactedAt.IsZero() {
		t.Errorf("never contacted: got %+v, %v", d, err)
	}
	for id, want := range map[int64]fleet.FailureKind{14: fleet.Temporary, 99: fleet.NotFound} {
		if _, err := c.Details(t.Context(), fleet.NewToken(apiSecret), id); fleet.AsFailure("", err) == nil || fleet.AsFailure("", err).Kind != want {
			t.Errorf("runner %d: got %v, want %q", id, err, want)
		}
	}
}

func TestDeleteByID(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   fleet.FailureKind
		mend   string
	}{
		{404, `{"message":"404 Runner Not Found"}`, fleet.NotFound, ""},
		{404, `<html>nginx</html>`, fleet.Temporary, ""}, // not GitLab's word: not gone
		{403, `{"error":"insufficient_scope","error_description":"x","scope":"api"}`, fleet.Denied, "the scope manage_runner or api and put it where reap.token points"},
		{401, `{"message":"401 Unauthorized"}`, fleet.BadToken, "reap.token"},
		{403, `{"message":"403 Forbidden"}`, fleet.Denied, "allowed to manage this runner"},
		{429, `{}`, fleet.Throttled, ""},
		{500, `{}`, fleet.Temporary, ""},
	} {
		api, _ := server(t, "", func(asked) (int, string) { return c.status, c.body })
		f := fleet.AsFailure("", api.DeleteByID(t.Context(), fleet.NewToken(apiSecret), 12))
		if f == nil || f.Kind != c.kind || !strings.Contains(f.Mend, c.mend) || strings.Contains(f.Error(), apiSecret) {
			t.Errorf("%d: got %+v, want %q", c.status, f, c.kind)
		}
	}
	api, all := server(t, "", func(asked) (int, string) { return 204, "" })
	if err := api.DeleteByID(t.Context(), fleet.NewToken(apiSecret), 12); err != nil {
		t.Error(err)
	}
	if a := (*all)[0]; a.method != "DELETE" || a.path != "/api/v4/runners/12" || a.token != apiSecret || a.query != "" {
		t.Errorf("asked %+v", a)
	}
}
