package docs_test

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/internal/life"
	"github.com/shoal-ci/shoal/packaging"
)

// directives are what a unit says: all values of each key, in order.
type directives map[string][]string

func (d directives) all(key string) string { return strings.Join(d[key], " ") }

// units reads the unit files, and the drop-in by the name of its unit.
func units(t *testing.T) map[string]directives {
	t.Helper()
	found := map[string]directives{}
	err := fs.WalkDir(packaging.Units(), ".", func(name string, e fs.DirEntry, err error) error {
		unit := strings.TrimSuffix(path.Dir(name), ".d")
		if ours(name) {
			unit = name
		}
		if err != nil || e.IsDir() || !ours(unit) {
			return err
		}
		text, err := fs.ReadFile(packaging.Units(), name)
		found[unit] = parse(string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// ours tells by a name whether it is that of a unit, not a drop-in of others.
func ours(name string) bool {
	return path.Ext(name) == ".service" || path.Ext(name) == ".target"
}

func parse(text string) directives {
	d := directives{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if ok && line[0] != '#' {
			d[key] = append(d[key], value)
		}
	}
	return d
}

// TestEveryUnitIsDescribed, each under a heading of its own, and none that does
// not exist.
func TestEveryUnitIsDescribed(t *testing.T) {
	text, all := read(t, operations), units(t)
	for unit := range all {
		if !strings.Contains(text, "\n### "+unit+"\n") {
			t.Errorf("%s has no heading %q", operations, "### "+unit)
		}
	}
	foreign := []string{"docker.service", "containerd.service", "podman.service"}
	for _, unit := range regexp.MustCompile(`\b[a-z][a-z-]*\.service\b`).FindAllString(text, -1) {
		if all[unit] == nil && !slices.Contains(foreign, unit) {
			t.Errorf("%s names %s, which does not exist", operations, unit)
		}
	}
}

// TestUnitTable: what the units run, when, and after what.
func TestUnitTable(t *testing.T) {
	all := units(t)
	for _, row := range table(t, operations, "unit", "Type=") {
		unit := strings.TrimSuffix(bare(row[0]), " (drop-in)")
		d := all[unit]
		delete(all, unit)
		runs := d.all("ExecStart")
		if stop := d.all("ExecStop"); stop != "" {
			runs = "none; ExecStop=" + stop
		}
		want := []string{d.all("Type"), runs, d.all("RestartSec"), d.all("After")}
		for i, cell := range row[1:] {
			if bare(cell) != want[i] {
				t.Errorf("%s: the table says %q, the unit %q", unit, bare(cell), want[i])
			}
		}
		if unit != life.UnitRunner && unit != stopsAlone && unit != jobsTarget && (d.all("Restart") != "on-failure" || d.all("RestartPreventExitStatus") != "2 3" || d.all("StartLimitIntervalSec") != "0") {
			t.Errorf("%s is not restarted for ever on failure, but for 2 and 3: %s says it is", unit, operations)
		}
	}
	for unit := range all {
		t.Errorf("%s is not in the table of units", unit)
	}
}

// These two run nothing, or nothing but at the end: nothing to restart.
const (
	stopsAlone = "runner-shutdown.service"
	jobsTarget = "runner-jobs.target"
)

// hidden is what no unit sees, as the prose above the table has it.
var hidden = []string{"-/etc/shadow", "-/etc/gshadow", "-/etc/ssh", "-/dev/shm"}

// TestSandboxTable: what the units may do and touch.
func TestSandboxTable(t *testing.T) {
	all := units(t)
	delete(all, life.UnitRunner)
	delete(all, jobsTarget)
	for _, row := range table(t, operations, "unit", "User=") {
		unit := bare(row[0])
		d := all[unit]
		delete(all, unit)
		if got := strings.TrimPrefix(row[1], "root"); got != d.all("User") {
			t.Errorf("%s: the table says the user %q, the unit %q", unit, row[1], d.all("User"))
		}
		if got := strings.TrimPrefix(row[2], "none"); got != d.all("CapabilityBoundingSet") {
			t.Errorf("%s: the table says the capabilities %q, the unit %q", unit, got, d.all("CapabilityBoundingSet"))
		}
		if got, may := bare(row[3]), d.writes(); got != may {
			t.Errorf("%s: the table says it writes %q, the unit %q", unit, got, may)
		}
		if got := bare(row[4]); got != d.unseen(t, unit) {
			t.Errorf("%s: the table says it does not see %q, the unit %q", unit, got, d.unseen(t, unit))
		}
		for key, value := range map[string]string{"ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes"} {
			if d.all(key) != value {
				t.Errorf("%s does not say %s=%s: %s says it does", unit, key, value, operations)
			}
		}
	}
	for unit := range all {
		t.Errorf("%s is not in the table of what the units may do", unit)
	}
}

// writes is what the unit may write to, there or not.
func (d directives) writes() string {
	paths := strings.Fields(d.all("ReadWritePaths"))
	for i, p := range paths {
		paths[i] = strings.TrimPrefix(p, "-")
	}
	return strings.Join(paths, " ")
}

// unseen is what this unit does not see, beside what none does.
func (d directives) unseen(t *testing.T, unit string) string {
	t.Helper()
	var left []string
	for p := range strings.FieldsSeq(d.all("InaccessiblePaths")) {
		if !slices.Contains(hidden, p) {
			left = append(left, strings.TrimPrefix(p, "-"))
		}
	}
	for _, p := range hidden {
		if !slices.Contains(strings.Fields(d.all("InaccessiblePaths")), p) {
			t.Errorf("%s sees %s: %s says that none does", unit, p, operations)
		}
	}
	for p := range strings.FieldsSeq(d.all("TemporaryFileSystem")) {
		left = append(left, strings.TrimSuffix(p, ":ro"))
	}
	return strings.Join(left, " ")
}

var directive = regexp.MustCompile(`^([A-Z][A-Za-z]+)=(\S.*)$`)

// TestDirectivesInTheProse: a value that is quoted is that of each unit of ours
// that says anything of it.
func TestDirectivesInTheProse(t *testing.T) {
	all := units(t)
	delete(all, life.UnitRunner)
	for _, name := range []string{operations, install} {
		for _, span := range spans(read(t, name)) {
			m := directive.FindStringSubmatch(span)
			if m == nil {
				continue
			}
			for unit, d := range all {
				if d[m[1]] != nil && !slices.Contains(d[m[1]], m[2]) {
					t.Errorf("%s says %s, which %s does not", name, span, unit)
				}
			}
		}
	}
}
