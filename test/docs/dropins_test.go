package docs_test

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/packaging"
)

// TestDropInsOfOthers: what is changed in units that are not services, nor ours,
// is said, with each of its lines.
func TestDropInsOfOthers(t *testing.T) {
	said := spans(read(t, operations))
	found := false
	err := fs.WalkDir(packaging.Units(), ".", func(name string, e fs.DirEntry, err error) error {
		unit, isDropIn := strings.CutSuffix(path.Dir(name), ".d")
		if err != nil || e.IsDir() || !isDropIn || unit == "tmpfiles" || path.Ext(unit) == ".service" {
			return err
		}
		found = true
		text, err := fs.ReadFile(packaging.Units(), name)
		want := []string{name}
		for key, values := range parse(string(text)) {
			for _, value := range values {
				want = append(want, key+"="+value)
			}
		}
		for _, w := range want {
			if !slices.Contains(said, w) {
				t.Errorf("%s does not say %s, which is in %s", operations, w, name)
			}
		}
		return err
	})
	if err != nil || !found {
		t.Errorf("no drop-in for a unit of others (%v): this test reads nothing", err)
	}
}

// TestUserShoal: what the row of the table says of the user shoal.
func TestUserShoal(t *testing.T) {
	var row string
	for _, cells := range table(t, install, "path", "what") {
		if bare(cells[0]) == "/usr/lib/sysusers.d/shoal.conf" {
			row = cells[1]
		}
	}
	is := func(what string) {
		t.Helper()
		if !strings.Contains(row, "`"+what+"`") {
			t.Errorf("%s does not say %s of the user shoal: %q", install, what, row)
		}
	}
	for unit, d := range units(t) {
		if d.all("User") == "shoal" || d.all("CapabilityBoundingSet") != "" {
			is(strings.TrimSuffix(unit, ".service"))
		}
	}
	for line := range strings.Lines(read(t, "packaging/systemd/tmpfiles.d/shoal.conf")) {
		if f := strings.Fields(line); len(f) > 3 && f[3] == "shoal" {
			is(f[1])
		}
	}
}
