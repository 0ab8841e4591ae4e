package runner

import (
	"bytes"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// edit replaces a stretch of the text; an empty stretch is an insertion.
type edit struct {
	span
	text string
}

// apply carries the edits out, last first, so that earlier offsets stay true.
// Insertions at one place keep the order in which they were made.
func apply(text []byte, edits []edit) []byte {
	out := slices.Clone(text)
	slices.SortStableFunc(edits, func(a, b edit) int { return a.from - b.from })
	for _, e := range slices.Backward(edits) {
		out = slices.Replace(out, e.from, e.to, []byte(e.text)...)
	}
	return out
}

// setKey returns the edit that gives a key its value: in place where the key is
// there, else on a line of its own at the given offset.
func (d *document) setKey(entries []entry, at int, indent, key, value string) edit {
	if e, ok := find(entries, key); ok {
		return edit{e.value, value}
	}
	line := indent + key + " = " + value + "\n"
	if at > 0 && d.text[at-1] != '\n' {
		line = "\n" + line // the last line of the file has no end
	}
	return edit{span{at, at}, line}
}

// indentOf is how the operator indents a section's keys.
func (d *document) indentOf(s section) string {
	if len(s.entries) == 0 {
		return "  "
	}
	line := d.text[s.entries[0].line.from:s.entries[0].line.to]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// withoutRunners is the text with everything of runners cut out.
func (d *document) withoutRunners() []byte {
	edits := make([]edit, 0, len(d.parts))
	for _, p := range d.parts {
		edits = append(edits, edit{span: p})
	}
	return apply(d.text, edits)
}

// hasRunners tells whether the text has any section, however it is written.
func (d *document) hasRunners() bool {
	switch r := d.tree["runners"].(type) {
	case nil:
		return false
	case []any:
		return len(r) > 0
	}
	return true
}

// quote is a string as a TOML value.
func quote(s string) string {
	plain := func(r rune) bool { return r >= ' ' && r < 0x7f && r != '"' && r != '\\' }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return `"` + s + `"`
	}
	b, err := toml.Marshal(map[string]string{"v": s})
	if err != nil {
		return strconv.QuoteToASCII(s)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(b), "v = "))
}

// sameTree tells whether two decoded texts say the same. Unlike DeepEqual it
// takes a NaN for equal to itself.
func sameTree(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && maps.EqualFunc(x, y, sameValue)
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, sameValue)
	case float64:
		y, ok := b.(float64)
		return ok && (x == y || math.IsNaN(x) && math.IsNaN(y))
	}
	return reflect.DeepEqual(a, b)
}

func sameValue(a, b any) bool { return sameTree(a, b) }
