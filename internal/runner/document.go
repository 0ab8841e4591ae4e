package runner

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document is a TOML text and where its parts are. Changes are made in the text
// itself, so that comments, order and spelling stay as the operator has them.
type document struct {
	text     []byte
	tree     map[string]any // the text, decoded
	root     []entry        // key-values before the first header
	rootEnd  int            // where a further root key goes
	sections []section      // the [[runners]] sections, in order
	parts    []span         // all text of runners: its headers and what is under them
	inline   *entry         // runners = [...]: how sections can be written too
}

// section is one [[runners]] section: the keys right under its header.
type section struct {
	at      int // where a further key goes: after the header's line
	entries []entry
}

// entry is one key-value line.
type entry struct {
	key   []string
	line  span // whole lines, with the newline
	value span
}

type span struct{ from, to int }

// find returns the entry of a plain key.
func find(entries []entry, key string) (entry, bool) {
	for _, e := range entries {
		if len(e.key) == 1 && e.key[0] == key {
			return e, true
		}
	}
	return entry{}, false
}

// parseDocument reads a TOML text strictly. The decoder refuses what the parser
// alone lets through (keys twice, tables defined again).
func parseDocument(text []byte) (*document, error) {
	d := &document{text: text}
	if err := toml.Unmarshal(text, &d.tree); err != nil {
		return nil, tomlProblem(err)
	}
	if d.tree == nil {
		d.tree = map[string]any{}
	}
	var p unstable.Parser
	p.Reset(text)
	w := walker{d: d, p: &p}
	for p.NextExpression() {
		w.expression(p.Expression())
	}
	if err := p.Error(); err != nil {
		return nil, tomlProblem(err)
	}
	w.endPart(len(text))
	return d, nil
}

// tomlProblem says where a text is broken without quoting it: the line may hold
// a token.
func tomlProblem(err error) error {
	var d *toml.DecodeError
	if errors.As(err, &d) {
		row, col := d.Position()
		return fmt.Errorf("it is not TOML: line %d, column %d", row, col)
	}
	return errors.New("it is not TOML")
}

// walker goes through the expressions once.
type walker struct {
	d       *document
	p       *unstable.Parser
	headers int
	partAt  int // where the current part of runners began; -1 outside of one
	in      *section
}

func (w *walker) expression(n *unstable.Node) {
	switch n.Kind {
	case unstable.KeyValue:
		w.keyValue(n)
	case unstable.Table, unstable.ArrayTable:
		w.header(n)
	}
}

func (w *walker) keyValue(n *unstable.Node) {
	from := int(n.Raw.Offset)
	to := from + int(n.Raw.Length)
	e := entry{key: keyOf(n), line: w.lines(from, to)}
	// parseKeyval ends its range after the value; the value begins after the =
	// that follows the last key.
	e.value = span{w.valueStart(n), to}
	switch {
	case w.headers == 0:
		w.d.root = append(w.d.root, e)
		w.d.rootEnd = e.line.to
		if e.key[0] == "runners" {
			w.d.inline = &e
			w.d.parts = append(w.d.parts, e.line)
		}
	case w.in != nil:
		w.in.entries = append(w.in.entries, e)
	}
}

func (w *walker) header(n *unstable.Node) {
	key := keyOf(n)
	last := lastKey(n)
	line := w.lines(int(last.Raw.Offset), int(last.Raw.Offset+last.Raw.Length))
	w.endPart(line.from)
	w.headers++
	w.in = nil
	if key[0] != "runners" {
		w.partAt = -1
		return
	}
	w.partAt = line.from
	if n.Kind == unstable.ArrayTable && len(key) == 1 {
		w.d.sections = append(w.d.sections, section{at: line.to})
		w.in = &w.d.sections[len(w.d.sections)-1]
	}
}

// endPart closes a part of runners at the next header or the end.
func (w *walker) endPart(at int) {
	if w.headers > 0 && w.partAt >= 0 {
		w.d.parts = append(w.d.parts, span{w.partAt, at})
	}
	w.partAt = -1
}

// lines widens a range to whole lines. What follows a value on its line is a
// comment at most.
func (w *walker) lines(from, to int) span {
	text := w.d.text
	from = bytes.LastIndexByte(text[:from], '\n') + 1
	if i := bytes.IndexByte(text[to:], '\n'); i >= 0 {
		return span{from, to + i + 1}
	}
	return span{from, len(text)}
}

// valueStart is the offset of an entry's value: the first byte after the = that
// is no blank.
func (w *walker) valueStart(n *unstable.Node) int {
	last := lastKey(n)
	at := int(last.Raw.Offset + last.Raw.Length)
	at += bytes.IndexByte(w.d.text[at:], '=') + 1
	for at < len(w.d.text) && (w.d.text[at] == ' ' || w.d.text[at] == '\t') {
		at++
	}
	return at
}

func keyOf(n *unstable.Node) []string {
	var key []string
	for it := n.Key(); it.Next(); {
		key = append(key, string(it.Node().Data))
	}
	return key
}

func lastKey(n *unstable.Node) *unstable.Node {
	var last *unstable.Node
	for it := n.Key(); it.Next(); {
		last = it.Node()
	}
	return last
}
