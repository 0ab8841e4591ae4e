package emulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func pastOf(n int) PastProject {
	p := PastProject{ID: 71, Path: "acme/web"}
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for i := range n {
		p.Jobs = append(p.Jobs, PastJob{
			ID: int64(1 + i), Pipeline: 1, Name: "unit", Stage: "test", Status: []string{"success", "failed"}[i%2], Created: at, Queued: at.Add(time.Second),
			Started: at.Add(3 * time.Second), Finished: at.Add(time.Minute), RunnerID: 5, Runner: "ci/i-0abc", SystemID: "s_0123456789ab", User: "Jane Doe",
		})
	}
	return p
}

// listed follows a list by its links and returns the ids.
func listed(t *testing.T, c *Cloud, path string) (ids []string) {
	t.Helper()
	url := c.GitLabURL() + "/api/v4" + path
	for url != "" {
		r := call(t, "GET", url, nil, "Private-Token", readToken)
		if r.status != 200 {
			t.Fatalf("%s: %d %s", url, r.status, r.text)
		}
		list, _ := r.json.([]any)
		for _, x := range list {
			ids = append(ids, fmt.Sprint(x.(map[string]any)["id"]))
		}
		url = ""
		for part := range strings.SplitSeq(r.header.Get("Link"), ", ") {
			if link, ok := strings.CutSuffix(part, `>; rel="next"`); ok {
				url = strings.TrimPrefix(link, "<")
			}
		}
	}
	return ids
}

func TestPastJobsByKeyset(t *testing.T) {
	c := start(t, Options{})
	c.AddHistory(pastOf(25))
	const list = "/projects/71/jobs?pagination=keyset&order_by=id&sort=desc&per_page=10"
	if ids := listed(t, c, list); len(ids) != 25 || ids[0] != "25" || ids[24] != "1" {
		t.Errorf("by keyset: %v", ids)
	}
	if ids := listed(t, c, list+"&scope[]=failed"); len(ids) != 12 || ids[0] != "24" {
		t.Errorf("of one status: %v", ids)
	}
	if ids := listed(t, c, "/projects/acme%2Fweb/jobs?per_page=10"); len(ids) != 25 {
		t.Errorf("by number: %v", ids)
	}
	first := call(t, "GET", c.GitLabURL()+"/api/v4"+list, nil, "Private-Token", readToken)
	c.AddHistory(PastProject{ID: 71, Jobs: []PastJob{{ID: 99, Pipeline: 9}}}) // while the list is read
	next := strings.TrimSuffix(strings.TrimPrefix(first.header.Get("Link"), "<"), `>; rel="next"`)
	second := call(t, "GET", next, nil, "Private-Token", readToken)
	if jobs, _ := second.json.([]any); len(jobs) != 10 || fmt.Sprint(jobs[0].(map[string]any)["id"]) != "15" {
		t.Errorf("a job that came shifted the next page: %s", second.text)
	}
	for query, want := range map[string]int{"?pagination=keyset&order_by=id&sort=asc": 405, "?pagination=keyset&order_by=id&sort=desc&cursor=x": 400, "?page=600&per_page=100": 405} {
		if r := call(t, "GET", c.GitLabURL()+"/api/v4/projects/71/jobs"+query, nil, "Private-Token", readToken); r.status != want {
			t.Errorf("%s: %d, want %d", query, r.status, want)
		}
	}
	for path, token := range map[string]string{"/projects/71/jobs": createToken, "/projects/71": "", "/groups/acme/projects": "x"} {
		if r := call(t, "GET", c.GitLabURL()+"/api/v4"+path, nil, "Private-Token", token); r.status != 401 && r.status != 403 {
			t.Errorf("%s with the token %q: %d", path, token, r.status)
		}
	}
}

func TestPastProjects(t *testing.T) {
	c := start(t, Options{})
	c.AddHistory(pastOf(1), PastProject{ID: 72, Path: "acme/infra/base"}, PastProject{ID: 73, Path: "acme2/web"}, PastProject{ID: 74, Path: "acme/secret", Denied: true})
	for path, want := range map[string]string{
		"/groups/acme/projects?include_subgroups=true&sort=asc&order_by=id&per_page=2": "[71 72 74]",
		"/groups/acme/projects?sort=asc":                                               "[71 74]",
		"/groups/acme%2Finfra/projects":                                                "[72]",
	} {
		if ids := listed(t, c, path); fmt.Sprint(ids) != want {
			t.Errorf("%s: %v, want %s", path, ids, want)
		}
	}
	for path, want := range map[string]int{"/projects/71": 200, "/projects/acme%2Fweb": 200, "/projects/acme%2Fnone": 404, "/groups/none/projects": 404, "/projects/74/jobs": 403} {
		if r := call(t, "GET", c.GitLabURL()+"/api/v4"+path, nil, "Private-Token", readToken); r.status != want {
			t.Errorf("%s: %d, want %d", path, r.status, want)
		}
	}
}

// TestPastJobIsAsDocumented: it has the keys that GitLab's documentation of the jobs
// API shows, but for what it does not always have.
func TestPastJobIsAsDocumented(t *testing.T) {
	data, err := os.ReadFile("../gitlab/testdata/project-jobs.json")
	if err != nil {
		t.Fatal(err)
	}
	var want []map[string]any
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	data, err = json.Marshal(pastJobBody(pastOf(2), pastOf(2).Jobs[1]))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	sometimes := []string{"artifacts_file", "artifacts_expire_at"}
	for _, key := range slices.Sorted(maps.Keys(want[0])) {
		value, there := got[key]
		if !there && !slices.Contains(sometimes, key) {
			t.Errorf("no %q", key)
		}
		if there && value != nil && want[0][key] != nil && fmt.Sprintf("%T", value) != fmt.Sprintf("%T", want[0][key]) {
			t.Errorf("%s is %T, documented as %T", key, value, want[0][key])
		}
	}
	for key := range got {
		if _, there := want[0][key]; !there {
			t.Errorf("%q is not documented", key)
		}
	}
}

// TestCut: an answer that ends in the middle is an error to who reads it.
func TestCut(t *testing.T) {
	c := start(t, Options{})
	c.AddHistory(pastOf(50))
	for _, n := range []int{1, 100, 5000} {
		c.SetFault(func(Request) Fault { return Fault{Cut: n} })
		r, err := tryCall("GET", c.GitLabURL()+"/api/v4/projects/71/jobs?per_page=50", nil, "Private-Token", readToken)
		if err == nil || len(r.text) > n {
			t.Errorf("cut after %d: %d bytes, %v", n, len(r.text), err)
		}
	}
}
