package world

import (
	"errors"
	"slices"
	"testing"
	"time"
)

const testMachine = "s_1746f8786189"

func (r *rig) status(err error, want int) {
	r.t.Helper()
	var e *HTTPError
	if !errors.As(err, &e) || e.Status != want {
		r.t.Errorf("got %v, want status %d", err, want)
	}
}

func (r *rig) shared(n NewRunner) string {
	if n.Token == "" {
		n.Token = "glrt-shared"
	}
	return r.AddRunner(r.now, n).Token
}

func (r *rig) poll(token string) Handout {
	r.t.Helper()
	h, err := r.RequestJob(r.now, JobRequest{Token: token, SystemID: testMachine})
	r.must(err)
	return h
}

// TestQueue: first come, first served, to those whose tags fit; the queue's size
// is what this runner could take.
func TestQueue(t *testing.T) {
	r := newRig(t, Options{})
	any1 := r.shared(NewRunner{Token: "any", RunUntagged: true, Tags: []string{"linux", "gpu"}})
	tagged := r.shared(NewRunner{Token: "tagged", Tags: []string{"linux"}})
	project := r.shared(NewRunner{Token: "project", Type: TypeProject, ProjectID: 9, RunUntagged: true})
	a := r.SubmitJob(r.now, JobSpec{Name: "a"})
	b := r.SubmitJob(r.now, JobSpec{Name: "b", Tags: []string{"linux"}})
	c := r.SubmitJob(r.now, JobSpec{Name: "c", Tags: []string{"gpu", "linux"}})
	d := r.SubmitJob(r.now, JobSpec{Name: "d", Tags: []string{"mac"}})
	r.pass(7 * time.Second)
	if h := r.poll(project); h.Job != nil {
		t.Errorf("another project's job: %+v", h.Job)
	}
	h := r.poll(tagged)
	if h.Job == nil || h.Job.ID != b || h.QueueSize != 1 || h.QueueDepth != 1 || h.TimeInQueue != 7*time.Second {
		t.Fatalf("tagged: %+v", h)
	}
	if h = r.poll(any1); h.Job.ID != a || h.QueueSize != 2 {
		t.Errorf("first: %+v", h)
	}
	if h = r.poll(any1); h.Job.ID != c || h.QueueSize != 1 {
		t.Errorf("second: %+v", h)
	}
	if h = r.poll(any1); h.Job != nil || h.LastUpdate == "" {
		t.Errorf("third: %+v", h)
	}
	j, ok := r.Job(r.now, c)
	if !ok || j.Status != JobRunning || j.SystemID != testMachine || j.RunnerID != h.RunnerID || !j.StartedAt.Equal(r.now) {
		t.Errorf("job %+v", j)
	}
	r.must(r.CancelJob(r.now, d))
	r.must(r.CancelJob(r.now, d))
	r.status(r.CancelJob(r.now, 99), 404)
	if _, ok := r.Job(r.now, 99); ok {
		t.Error("a job that never was")
	}
}

// TestLastUpdate: a runner that knows all there is gets nothing, not even a
// look; a job that it could take, or a change of itself, changes the value.
func TestLastUpdate(t *testing.T) {
	r := newRig(t, Options{})
	r.AddAccessToken(AccessToken{Token: "admin", Scopes: []string{ScopeAPI}})
	token := r.shared(NewRunner{RunUntagged: true})
	value := r.poll(token).LastUpdate
	again, err := r.QueueValue(r.now, token)
	r.must(err)
	if again != value {
		t.Error("the value changed by itself")
	}
	r.SubmitJob(r.now, JobSpec{Tags: []string{"other"}})
	if v, _ := r.QueueValue(r.now, token); v != value {
		t.Error("another runner's job changed the value")
	}
	r.SubmitJob(r.now, JobSpec{})
	if v, _ := r.QueueValue(r.now, token); v == value {
		t.Error("a job came, and the value did not change")
	}
	if h, _ := r.RequestJob(r.now, JobRequest{Token: token, LastUpdate: value}); h.Job == nil {
		t.Error("no job for an old value")
	}
	value = r.poll(token).LastUpdate
	v, err := r.UpdateRunner(r.now, "admin", 1, RunnerUpdate{Paused: ptr(true), Description: ptr("d"), Tags: ptr([]string{"t"}), MaximumTimeout: ptr(time.Hour), RunUntagged: ptr(false), Locked: ptr(true), AccessLevel: ptr("ref_protected"), MaintenanceNote: ptr("n")})
	r.must(err)
	if !v.Paused || v.Description != "d" || !v.Locked || v.AccessLevel != "ref_protected" || v.MaintenanceNote != "n" || v.RunUntagged {
		t.Errorf("runner %+v", v)
	}
	r.SubmitJob(r.now, JobSpec{Tags: []string{"t"}})
	if h := r.poll(token); h.Job != nil || h.LastUpdate == value {
		t.Errorf("paused: %+v", h)
	}
	_, err = r.UpdateRunner(r.now, "admin", 1, RunnerUpdate{Tags: ptr([]string(nil))})
	r.status(err, 400)
	_, err = r.QueueValue(r.now, "bad")
	r.status(err, 403)
	_, err = r.RequestJob(r.now, JobRequest{Token: "bad"})
	r.status(err, 403)
	_, err = r.RequestJob(r.now, JobRequest{Token: token, SystemID: "i-0abc"})
	r.status(err, 400)
}

// TestJobEnds: by its runner's word, by its own time-out, by silence, by waiting
// too long.
func TestJobEnds(t *testing.T) {
	r := newRig(t, Options{StuckAfter: 10 * time.Minute, PendingTimeout: time.Hour})
	token := r.shared(NewRunner{RunUntagged: true, MaximumTimeout: 30 * time.Minute})
	var handed []Handout
	for range 4 {
		r.SubmitJob(r.now, JobSpec{Timeout: 2 * time.Hour})
		handed = append(handed, r.poll(token))
	}
	waits := r.SubmitJob(r.now, JobSpec{})
	r.must(r.UpdateJob(r.now, handed[0].Job.ID, handed[0].Token, JobUpdate{State: "success"}))
	r.must(r.UpdateJob(r.now, handed[1].Job.ID, handed[1].Token, JobUpdate{State: "failed"}))
	for range 5 { // 2 is heard of, 3 is not
		r.pass(7 * time.Minute)
		_ = r.UpdateJob(r.now, handed[2].Job.ID, handed[2].Token, JobUpdate{State: "running"})
	}
	r.pass(time.Hour)
	for i, want := range []string{"success", "failed unknown_failure", "failed " + FailedTimeout, "failed " + FailedStuck, "failed " + FailedStuck} {
		j := r.Jobs(r.now)[i]
		got := string(j.Status)
		if j.FailureReason != "" {
			got += " " + j.FailureReason
		}
		if got != want {
			t.Errorf("job %d: %s, want %s", j.ID, got, want)
		}
	}
	if j, _ := r.Job(r.now, handed[2].Job.ID); !j.FinishedAt.Equal(epoch.Add(30 * time.Minute)) {
		t.Errorf("timed out at %v, want the runner's maximum", j.FinishedAt)
	}
	if j, _ := r.Job(r.now, waits); !j.FinishedAt.Equal(epoch.Add(time.Hour)) {
		t.Errorf("gave up waiting at %v", j.FinishedAt)
	}
	err := r.UpdateJob(r.now, handed[0].Job.ID, handed[0].Token, JobUpdate{State: "success"})
	r.status(err, 403)
	if e := (*HTTPError)(nil); !errors.As(err, &e) || e.JobStatus != "success" || e.Error() == "" {
		t.Errorf("refusal %+v", err)
	}
}

// TestTwoPhase: a job that nobody acknowledges goes back to the queue.
func TestTwoPhase(t *testing.T) {
	r := newRig(t, Options{TwoPhase: true})
	token := r.shared(NewRunner{RunUntagged: true})
	r.SubmitJob(r.now, JobSpec{})
	ask := func() Handout {
		h, err := r.RequestJob(r.now, JobRequest{Token: token, SystemID: testMachine, TwoPhase: true})
		r.must(err)
		return h
	}
	lost := ask()
	if lost.Job.Status != JobPending || ask().Job != nil {
		t.Fatalf("handed out: %+v", lost)
	}
	r.pass(2 * time.Minute)
	h := ask()
	if h.Job == nil || h.Job.ID != lost.Job.ID {
		t.Fatalf("again: %+v", h)
	}
	r.status(r.UpdateJob(r.now, lost.Job.ID, lost.Token, JobUpdate{State: "running"}), 403)
	r.must(r.UpdateJob(r.now, h.Job.ID, h.Token, JobUpdate{State: "pending"}))
	r.must(r.UpdateJob(r.now, h.Job.ID, h.Token, JobUpdate{State: "running"}))
	if j, _ := r.Job(r.now, h.Job.ID); j.Status != JobRunning {
		t.Errorf("acknowledged: %s", j.Status)
	}
}

// TestLateAcknowledgement of a job that has ended meanwhile starts nothing.
func TestLateAcknowledgement(t *testing.T) {
	r := newRig(t, Options{TwoPhase: true})
	token := r.shared(NewRunner{RunUntagged: true})
	r.SubmitJob(r.now, JobSpec{})
	h, err := r.RequestJob(r.now, JobRequest{Token: token, SystemID: testMachine, TwoPhase: true})
	r.must(err)
	r.must(r.UpdateJob(r.now, h.Job.ID, h.Token, JobUpdate{State: "success"}))
	r.status(r.UpdateJob(r.now, h.Job.ID, h.Token, JobUpdate{State: "running"}), 403)
	if j, _ := r.Job(r.now, h.Job.ID); j.Status != JobSuccess {
		t.Errorf("after it: %s", j.Status)
	}
}

// TestTrace: pieces in order; the first mebibyte is kept.
func TestTrace(t *testing.T) {
	r := newRig(t, Options{})
	token := r.shared(NewRunner{RunUntagged: true})
	id := r.SubmitJob(r.now, JobSpec{})
	h := r.poll(token)
	for _, part := range []string{"one ", "two"} {
		j, _ := r.Job(r.now, id)
		if _, err := r.AppendTrace(r.now, id, h.Token, j.TraceBytes, []byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	size, err := r.AppendTrace(r.now, id, h.Token, 3, []byte("x"))
	r.status(err, 416)
	if size != 7 || string(r.Trace(id)) != "one two" || r.Trace(99) != nil {
		t.Errorf("%d bytes: %q", size, r.Trace(id))
	}
	size, err = r.AppendTrace(r.now, id, h.Token, 7, make([]byte, 2<<20))
	if err != nil || size != 7+2<<20 || len(r.Trace(id)) != 1<<20 {
		t.Errorf("%d bytes, %d kept, %v", size, len(r.Trace(id)), err)
	}
	_, err = r.AppendTrace(r.now, id, "bad", 7, nil)
	r.status(err, 403)
	r.MarkHandedToGone(id)
	r.MarkHandedToGone(99)
	if j, _ := r.Job(r.now, id); !j.HandedToGone {
		t.Error("not marked")
	}
}

// TestRetry: a finished job once, as a new one.
func TestRetry(t *testing.T) {
	r := newRig(t, Options{})
	r.AddAccessToken(AccessToken{Token: "admin", Scopes: []string{ScopeAPI}})
	id := r.SubmitJob(r.now, JobSpec{Name: "x"})
	_, err := r.RetryJob(r.now, "admin", 1, id)
	r.status(err, 403)
	r.must(r.CancelJob(r.now, id))
	n, err := r.RetryJob(r.now, "admin", 1, id)
	r.must(err)
	if old, _ := r.Job(r.now, id); old.RetriedBy != n.ID || n.RetryOf != id || n.Name != "x" || n.Status != JobPending {
		t.Errorf("old %+v, new %+v", old, n)
	}
	_, err = r.RetryJob(r.now, "admin", 2, id)
	r.status(err, 404)
	_, err = r.RetryJob(r.now, "", 1, id)
	r.status(err, 401)
	if _, err = r.ProjectJob(r.now, "admin", 1, id); err != nil {
		t.Error(err)
	}
	_, err = r.ProjectJob(r.now, "admin", 2, id)
	r.status(err, 404)
	_, err = r.ProjectJob(r.now, "bad", 1, id)
	r.status(err, 401)
}

// TestStatuses: online for two hours, stale after a week, managers gone then.
func TestStatuses(t *testing.T) {
	r := newRig(t, Options{})
	token := r.shared(NewRunner{RunUntagged: true})
	status := func() string { return r.AllRunners(r.now)[0].Status }
	if status() != "never_contacted" {
		t.Errorf("new: %s", status())
	}
	for _, id := range []string{testMachine, "r_abcdefABCDEF", testMachine, ""} {
		if _, err := r.VerifyRunner(r.now, token, id, ManagerInfo{Version: "19.4.0"}); err != nil {
			t.Fatal(err)
		}
	}
	m := r.AllRunners(r.now)[0].Managers
	if len(m) != 3 || m[0].SystemID != testMachine || m[0].Version != "19.4.0" || m[0].Status != "online" || m[2].SystemID != "<legacy>" {
		t.Errorf("managers %+v", m)
	}
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{2 * time.Hour, "online"}, {time.Second, "offline"}, {7 * 24 * time.Hour, "stale"}} {
		r.pass(tt.after)
		if status() != tt.want {
			t.Errorf("after another %v: %s, want %s", tt.after, status(), tt.want)
		}
	}
	if n := len(r.AllRunners(r.now)[0].Managers); n != 0 {
		t.Errorf("%d managers left", n)
	}
	if _, err := r.VerifyRunner(r.now, token, testMachine, ManagerInfo{}); err != nil || status() != "online" {
		t.Errorf("heard of again: %s, %v", status(), err)
	}
}

// TestDeletedRunner: its running job goes on, its token is dead.
func TestDeletedRunner(t *testing.T) {
	r := newRig(t, Options{})
	token := r.shared(NewRunner{RunUntagged: true})
	r.SubmitJob(r.now, JobSpec{})
	h, err := r.RequestJob(r.now, JobRequest{Token: token})
	r.must(err)
	r.must(r.UpdateJob(r.now, h.Job.ID, h.Token, JobUpdate{State: "running"}))
	r.must(r.UnregisterRunner(r.now, token))
	r.status(r.UnregisterRunner(r.now, token), 403)
	r.status(r.DeleteManager(r.now, token, testMachine), 403)
	_, err = r.ResetToken(r.now, token)
	r.status(err, 403)
	r.must(r.UpdateJob(r.now, h.Job.ID, h.Token, JobUpdate{State: "success"}))
}

// TestRunnerLists: filters.
func TestRunnerLists(t *testing.T) {
	r := newRig(t, Options{})
	r.AddAccessToken(AccessToken{Token: "admin", Scopes: []string{ScopeManageRunner, ScopeCreateRunner}})
	r.shared(NewRunner{Token: "1", RunUntagged: true, Tags: []string{"b", "a"}})
	r.shared(NewRunner{Token: "2", Type: TypeGroup, GroupID: 7, RunUntagged: true, Paused: true})
	r.shared(NewRunner{Token: "3", Type: TypeProject, ProjectID: 9, RunUntagged: true})
	for _, tt := range []struct {
		name string
		f    RunnerFilter
		want []int64
	}{
		{"all", RunnerFilter{}, []int64{1, 2, 3}},
		{"of a group", RunnerFilter{GroupID: 7}, []int64{2}},
		{"of a project", RunnerFilter{ProjectID: 8}, []int64{1, 2}},
		{"by type", RunnerFilter{Type: TypeProject}, []int64{3}},
		{"by tags", RunnerFilter{Tags: []string{"a", "b"}}, []int64{1}},
		{"paused", RunnerFilter{Paused: ptr(true)}, []int64{2}},
		{"online", RunnerFilter{Status: "online"}, nil},
	} {
		list, err := r.Runners(r.now, "admin", tt.f)
		r.must(err)
		var got []int64
		for _, v := range list {
			got = append(got, v.ID)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	_, err := r.Runners(r.now, "", RunnerFilter{})
	r.status(err, 401)
	_, err = r.Runner(r.now, "", 1)
	r.status(err, 401)
	_, err = r.RunnerJobs(r.now, "admin", 99, "")
	r.status(err, 404)
	jobs, err := r.RunnerJobs(r.now, "admin", 1, JobRunning)
	if err != nil || len(jobs) != 0 {
		t.Errorf("jobs %v, %v", jobs, err)
	}
	n, err := r.CreateRunner(r.now, "admin", NewRunner{Type: TypeInstance, RunUntagged: true, Token: "chosen"})
	if err != nil || n.Token == "chosen" {
		t.Errorf("a created runner chose its token: %+v, %v", n, err)
	}
	for _, bad := range []NewRunner{{Type: "odd"}, {Type: TypeProject}, {Type: TypeInstance, RunUntagged: true, AccessLevel: "odd"}, {Type: TypeInstance, RunUntagged: true, MaximumTimeout: time.Minute}} {
		_, err := r.CreateRunner(r.now, "admin", bad)
		r.status(err, 400)
	}
	r.AddRegistrationToken(RegistrationToken{Token: "reg"})
	_, err = r.RegisterRunner(r.now, "reg", NewRunner{})
	r.status(err, 400)
	_, err = r.ResetTokenByID(r.now, "bad", 1)
	r.status(err, 401)
	r.status(r.DeleteRunner(r.now, "bad", 1), 401)
	_, err = r.UpdateRunner(r.now, "bad", 1, RunnerUpdate{})
	r.status(err, 401)
}
