package config

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with the configuration.
type Problem struct {
	Key    string // "monitor.period"; empty when it is about the whole file
	Origin Origin // where the wrong value came from
	Text   string // what is wrong, what is allowed, what was got
}

// String is the problem as one line: place, key, text.
func (p Problem) String() string {
	var parts []string
	if p.Origin != (Origin{}) {
		parts = append(parts, p.Origin.String())
	}
	if p.Key != "" {
		parts = append(parts, p.Key)
	}
	return strings.Join(append(parts, p.Text), ": ")
}

// Problems is everything wrong with a configuration: an error of one line each.
type Problems []Problem

// Error is one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// badValue says what a key allows and what it got.
func badValue(k key, at Origin, got string) Problem {
	if k.secret && !strings.Contains(got, "not shown") {
		got = "something else (not shown)" // a wrong value may be the secret itself
	}
	return Problem{Key: k.name, Origin: at, Text: fmt.Sprintf("must be %s; got %s", k.allowed, got)}
}
