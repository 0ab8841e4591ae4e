package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sources parses the program's own files below a folder.
func sources(t *testing.T, dir string) []*ast.File {
	t.Helper()
	var files []*ast.File
	err := filepath.WalkDir(filepath.Join(root, dir), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		files = append(files, file)
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files below %s: %v", len(files), dir, err)
	}
	return files
}

// programmed is what the machines do to units and files, read off their actions.
func programmed(t *testing.T) map[edge]bool {
	t.Helper()
	files := sources(t, "internal/life")
	named := constants(files)
	edges := map[edge]bool{}
	for _, file := range files {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if lit, ok := n.(*ast.CompositeLit); ok {
					for _, e := range effects(lit, named) {
						if e.from = verbs[receiver(f)]; e.from == "" {
							t.Errorf("%s does %q: no machine's method, this test cannot tell whose it is", f.Name.Name, e)
						}
						edges[e] = true
					}
				}
				return true
			})
		}
	}
	if len(edges) < 10 {
		t.Fatalf("the machines do %d things to units and files: this test reads nothing", len(edges))
	}
	return edges
}

// constants are the names of units and flags.
func constants(files []*ast.File) map[string]string {
	named := map[string]string{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == 1 && len(v.Values) == 1 {
				if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					named[v.Names[0].Name], _ = strconv.Unquote(lit.Value)
				}
			}
			return true
		})
	}
	return named
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	x := f.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	name, _ := x.(*ast.Ident)
	return name.Name
}

// effects are what one action does; from is left out.
func effects(lit *ast.CompositeLit, named map[string]string) []edge {
	kind, ok := lit.Type.(*ast.Ident)
	if !ok {
		return nil
	}
	first := ""
	if len(lit.Elts) > 0 {
		if name, ok := lit.Elts[0].(*ast.Ident); ok {
			first = named[name.Name]
		}
	}
	switch kind.Name {
	case "StartUnit":
		return []edge{{does: "starts", to: first}}
	case "StopUnit":
		return []edge{{does: "stops", to: first}}
	case "SignalUnit", "KillJobs":
		return []edge{{does: "signals", to: first}}
	case "SetFlag":
		return flag(lit, "/run/shoal/"+first)
	case "WriteNotice":
		return []edge{{does: "writes", to: "/run/shoal/notice.json"}}
	case "WriteWhoami":
		return []edge{{does: "writes", to: "/run/shoal/whoami.json"}}
	case "WriteSeen":
		return []edge{{does: "writes", to: "/run/shoal/scale-up/queue.json"}}
	case "WriteBefore":
		return []edge{{does: "writes", to: "/run/shoal/before.json"}}
	case "WriteRegistration":
		return []edge{{does: "writes", to: "/var/lib/shoal/registration.json"}}
	case "RemoveRegistration":
		return []edge{{does: "removes", to: "/var/lib/shoal/registration.json"}}
	}
	return nil
}

// flag tells a file that is written from one that is removed, where the action does.
func flag(lit *ast.CompositeLit, to string) []edge {
	if on, ok := lit.Elts[1].(*ast.Ident); ok && on.Name == "true" {
		return []edge{{does: "writes", to: to}}
	} else if ok && on.Name == "false" {
		return []edge{{does: "removes", to: to}}
	}
	return []edge{{does: "writes", to: to}, {does: "removes", to: to}}
}
