package config

import (
	"slices"
	"testing"
)

// TestJobGroupsFromAVariable: names are separated by commas, as in every list. Where tags
// stand behind one the commas are theirs, and several groups stand in brackets.
func TestJobGroupsFromAVariable(t *testing.T) {
	for text, want := range map[string][]string{
		"ci":                       {"ci"},
		"ci x6, ci-arm":            {"ci", "ci-arm"},
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
