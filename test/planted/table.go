package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	tableBegins = "<!-- planted: go run ./test/planted -update -->\n"
	tableEnds   = "<!-- planted ends -->\n"
)

// table is what the documents show.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| defect | what it does | promise that broke | seeds lived | faults left of | seconds |\n|---|---|---|---:|---:|---:|\n")
	for _, r := range rows {
		if r.err == nil {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %d | %d of %d | %.0f |\n", r.name, r.says, r.Promise, r.seeds, len(r.Small.Faults), r.Drawn, r.took.Seconds())
		}
	}
	return b.String()
}

func documentPath() (string, error) {
	dir, err := root()
	return filepath.Join(dir, "docs", "reliability.md"), err
}

// document puts the table between its marks in docs/reliability.md.
func document(text string, whole bool) error {
	if !whole {
		return errors.New("-update writes the whole table: name no defects")
	}
	path, err := documentPath()
	if err != nil {
		return err
	}
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), tableBegins)
	_, after, ended := strings.Cut(rest, tableEnds)
	if !ok || !ended {
		return fmt.Errorf("%s has no place for the table: %s…%s", path, tableBegins, tableEnds)
	}
	return os.WriteFile(path, []byte(before+tableBegins+text+tableEnds+after), 0o644) //nolint:gosec // a document
}

// recordedSeed is the seed that the table names for a defect.
func recordedSeed(name string) (uint64, error) {
	path, err := documentPath()
	if err != nil {
		return 0, err
	}
	page, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) > 4 && strings.TrimSpace(cells[1]) == "`"+name+"`" {
			lived, err := strconv.ParseUint(strings.TrimSpace(cells[4]), 10, 64)
			if err != nil || lived == 0 {
				return 0, fmt.Errorf("%s: the table's line of %s is not to be read: %q", path, name, line)
			}
			return lived - 1, nil
		}
	}
	return 0, fmt.Errorf("%s has no line for %s: go run ./test/planted -update", path, name)
}
