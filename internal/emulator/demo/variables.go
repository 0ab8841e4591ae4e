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
// returns its id: one that is about to go would answer nothing but that.
func (s *show) instanceVariables(b *strings.Builder, records world.Records) string {
	for _, i := range records.Instances {
		if i.State != world.InService || going(i) {
			continue
		}
		env, err := s.machines.Environ(i.ID)
		if err != nil {
			continue // it has gone
		}
		fmt.Fprintf(b, "# as on instance %s, whose folders are below %s:\n", i.ID, s.machines.Root(i.ID))
		fmt.Fprintf(b, "export PATH=%s:$PATH\n", filepath.Join(s.machines.Root(i.ID), "bin"))
		for _, v := range env {
			if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "SHOAL_") || name == supervisor.ControlVariable {
				fmt.Fprintf(b, "export %s\n", v)
			}
		}
		return i.ID
	}
	return ""
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
	if instance != "" {
		fmt.Fprintf(b, "# have EC2 take the instance, %s from then:\n", spotLead)
		fmt.Fprintf(b, `#   curl -X POST "$CI_SERVER_URL/emulator/instances/%s/interrupt"`+"\n", instance)
	}
}
