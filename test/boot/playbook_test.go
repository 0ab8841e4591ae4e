package boot_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/internal/world"
)

// playbooks has the units run the playbooks, as the documented drop-ins make them,
// with tasks of the user's own around each.
func playbooks(t *testing.T) func(*plan) {
	t.Helper()
	found, err := filepath.Glob("../../deploy/ansible/units/*.d/*.conf")
	if err != nil || len(found) == 0 {
		t.Fatalf("no drop-ins in deploy/ansible/units (%v)", err)
	}
	return func(p *plan) {
		for _, path := range found {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p.files[filepath.Join("etc/systemd/system", filepath.Base(filepath.Dir(path)), filepath.Base(path))] = string(data)
		}
		for _, when := range []string{"before", "after"} {
			for _, what := range []string{"init", "scale_up", "unreg"} {
				p.files["etc/shoal/ansible/"+when+"_"+what+".yml"] = "- name: Leave a trace\n  ansible.builtin.command: logger --tag own " + when + " " + what + "\n"
			}
		}
	}
}

// ownTasks are the user's tasks that ran on a machine, in order.
func ownTasks(m *instance) (ran []string) {
	for _, l := range m.journal() {
		if l.identifier == "own" {
			ran = append(ran, l.text)
		}
	}
	return ran
}

// TestPlaybooksFollowTheQueue: with the playbooks in the units' place launches,
// raises and departures go as without them.
func TestPlaybooksFollowTheQueue(t *testing.T) {
	t.Parallel()
	f := open(t, growth, playbooks(t))
	first := f.up()
	f.grow()
	// Ansible takes seconds between a reading and its decision: what the instances
	// decide after the first raise depends on whose reading was overtaken by which.
	if got := f.raises(); got[0] != "1→2" || len(got) > 4 {
		t.Errorf("desired was raised %q, want 1→2 first and to 4 in few steps", got)
	}
	var ran []string
	for _, i := range f.cloud.Records().Instances {
		ran = append(ran, ownTasks(f.find(i.ID))...)
	}
	for _, task := range []string{"before init", "after init", "before scale_up", "after scale_up", "before unreg"} {
		if !slices.Contains(ran, task) {
			t.Errorf("the task %q never ran: %q", task, ran)
		}
	}
	if got := ownTasks(first); len(got) < 2 || got[0] != "before init" || got[1] != "after init" {
		t.Errorf("the tasks on %s ran in the order %q", first.id, got)
	}
}

// TestPlaybookDrains: a scale-in with a running job, by the playbook.
func TestPlaybookDrains(t *testing.T) {
	t.Parallel()
	f := open(t, playbooks(t))
	m := f.up()
	job := f.submit("sleep 20 & wait $!")
	f.untilJob(job, world.JobRunning)
	f.scaleIn(m)
	f.drained(m, job)
	if ran := ownTasks(m); !slices.Contains(ran, "before unreg") {
		t.Errorf("the user's tasks before the drain did not run: %q", ran)
	}
	if len(m.said(life.UnitUnregister, "PLAY [")) == 0 {
		t.Error("unreg-runner.service ran no playbook")
	}
}
