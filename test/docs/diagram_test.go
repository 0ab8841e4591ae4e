package docs_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/internal/life"
)

// edge is one arrow: what is there, what it does, to what.
type edge struct{ from, does, to string }

var (
	node = regexp.MustCompile(`^ *(\w+)[\[(/]+([^\])]+?)[\])/]+$`)
	// What a command runs of the program, by a shell or not.
	shoals = regexp.MustCompile(`\bshoal ([a-z-]+[^;\']*)`)
	arrow  = regexp.MustCompile(`^ *(\w+) (?:-->|-\.->)\|([^|]+)\| (\w+)$`)
)

// drawn are the diagram's arrows.
func drawn(t *testing.T) []edge {
	t.Helper()
	var edges []edge
	names := map[string]string{}
	for _, b := range blocks(read(t, operations)) {
		if b.language != "mermaid" {
			continue
		}
		for line := range strings.Lines(b.text) {
			line = strings.TrimRight(line, "\n")
			if m := node.FindStringSubmatch(line); m != nil {
				names[m[1]] = m[2]
				if strings.HasPrefix(m[2], "run/") { // the form of a file, [/path/], takes its slash
					names[m[1]] = "/" + m[2]
				}
			} else if m := arrow.FindStringSubmatch(line); m != nil {
				edges = append(edges, edge{names[m[1]], m[2], names[m[3]]})
			} else if line = strings.TrimSpace(line); line != "" && line != "flowchart TD" {
				t.Errorf("the diagram has a line that this test does not understand: %q", line)
			}
		}
	}
	return edges
}

// TestDiagram: the arrows are those of the units and of the program, all of them
// and no other.
func TestDiagram(t *testing.T) {
	want := map[edge]bool{}
	conditions := map[string]bool{}
	all := units(t)
	for unit, d := range all {
		for _, file := range d["ConditionPathExists"] {
			want[edge{file, "ConditionPathExists=", unit}] = true
			conditions[file] = true
		}
		for _, target := range d["WantedBy"] {
			want[edge{target, "WantedBy=", unit}] = true
		}
		for _, key := range []string{"OnSuccess", "OnFailure", "Wants", "Requires", "BindsTo", "PartOf"} {
			for other := range strings.FieldsSeq(d.all(key)) {
				if strings.HasSuffix(other, ".service") || all[other] != nil {
					want[edge{unit, key + "=", other}] = true
				}
			}
		}
		for _, key := range []string{"ExecStartPre", "ExecStartPost", "ExecStop", "ExecStopPost"} {
			for _, command := range d[key] {
				want[edge{unit, key + "=", "shoal " + shoals.FindStringSubmatch(command)[1]}] = true
			}
		}
	}
	for e := range programmed(t) {
		if !strings.HasPrefix(e.to, "/") || conditions[e.to] {
			want[e] = true
		}
	}
	got := drawn(t)
	for _, e := range got {
		if !want[e] {
			t.Errorf("%s draws %q, which neither the units nor the program do", operations, e)
		}
	}
	for e := range want {
		if !slices.Contains(got, e) {
			t.Errorf("%s does not draw %q", operations, e)
		}
	}
}

// TestFileTable: who writes and removes which file.
func TestFileTable(t *testing.T) {
	want := map[string]map[string]bool{}
	for e := range programmed(t) {
		if strings.HasPrefix(e.to, "/") {
			if want[e.to] == nil {
				want[e.to] = map[string]bool{}
			}
			want[e.to][strings.TrimSuffix(e.from, ".service")] = true
		}
	}
	for _, row := range table(t, operations, "file", "written or removed by") {
		file, said := bare(row[0]), strings.Fields(bare(row[1]))
		slices.Sort(said)
		if does := slices.Sorted(maps.Keys(want[file])); !slices.Equal(said, does) {
			t.Errorf("%s says that %s is written by %q, it is by %q", operations, file, said, does)
		}
		delete(want, file)
	}
	for file := range want {
		t.Errorf("%s does not say what %s is", operations, file)
	}
}

// verbs are the machines of package life, and the units that run them.
var verbs = map[string]string{
	"Init": life.UnitInit, "Monitor": life.UnitMonitor, "ScaleUp": life.UnitScaleUp,
	"LifecycleCheck": life.UnitLifecycleCheck, "Unregister": life.UnitUnregister,
}
