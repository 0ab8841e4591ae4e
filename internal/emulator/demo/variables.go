package demo

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/shoal-ci/shoal/internal/emulator/supervisor"
	"github.com/shoal-ci/shoal/internal/world"
)

// variables lead other programs to the emulated services, and Shoal's commands
// to one of the instances. They can be pasted into a shell as they are: what to
// do with them comes after them, as comments.
func (s *show) variables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "export CI_SERVER_URL=%s\n", s.cloud.GitLabURL())
	fmt.Fprintf(&b, "export GITLAB_TOKEN=%s\n", accessToken)
	records := s.cloud.Records()
	id := s.instanceVariables(&b, records)
	writeRequests(&b, records, id)
	return b.String()
}

// instanceVariables writes the environment of the first instance that stays, and
// returns its id: one that is about to go would answer nothing but that. Where none
// is there it is the webhook's machine's.
func (s *show) instanceVariables(b *strings.Builder, records world.Records) string {
	for _, i := range records.Instances {
		if i.State == world.InService && !going(i) && s.machineVariables(b, i.ID, "as on instance "+i.ID) {
			return i.ID
		}
	}
	s.machineVariables(b, webhookName, "as on the webhook's machine, for no instance is there until a job waits")
	return ""
}

// machineVariables writes the environment of a machine; false when it has gone.
func (s *show) machineVariables(b *strings.Builder, name, what string) bool {
	env, err := s.machines.Environ(name)
	if err != nil {
		return false
	}
	fmt.Fprintf(b, "# %s, whose folders are below %s:\n", what, s.machines.Root(name))
	fmt.Fprintf(b, "export PATH=%s:$PATH\n", filepath.Join(s.machines.Root(name), "bin"))
	for _, v := range env {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "SHOAL_") || name == supervisor.ControlVariable {
			fmt.Fprintf(b, "export %s\n", v)
		}
	}
	return true
}

// writeRequests shows what GitLab's API and the emulator's own controls are good
// for.
func writeRequests(b *strings.Builder, records world.Records, instance string) {
	b.WriteString("# the runners, and the managers (one for each instance) of one of them:\n")
	b.WriteString(`#   curl -H "PRIVATE-TOKEN: $GITLAB_TOKEN" "$CI_SERVER_URL/api/v4/runners/all"` + "\n")
	for _, r := range records.Runners {
		fmt.Fprintf(b, `#   curl -H "PRIVATE-TOKEN: $GITLAB_TOKEN" "$CI_SERVER_URL/api/v4/runners/%d/managers"`+"\n", r.ID)
	}
	b.WriteString("# submit a job, and see what became of all of them:\n")
	b.WriteString(`#   curl -d '{"name": "mine", "script": ["echo hello", "sleep 5"]}' "$CI_SERVER_URL/emulator/jobs"` + "\n")
	b.WriteString(`#   curl "$CI_SERVER_URL/emulator/jobs"` + "\n")
	if instance == "" {
		b.WriteString("# see the instances; one of their ids has EC2 take it when put in the place of ID:\n")
		b.WriteString(`#   curl "$CI_SERVER_URL/emulator/instances"` + "\n")
		b.WriteString(`#   curl -X POST "$CI_SERVER_URL/emulator/instances/ID/interrupt"` + "\n")
	} else {
		fmt.Fprintf(b, "# have EC2 take the instance, %s from then:\n", spotLead)
		fmt.Fprintf(b, `#   curl -X POST "$CI_SERVER_URL/emulator/instances/%s/interrupt"`+"\n", instance)
	}
}
