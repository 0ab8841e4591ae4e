package config

import (
	"reflect"
	"testing"
)

// A list in a variable, plain or as the file has it.
func TestParseList(t *testing.T) {
	for text, want := range map[string][]any{
		"a":                {"a"},
		"a, b":             {"a", "b"},
		`["a", "b"]`:       {"a", "b"},
		` [ "a" ] `:        {"a"},
		"[]":               {},
		`["linux docker"]`: {"linux docker"},
	} {
		if got, ok := parseList(text); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("parseList(%q) = %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"[a, b]", `["a"`, `["a"] and more`} {
		if got, ok := parseList(text); ok {
			t.Errorf("parseList(%q) = %v, want it refused", text, got)
		}
	}
}
