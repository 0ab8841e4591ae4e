package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds the configuration file: a thousand times what one needs. More
// is another file named by mistake.
const maxFile = 1 << 20

// Source is where a configuration is read from.
type Source struct {
	Path    string   // of the file; empty for SHOAL_CONFIG, then DefaultPath
	Environ []string // NAME=value, as os.Environ has it
	Without []string // required keys that this command does without
}

// Loaded is a valid configuration with the place each value came from.
type Loaded struct {
	Config
	Dirs    Dirs
	Path    string    // of the file; empty when there was none
	Notes   []Problem // what is allowed but will not do what it seems to
	origins map[string]Origin
}

// Load reads and validates. Its error is Problems, every one there is.
func Load(src Source) (*Loaded, error) {
	env := environment(src.Environ)
	path, named := locate(src.Path, env)
	text, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) && !named && env.suffice(src.Without) {
		path, err = "", nil // everything needed is in the environment
	}
	if err != nil {
		return nil, Problems{{Text: unreadable(path, err)}}
	}
	return assemble(path, text, env, src.Without)
}

// LoadAnyway is Load for what must go on whatever somebody wrote into the file
// meanwhile: each key that has a problem keeps its default, and the problems are
// told beside it. Where keys contradict each other their whole table does.
func LoadAnyway(src Source) (*Loaded, Problems) {
	l, err := Load(src)
	if err == nil {
		return l, nil
	}
	var problems Problems
	if !errors.As(err, &problems) {
		problems = Problems{{Text: err.Error()}}
	}
	env := environment(src.Environ)
	l = &Loaded{Config: Default(), origins: map[string]Origin{}}
	l.Path, _ = locate(src.Path, env)
	if text, err := readBounded(l.Path); err == nil {
		_ = l.readText(text)
	}
	_ = l.readVariables(env)
	l.Dirs, _ = directories(env)
	if len(l.validate(problems, src.Without)) > 0 {
		d := Default()
		l.Init, l.Monitor, l.ScaleUp, l.Unregister, l.Runner = d.Init, d.Monitor, d.ScaleUp, d.Unregister, d.Runner
	}
	return l, problems
}

// assemble lays the environment over the file over the defaults.
func assemble(path, text string, env variables, without []string) (*Loaded, error) {
	l := &Loaded{Config: Default(), Path: path, origins: map[string]Origin{}}
	problems := l.readText(text)
	broken := len(problems) > 0 && problems[0].Key == "" // no TOML: what is missing may well be in it
	problems = append(problems, l.readVariables(env)...)
	dirs, wrong := directories(env)
	l.Dirs, problems = dirs, append(problems, wrong...)

	if !broken {
		problems = append(problems, l.validate(problems, without)...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	l.Notes = l.notes()
	return l, nil
}

// locate finds the file's path, and tells whether somebody named it.
func locate(path string, env variables) (string, bool) {
	if path != "" {
		return path, true
	}
	if path = env.get("SHOAL_CONFIG"); path != "" {
		return path, true
	}
	return DefaultPath, false
}

func (l *Loaded) readText(text string) Problems {
	doc, problems := parse(l.Path, text)
	for _, s := range doc.values {
		problems = append(problems, l.put(s, Origin{File: l.Path, Line: doc.line(s.name)})...)
	}
	return problems
}

// put sets one key from one place.
func (l *Loaded) put(s setting, at Origin) Problems {
	k, ok := findKey(s.name)
	if !ok {
		return Problems{wrongName(s, at)}
	}
	l.origins[k.name] = at
	if got := k.set(&l.Config, s.value); got != "" {
		return Problems{badValue(k, at, got)}
	}
	return nil
}

func wrongName(s setting, at Origin) Problem {
	if isTable(s.name) {
		return Problem{Key: s.name, Origin: at, Text: fmt.Sprintf("must be a table, [%s]; got a value", s.name)}
	}
	return unknown(s.name, at)
}

func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read: nothing can be lost
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxFile {
		return "", fmt.Errorf("larger than %d bytes", maxFile)
	}
	return string(text), nil
}

func unreadable(path string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("no configuration file at %s; \"shoal config show --defaults\" prints one to begin with", path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Sprintf("configuration file %s may not be read: chmod 644 it (scale-up runs as the user shoal; the file names secrets, and holds none)", path)
	}
	var op *fs.PathError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Sprintf("read configuration file %s: %v", path, err)
}
