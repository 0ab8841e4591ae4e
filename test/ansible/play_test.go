package ansible_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// played is what a run of a playbook came to.
type played struct {
	code                int
	text                string
	ok, changed, failed int
}

// plain has Ansible print for programs, and lose no time.
var plain = []string{"ANSIBLE_NOCOLOR=1", "ANSIBLE_NOCOWS=1", "ANSIBLE_PIPELINING=1"}

var recap = regexp.MustCompile(`(?m)^localhost\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=0\s+failed=(\d+)`)

// play runs a playbook on an instance as an operator would.
func (s *site) play(id, name string, args ...string) played {
	s.t.Helper()
	env, err := s.machines.Environ(id)
	if err != nil {
		s.t.Fatal(err)
	}
	args = append([]string{"-i", "localhost,", filepath.Join(playbooks, name), "-e", "shoal_program=" + program, "-e", "shoal_own_tasks=" + s.ownDir(id)}, args...)
	p := ansible(s.t, env, args...)
	s.note(id, name, p.text)
	if strings.Contains(p.text, sharedToken) {
		s.t.Errorf("%s prints the runner's token", name)
	}
	return p
}

func ansible(t *testing.T, env []string, args ...string) played {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(t, "ansible-playbook", "nobody runs the playbooks"), args...)
	cmd.Env = append(env, plain...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	p := played{code: cmd.ProcessState.ExitCode(), text: string(out)}
	if m := recap.FindStringSubmatch(p.text); m != nil {
		p.ok, p.changed, p.failed = number(m[1]), number(m[2]), number(m[3])
	}
	return p
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // the expression matches digits alone
	return n
}

// want asserts how a run ended and what it told.
func (p played) want(t *testing.T, what string, code, changed, failed int, words ...string) {
	t.Helper()
	if p.code != code || p.changed != changed || p.failed != failed {
		t.Fatalf("%s: exit %d, changed %d, failed %d, want %d, %d, %d:\n%s", what, p.code, p.changed, p.failed, code, changed, failed, p.text)
	}
	for _, w := range words {
		if !strings.Contains(p.text, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, p.text)
		}
	}
}

// mark is a task that adds a line to a file, which tells the order of all.
func mark(word string) string {
	return `- name: Mark
  ansible.builtin.shell: echo ` + word + ` >> "$HOME/order"
  changed_when: false
`
}

func (s *site) order(id string) string {
	data, err := os.ReadFile(filepath.Join(s.machines.Root(id), "var/lib/gitlab-runner/order"))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(data)), " ")
}
