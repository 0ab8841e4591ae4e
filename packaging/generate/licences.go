package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// architectures are those that packages are built for: a module may be in the
// binary of one alone.
var architectures = []string{"amd64", "arm64"}

// termFiles are what projects keep their terms in. A notice must go along with a
// copy under the Apache License 2.0, and so must a licence.
var termFiles = []string{"LICENSE*", "LICENCE*", "COPYING*", "NOTICE*", "PATENTS*"}

// module is somebody else's code in the binary.
type module struct{ path, version, dir string }

// terms is one text and all modules that come with it.
type terms struct {
	text    string
	modules []string
}

// writeLicences writes doc/third-party-licenses.txt. A module without terms is
// an error: nobody may pass it on.
func writeLicences(o options) error {
	modules, err := modulesOfBinary()
	if err != nil {
		return err
	}
	all, err := termsOf(modules)
	if err != nil {
		return err
	}
	return o.write("doc/third-party-licenses.txt", licenceText(modules, all))
}

// modulesOfBinary asks the go command, and adds Go itself: its runtime and
// library are in the binary too.
func modulesOfBinary() ([]module, error) {
	root, err := output(nil, "go", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	dir, version, _ := strings.Cut(strings.TrimSpace(root), "\n")
	modules := []module{{path: "Go's runtime and standard library", version: version, dir: dir}}
	charts, err := uplot()
	if err != nil {
		return nil, err
	}
	modules = append(modules, charts)
	const format = `{{with .Module}}{{if not .Main}}{{.Path}}|{{.Version}}|{{.Dir}}{{end}}{{end}}`
	for _, arch := range architectures {
		env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch}
		list, err := output(env, "go", "list", "-deps", "-f", format, "./cmd/shoal")
		if err != nil {
			return nil, err
		}
		for line := range strings.FieldsSeq(list) {
			if f := strings.SplitN(line, "|", 3); len(f) == 3 {
				modules = append(modules, module{path: f[0], version: f[1], dir: f[2]})
			}
		}
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return slices.Compact(modules), nil
}

// uplotDir has the charts' library, which is in the binary and no module.
const uplotDir = "internal/page/uplot"

// uplot reads its version out of it.
func uplot() (module, error) {
	text, err := os.ReadFile(filepath.Join(uplotDir, "uPlot.iife.min.js"))
	if err != nil {
		return module{}, err
	}
	_, after, _ := strings.Cut(string(text[:min(len(text), 200)]), "uPlot (")
	version, _, ok := strings.Cut(after, ")")
	if !ok {
		return module{}, fmt.Errorf("%s: its first line tells no version", uplotDir)
	}
	return module{path: "uPlot, in the pages of --html", version: version, dir: uplotDir}, nil
}

func output(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return string(out), nil
}

// termsOf reads each module's terms; a text that many share is kept once.
func termsOf(modules []module) ([]terms, error) {
	var all []terms
	var problems error
	for _, m := range modules {
		texts, err := readTerms(m.dir)
		if err == nil && len(texts) == 0 {
			err = errors.New("no licence is there")
		}
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("read the terms of %s %s: %w", m.path, m.version, err))
		}
		for _, text := range texts {
			i := slices.IndexFunc(all, func(t terms) bool { return t.text == text })
			if i < 0 {
				i, all = len(all), append(all, terms{text: text})
			}
			all[i].modules = append(all[i].modules, m.path)
		}
	}
	return all, problems
}

func readTerms(dir string) ([]string, error) {
	var texts []string
	for _, pattern := range termFiles {
		found, _ := filepath.Glob(filepath.Join(dir, pattern)) // only a bad pattern is an error
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			texts = append(texts, strings.Trim(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"))
		}
	}
	return texts, nil
}

func licenceText(modules []module, all []terms) []byte {
	var b bytes.Buffer
	b.WriteString("shoal contains these modules, each under the terms below.\n\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "  %s %s\n", m.path, m.version)
	}
	for _, t := range all {
		fmt.Fprintf(&b, "\n%s\n\n", strings.Repeat("=", 78))
		for _, path := range t.modules {
			fmt.Fprintf(&b, "%s\n", path)
		}
		fmt.Fprintf(&b, "\n%s\n", t.text)
	}
	return b.Bytes()
}
