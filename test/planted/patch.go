package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// patch is one defect: the first lines of its file say what it does, the rest is
// a unified diff.
type patch struct {
	name, path, says string
	files            []string // that it changes
}

// root is the module's folder: the program runs in it.
func root() (string, error) {
	text, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(text))), nil
}

func patches() ([]patch, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "test", "planted", "patches", "*.patch"))
	if err != nil {
		return nil, err
	}
	list := make([]patch, 0, len(paths))
	for _, path := range paths {
		p, err := read(path)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func read(path string) (patch, error) {
	p := patch{name: strings.TrimSuffix(filepath.Base(path), ".patch"), path: path}
	text, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	head, _, _ := strings.Cut(string(text), "--- ")
	p.says = strings.Join(strings.Fields(head), " ")
	for line := range strings.Lines(string(text)) {
		if file, ok := strings.CutPrefix(line, "+++ b/"); ok {
			p.files = append(p.files, strings.TrimSpace(file))
		}
	}
	if p.says == "" || len(p.files) == 0 {
		return p, fmt.Errorf("%s must say what it does, and change something", path)
	}
	return p, nil
}

// build makes the program with the defect in it. The tree stays as it is: the
// compiler is told to take the changed files from elsewhere.
func (p patch) build(dir, binary string) error {
	overlay, err := p.apply(dir)
	if err != nil {
		return err
	}
	from, err := root()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-o", binary, "./test/planted") //nolint:gosec // our own files
	cmd.Dir = from
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s does not compile: %w\n%s", p.name, err, text)
	}
	return nil
}

// apply patches copies of the files in dir, and returns the overlay's file.
func (p patch) apply(dir string) (string, error) {
	from, err := root()
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for _, file := range p.files {
		to := filepath.Join(dir, file)
		text, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			return "", fmt.Errorf("%s: %w", p.name, err)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, text, 0o600)); err != nil { //nolint:gosec // our own files
			return "", err
		}
		replace[filepath.Join(from, file)] = to
	}
	cmd := exec.Command("patch", "-s", "-p1", "-F1", "--no-backup-if-mismatch", "-i", p.path) //nolint:gosec // our own files
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s no longer fits: bring it up to date: %w\n%s", p.name, err, bytes.TrimSpace(text))
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, text, 0o600)
}
