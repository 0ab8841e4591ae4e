package ansible_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// drained stands in for shoal: it says when it was called, and that all went well.
const drained = `#!/bin/sh
echo "$1" >> %[1]s/order
echo '{"verb":"unregister","exit":0,"summary":"drained","changed":true,"decisions":[]}'
`

// departure plays the end of an instance that has nothing but a notice, a
// program that notes when its drain begins, and the user's own tasks before it.
type departure struct {
	t     *testing.T
	dir   string
	notes string
}

func depart(t *testing.T, deadline string) departure {
	t.Helper()
	dir := t.TempDir()
	d := departure{t: t, dir: dir, notes: filepath.Join(dir, "order")}
	write(t, filepath.Join(dir, "shoal"), fmt.Sprintf(drained, dir), 0o755)
	write(t, filepath.Join(dir, "run/notice.json"), `{"kind":"spot","seen_at":"2026-01-01T00:00:00Z","deadline":`+deadline+`,"source":"test"}`+"\n", 0o644)
	return d
}

// noting is a task that takes some seconds, and says when it begins.
func (d departure) noting(word string, seconds int) string {
	return fmt.Sprintf("- name: Note\n  ansible.builtin.shell: echo %s >> %s; sleep %d\n", word, d.notes, seconds)
}

func (d departure) play(tasks string, args ...string) played {
	d.t.Helper()
	write(d.t, filepath.Join(d.dir, "own/before_unreg.yml"), tasks, 0o644)
	env := append(os.Environ(), "HOME="+d.dir, "SHOAL_RUN_DIR="+filepath.Join(d.dir, "run"))
	return ansible(d.t, env, append([]string{
		"-i", "localhost,", filepath.Join(playbooks, "gitlab_runner_unreg.yml"),
		"-e", "shoal_program=" + filepath.Join(d.dir, "shoal"), "-e", "shoal_own_tasks=" + filepath.Join(d.dir, "own"),
	}, args...)...)
}

func (d departure) order() string {
	data, err := os.ReadFile(d.notes)
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(data)), " ")
}

// TestBeforeTheDrain: what the user's tasks printed is shown, and what they changed counted.
func TestBeforeTheDrain(t *testing.T) {
	t.Parallel()
	d := depart(t, "null")
	p := d.play(d.noting("mine", 0) + "- name: Say\n  ansible.builtin.debug: {msg: \"for {{ shoal_own_tasks | basename }}\"}\n")
	p.want(t, "unreg", 0, 2, 0, "for own", "drained")
	if got := d.order(); got != "mine unregister" {
		t.Errorf("it went %q", got)
	}
}

// TestBeforeTheDrainTogether: each task is quick enough, all of them are not; and
// one has left a process behind that holds their output and dies of no kindness.
// Ansible has 20 s to come to the first task: on a busy machine it took over seven.
func TestBeforeTheDrainTogether(t *testing.T) {
	t.Parallel()
	d := depart(t, "null")
	tasks := "- name: Leave something behind\n  ansible.builtin.shell: (trap '' TERM; exec sleep 300) &\n  async: 60\n  poll: 0\n"
	for i := range 9 {
		tasks += d.noting(fmt.Sprint("task-", i), 5)
	}
	p := d.play(tasks, "-e", "shoal_own_seconds=20")
	p.want(t, "unreg", 2, 1, 1, "your tasks were ended after 20 s", "drained", "the runner is drained, but")
	if got := d.order(); !strings.HasPrefix(got, "task-0 ") || !strings.HasSuffix(got, " unregister") || strings.Contains(got, "task-5") {
		t.Errorf("it went %q", got)
	}
}

// TestBoundOfADeadline: no more than a quarter of the time that EC2 leaves, and
// nothing where none is left.
func TestBoundOfADeadline(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]string{
		9 * time.Second:  "your tasks were ended after [12] s",
		-time.Second:     "no time is left for your tasks",
		time.Hour:        "your tasks were ended after 3 s",
		-2 * time.Minute: "no time is left for your tasks",
	} {
		notice := filepath.Join(t.TempDir(), "notice.json")
		deadline := time.Now().Add(left)
		data, err := json.Marshal(fleet.Notice{Kind: fleet.NoticeSpot, SeenAt: time.Now(), Deadline: &deadline})
		if err != nil {
			t.Fatal(err)
		}
		write(t, notice, string(data), 0o644)
		cmd := exec.CommandContext(t.Context(), "/bin/sh", filepath.Join(playbooks, "tasks/own.sh"), "3", notice, "sh", "-c", "echo begun; sleep 300")
		out, _ := cmd.CombinedOutput() // the status is asserted
		if code := cmd.ProcessState.ExitCode(); code != 124 || !regexp.MustCompile(want).Match(out) {
			t.Errorf("with %s left: exit %d, want 124 and %q:\n%s", left, code, want, out)
		}
		if begun := strings.Contains(string(out), "begun"); begun != (left > 0) {
			t.Errorf("with %s left the tasks began: %v", left, begun)
		}
	}
}

// TestBeforeTheDrainBroken: neither a file that is no list of tasks nor a notice
// that nobody can read keeps the drain from beginning.
func TestBeforeTheDrainBroken(t *testing.T) {
	t.Parallel()
	d := depart(t, "null")
	write(t, filepath.Join(d.dir, "run/notice.json"), `{"kind":"scale-in","deadl`, 0o644)
	p := d.play("- name: [nonsense\n")
	p.want(t, "unreg", 2, 1, 1, "drained", "a task of before_unreg.yml failed")
	if got := d.order(); got != "unregister" {
		t.Errorf("it went %q", got)
	}
}
