package runner

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// credentials are the keys of a section that say which runner it is, and what
// each may be in the template: empty, to be filled in. Anything else would win
// over what Shoal registers: the fleet would work as another runner than the one
// in GitLab, and a token would stand in a file that all may read.
var credentials = map[string]any{
	"url": "", "id": int64(0), "token": "",
	"token_obtained_at": nil, "token_expires_at": nil, // nothing is written there, so nothing may be
}

// checkCredentials refuses them in all sections at once, each by its line and
// never by its value. The sections are one to one those of the text.
func (t *template) checkCredentials(list []any) error {
	var found []string
	for i, x := range list {
		table, _ := x.(map[string]any)
		for _, key := range slices.SortedFunc(maps.Keys(table), t.sections[i].order) {
			if !isCredential(key, table[key]) {
				continue
			}
			place := fmt.Sprintf("in [[runners]] section %d", i+1) // a table below the section: [runners.token]
			if at := t.sections[i].begun(key); at >= 0 {
				place = fmt.Sprintf("on line %d", t.lineOf(t.sections[i].entries[at]))
			}
			found = append(found, key+" "+place)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return t.invalid("the template says which runner it is: "+strings.Join(found, ", "),
		"take that out: Shoal registers the runner and writes its url, id and token")
}

// isCredential tells whether a key says which runner it is. gitlab-runner's
// decoder takes Token for token too.
func isCredential(key string, value any) bool {
	for name, empty := range credentials {
		if strings.EqualFold(name, key) {
			return name != key || value != empty
		}
	}
	return false
}

// begun is the index of the first entry whose key begins with the given one, or
// -1: token.x = 1 sets token too.
func (s section) begun(key string) int {
	return slices.IndexFunc(s.entries, func(e entry) bool { return e.key[0] == key })
}

// order is that of the text.
func (s section) order(a, b string) int {
	return cmp.Or(s.begun(a)-s.begun(b), strings.Compare(a, b))
}

// lineOf counts from 1.
func (d *document) lineOf(e entry) int {
	return bytes.Count(d.text[:e.line.from], []byte("\n")) + 1
}

// The other keys that Shoal reads or writes.
var (
	ownGlobals = []string{"concurrent", "listen_address", "shutdown_timeout", "runners"}
	ownKeys    = []string{"name", "executor"}
)

// checkSpelling refuses them in another case. gitlab-runner's decoder takes
// Concurrent for concurrent, so it would count there and escape every check here.
func (t *template) checkSpelling(table map[string]any, own []string) error {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		for _, name := range own {
			if key != name && strings.EqualFold(key, name) {
				return t.invalid(fmt.Sprintf("%s is not spelled as gitlab-runner documents it", key), "write "+name)
			}
		}
	}
	return nil
}
