package docs_test

import (
	"encoding/json"
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// gap stands for what a sentence gets when it is said: a number, a name.
const gap = "\x00"

var formatted = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)

// sentences are all texts of the program, with gaps.
func sentences(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, file := range sources(t, "internal") {
		ast.Inspect(file, func(n ast.Node) bool {
			if x, ok := n.(ast.Expr); ok {
				if s := sentence(x); strings.Trim(s, gap+" ") != "" {
					found = append(found, s)
				}
			}
			return true
		})
	}
	return found
}

// sentence is the text of an expression: literals, their sums, and what is
// printed by a format.
func sentence(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		if x.Kind == token.STRING {
			s, _ := strconv.Unquote(x.Value)
			return formatted.ReplaceAllString(s, gap)
		}
	case *ast.BinaryExpr:
		if x.Op == token.ADD {
			return orGap(sentence(x.X)) + orGap(sentence(x.Y))
		}
	case *ast.CallExpr:
		if s, ok := x.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Sprintf" {
			return sentence(x.Args[0])
		}
	}
	return ""
}

func orGap(s string) string {
	if s == "" {
		return gap
	}
	return s
}

// least is how many letters of a sentence must not be gaps.
const least = 4

var letters = regexp.MustCompile(`[A-Za-z]`)

// vocabulary tells what the program can say.
type vocabulary struct {
	texts    []string
	patterns []*regexp.Regexp
}

func newVocabulary(t *testing.T) vocabulary {
	t.Helper()
	v := vocabulary{}
	seen := map[string]bool{}
	for _, s := range sentences(t) {
		if len(letters.FindAllString(s, least)) < least || seen[s] {
			continue
		}
		seen[s] = true
		v.texts = append(v.texts, s)
		v.patterns = append(v.patterns, regexp.MustCompile(`^`+strings.ReplaceAll(regexp.QuoteMeta(s), gap, `.+`)+`$`))
	}
	return v
}

func (v vocabulary) says(s string) bool {
	for _, p := range v.patterns {
		if p.MatchString(s) {
			return true
		}
	}
	return false
}

// saysAll tells whether each part of s is said; a part may have the separator in it.
// What was left out of a part ("…") were others' words.
func (v vocabulary) saysAll(s, separator string) bool {
	if s == "" || strings.Contains(s, "…") && !strings.Contains(s, separator) || v.says(s) {
		return true
	}
	parts := strings.Split(s, separator)
	for i := 1; i < len(parts); i++ {
		first := strings.Join(parts[:i], separator)
		if (v.says(first) || strings.Contains(first, "…")) && v.saysAll(strings.Join(parts[i:], separator), separator) {
			return true
		}
	}
	return false
}

// saysError takes a failure apart: operation, message, and how to mend it.
func (v vocabulary) saysError(s string) bool {
	if at := strings.Index(s, " ("); at >= 0 && strings.HasSuffix(s, ")") {
		if !v.says(s[at+2 : len(s)-1]) {
			return false
		}
		s = s[:at]
	}
	return v.saysAll(s, ": ")
}

// TestLogLines: each line that is shown can be said, word for word.
func TestLogLines(t *testing.T) {
	v := newVocabulary(t)
	seen := 0
	for _, name := range documents(t) {
		for line := range strings.Lines(read(t, name)) {
			var l struct{ Time, Level, Msg, Verb, Why, Error string }
			if !strings.HasPrefix(line, `{"time"`) {
				continue
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Errorf("%s: %s is no log line: %v", name, line, err)
			}
			seen++
			if !v.says(l.Msg) {
				t.Errorf("%s quotes the message %q, which nothing says", name, l.Msg)
			}
			if !v.saysAll(l.Why, "; ") && !v.saysError(l.Why) {
				t.Errorf("%s quotes the reasons %q, which nothing gives", name, l.Why)
			}
			if !v.saysError(l.Error) {
				t.Errorf("%s quotes the error %q, which nothing says", name, l.Error)
			}
		}
	}
	if seen < 20 {
		t.Errorf("the documents quote %d lines: this test reads nothing", seen)
	}
}

// TestSymptoms: the words that somebody looks up at night are still those that
// the program says. Systemd's own have a condition of ours in them.
func TestSymptoms(t *testing.T) {
	v := newVocabulary(t)
	texts := strings.Join(v.texts, "\n")
	for _, row := range table(t, operations, "symptom", "line") {
		words := bare(row[1])
		if condition, ok := strings.CutPrefix(words, "was skipped because of an unmet condition check ("); ok {
			words = ""
			if d := directive.FindStringSubmatch(strings.TrimSuffix(condition, ")")); d == nil || units(t)["gitlab-runner.service"].all(d[1]) != d[2] {
				t.Errorf("%s has the condition %q, which the drop-in has not", operations, condition)
			}
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(words), "…", ".+")
		if !regexp.MustCompile("(?m)" + pattern).MatchString(texts) {
			t.Errorf("%s has the line %q, which nothing says", operations, words)
		}
	}
}
