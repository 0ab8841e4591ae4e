package main

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// TestPatchesFit: each defect can still be put in, so that the table can be made
// anew. Whether it is found is the program's to tell: that takes minutes.
func TestPatchesFit(t *testing.T) {
	all, err := patches()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < fewest {
		t.Errorf("%d defects, want %d or more", len(all), fewest)
	}
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			overlay, err := p.apply(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range replaced(t, overlay) {
				if _, err := parser.ParseFile(token.NewFileSet(), file, nil, 0); err != nil {
					t.Error(err)
				}
			}
			for _, file := range p.files {
				if !strings.HasPrefix(file, "internal/life/") && !strings.HasPrefix(file, "internal/scaling/") {
					t.Errorf("%s is no production code of the machines", file)
				}
			}
		})
	}
}

func replaced(t *testing.T, overlay string) []string {
	t.Helper()
	text, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	var o struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, file := range o.Replace {
		files = append(files, file)
	}
	return files
}

// TestTableIsOfThese: docs/reliability.md tells of these defects, and of as many as
// are promised.
func TestTableIsOfThese(t *testing.T) {
	all, err := patches()
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, p := range all {
		if _, err := recordedSeed(p.name); err == nil {
			told++
		}
	}
	path, err := documentPath()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), tableBegins)
	rows, _, _ := strings.Cut(rest, tableEnds)
	if n := strings.Count(rows, "\n| `"); n != told || told < fewest {
		t.Errorf("%d lines, %d of them of defects that are planted: go run ./test/planted -update", n, told)
	}
}
