// Package docs_test holds what is written for people to what is there: the units
// and their drop-in, what the program starts and writes, its commands and flags,
// the configuration's keys, the package's files, the words of the log.
//
// A test that fails here says which of the two has moved. It judges no prose.
package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root       = "../.."
	operations = "docs/operations.md"
	install    = "docs/install.md"
)

// documents are all that people read: ours, in no folder that somebody's tools made.
func documents(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/*/*.md", "deploy/*/*/*/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			found = append(found, strings.TrimPrefix(name, root+"/"))
		}
	}
	if !slices.Contains(found, operations) || !slices.Contains(found, install) {
		t.Fatalf("no %s or no %s among %q", operations, install, found)
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// block is one fenced block of a document.
type block struct{ language, text string }

var (
	fence  = regexp.MustCompile("(?ms)^[ >]*```([a-z]*)\n(.*?)^[ >]*```")
	inline = regexp.MustCompile("`([^`\n]+)`")
)

func blocks(text string) []block {
	var found []block
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		found = append(found, block{m[1], m[2]})
	}
	return found
}

// spans are the pieces of code within the prose.
func spans(text string) []string {
	var found []string
	for _, m := range inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		found = append(found, m[1])
	}
	return found
}

// table returns the rows of the table whose head begins with the given cells.
func table(t *testing.T, name string, head ...string) [][]string {
	t.Helper()
	var rows [][]string
	in := false
	for line := range strings.Lines(read(t, name)) {
		row := cells(line)
		switch {
		case row == nil:
			in = false
		case len(row) >= len(head) && slices.Equal(row[:len(head)], head):
			in = true
		case in && !strings.HasPrefix(row[0], "---"):
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no table that begins with %q", name, head)
	}
	return rows
}

func cells(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	row := strings.Split(strings.Trim(line, "|"), "|")
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	return row
}

// bare takes the marks of code off a cell.
func bare(cell string) string { return strings.ReplaceAll(cell, "`", "") }
