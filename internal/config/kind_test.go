package config

import (
	"reflect"
	"testing"
	"time"
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

func TestBetween(t *testing.T) {
	k := between(time.Second, time.Minute)
	for d, want := range map[time.Duration]string{
		time.Second: "", 30 * time.Second: "", time.Minute: "",
		0: `"0s"`, 999 * time.Millisecond: `"999ms"`, 61 * time.Second: `"1m1s"`, 5 * time.Minute: `"5m"`,
	} {
		if got := k.check(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}
