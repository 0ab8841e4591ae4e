package demand

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
	"github.com/shoal-ci/shoal/internal/life"
)

// TestFolderReplaces: what is kept is a new file each time, which nobody else may
// read; half of one is never under the name.
func TestFolderReplaces(t *testing.T) {
	f := Folder{Dir: filepath.Join(t.TempDir(), "kept")}
	save := func(project int64) {
		t.Helper()
		if err := f.Save(t.Context(), "ci", life.Backlog{Projects: []life.SeenProject{{ID: project}}}); err != nil {
			t.Fatal(err)
		}
	}
	save(1)
	before, err1 := os.ReadFile(f.path("ci"))
	old := filepath.Join(t.TempDir(), "old")
	if err2 := os.Link(f.path("ci"), old); err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	save(2)
	if after, err := os.ReadFile(old); err != nil || string(after) != string(before) {
		t.Errorf("the old file was written over: %s, %v", after, err)
	}
	info, err := os.Stat(f.path("ci"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode: %v, %v", info, err)
	}
	if b, err := f.Load(t.Context(), "ci"); err != nil || len(b.Projects) != 1 || b.Projects[0].ID != 2 {
		t.Errorf("kept: %+v, %v", b, err)
	}
}

// TestWhateverNamesJobsHave all that the machine keeps can be read again.
func TestWhateverNamesJobsHave(t *testing.T) {
	f := Folder{Dir: t.TempDir()}
	var b life.Backlog
	for id := range int64(5000) {
		name := strings.Repeat("<", longestName)
		b.Jobs = append(b.Jobs, life.KeptJob{ID: 1 << 52, Project: id, Pipeline: 1 << 52, Stage: name, Name: name, State: fleet.JobPending, Heard: time.Now()})
	}
	if err := f.Save(t.Context(), "ci", b); err != nil {
		t.Fatal(err)
	}
	got, err := f.Load(t.Context(), "ci")
	if err != nil || got == nil || len(got.Jobs) != 5000 {
		t.Errorf("%v", err)
	}
}

// TestGroupWithALongName is kept as any other: AWS allows 255 characters, a folder fewer
// than those take with what stands around them.
func TestGroupWithALongName(t *testing.T) {
	f := Folder{Dir: t.TempDir()}
	groups := []string{strings.Repeat("a", 254) + "a", strings.Repeat("a", 254) + "b", strings.Repeat("/", 255), "ci"}
	for i, group := range groups {
		if err := f.Save(t.Context(), group, life.Backlog{Jobs: []life.KeptJob{{ID: int64(i) + 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, group := range groups {
		if b, err := f.Load(t.Context(), group); err != nil || b == nil || b.Jobs[0].ID != int64(i)+1 {
			t.Errorf("%s: got %+v, %v", group, b, err)
		}
	}
}
