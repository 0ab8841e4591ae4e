package supervisor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// entries is what a unit file says: for each "Section.Key" its values in order.
type entries map[string][]string

// maxUnit bounds one unit file.
const maxUnit = 1 << 20

// parse reads one unit file or drop-in into e. An empty assignment forgets what
// was assigned to the key before, in the unit file as in earlier drop-ins.
func (e entries) parse(name string, data []byte) error {
	if len(data) > maxUnit {
		return fmt.Errorf("parse %s: longer than %d bytes", name, maxUnit)
	}
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(joinLines(data)))
	lines.Buffer(nil, maxUnit+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			if !strings.HasSuffix(line, "]") {
				return fmt.Errorf("parse %s:%d: section %q does not end in ]", name, n, line)
			}
			section = line[1 : len(line)-1]
			continue
		}
		if err := e.assign(section, line); err != nil {
			return fmt.Errorf("parse %s:%d: %w", name, n, err)
		}
	}
	return lines.Err()
}

func (e entries) assign(section, line string) error {
	key, value, ok := strings.Cut(line, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !ok || key == "" || section == "" {
		return fmt.Errorf("%q is no assignment in a section", line)
	}
	name := section + "." + key
	if strings.HasPrefix(key, "X-") || harmless[name] {
		return nil
	}
	if !honoured[name] {
		return fmt.Errorf("directive %s= in [%s] is unknown to the supervisor", key, section)
	}
	if value == "" {
		e[name] = nil
		return nil
	}
	e[name] = append(e[name], value)
	return nil
}

// joinLines joins lines that end in a backslash, as systemd does: with a space.
func joinLines(data []byte) []byte {
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(data, []byte("\\\n"), []byte(" "))
}

// last is the value in force of a key that has one.
func (e entries) last(key, otherwise string) string {
	if v := e[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return otherwise
}

// words is all the values of a key that takes a list.
func (e entries) words(key string) []string {
	var w []string
	for _, v := range e[key] {
		w = append(w, strings.Fields(v)...)
	}
	return w
}

// read collects the unit of that name: its file from the first source that has
// one, then the drop-ins of all sources in the order of their names.
func read(sources []fs.FS, name string) (entries, error) {
	e := entries{}
	found := false
	for _, source := range sources {
		data, err := fs.ReadFile(source, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read unit %s: %w", name, err)
		}
		if err := e.parse(name, data); err != nil {
			return nil, err
		}
		found = true
		break
	}
	if !found {
		return nil, fmt.Errorf("read unit %s: %w", name, fs.ErrNotExist)
	}
	return e, e.readDropIns(sources, name)
}

func (e entries) readDropIns(sources []fs.FS, name string) error {
	files := map[string][]byte{}
	for _, source := range slices.Backward(sources) { // an earlier source hides a later one's file
		matches, err := fs.Glob(source, name+".d/*.conf")
		if err != nil {
			return fmt.Errorf("read drop-ins of %s: %w", name, err)
		}
		for _, m := range matches {
			data, err := fs.ReadFile(source, m)
			if err != nil {
				return fmt.Errorf("read drop-in: %w", err)
			}
			files[path.Base(m)] = data
		}
	}
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if err := e.parse(name+".d/"+n, files[n]); err != nil {
			return err
		}
	}
	return nil
}
