package config

import (
	"slices"
	"strings"
	"testing"
)

// TestJobGroupsFromAVariable: the commas behind a name are those of its tags; several
// groups stand in brackets.
func TestJobGroupsFromAVariable(t *testing.T) {
	for text, want := range map[string][]string{
		"ci":                       {"ci"},
		"ci: docker, linux":        {"ci"},
		`["ci: docker", "ci-arm"]`: {"ci", "ci-arm"},
	} {
		l, err := load(t, good, "SHOAL_WEBHOOK_GROUPS="+text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, g := range l.JobGroups() {
			got = append(got, g.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// TestGroupBehindOneThatTakesEveryJob would never be given any: nobody means that.
func TestGroupBehindOneThatTakesEveryJob(t *testing.T) {
	for _, text := range []string{"ci, ci-arm", `["ci x6", "ci-arm: arm64"]`} {
		_, err := load(t, good, "SHOAL_WEBHOOK_GROUPS="+text)
		if err == nil || !strings.Contains(err.Error(), "at place 2: the group before it takes every job") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
