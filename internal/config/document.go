package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// document is a parsed file: the value and the line of each of its keys.
type document struct {
	values []setting
	lines  map[string]int
}

// setting is one key as the file has it, "table.key".
type setting struct {
	name  string
	value any
}

// outline has every table and no key. Decoding strictly into it fails at every
// key of the file, and each failure bears the key's line: the parser has no
// other stable way to tell where a value stands.
type outline struct {
	GitLab         struct{} `toml:"gitlab"`
	Group          struct{} `toml:"group"`
	Runner         struct{} `toml:"runner"`
	Init           struct{} `toml:"init"`
	Monitor        struct{} `toml:"monitor"`
	ScaleUp        struct{} `toml:"scale_up"`
	Spares         struct{} `toml:"spares"`
	LifecycleCheck struct{} `toml:"lifecycle_check"`
	Unregister     struct{} `toml:"unregister"`
	Reap           struct{} `toml:"reap"`
	Webhook        struct{} `toml:"webhook"`
	Log            struct{} `toml:"log"`
}

// parse reads a TOML document. What is no TOML is one problem: nothing after it
// can be trusted.
func parse(path, text string) (document, Problems) {
	tree := map[string]any{}
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		return document{}, Problems{syntax(path, err)}
	}
	d := document{lines: lines(text)}
	for name, v := range tree {
		d.values = append(d.values, flatten(name, v)...)
	}
	slices.SortFunc(d.values, func(a, b setting) int {
		return cmp.Or(cmp.Compare(d.line(a.name), d.line(b.name)), strings.Compare(a.name, b.name))
	})
	return d, nil
}

// flatten lists the keys of a known table; anything else stays as it is, to be
// refused whole.
func flatten(name string, v any) []setting {
	table, ok := v.(map[string]any)
	if !ok || !isTable(name) {
		return []setting{{name, v}}
	}
	var list []setting
	for leaf, v := range table {
		list = append(list, setting{name + "." + leaf, v})
	}
	return list
}

// line is where a key stands, or where its table begins; 0 when neither is known.
func (d document) line(name string) int {
	leaf := name[strings.LastIndex(name, ".")+1:]
	if n := max(d.lines[name], d.lines[leaf]); n > 0 {
		return n
	}
	first := 0
	for key, n := range d.lines {
		if n > 0 && strings.HasPrefix(key, name+".") && (first == 0 || n < first) {
			first = n
		}
	}
	return first
}

func lines(text string) map[string]int {
	at := map[string]int{}
	err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&outline{})
	var missing *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &missing):
		for _, e := range missing.Errors {
			note(at, e)
		}
	case errors.As(err, &wrong): // a known table's name that is no table
		note(at, *wrong)
	}
	return at
}

// ambiguous marks a name that stands at several lines. The parser names the
// keys of inline tables without their table: two may then be called the same,
// and no line is better than a wrong one.
const ambiguous = -1

func note(at map[string]int, e toml.DecodeError) {
	name := strings.Join(e.Key(), ".")
	if at[name] != 0 {
		at[name] = ambiguous
		return
	}
	at[name], _ = e.Position()
}

// syntax turns a parser's error into a problem. Its long form, which repeats
// the lines around, is left out: a token may stand there.
func syntax(path string, err error) Problem {
	at := Origin{File: path}
	what := strings.TrimPrefix(err.Error(), "toml: ")
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		at.Line, _ = wrong.Position()
	}
	if tokenLike.MatchString(what) {
		what = "a value that is not in quotes"
	}
	return Problem{Origin: at, Text: fmt.Sprintf("not valid TOML: %s; nothing else was checked", what)}
}

func isTable(name string) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return k.table() == name })
}
