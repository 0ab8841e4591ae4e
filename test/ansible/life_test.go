package ansible_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/internal/world"
)

// TestLife drives one instance through its three playbooks by hand.
func TestLife(t *testing.T) {
	t.Parallel()
	s := open(t, byHand, sharedToken)
	id := s.first()
	s.launch(id)
	s.nothingToUnregister(id)
	s.grow(id)
	s.leave(id)
}

func (s *site) launch(id string) {
	s.t.Helper()
	s.own(id, "before_init.yml", mark("before"))
	s.own(id, "after_init.yml", mark("after-{{ shoal_result.changed }}"))
	s.play(id, "gitlab_runner_init.yml").want(s.t, "init", 0, 1, 0, "completed launch hook")
	s.inService(id)
	if n := managers(s.cloud.Records()); n != 1 {
		s.t.Errorf("GitLab has %d machines of the runner, want 1", n)
	}
	s.play(id, "gitlab_runner_init.yml").want(s.t, "init again", 0, 0, 0, "keep the registration")
	if got := s.order(id); got != "before after-True before after-False" {
		s.t.Errorf("the user's tasks ran as %q", got)
	}
}

func (s *site) nothingToUnregister(id string) {
	s.t.Helper()
	s.own(id, "before_unreg.yml", mark("never"))
	s.own(id, "after_unreg.yml", mark("never"))
	s.play(id, "gitlab_runner_unreg.yml").want(s.t, "unreg without a notice", 0, 0, 0, "no notice")
	if got := s.order(id); strings.Contains(got, "never") {
		s.t.Errorf("without a notice the user's tasks ran: %q", got)
	}
}

// grow has more jobs wait than the instance has slots.
func (s *site) grow(id string) {
	s.t.Helper()
	for range 4 {
		s.cloud.SubmitJob(world.JobSpec{Name: "job", Script: []string{"sleep 4"}})
	}
	s.until("two running jobs", func(r world.Records) bool { return running(r) == 2 })
	s.play(id, "scale_up.yml").want(s.t, "scale-up", 0, 1, 0, "desired")
	if d := s.cloud.Records().Groups[0].Desired; d < 2 {
		s.t.Errorf("desired is %d, want at least 2", d)
	}
	s.until("all jobs done", func(r world.Records) bool {
		for _, j := range r.Jobs {
			if j.Status != world.JobSuccess {
				return false
			}
		}
		return true
	})
}

func running(r world.Records) (n int) {
	for _, j := range r.Jobs {
		if j.Status == world.JobRunning {
			n++
		}
	}
	return n
}

// leave ends the instance; a task before the drain fails, which must not keep
// the drain from beginning.
func (s *site) leave(id string) {
	s.t.Helper()
	s.own(id, "before_unreg.yml", mark("before-drain")+"- name: Break\n  ansible.builtin.fail: {msg: a mistake of the user}\n")
	s.own(id, "after_unreg.yml", mark("after-drain"))
	s.setDesired(0)
	s.until("a notice", func(world.Records) bool {
		_, err := os.Stat(filepath.Join(s.machines.Root(id), "run/shoal/notice.json"))
		return err == nil
	})
	s.play(id, "gitlab_runner_unreg.yml").want(s.t, "unreg", 2, 1, 1,
		"completed termination hook", "a task of before_unreg.yml failed", "a mistake of the user")
	s.until("the end of "+id, func(world.Records) bool { return !s.instance(id).TerminatedAt.IsZero() })
	if n := managers(s.cloud.Records()); n != 0 {
		s.t.Errorf("GitLab still has %d machines of the runner", n)
	}
	if i := s.instance(id); i.TerminatedAt.Sub(i.LeavingAt) > patience/2 {
		s.t.Errorf("the end took %s: the hook was not completed", i.TerminatedAt.Sub(i.LeavingAt))
	}
	if got := s.order(id); !strings.HasSuffix(got, "before-drain after-drain") {
		s.t.Errorf("the user's tasks ran as %q", got)
	}
}

// TestInitRefused: what fails is told in shoal's own words, and fails.
func TestInitRefused(t *testing.T) {
	t.Parallel()
	const unknown = "glrt-ansible-unknown-0123456789"
	s := open(t, byHand, unknown, noHooks)
	id := s.first()
	s.own(id, "after_init.yml", mark("never"))
	p := s.play(id, "gitlab_runner_init.yml")
	if p.code != 2 || p.failed != 1 || !strings.Contains(p.text, "GitLab does not know this runner token") {
		t.Errorf("exit %d, failed %d:\n%s", p.code, p.failed, p.text)
	}
	if strings.Contains(p.text, unknown) {
		t.Error("the token is told")
	}
	if got := s.order(id); got != "" {
		t.Errorf("after a failure the user's tasks ran: %q", got)
	}

	write(t, filepath.Join(s.machines.Root(id), "etc/shoal/shoal.toml"), "[gitlab]\nurl = \"nonsense\"\n", 0o600)
	p = s.play(id, "gitlab_runner_init.yml")
	p.want(t, "init with a bad configuration", 2, 0, 1, "gitlab.url", "gitlab.token", "exit 2")
}

// TestBrokenBeforeInit: what the user's task fails of is told, nothing is
// registered, and where no hook gives the launch up the instance is replaced.
func TestBrokenBeforeInit(t *testing.T) {
	t.Parallel()
	s := open(t, byHand, sharedToken, noHooks, impatient)
	id := s.first()
	s.own(id, "before_init.yml", "- name: Fetch\n  ansible.builtin.fail: {msg: the mirror is away}\n")
	s.play(id, "gitlab_runner_init.yml").want(t, "init", 2, 1, 1, "before_init.yml failed: Fetch: the mirror is away", "Nothing is registered")
	if n := managers(s.cloud.Records()); n != 0 {
		t.Errorf("GitLab has %d machines of the runner, want none", n)
	}
	s.until("the replacement of "+id, func(r world.Records) bool { return !s.instance(id).LeavingAt.IsZero() && len(r.Instances) > 1 })
}

// TestUnitsRunThePlaybooks: a whole life in which the units run the playbooks.
func TestUnitsRunThePlaybooks(t *testing.T) {
	t.Parallel()
	s := open(t, byUnit, sharedToken)
	id := s.first()
	s.inService(id)
	for range 4 {
		s.cloud.SubmitJob(world.JobSpec{Name: "job", Script: []string{"sleep 5"}})
	}
	s.until("a second instance in service, and every job done", func(r world.Records) bool {
		in := 0
		for _, i := range r.Instances {
			if i.State == world.InService {
				in++
			}
		}
		done := 0
		for _, j := range r.Jobs {
			if j.Status == world.JobSuccess {
				done++
			}
		}
		return in >= 2 && done == len(r.Jobs)
	})
	s.setDesired(0)
	s.until("the end of all", func(r world.Records) bool {
		for _, i := range r.Instances {
			if i.TerminatedAt.IsZero() {
				return false
			}
		}
		return managers(r) == 0
	})
	for _, i := range s.cloud.Records().Instances {
		if took := i.TerminatedAt.Sub(i.LeavingAt); took > patience/2 {
			t.Errorf("the end of %s took %s: the hook was not completed", i.ID, took)
		}
	}
}
