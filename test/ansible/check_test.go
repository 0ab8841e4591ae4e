package ansible_test

import (
	"bufio"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoal-ci/shoal/packaging"
)

// plays are the playbooks, which is all that people run by name.
func plays(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(playbooks, "*.yml"))
	if err != nil || len(found) < 4 {
		t.Fatalf("the playbooks are %q (%v)", found, err)
	}
	return found
}

// TestLint asks ansible-lint for what it asks of production code.
func TestLint(t *testing.T) {
	t.Parallel()
	lint := tool(t, "ansible-lint", "nobody checks how the playbooks are written")
	cmd := exec.Command(lint, append([]string{"--offline", "--nocolor", "-p", "--profile", "production"}, append(plays(t), filepath.Join(playbooks, "plays/own.yml"), filepath.Join(playbooks, "roles/shoal"))...)...)
	cmd.Dir = t.TempDir() // it keeps a cache where it runs
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("ansible-lint: %v\n%s", err, out)
	}
}

func TestSyntax(t *testing.T) {
	t.Parallel()
	for _, p := range plays(t) {
		if r := ansible(t, os.Environ(), "-i", "localhost,", "--syntax-check", p); r.code != 0 {
			t.Errorf("%s: exit %d\n%s", filepath.Base(p), r.code, r.text)
		}
	}
}

// TestBuiltinOnly: ansible-core alone must do; on an instance nobody installs collections.
func TestBuiltinOnly(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(playbooks, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yml" {
			return err
		}
		data, err := os.ReadFile(path)
		for _, other := range []string{"community.", "ansible.posix", "amazon.aws"} {
			if strings.Contains(string(data), other) {
				t.Errorf("%s names the collection %q", path, other)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// notSandbox are the keys of a unit's [Service] that a drop-in need not take
// back: they are what the unit does, not what it may do.
var notSandbox = []string{
	"Type", "EnvironmentFile", "LoadCredential", "TimeoutStartSec", "TimeoutStopSec", "Restart",
	"LimitCORE", // a dump of Ansible's memory may hold a secret as well
}

// TestDropInsTakeTheSandboxBack: what a packaged unit forbids the program must
// not be forbidden to Ansible and the user's own tasks.
func TestDropInsTakeTheSandboxBack(t *testing.T) {
	t.Parallel()
	for _, unit := range playbookUnits {
		data, err := fs.ReadFile(packaging.Units(), unit)
		if err != nil {
			t.Fatal(err)
		}
		taken := serviceKeys(dropIn(t, unit))
		for _, key := range serviceKeys(string(data)) {
			if !slices.Contains(taken, key) && !slices.Contains(notSandbox, key) {
				t.Errorf("%s sets %s=, and its playbook drop-in says nothing of it", unit, key)
			}
		}
	}
}

// serviceKeys are the names that a unit's section Service sets.
func serviceKeys(text string) (keys []string) {
	section := ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section = line
		}
		if key, _, ok := strings.Cut(line, "="); ok && section == "[Service]" && line[0] != '#' {
			keys = append(keys, key)
		}
	}
	return keys
}

// TestScripts: what the playbooks run beside shoal.
func TestScripts(t *testing.T) {
	t.Parallel()
	shellcheck := tool(t, "shellcheck", "nobody checks the playbooks' scripts")
	found, err := filepath.Glob(filepath.Join(playbooks, "tasks/*.sh"))
	if err != nil || len(found) != 2 {
		t.Fatalf("the scripts are %q (%v)", found, err)
	}
	if out, err := exec.Command(shellcheck, found...).CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// TestUserData: cloud-init takes the files, and the script in one of them is sound.
func TestUserData(t *testing.T) {
	t.Parallel()
	cloudInit := tool(t, "cloud-init", "nobody checks the user data")
	files, err := filepath.Glob("../../deploy/image/*.yaml")
	if err != nil || len(files) != 2 {
		t.Fatalf("the user data is %q (%v)", files, err)
	}
	for _, f := range files {
		if out, err := exec.Command(cloudInit, "schema", "--config-file", f).CombinedOutput(); err != nil || !strings.Contains(string(out), "Valid") {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
	shellcheck := tool(t, "shellcheck", "nobody checks the script in the user data")
	cmd := exec.Command(shellcheck, "-")
	cmd.Stdin = strings.NewReader(scriptOf(t, "../../deploy/image/cloud-init-stock.yaml"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// scriptOf is the block of a YAML file that begins with a shell's name.
func scriptOf(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const indent = "      "
	var script strings.Builder
	in := false
	for line := range strings.Lines(string(data)) {
		in = in || line == indent+"#!/bin/sh\n"
		if in && strings.TrimSpace(line) != "" && !strings.HasPrefix(line, indent) {
			break
		}
		if in {
			script.WriteString(strings.TrimPrefix(line, indent))
		}
	}
	if script.Len() == 0 {
		t.Fatalf("%s has no script", name)
	}
	return script.String()
}
