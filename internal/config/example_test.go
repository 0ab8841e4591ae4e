package config

import (
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated parts of packaging/ and docs/ anew")

// Every key of the example, with its comment sign taken away, is the default.
func TestExampleIsTheDefaults(t *testing.T) {
	text := regexp.MustCompile(`(?m)^#([a-z])`).ReplaceAllString(Example(), "$1")
	l, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.GitLab.URL, want.GitLab.Token = l.GitLab.URL, l.GitLab.Token
	for _, list := range []*[]string{&l.GitLab.Tags, &l.Reap.Groups, &l.Spares.Slots, &l.Webhook.Secrets, &l.Webhook.Groups} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	if !reflect.DeepEqual(l.Config, want) {
		t.Errorf("got %+v\nwant %+v", l.Config, want)
	}
	if len(l.origins) != len(keys) {
		t.Errorf("the example sets %d of %d keys", len(l.origins), len(keys))
	}
}

func TestPackagedConfigurationIsTheExample(t *testing.T) {
	const path = "../../packaging/shoal.toml"
	if *update {
		write(t, path, Example())
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != Example() {
		t.Errorf("%s is not what the keys say (%v); go test ./internal/config -update writes it anew", path, err)
	}
}

func TestDocumentedKeysAreTheKeys(t *testing.T) {
	const path, begin, end = "../../docs/configuration.md", "<!-- keys -->\n", "<!-- end of keys -->"
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(got), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", path, begin, end)
	}
	if *update {
		write(t, path, head+begin+Table()+end+tail)
	} else if table != Table() {
		t.Errorf("the table of %s is not what the keys say; go test ./internal/config -update writes it anew", path)
	}
}

// Each key has a place of its own: setting one changes no other.
func TestKeysDoNotShareAPlace(t *testing.T) {
	blank := Config{}
	for _, k := range keys {
		c := Config{}
		for _, raw := range []any{"x", "11m", "11s", int64(7), true, []any{"t"}, "https://h", "file:/x", "/p", "h:1", "create", "leave", "debug", "text", "not_protected", "project_type", []any{"6"}, []any{"file:/x"}, "UTC"} {
			if k.set(&c, raw) == "" && !reflect.DeepEqual(c, blank) {
				break
			}
		}
		for _, other := range keys {
			if isSet := other.isSet(&c); isSet != (other.name == k.name) {
				t.Errorf("setting %s: %s is set: %v", k.name, other.name, isSet)
			}
		}
	}
}

// The outline knows every table: without it a key would have no line.
func TestOutlineHasEveryTable(t *testing.T) {
	for _, k := range keys {
		if lines("[" + k.table() + "]\n" + k.leaf() + " = 1\n")[k.name] != 2 {
			t.Errorf("no line for %s", k.name)
		}
	}
}
