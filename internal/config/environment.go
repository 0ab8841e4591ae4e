package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The directories, unless a variable names others.
const (
	defaultStateDir = "/var/lib/shoal"
	defaultRunDir   = "/run/shoal"
)

// ownVariables are the SHOAL_ variables that are no keys.
var ownVariables = []string{"SHOAL_CONFIG", "SHOAL_STATE_DIR", "SHOAL_RUN_DIR"}

// Dirs are the directories that Shoal keeps its files in.
type Dirs struct {
	State string // the registration; survives a reboot
	Run   string // what passes between units; gone with a reboot
}

// variables is the part of an environment that is Shoal's. An empty variable
// counts as unset: many tools cannot unset one.
type variables struct {
	names  []string // in the environment's order
	values map[string]string
}

func environment(environ []string) variables {
	env := variables{values: map[string]string{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "SHOAL_") || value == "" {
			continue
		}
		if _, twice := env.values[name]; !twice {
			env.names = append(env.names, name)
		}
		env.values[name] = value
	}
	slices.Sort(env.names)
	return env
}

func (env variables) get(name string) string { return env.values[name] }

// suffice tells whether every required key is in the environment, but for those
// that are done without.
func (env variables) suffice(without []string) bool {
	return !slices.ContainsFunc(keys, func(k key) bool {
		return k.required && env.get(k.variable()) == "" && !slices.Contains(without, k.name)
	})
}

// readVariables lets the environment override the file.
func (l *Loaded) readVariables(env variables) Problems {
	var problems Problems
	for _, name := range env.names {
		if !slices.Contains(ownVariables, name) {
			problems = append(problems, l.putVariable(name, env.get(name))...)
		}
	}
	return problems
}

func (l *Loaded) putVariable(name, text string) Problems {
	at := Origin{Variable: name}
	i := slices.IndexFunc(keys, func(k key) bool { return k.variable() == name })
	if i < 0 {
		return Problems{unknownVariable(name)}
	}
	value, ok := keys[i].parse(text)
	if !ok {
		return Problems{badValue(keys[i], at, describe(text))}
	}
	return l.put(setting{keys[i].name, value}, at)
}

func unknownVariable(name string) Problem {
	text := "unknown variable"
	best, least := "", len(name)/4+1
	for _, k := range keys {
		if d := distance(name, k.variable()); d < least {
			best, least = k.variable(), d
		}
	}
	if best != "" {
		text = fmt.Sprintf("unknown variable; did you mean %s?", best)
	}
	return Problem{Origin: Origin{Variable: name}, Text: text}
}

// directories reads where Shoal keeps its files.
func directories(env variables) (Dirs, Problems) {
	d := Dirs{State: defaultStateDir, Run: defaultRunDir}
	problems := directory(&d.State, "SHOAL_STATE_DIR", env)
	return d, append(problems, directory(&d.Run, "SHOAL_RUN_DIR", env)...)
}

func directory(dir *string, name string, env variables) Problems {
	value := env.get(name)
	if value == "" {
		return nil
	}
	if !filepath.IsAbs(value) {
		return Problems{{Origin: Origin{Variable: name}, Text: "must be an absolute path; got " + describe(value)}}
	}
	*dir = filepath.Clean(value)
	return nil
}
