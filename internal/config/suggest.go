package config

import (
	"fmt"
	"strings"
)

// unknown is the problem of a key that does not exist, with the nearest one
// that does.
func unknown(name string, at Origin) Problem {
	text := "unknown key"
	if near := nearest(name); near != "" {
		text = fmt.Sprintf("unknown key; did you mean %s?", near)
	}
	return Problem{Key: printable(name), Origin: at, Text: text}
}

// printable is a key's name as an error can repeat it: TOML allows any text
// between quotes as a key, line breaks and tokens too.
func printable(name string) string {
	switch {
	case tokenLike.MatchString(name):
		return "(not shown)"
	case len(name) > longestShown || strings.ContainsFunc(name, unprintable):
		return describeText(name)
	}
	return name
}

// nearest is the known key or table that differs least from name, or the one
// with the same last part; empty when none is near.
func nearest(name string) string {
	best, least := "", max(2, len(name)/4)+1
	for _, candidate := range names() {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	if best != "" {
		return best
	}
	return sameLeaf(name)
}

// sameLeaf finds the one key with the same part after the dot: "url" is most
// likely gitlab.url outside its table.
func sameLeaf(name string) string {
	leaf := name[strings.LastIndex(name, ".")+1:]
	found := ""
	for _, k := range keys {
		if k.leaf() == leaf {
			if found != "" {
				return ""
			}
			found = k.name
		}
	}
	return found
}

// names lists the keys, and before each table's first key the table.
func names() []string {
	var list []string
	last := ""
	for _, k := range keys {
		if k.table() != last {
			last = k.table()
			list = append(list, last)
		}
		list = append(list, k.name)
	}
	return list
}

// distance is the Levenshtein distance of two short texts.
func distance(a, b string) int {
	if len(a) > longestShown {
		return len(a) // no name is that long; do not spend time on it
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
