// Package shoal_test holds the rules of docs/architecture.md: which package may
// import which, what the core may not touch, and that every package says what
// it is for. Each failure tells the reason of the rule that it breaks.
package shoal_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/shoal-ci/shoal/"

// layers says what of ours each package may import: everything that is not
// here is refused. A name ending in /... stands for a whole tree.
var layers = map[string][]string{
	"cmd/shoal": {"internal/cli"},

	"internal/cli": {"internal/..."},

	"internal/agent":             {"internal/fleet", "internal/scaling", "internal/life"},
	"internal/demand":            {"internal/fleet", "internal/scaling", "internal/life"},
	"internal/reap":              {"internal/fleet", "internal/scaling", "internal/life"},
	"internal/history":           {"internal/fleet", "internal/outfile", "internal/simulate/trace"},
	"internal/simulate":          {"internal/fleet", "internal/scaling", "internal/life", "internal/world"},
	"internal/simulate/capacity": {"internal/fleet", "internal/scaling", "internal/life", "internal/simulate", "internal/simulate/trace"},
	"internal/simulate/trace":    {},
	"internal/simulate/tune":     {"internal/fleet", "internal/scaling", "internal/simulate/capacity", "internal/simulate/trace"},
	"internal/emulator/...":      {"internal/fleet", "internal/scaling", "internal/life", "internal/world", "internal/emulator/...", "packaging/..."},

	"internal/config":  {"internal/fleet", "internal/scaling"},
	"internal/life":    {"internal/fleet", "internal/scaling"},
	"internal/world":   {"internal/fleet", "internal/scaling"},
	"internal/scaling": {"internal/fleet"},
	"internal/fleet":   {},
	"internal/outfile": {},
	"internal/page":    {},

	"internal/autoscaling": {"internal/fleet"},
	"internal/imds":        {"internal/fleet"},
	"internal/gitlab":      {"internal/fleet"},
	"internal/runner":      {"internal/fleet"},
	"internal/systemd":     {"internal/fleet"},
	"internal/secret":      {"internal/fleet"},

	"packaging/generate": {"internal/cli"},
	"packaging/...":      {},
	"test/...":           {"internal/...", "packaging/..."},
}

// why is the reason given with a refused import, by who imports; the first that
// matches counts.
var why = []struct{ from, to, reason string }{
	{"internal/life", "internal/world", "the machines decide from what they are told; a look at the model would make every simulation prove itself"},
	{"internal/world", "internal/life", "the model must not know what the machines want, or it could only ever agree with them"},
	{"internal/emulator", "", "the emulator shares nothing with the edges that talk to it: one misreading would cancel itself"},
	{"internal/agent", "", "agent declares interfaces for what its actions need; which edge fulfils them is decided in cli"},
	{"internal/history", "", "history declares the interface of what it needs of GitLab; which edge fulfils it is decided in cli"},
	{"cmd/shoal", "", "main only starts cli, so that tests can start the same thing"},
	{"internal/fleet", "", "fleet is the language of all the others, and knows none of them"},
	{"internal/outfile", "", "who writes what into a file is not the file's business"},
	{"internal/page", "", "a page draws what it is given: who fills it in may be any command"},
	{"internal/autoscaling", "", "an edge knows one outside system and the nouns of fleet, so that it can be replaced alone"},
	{"internal/imds", "", "an edge knows one outside system and the nouns of fleet, so that it can be replaced alone"},
	{"internal/gitlab", "", "an edge knows one outside system and the nouns of fleet, so that it can be replaced alone"},
	{"internal/runner", "", "an edge knows one outside system and the nouns of fleet, so that it can be replaced alone"},
	{"internal/systemd", "", "an edge knows one outside system and the nouns of fleet, so that it can be replaced alone"},
	{"internal/secret", "", "an edge knows one outside system and the nouns of fleet, so that it can be replaced alone"},
	{"", "", "imports point from what acts to what decides to what is spoken of, never back"},
}

// core are the packages that do no I/O.
var core = []string{"internal/fleet", "internal/scaling", "internal/life", "internal/world", "internal/simulate", "internal/simulate/capacity", "internal/simulate/trace", "internal/simulate/tune"}

// notInCore are imports that would let the core reach outside.
var notInCore = map[string]string{
	"context":     "nothing in the core waits, so nothing in it can be cancelled",
	"crypto/rand": "randomness is passed in as a seed, or a run could not be replayed",
	"log":         "the core returns what it decided; whoever called it writes it down",
	"log/slog":    "the core returns what it decided; whoever called it writes it down",
	"net":         "the core asks for requests, it does not make them",
	"os":          "the core asks for files to be written, it does not write them",
	"syscall":     "the core does no I/O",
	"unsafe":      "the core has nothing to gain from it",
}

// clockOrDice are functions that read a clock, wait, or draw from a source that
// nobody seeded. Other functions of these packages are pure.
var clockOrDice = map[string][]string{
	"time":         {"Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Since", "Until"},
	"math/rand":    nil, // nothing of it: math/rand/v2 has all that is needed
	"math/rand/v2": {"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint32", "Uint32N", "Uint64", "Uint64N", "Uint", "UintN", "N", "Float32", "Float64", "NormFloat64", "ExpFloat64", "Perm", "Shuffle"},
}

// pkg is one package's files without its tests.
type pkg struct {
	dir   string // relative to the root, with slashes
	files map[string]*ast.File
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		allowed, ok := lookUp(p.dir)
		if !ok {
			t.Errorf("%s: a new package; say in architecture_test.go what it may import", p.dir)
			continue
		}
		for name, f := range p.files {
			for _, to := range imports(f) {
				to, ours := strings.CutPrefix(to, module)
				if ours && !matchesAny(to, allowed) {
					t.Errorf("%s imports %s: %s", name, to, reason(p.dir, to))
				}
			}
		}
	}
}

func TestCoreDoesNoIO(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(core, p.dir) {
			continue
		}
		for name, f := range p.files {
			for _, to := range imports(f) {
				if because, bad := forbidden(to); bad {
					t.Errorf("%s imports %s: %s", name, to, because)
				}
			}
			for _, call := range clockCalls(f) {
				t.Errorf("%s uses %s: the time comes in as an argument and randomness as a seeded source, or a run could not be replayed", name, call)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		var docs []string
		for _, f := range p.files {
			if f.Doc != nil {
				docs = append(docs, f.Doc.Text())
			}
		}
		switch {
		case len(docs) == 0:
			t.Errorf("%s has no package comment: say its purpose, what it guarantees and what it leaves to others", p.dir)
		case len(docs) > 1:
			t.Errorf("%s has %d package comments: keep one, readers find only one of them", p.dir, len(docs))
		case !strings.HasPrefix(docs[0], "Package "+path.Base(p.dir)+" ") && !strings.HasPrefix(docs[0], "Command "+path.Base(p.dir)+" "):
			t.Errorf("%s: its package comment begins %q; begin with the package's name, as godoc shows it", p.dir, strings.SplitN(docs[0], "\n", 2)[0])
		}
	}
}

func TestMainIsShort(t *testing.T) {
	const most = 30
	text, err := os.ReadFile("cmd/shoal/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > most {
		t.Errorf("cmd/shoal/main.go has %d lines, at most %d: what main does no test can start", n, most)
	}
}

// packages parses every package of ours, without tests.
func packages(t *testing.T) []pkg {
	t.Helper()
	found := map[string]*pkg{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := name != "." && (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_"))
			if hidden || d.Name() == "testdata" || d.Name() == "vendor" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		if found[dir] == nil {
			found[dir] = &pkg{dir: dir, files: map[string]*ast.File{}}
		}
		found[dir].files[name] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	list := make([]pkg, 0, len(found))
	for _, p := range found {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b pkg) int { return strings.Compare(a.dir, b.dir) })
	return list
}

func imports(f *ast.File) []string {
	var list []string
	for _, i := range f.Imports {
		if name, err := strconv.Unquote(i.Path.Value); err == nil {
			list = append(list, name)
		}
	}
	return list
}

func lookUp(dir string) ([]string, bool) {
	if allowed, ok := layers[dir]; ok {
		return allowed, true
	}
	for pattern, allowed := range layers {
		if matches(dir, pattern) {
			return allowed, true
		}
	}
	return nil, false
}

func matches(dir, pattern string) bool {
	tree, whole := strings.CutSuffix(pattern, "/...")
	return dir == tree || (whole && strings.HasPrefix(dir, tree+"/"))
}

func matchesAny(dir string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(dir, p) })
}

func reason(from, to string) string {
	for _, w := range why {
		if strings.HasPrefix(from, w.from) && strings.HasPrefix(to, w.to) {
			return w.reason
		}
	}
	return ""
}

// forbidden tells whether the core may not import a package, and why.
func forbidden(to string) (string, bool) {
	if strings.HasPrefix(to, module) {
		return "", false // TestImportsPointOneWay
	}
	if first, _, _ := strings.Cut(to, "/"); strings.Contains(first, ".") {
		return "the core is plain Go: what a module does inside, nobody here can promise", true
	}
	for name, because := range notInCore {
		if to == name || strings.HasPrefix(to, name+"/") {
			return because, true
		}
	}
	return "", false
}

// clockCalls lists the uses of functions in clockOrDice.
func clockCalls(f *ast.File) []string {
	names := map[string]string{} // the name in this file, and the package
	for _, i := range f.Imports {
		to, err := strconv.Unquote(i.Path.Value)
		if _, watched := clockOrDice[to]; err != nil || !watched {
			continue
		}
		name := strings.TrimSuffix(strings.TrimSuffix(to, "/v2"), "/")
		name = path.Base(name)
		if i.Name != nil {
			name = i.Name.Name
		}
		names[name] = to
	}
	var calls []string
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		id, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		to, watched := names[id.Name]
		if watched && (clockOrDice[to] == nil || slices.Contains(clockOrDice[to], sel.Sel.Name)) {
			calls = append(calls, id.Name+"."+sel.Sel.Name)
		}
		return true
	})
	return calls
}
