package emulator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// recorded is one line of a recording of a real gitlab-runner against a stub.
type recorded struct {
	Method  string            `json:"m"`
	Path    string            `json:"p"`
	Header  map[string]string `json:"h"`
	Body    json.RawMessage   `json:"b"`
	Status  int               `json:"code"`
	Note    string            `json:"note"`
	Seconds string            `json:"t"`
}

// TestReplay sends what real runners of two versions sent, request by request,
// and expects the status that they were built against, with the fields and
// headers that they read. The stub's scripted refusals are put in as faults.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob("testdata/gitlab-runner/*/*.requests.jsonl")
	if err != nil || len(files) != 14 {
		t.Fatalf("got %d recordings, %v; want 14", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file))+"/"+strings.TrimSuffix(filepath.Base(file), ".requests.jsonl"), func(t *testing.T) {
			newReplay(t).run(readRecording(t, file))
		})
	}
}

func readRecording(t *testing.T, file string) []recorded {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []recorded
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, r)
	}
	return out
}

type replay struct {
	t     *testing.T
	cloud *Cloud
	names *strings.Replacer // recorded job ids and tokens → ours
	pairs []string
	fault int // status that the next request is answered with
}

func newReplay(t *testing.T) *replay {
	r := &replay{t: t, names: strings.NewReplacer()}
	r.cloud = start(t, Options{
		PollHold: -1,
		Runners:  []world.NewRunner{{Token: "stubtok-0123456789abcdef", RunUntagged: true}},
		Fault:    func(Request) Fault { return r.refusal() },
	})
	return r
}

func (r *replay) refusal() Fault {
	if r.fault == 0 {
		return Fault{}
	}
	return Fault{Status: r.fault, Body: `{"message":"scripted"}`}
}

func (r *replay) run(list []recorded) {
	seen := map[string]int{}
	for i, q := range list {
		if !strings.HasPrefix(q.Path, "/api/v4/") {
			continue // another program's request on the same port
		}
		r.fault = 0
		if q.Status == 403 || q.Status == 429 {
			r.fault = q.Status
		}
		if strings.HasSuffix(q.Path, "/jobs/request") && q.Status == 201 {
			r.cloud.SubmitJob(world.JobSpec{Script: []string{"echo hi"}})
		}
		got := r.send(q)
		if got.status != q.Status {
			r.t.Fatalf("request %d, %s %s: got %d %s, want %d", i, q.Method, q.Path, got.status, got.text, q.Status)
		}
		r.check(q, got)
		seen[q.Method+" "+q.Path]++
	}
	if len(seen) == 0 {
		r.t.Fatal("nothing was replayed")
	}
}

func (r *replay) send(q recorded) reply {
	body := []byte(q.Body)
	var text string
	if json.Unmarshal(q.Body, &text) == nil {
		body = []byte(text) // a piece of a log
	} else {
		body = []byte(r.names.Replace(string(body)))
	}
	req, err := http.NewRequest(q.Method, r.cloud.GitLabURL()+r.names.Replace(q.Path), bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range q.Header {
		if k != "Content-Length" && k != "Accept-Encoding" {
			req.Header.Set(k, r.names.Replace(v))
		}
	}
	got, err := send(req)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

// check: what the runner, or Shoal, reads of each answer.
func (r *replay) check(q recorded, got reply) {
	r.t.Helper()
	switch op := q.Method + " " + strings.TrimPrefix(q.Path, "/api/v4"); {
	case q.Status >= 400:
	case op == "POST /runners", op == "POST /runners/verify":
		r.fields(got, "id", "token")
		if _, there := got.json.(map[string]any)["token_expires_at"]; !there {
			r.t.Errorf("%s: token_expires_at is missing in %s", op, got.text)
		}
	case op == "POST /jobs/request" && q.Status == 204:
		if got.header.Get("X-GitLab-Last-Update") == "" {
			r.t.Error("an empty answer without X-GitLab-Last-Update")
		}
	case op == "POST /jobs/request":
		r.fields(got, "id", "token", "steps", "variables", "job_info")
		r.fields(reply{json: got.field("job_info")}, "queue_size", "queue_depth", "time_in_queue_seconds")
		r.rename(q, got)
	case q.Method == http.MethodPatch:
		r.trace(q, got)
	}
}

func (r *replay) fields(got reply, names ...string) {
	r.t.Helper()
	for _, n := range names {
		if got.field(n) == nil {
			r.t.Errorf("field %s is missing in %s", n, got.text)
		}
	}
}

// rename has later requests of a recorded job speak of ours.
func (r *replay) rename(q recorded, got reply) {
	old := strings.TrimPrefix(q.Note, "job ")
	r.pairs = append(r.pairs, "jobtoken-"+old, got.field("token").(string), "/jobs/"+old, fmt.Sprintf("/jobs/%v", got.field("id")))
	r.names = strings.NewReplacer(r.pairs...)
}

func (r *replay) trace(q recorded, got reply) {
	r.t.Helper()
	_, to, _ := contentRange(q.Header["Content-Range"])
	want := map[string]string{"Range": fmt.Sprintf("0-%d", to+1), "Job-Status": "running", "X-Gitlab-Trace-Update-Interval": "3"}
	for k, v := range want {
		if got.header.Get(k) != v {
			r.t.Errorf("PATCH %s: header %s is %q, want %q", q.Path, k, got.header.Get(k), v)
		}
	}
}

// TestReplayFates: the recordings leave the world as the runner left its jobs.
func TestReplayFates(t *testing.T) {
	for file, want := range map[string][]string{
		"17.5/metrics": {"success ", "success ", "success "},
		"19.4/metrics": {"success ", "success ", "success "},
		"17.5/sigterm": {"failed runner_system_failure"},
		"19.4/sigterm": {"failed unknown_failure"}, // the stub named no failure reasons
		"19.4/sigquit": {"success "},
	} {
		r := newReplay(t)
		r.run(readRecording(t, "testdata/gitlab-runner/"+file+".requests.jsonl"))
		var got []string
		for _, j := range r.cloud.Records().Jobs {
			got = append(got, string(j.Status)+" "+j.FailureReason)
			if j.SystemID != testSystemID || j.StartedAt.IsZero() || j.FinishedAt.Before(j.StartedAt) {
				t.Errorf("%s: job %d: machine %q, started %v, finished %v", file, j.ID, j.SystemID, j.StartedAt, j.FinishedAt)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: jobs ended %q, want %q", file, got, want)
		}
	}
}

// TestReplayCLI: gitlab-runner unregister --all-runners deletes a legacy runner,
// but of a shared one only the manager record.
func TestReplayCLI(t *testing.T) {
	for _, version := range []string{"17.5", "19.4"} {
		r := newReplay(t)
		r.run(readRecording(t, "testdata/gitlab-runner/"+version+"/cli.requests.jsonl"))
		left := map[string]int{}
		r.cloud.Do(func(w *world.World, now time.Time) {
			for _, v := range w.AllRunners(now) {
				left[v.Token] = len(v.Managers)
			}
		})
		if n, there := left[sharedToken]; !there || n != 0 {
			t.Errorf("%s: the shared runner: there %t with %d managers, want it without any", version, there, n)
		}
		if _, there := left["stubtok-0123456789abcdef"]; there {
			t.Errorf("%s: the legacy runner is still there", version)
		}
	}
}
