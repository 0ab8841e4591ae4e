package fleet_test

import (
	"reflect"
	"testing"

	"github.com/shoal-ci/shoal/internal/fleet"
)

func TestJobGroups(t *testing.T) {
	for text, want := range map[string]fleet.JobGroup{
		"ci":                      {Name: "ci", Any: true},
		"ci x6":                   {Name: "ci", Slots: 6, Any: true},
		"ci: docker":              {Name: "ci", Tags: []string{"docker"}},
		"ci x12: docker , size:l": {Name: "ci", Slots: 12, Tags: []string{"docker", "size:l"}},
		"ci x6 : docker":          {Name: "ci", Slots: 6, Tags: []string{"docker"}},
		"ci  x6 ":                 {Name: "ci", Slots: 6, Any: true},
		"our ci x6 fleet: a":      {Name: "our ci x6 fleet", Tags: []string{"a"}},
	} {
		if got, err := fleet.ParseJobGroup(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", ": docker", "ci:", "ci: a,", "ci: a, a", "ci x0", " x6", "ci x10000", "ci x99999999999999999999: a"} {
		if got, err := fleet.ParseJobGroup(text); err == nil {
			t.Errorf("%q: accepted as %+v", text, got)
		}
	}
}

func TestWhoTakesAJob(t *testing.T) {
	g := fleet.JobGroup{Tags: []string{"docker", "linux"}}
	for want, lists := range map[bool][][]string{
		true:  {{"docker"}, {"linux", "docker"}},
		false: {{}, nil, {"arm64"}, {"docker", "arm64"}},
	} {
		for _, tags := range lists {
			if got := g.Takes(tags); got != want {
				t.Errorf("takes %q: %v", tags, got)
			}
			if !(fleet.JobGroup{Any: true}).Takes(tags) {
				t.Errorf("a group for every job does not take %q", tags)
			}
		}
	}
}

// TestStatusesThatMayComeBack: a skipped job is run after all once somebody retries
// what it waited for, under the same id.
func TestStatusesThatMayComeBack(t *testing.T) {
	for status, want := range map[string]fleet.JobState{
		"created": fleet.JobCreated, "manual": fleet.JobCreated, "skipped": fleet.JobCreated, "pending": fleet.JobPending,
		"running": fleet.JobRunning, "canceling": fleet.JobRunning, "success": fleet.JobFinished, "failed": fleet.JobFinished,
		"canceled": fleet.JobFinished, "quantum": fleet.JobUnknown, "": fleet.JobUnknown, "Pending": fleet.JobUnknown,
	} {
		if got := fleet.JobStateOf(status); got != want {
			t.Errorf("%q is %d, want %d", status, got, want)
		}
	}
}
