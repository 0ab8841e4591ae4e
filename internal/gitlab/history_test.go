package gitlab

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// historyOf serves a handler, and returns a reader of it.
func historyOf(t *testing.T, h http.HandlerFunc) *History {
	t.Helper()
	srv := httptest.NewServer(h)
	c := client(t, Options{URL: srv.URL})
	t.Cleanup(func() { c.Close(); srv.Close() })
	return c.History(fleet.NewToken(apiSecret), "--token")
}

// The answer has the keys and forms of GitLab's documentation of the jobs API.
func TestHistoryReadsWhatIsDocumented(t *testing.T) {
	body, err := os.ReadFile("testdata/project-jobs.json")
	if err != nil {
		t.Fatal(err)
	}
	asked := ""
	h := historyOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RequestURI()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Link", `<https://elsewhere.example/api/v4/projects/71/jobs?cursor=eyJpZCI6IjQ3MDkiLCJfa2QiOiJuIn0%3D&id=71&per_page=100>; rel="next"`)
		_, _ = w.Write(body)
	})
	got, err := h.Jobs(t.Context(), 71, "abc=")
	if err != nil {
		t.Fatal(err)
	}
	want := fleet.HistoryPage{
		Next: "eyJpZCI6IjQ3MDkiLCJfa2QiOiJuIn0=",
		Jobs: []fleet.PastJob{
			{
				ID: 4711, Project: 71, Pipeline: 806, Name: "unit tests 2/3", Stage: "test", Status: "failed", Tags: []string{"docker runner", "arm64"},
				Created:  time.Date(2026, 3, 2, 8, 51, 21, 802e6, time.UTC),
				Started:  time.Date(2026, 3, 2, 8, 54, 27, 722e6, time.UTC),
				Finished: time.Date(2026, 3, 2, 8, 54, 27, 895e6, time.UTC),
				Duration: 173 * time.Millisecond, Queued: 12250 * time.Millisecond, Runner: 32, RunnerName: "ci/i-0abc", Machine: "s_89e5e9956577",
			},
			{
				ID: 4709, Project: 71, Pipeline: 806, Name: "deploy: [eu, blue]", Stage: "deploy", Status: "manual", Tags: []string{},
				Created: time.Date(2026, 3, 2, 8, 51, 21, 727e6, time.UTC), Duration: -1, Queued: -1,
			},
		},
	}
	for i := range got.Jobs { // a zone of another name is the same time
		got.Jobs[i].Created = got.Jobs[i].Created.UTC()
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if asked != "/api/v4/projects/71/jobs?cursor=abc%3D&order_by=id&pagination=keyset&per_page=100&sort=desc" {
		t.Errorf("asked %s", asked)
	}
}

// TestHistoryOfLongAnswers: a page that is too large is asked for with fewer jobs.
func TestHistoryOfLongAnswers(t *testing.T) {
	var asked []string
	h := historyOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("per_page"))
		n, _ := strconv.Atoi(asked[len(asked)-1])
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("["))
		for i := range n {
			if i > 0 {
				_, _ = w.Write([]byte(","))
			}
			_, _ = fmt.Fprintf(w, `{"id":%d,"created_at":"2026-03-02T08:00:00Z","pipeline":{"id":1},"commit":{"message":%q}}`, 1000-i, strings.Repeat("x", 100_000))
		}
		_, _ = w.Write([]byte("]"))
	})
	got, err := h.Jobs(t.Context(), 71, "")
	if err != nil || len(got.Jobs) != 25 || strings.Join(asked, " ") != "100 50 25 25 25" { // twice, and whether there are more
		t.Errorf("%d jobs, %v; asked for %v", len(got.Jobs), err, asked)
	}
	huge := historyOf(t, func(w http.ResponseWriter, _ *http.Request) {
		for range maxBody / 1000 {
			_, _ = w.Write([]byte(strings.Repeat(" ", 1001)))
		}
	})
	if _, err := huge.Jobs(t.Context(), 71, ""); !errors.Is(err, errTooLarge) || fleet.AsFailure("", err).Kind != fleet.Temporary {
		t.Errorf("a job of more than can be read: %v", err)
	}
}

func TestHistoryRefusals(t *testing.T) {
	const job = `{"id":1,"created_at":"2026-03-02T08:00:00Z","pipeline":{"id":1}}`
	for name, c := range map[string]struct {
		status int
		header [2]string
		body   string
		kind   fleet.FailureKind
		want   string
	}{
		"no cursor":         {200, [2]string{"X-Next-Page", "2"}, "[" + job + "]", fleet.Invalid, "GitLab 15.9 or later is needed"},
		"a link without":    {200, [2]string{"Link", `<http://x/?page=2>; rel="next"`}, "[" + job + "]", fleet.Invalid, "gives no cursor"},
		"a cursor too long": {200, [2]string{"Link", `<http://x/?cursor=` + strings.Repeat("x", 2000) + `>; rel="next"`}, "[" + job + "]", fleet.Invalid, "gives no cursor"},
		"no job":            {200, [2]string{}, `[` + job + `,null]`, fleet.Temporary, "is no job"},
		"no id":             {200, [2]string{}, `[{"created_at":"2026-03-02T08:00:00Z","pipeline":{"id":1}}]`, fleet.Temporary, "is no job"},
		"a time that is no": {200, [2]string{}, `[{"id":1,"created_at":"yesterday","pipeline":{"id":1}}]`, fleet.Temporary, "not GitLab's JSON"},
		"half an answer":    {200, [2]string{}, `[{"id":1,`, fleet.Temporary, "not GitLab's JSON"},
		"no list":           {200, [2]string{}, `{"id":1}`, fleet.Temporary, "not GitLab's JSON"},
		"a login page":      {200, [2]string{}, `<html>`, fleet.Temporary, "not GitLab's JSON"},
		"scope":             {403, [2]string{}, `{"error":"insufficient_scope","error_description":"…","scope":"api read_api"}`, fleet.Denied, "make a token with the scope read_api or api and put it where --token points"},
		"role":              {403, [2]string{}, `{"message":"403 Forbidden"}`, fleet.Denied, "must be a reporter of project 71; its scope must be read_api or api"},
		"token":             {401, [2]string{}, `{"message":"401 Unauthorized"}`, fleet.BadToken, "revoked or has expired"},
		"gone":              {404, [2]string{}, `{"message":"404 Project Not Found"}`, fleet.NotFound, "is the user of the token in --token a member of project 71?"},
		"too often":         {429, [2]string{"Retry-After", "7"}, `{"message":{"error":"Try again later."}}`, fleet.Throttled, "Try again later"},
	} {
		h := historyOf(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if c.header[0] != "" {
				w.Header().Set(c.header[0], c.header[1])
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		})
		_, err := h.Jobs(t.Context(), 71, "")
		if f := fleet.AsFailure("", err); f == nil || f.Kind != c.kind || !strings.Contains(f.Error(), c.want) || strings.Contains(f.Error(), apiSecret) {
			t.Errorf("%s: got %v, want %q, %q", name, err, c.kind, c.want)
		}
	}
}

// TestLinksTakenAway: a proxy that drops the links must not make a long history short.
func TestLinksTakenAway(t *testing.T) {
	for jobs, whole := range map[int]bool{0: true, 99: true, 100: true, 101: false, 250: false} {
		h := historyOf(t, func(w http.ResponseWriter, r *http.Request) {
			page, _ := strconv.Atoi(r.URL.Query().Get("page"))
			var list []string
			for i := max(page-1, 0) * 100; i < min(max(page, 1)*100, jobs); i++ {
				list = append(list, fmt.Sprintf(`{"id":%d,"created_at":"2026-03-02T08:00:00Z","pipeline":{"id":1}}`, 1000-i))
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, "[%s]", strings.Join(list, ","))
		})
		got, err := h.Jobs(t.Context(), 71, "")
		if whole && (err != nil || len(got.Jobs) != jobs) || !whole && (err == nil || !strings.Contains(err.Error(), "does a proxy change the Link header?")) {
			t.Errorf("%d jobs: got %d, %v", jobs, len(got.Jobs), err)
		}
	}
}

// TestTheEndComesTwice: a page that ends the list too early, once, is no end.
func TestTheEndComesTwice(t *testing.T) {
	const job = `{"id":%d,"created_at":"2026-03-02T08:00:00Z","pipeline":{"id":1}}`
	whole := "[" + fmt.Sprintf(job, 9) + "," + fmt.Sprintf(job, 8) + "]"
	for name, c := range map[string]struct {
		first, second string // the answers; a link in the second where it begins with "+"
		jobs          int
		next          bool
		fails         bool
	}{
		"empty in the middle": {"[]", "+" + whole, 2, true, false},
		"null":                {"null", "+" + whole, 2, true, false},
		"without its link":    {whole, "+" + whole, 2, true, false},
		"the end":             {whole, whole, 2, false, false},
		"no job any more":     {"[]", "[]", 0, false, false},
		"cut short":           {"[" + fmt.Sprintf(job, 9) + "]", whole, 0, false, true},
	} {
		answers := []string{c.first, c.second}
		h := historyOf(t, func(w http.ResponseWriter, r *http.Request) {
			body, linked := strings.CutPrefix(answers[0], "+")
			answers = answers[1:]
			if linked {
				w.Header().Set("Link", `<http://x/?cursor=more>; rel="next"`)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
			if r.URL.Query().Get("cursor") != "here" {
				t.Errorf("%s: asked %s", name, r.URL)
			}
		})
		got, err := h.Jobs(t.Context(), 71, "here")
		if len(answers) > 0 || (err != nil) != c.fails || err == nil && (len(got.Jobs) != c.jobs || (got.Next == "more") != c.next) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if f := fleet.AsFailure("", err); err != nil && f.Kind != fleet.Temporary {
			t.Errorf("%s: %v is not tried again", name, err)
		}
	}
}

// TestOddJobs: one that no pipeline has made does not keep the others away.
func TestOddJobs(t *testing.T) {
	h := historyOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`[{"id":3,"created_at":"2026-03-02T08:00:00Z","pipeline":null},{"id":2,"created_at":null,"pipeline":{"id":1}},{"id":1,"created_at":"2026-03-02T08:00:00Z","pipeline":{"id":1}}]`))
	})
	if got, err := h.Jobs(t.Context(), 71, ""); err != nil || len(got.Jobs) != 1 || got.Jobs[0].ID != 1 || got.Odd != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestUntilReset: where there is no Retry-After GitLab's count of requests tells.
func TestUntilReset(t *testing.T) {
	for header, want := range map[[2]string][2]time.Duration{
		{"Retry-After", "7"}: {7 * time.Second, 7 * time.Second},
		{"RateLimit-Reset", strconv.FormatInt(time.Now().Add(30*time.Second).Unix(), 10)}: {20 * time.Second, 30 * time.Second},
		{"RateLimit-Reset", "99999999999"}:                                                {maxRetryAfter, maxRetryAfter},
		{"RateLimit-Reset", "1"}:                                                          {0, 0},
		{"RateLimit-Reset", "soon"}:                                                       {0, 0},
	} {
		h := historyOf(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(header[0], header[1])
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, err := h.Jobs(t.Context(), 1, "")
		if f := fleet.AsFailure("", err); f == nil || f.Kind != fleet.Throttled || f.RetryAfter < want[0] || f.RetryAfter > want[1] {
			t.Errorf("%v: got %+v", header, f)
		}
	}
}

func TestHistoryProjects(t *testing.T) {
	var asked []string
	lists := map[string][]string{ // by the first request of a list: its pages
		"": {"1,2", "4,5"},
	}
	total := func(int) string { return "4" }
	reads := 0
	h := historyOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.EscapedPath())
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/api/v4/projects/acme/web.site" {
			_, _ = w.Write([]byte(`{"id":71}`))
			return
		}
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		if page == 1 {
			reads++
		}
		ids := lists[""][page-1]
		w.Header().Set("X-Total", total(reads*10+page))
		if page < 2 {
			w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
		}
		_, _ = fmt.Fprintf(w, `[{"id":%s}]`, strings.ReplaceAll(ids, ",", `},{"id":`))
	})
	if id, err := h.Project(t.Context(), "acme/web.site"); err != nil || id != 71 || asked[0] != "/api/v4/projects/acme%2Fweb%2Esite" {
		t.Errorf("got %d, %v; asked %v", id, err, asked)
	}
	if ids, err := h.Projects(t.Context(), "acme"); err != nil || fmt.Sprint(ids) != "[1 2 4 5]" || reads != 1 {
		t.Errorf("got %v, %v in %d reads", ids, err, reads)
	}
	total = func(n int) string { // one went while the list was read for the second time
		if n <= 21 {
			return "5"
		}
		return "4"
	}
	if ids, err := h.Projects(t.Context(), "acme"); err != nil || fmt.Sprint(ids) != "[1 2 4 5]" || reads != 3 {
		t.Errorf("a list that changes: %v, %v in %d reads", ids, err, reads)
	}
	total = func(n int) string { return strconv.Itoa(n) }
	if ids, err := h.Projects(t.Context(), "acme"); err == nil || fleet.AsFailure("", err).Kind != fleet.Temporary {
		t.Errorf("a list that never holds still: %v, %v", ids, err)
	}
}

// answering carries requests to nobody: every answer is the same.
type answering struct {
	link, body string
}

func (a *answering) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}, "Link": {a.link}},
		Body: io.NopCloser(strings.NewReader(a.body)), Request: req,
	}, nil
}

// FuzzHistory: whatever answers, it is refused, or jobs that can be.
func FuzzHistory(f *testing.F) {
	documented, err := os.ReadFile("testdata/project-jobs.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("", string(documented))
	f.Add(`<http://x/?cursor=abc>; rel="next"`, `[{"id":1,"created_at":"2026-03-02T08:00:00Z","pipeline":{"id":1},"duration":1e300,"queued_duration":-1}]`)
	f.Add(`<%zz>; rel="next", ;`, `[null]`)
	f.Add(`<http://x/?cursor=abc>; next`, `[]`)
	a := &answering{}
	c, err := New(Options{URL: "http://gitlab.example.com", Transport: a})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, link, body string) {
		*a = answering{link, body}
		got, err := c.History(fleet.NewToken(apiSecret), "--token").Jobs(t.Context(), 71, "")
		if err != nil {
			if f := fleet.AsFailure("", err); !strings.HasPrefix(f.Error(), "list the jobs of project 71: ") || len(f.Error()) > 1000 {
				t.Errorf("an error without its operation, or without end: %v", err)
			}
			return
		}
		if len(got.Next) > mostCursor {
			t.Errorf("a cursor of %d bytes", len(got.Next))
		}
		for _, j := range got.Jobs {
			if j.ID <= 0 || j.Pipeline <= 0 || j.Created.IsZero() && !strings.Contains(body, "0001-01-01") || j.Duration < -1 || j.Queued < -1 || j.Duration > mostSeconds*time.Second {
				t.Errorf("no job: %+v", j)
			}
		}
	})
}
