package packages_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// write puts one file of a package into a folder of its own.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), path.Base(name))
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestManualPagesRender(t *testing.T) {
	need(t, "man")
	for name, f := range debContents(t, packages(t).debs["amd64"]) {
		if f.mode.IsDir() || !strings.HasPrefix(name, "/usr/share/man/") {
			continue
		}
		cmd := exec.Command("man", "--warnings", "--encoding=UTF-8", "--local-file", write(t, name, f.text))
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=100")
		var complaints strings.Builder
		cmd.Stderr = &complaints
		page, err := cmd.Output()
		if err != nil || complaints.Len() > 0 {
			t.Errorf("man %s: %v\n%s", name, err, complaints.String())
		}
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION"} {
			if !strings.Contains(string(page), section) {
				t.Errorf("%s has no section %s", name, section)
			}
		}
	}
}

// TestCompletionLoads completes a command as bash does at the tab key.
func TestCompletionLoads(t *testing.T) {
	need(t, "bash")
	files := debContents(t, packages(t).debs["amd64"])
	script := write(t, "shoal.bash", files["/usr/share/bash-completion/completions/shoal"].text)
	program := filepath.Join(t.TempDir(), "shoal")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/shoal").CombinedOutput(); err != nil {
		t.Fatalf("build shoal: %v\n%s", err, out)
	}
	cmd := exec.Command("bash", "--norc", "-euc", `
# What bash-completion gives every script.
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}; }
compopt() { :; } # bash has it only while it completes
source "$0"
complete -p shoal
COMP_WORDS=(shoal life) COMP_CWORD=1 COMP_LINE="shoal life" COMP_POINT=10 COMP_TYPE=9 COMPREPLY=()
__start_shoal
printf '%s\n' "${COMPREPLY[@]}"`, script)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nlifecycle-check") {
		t.Errorf("completing \"shoal life\": %v\n%s", err, out)
	}
}
