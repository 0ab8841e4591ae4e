package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// journal is everything that the instances' units printed.
type journal struct {
	mu    sync.Mutex
	lines []line
}

// line is one line of a unit; those of shoal itself are objects.
type line struct {
	instance, unit, text string

	Level, Msg, Verb, Why, Error string
	Exit                         *int
}

func (j *journal) add(instance, unit, text string) {
	l := line{instance: instance, unit: unit, text: text}
	_ = json.Unmarshal([]byte(text), &l) // what is no object has its text
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, l)
}

func (j *journal) all() []line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines[:len(j.lines):len(j.lines)]
}

func (j *journal) text() string {
	var b strings.Builder
	for _, l := range j.all() {
		fmt.Fprintf(&b, "%s %s: %s\n", l.instance, l.unit, l.text)
	}
	return b.String()
}

// count is how many lines of shoal's hold all of the words, in what they say,
// why, or what failed.
func (j *journal) count(words ...string) int {
	n := 0
	for _, l := range j.all() {
		if l.Verb != "" && holds(l.words(), words) {
			n++
		}
	}
	return n
}

// words are what a line says to a person, without the marks of JSON.
func (l line) words() string {
	if l.Verb == "" {
		return l.text
	}
	return strings.Join([]string{l.Level, l.Verb, l.Msg, l.Why, l.Error}, " ")
}

// plain is everything that was said.
func (j *journal) plain() string {
	var b strings.Builder
	for _, l := range j.all() {
		b.WriteString(l.words() + "\n")
	}
	return b.String()
}

func holds(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// untilSaid waits for a line with all of the words.
func (s *site) untilSaid(words ...string) {
	s.t.Helper()
	until(s.t, fmt.Sprintf("a line with %q", words), func() bool { return s.journal.count(words...) > 0 })
}

// untilExit waits until a verb has ended with a code, and returns its last line.
func (s *site) untilExit(verb string, code int) (l line) {
	s.t.Helper()
	until(s.t, fmt.Sprintf("%s to end with %d", verb, code), func() bool {
		for _, l = range s.journal.all() {
			if l.Verb == verb && l.Exit != nil && *l.Exit == code {
				return true
			}
		}
		return false
	})
	return l
}

// mentions asserts that a text tells a person all of the words.
func mentions(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not said in: %s", w, text)
		}
	}
}
