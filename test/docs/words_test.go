package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/shoal-ci/shoal/internal/cli"
	"github.com/shoal-ci/shoal/internal/config"
)

// code is every piece of code of a document, but its log lines.
func code(text string) []string {
	found := spans(text)
	for _, b := range blocks(text) {
		for line := range strings.Lines(b.text) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "{") {
				found = append(found, line)
			}
		}
	}
	return found
}

// called is one call of the program: after the start of a line, a mark or a
// space, by its bare name or one of the paths that it has.
var called = regexp.MustCompile(`(?:^|[\s"'(;|])(?:/usr/bin/|\./cmd/|dist/)?shoal((?: +[\w./:=*{}…-]+)+)`)

// TestCommandsAndFlags: what the documents have people type exists.
func TestCommandsAndFlags(t *testing.T) {
	seen := 0
	for _, name := range documents(t) {
		if name == "CHANGELOG.md" { // what was is not always what is
			continue
		}
		for _, text := range code(read(t, name)) {
			for _, m := range called.FindAllStringSubmatch(text, -1) {
				seen++
				if wrong := follow(cli.Commands(), strings.Fields(m[1])); wrong != "" {
					t.Errorf("%s has %q: there is no %s", name, text, wrong)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("the documents call the program %d times: this test reads nothing", seen)
	}
}

// follow goes down the tree of commands and returns the first word that is none.
func follow(cmd *cobra.Command, words []string) string {
	for i, word := range words {
		word = strings.TrimRight(word, ":.")
		if name, ok := strings.CutPrefix(word, "--"); ok {
			name, _, _ = strings.Cut(name, "=")
			cmd.InitDefaultHelpFlag()
			if cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil && cmd.PersistentFlags().Lookup(name) == nil {
				return cmd.CommandPath() + " " + word
			}
			continue
		}
		sub := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
		if sub < 0 && (i == 0 || cmd.HasSubCommands()) {
			return "command " + word
		}
		if sub >= 0 {
			cmd = cmd.Commands()[sub]
		}
	}
	return ""
}

// keys are the configuration's, from the least that loads.
func keys(t *testing.T) []string {
	t.Helper()
	loaded, err := config.Load(config.Source{Environ: []string{"SHOAL_GITLAB_URL=https://gitlab.example.com", "SHOAL_GITLAB_TOKEN=env:TOKEN"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range loaded.Values() {
		names = append(names, v.Key)
	}
	return names
}

var variable = regexp.MustCompile(`\bSHOAL_[A-Z_]+\b`)

// TestKeysAndVariables: each that is named exists.
func TestKeysAndVariables(t *testing.T) {
	all := keys(t)
	tables := map[string]bool{}
	known := []string{"SHOAL_CONFIG", "SHOAL_STATE_DIR", "SHOAL_RUN_DIR", "SHOAL_A_B_C"}
	for _, key := range all {
		name, _, _ := strings.Cut(key, ".")
		tables[name] = true
		known = append(known, "SHOAL_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_")))
	}
	key := regexp.MustCompile(`^([a-z_]+)\.[a-z_]+\b`)
	files := regexp.MustCompile(`\.(yml|com)$`) // names that look like keys
	for _, name := range documents(t) {
		text := read(t, name)
		for _, span := range spans(text) {
			if m := key.FindStringSubmatch(span); m != nil && tables[m[1]] && !files.MatchString(m[0]) && !slices.Contains(all, m[0]) {
				t.Errorf("%s names the key %q, which there is not", name, m[0])
			}
		}
		for _, v := range variable.FindAllString(text, -1) {
			if !slices.Contains(known, v) && !slices.Contains(known, strings.TrimSuffix(v, "_")) {
				t.Errorf("%s names the variable %s, which there is not", name, v)
			}
		}
	}
}

// TestConfigurationsLoad: what people are to copy is accepted.
func TestConfigurationsLoad(t *testing.T) {
	for _, name := range documents(t) {
		for _, b := range blocks(read(t, name)) {
			if b.language != "toml" || !strings.HasPrefix(b.text, "[gitlab]") {
				continue
			}
			path := filepath.Join(t.TempDir(), "shoal.toml")
			if err := os.WriteFile(path, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(config.Source{Path: path}); err != nil {
				t.Errorf("%s has a configuration that is refused: %v", name, err)
			}
		}
	}
}

// TestPackagedFiles: what the documents say that the package brings, it brings,
// and its table leaves nothing out that changes how the system behaves.
func TestPackagedFiles(t *testing.T) {
	var brought []string
	for _, m := range regexp.MustCompile(`dst: ([^,}\s]+)`).FindAllStringSubmatch(read(t, "packaging/nfpm.yaml"), -1) {
		brought = append(brought, m[1])
	}
	covers := func(folder, file string) bool {
		return folder == file || strings.HasSuffix(folder, "/") && strings.HasPrefix(file, folder)
	}
	var listed []string
	for _, row := range table(t, install, "path", "what") {
		for _, span := range inline.FindAllStringSubmatch(row[0], -1) {
			listed = append(listed, span[1])
		}
	}
	for _, name := range listed {
		if !slices.ContainsFunc(brought, func(b string) bool { return covers(b, name) || covers(name, b) || covers(name, b+"/") }) {
			t.Errorf("%s says that the package brings %s: it does not", install, name)
		}
	}
	system := regexp.MustCompile(`^/(etc/.*[^/]$|usr/bin/|usr/lib/.*\.(conf|preset)$)`)
	for _, b := range brought {
		if b != "/etc/shoal" && system.MatchString(b) && !slices.Contains(listed, b) {
			t.Errorf("the package brings %s, which %s does not list", b, install)
		}
	}
}
