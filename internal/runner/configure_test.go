package runner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// place is a folder with a template in it; an empty one means none.
func place(t testing.TB, template string) *Local {
	t.Helper()
	dir := t.TempDir()
	l := New(Options{
		ConfigPath:      filepath.Join(dir, "gitlab-runner", "config.toml"),
		TemplatePath:    filepath.Join(dir, "config.template.toml"),
		ListenAddress:   "localhost:9090",
		ShutdownTimeout: 7500 * time.Millisecond,
	})
	if template != "" {
		put(t, l.opts.TemplatePath, template)
	}
	return l
}

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path) //nolint:gosec // a test's own file
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func registration(n int) fleet.Registration {
	r := fleet.Registration{Mode: fleet.ModeCreate, URL: "https://gitlab.example", SystemID: "s_0123456789ab", Description: "ci/i-0abc"}
	for i := range n {
		r.Runners = append(r.Runners, fleet.RegisteredRunner{ID: int64(12 + i), Token: fleet.NewToken("glrt-" + strings.Repeat(string(rune('a'+i)), 20))})
	}
	return r
}

const operators = `# the operator's words stay
concurrent = 6   # six at once
check_interval = 5
log_level = "warning"

[session_server]
  session_timeout = 1800

# the first
[[runners]]
	name = "mine"  # by hand
	executor = "docker"
	environment = ["A=1", "B=[[runners]]"]
	pre_build_script = '''
[[runners]]
token = "not a key"
'''
	feature_flags = { FF_A = true, "FF_B" = false }
	[runners.docker]
		image = "alpine:3"
		volumes = [
			"/cache", # kept
			"/certs",
		]
		[[runners.docker.services]]
			name = "docker:dind"
	[runners.cache]
		Type = "s3"

[[ "runners" ]]
executor = "shell"
docker.image = "dotted"
"token" = ""

[[runners]]
executor = "shell"
name = "third"
id = 0
`

func TestConfigureKeepsWhatTheOperatorWrote(t *testing.T) {
	l := place(t, operators)
	n, err := l.Sections(t.Context())
	if err != nil || n != 3 {
		t.Fatalf("Sections = %d, %v; want 3", n, err)
	}
	if _, err := l.Configure(t.Context(), registration(3)); err != nil {
		t.Fatal(err)
	}
	got := content(t, l.opts.ConfigPath)
	want := operators
	for _, change := range []struct{ old, new string }{
		{"log_level = \"warning\"\n", "log_level = \"warning\"\nlisten_address = \"localhost:9090\"\nshutdown_timeout = 8\n"},
		{"# the first\n[[runners]]\n", "# the first\n[[runners]]\n\turl = \"https://gitlab.example\"\n\tid = 12\n\ttoken = \"glrt-aaaaaaaaaaaaaaaaaaaa\"\n"},
		{"[[ \"runners\" ]]\n", "[[ \"runners\" ]]\nname = \"ci/i-0abc-2\"\nurl = \"https://gitlab.example\"\nid = 13\n"},
		{"\"token\" = \"\"", "\"token\" = \"glrt-bbbbbbbbbbbbbbbbbbbb\""},
		{"[[runners]]\nexecutor = \"shell\"\nname = \"third\"\nid = 0\n", "[[runners]]\nurl = \"https://gitlab.example\"\ntoken = \"glrt-cccccccccccccccccccc\"\nexecutor = \"shell\"\nname = \"third\"\nid = 14\n"},
	} {
		want = strings.Replace(want, change.old, change.new, 1)
	}
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if id := content(t, l.systemIDPath()); id != "s_0123456789ab" {
		t.Errorf(".runner_system_id %q", id)
	}
	for _, path := range []string{l.opts.ConfigPath, l.systemIDPath()} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want 0600", path, st.Mode(), err)
		}
	}
}

func TestConfigureTemplates(t *testing.T) {
	const mine = "name = \"ci/i-0abc\"\nurl = \"https://gitlab.example\"\nid = 12\ntoken = \"glrt-aaaaaaaaaaaaaaaaaaaa\"\n"
	const globals = "listen_address = \"localhost:9090\"\nshutdown_timeout = 8\n"
	section := "[[runners]]\n" + mine + "executor = \"shell\"\n"
	tests := []struct{ name, template, want string }{
		{"none: the built-in", "", "concurrent = 4\ncheck_interval = 3\n" + globals + section},
		{"empty of sections", "concurrent = 2", "concurrent = 2\n" + globals + section},
		{"an empty list", "runners = []\nconcurrent = 2\n", "concurrent = 2\n" + globals + section},
		{"no concurrent is gitlab-runner's default", "[[runners]]\nexecutor = 'shell'", globals + section},
		{"ends without a newline", "[[runners]]\nexecutor='shell'\n[session_server]", globals + section + "[session_server]\n"},
		{"header on the last line", "[[runners]]\nexecutor='shell'\n[runners.docker]\nimage='x'", globals + section + "[runners.docker]\nimage='x'\n"},
		{"Windows line ends", "concurrent = 1\r\n[[runners]]\r\nexecutor = 'shell'\r\n", "concurrent = 1\n" + globals + section},
		{"its own listen_address on all interfaces", "listen_address = ':9090'\nshutdown_timeout = 0\n[[runners]]\nexecutor='shell'\n", "listen_address = ':9090'\nshutdown_timeout = 0\n" + section},
		{"an empty listen_address", "listen_address = ''\nshutdown_timeout = 5\n[[runners]]\nexecutor='shell'\n", "listen_address = 'localhost:9090'\nshutdown_timeout = 5\n" + section},
		{"its own name, empty credentials", "[[runners]]\nurl=''\nid=0\nname='n'\nexecutor='shell'\n", globals + "[[runners]]\nurl='https://gitlab.example'\nname='n'\nid=12\ntoken=\"glrt-aaaaaaaaaaaaaaaaaaaa\"\nexecutor='shell'\n"},
		{"sub-tables apart from their section", "[[runners]]\nexecutor='docker'\n[session_server]\nsession_timeout=1\n[runners.docker]\nimage='x'\n", globals + "[[runners]]\n" + mine + "executor='docker'\n[runners.docker]\nimage='x'\n[session_server]\nsession_timeout=1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := place(t, tt.template)
			if changed, err := l.Configure(t.Context(), registration(1)); err != nil || !changed {
				t.Fatalf("changed %v, %v", changed, err)
			}
			got := content(t, l.opts.ConfigPath)
			if !sameTree(tree(t, got), tree(t, tt.want)) {
				t.Errorf("got:\n%s\nwant, but for order and spelling:\n%s", got, tt.want)
			}
			before, _ := os.Stat(l.opts.ConfigPath)
			if changed, err := l.Configure(t.Context(), registration(1)); err != nil || changed {
				t.Fatalf("again: changed %v, %v", changed, err)
			}
			if after, _ := os.Stat(l.opts.ConfigPath); !os.SameFile(before, after) {
				t.Error("written again with the same registration")
			}
		})
	}
}

// TestConfigureTellsWhatItMends: each of the files alone is a change.
func TestConfigureTellsWhatItMends(t *testing.T) {
	l := place(t, "")
	for what, path := range map[string]string{"config.toml": l.opts.ConfigPath, "the system id": l.systemIDPath(), "a held copy": l.heldPath()} {
		if _, err := l.Configure(t.Context(), registration(1)); err != nil {
			t.Fatal(err)
		}
		put(t, path, "concurrent = 7\n")
		for _, want := range []bool{true, false} {
			if changed, err := l.Configure(t.Context(), registration(1)); err != nil || changed != want {
				t.Errorf("%s: changed %v, want %v; %v", what, changed, want, err)
			}
		}
	}
}

func tree(t testing.TB, text string) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := toml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return m
}

// TestConfigureSharedToken: a shared token is one runner, however many sections
// the operator writes.
func TestConfigureSharedToken(t *testing.T) {
	l := place(t, "[[runners]]\nexecutor='shell'\n[[runners]]\nexecutor='docker'\n")
	r := registration(1)
	r.Mode = fleet.ModeToken
	if _, err := l.Configure(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	const shared = "url='https://gitlab.example'\nid=12\ntoken='glrt-aaaaaaaaaaaaaaaaaaaa'\n"
	want := "listen_address='localhost:9090'\nshutdown_timeout=8\n[[runners]]\nname='ci/i-0abc'\nexecutor='shell'\n" + shared +
		"[[runners]]\nname='ci/i-0abc-2'\nexecutor='docker'\n" + shared
	if got := content(t, l.opts.ConfigPath); !sameTree(tree(t, got), tree(t, want)) {
		t.Errorf("got:\n%s\nwant, but for order and spelling:\n%s", got, want)
	}
}

func TestConfigureRefuses(t *testing.T) {
	tests := []struct{ name, template, message, mend string }{
		{"concurrent 0", "concurrent = 0\n", "concurrent is 0", "1 or more"},
		{"concurrent of another type", "concurrent = '6'\n", "concurrent must be an integer, and is a string", "without quotes"},
		{"concurrent with a point", "concurrent = 6.0\n", "concurrent must be an integer, and is a float", "1 or more"},
		{"concurrent in another case", "Concurrent = 0\n", "Concurrent is not spelled", "write concurrent"},
		{"runners in another case", "[[Runners]]\nexecutor='shell'\ntoken='t'\n", "Runners is not spelled", "write runners"},
		{"a name in another case", "[[runners]]\nexecutor='shell'\nNAME='x'\n", "NAME is not spelled", "write name"},
		{"another listen_address", "listen_address = 'localhost:9252'\n", "localhost:9252", "runner.listen_address"},
		{"no TOML", "concurrent = \n", "line 1", "mend it"},
		{"a key twice", "concurrent = 1\nconcurrent = 2\n", "not TOML", "mend it"},
		{"no executor", "[[runners]]\nname = 'x'\n", "section 1 has no executor", "executor"},
		{"runners as a table", "[runners]\nexecutor = 'shell'\n", "not written as [[runners]]", "header"},
		{"runners in one line", "runners = [{executor = 'shell'}]\n", "not written as [[runners]]", "header"},
		{"more sections than runners", "[[runners]]\nexecutor='shell'\n[[runners]]\nexecutor='shell'\n", "than the 1 registered", "init"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := place(t, tt.template)
			_, err := l.Configure(t.Context(), registration(1))
			f := failure(t, err, fleet.Invalid)
			// The one thing that the template alone cannot tell is how many are registered.
			if _, err := l.Sections(t.Context()); tt.name != "more sections than runners" && (err == nil || err.Error() != f.Error()) {
				t.Errorf("Sections says %v, Configure %v", err, f)
			}
			if !strings.Contains(f.Message, tt.message) || !strings.Contains(f.Mend, tt.mend) {
				t.Errorf("got %q (%q), want %q (%q)", f.Message, f.Mend, tt.message, tt.mend)
			}
			if _, err := os.Stat(l.opts.ConfigPath); err == nil {
				t.Error("config.toml was written")
			}
		})
	}
}

func TestShutdownTimeoutOfTheOperator(t *testing.T) {
	const section = "[[runners]]\nexecutor = 'shell'\n"
	tests := []struct {
		name, value       string
		killAfter, margin time.Duration
		message, mend     string // empty: taken
	}{
		{"between", "4", 3 * time.Second, 15 * time.Second, "", ""},
		{"just under the margin", "14", 3 * time.Second, 15 * time.Second, "", ""},
		{"as the jobs are killed", "3", 3 * time.Second, 15 * time.Second, "shutdown_timeout is 3", "unregister.kill_after (3s)"},
		{"at the margin", "15", 3 * time.Second, 15 * time.Second, "shutdown_timeout is 15", "unregister.margin (15s)"},
		{"an hour", "3600", 3 * time.Second, 15 * time.Second, "shutdown_timeout is 3600", "unregister.margin (15s)"},
		{"the biggest", "9223372036854775807", 3 * time.Second, 15 * time.Second, "shutdown_timeout is 9223372036854775807", "unregister.margin (15s)"},
		{"0 is 30", "0", 3 * time.Second, 15 * time.Second, "shutdown_timeout is 0, which gitlab-runner takes as 30", "unregister.margin (15s)"},
		{"0 fits a wide margin", "0", 3 * time.Second, time.Minute, "", ""},
		{"below 0 is 30", "-1", 40 * time.Second, time.Minute, "shutdown_timeout is -1, which gitlab-runner takes as 30", "unregister.kill_after (40s)"},
		{"no integer", "'8s'", 0, 0, "shutdown_timeout must be an integer, and is a string", "whole seconds"},
		{"unchecked", "3600", 0, 0, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := place(t, "shutdown_timeout = "+tt.value+"\n"+section)
			l.opts.KillAfter, l.opts.Margin = tt.killAfter, tt.margin
			if tt.message == "" {
				if _, err := l.Configure(t.Context(), registration(1)); err != nil {
					t.Error(err)
				}
				return
			}
			_, err := l.Configure(t.Context(), registration(1))
			f := failure(t, err, fleet.Invalid)
			if f.Message != tt.message || !strings.Contains(f.Mend, tt.mend) {
				t.Errorf("got %q (%q), want %q (%q)", f.Message, f.Mend, tt.message, tt.mend)
			}
		})
	}
}

func TestErrorsNeverQuoteTheFile(t *testing.T) {
	l := place(t, "[[runners]]\nexecutor = 'shell'\ntoken = 'glrt-secret-of-the-operator\n")
	_, err := l.Sections(t.Context())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want a failure without the token", err)
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "plain", `a"b\c`, "tab\tnew\nline", "ünïcode", "'", "'''\"\"\"", "\x00\x7f"} {
		got := tree(t, "v = "+quote(s)+"\n")["v"]
		if got != s {
			t.Errorf("quote(%q) = %s reads as %q", s, quote(s), got)
		}
	}
}

// FuzzTemplate: whatever the operator wrote is in config.toml again, with what
// Shoal adds and nothing else; and taking the sections out and putting them back
// gives the same file.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		operators, builtIn, "", "runners = []\n", "x = nan\n[[runners]]\nexecutor='a'\nname=''\nid=0",
		"a.b.c = 1\n['runners.x']\ny=1\n[[runners]]\nexecutor=\"e\"#c\n[[runners.x]]\n[runners.x.y]\n[z]\n[runners.w]",
		"[[runners]]\nexecutor='a'\nurl='x'\ntoken.x=1\nTOKEN=''\n", "[[runners]]\nexecutor='a'\n[runners.token]\n",
		"[[runners]]\r\n \"executor\" = '''\r\nx=1\n[[runners]]'''\t# [[runners]]\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := New(Options{ListenAddress: "localhost:9090", ShutdownTimeout: time.Second})
		m := &memory{files: map[string][]byte{"t": []byte(text)}}
		l.disk, l.opts.TemplatePath, l.opts.ConfigPath = m, "t", "config.toml"
		n, err := l.Sections(t.Context())
		if err != nil {
			if strings.Contains(err.Error(), unfinished) {
				t.Fatal(err)
			}
			return
		}
		if _, err := l.Configure(t.Context(), registration(n)); err != nil {
			t.Fatalf("%d sections: %v", n, err)
		}
		written := m.files["config.toml"]
		checkOnlyAdded(t, tree(t, text), tree(t, string(written)), n)

		if _, err := l.Hold(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, has := tree(t, string(m.files["config.toml"]))["runners"]; has {
			t.Error("held, and sections are still there")
		}
		if held, err := l.Held(t.Context()); !held || err != nil {
			t.Errorf("Held = %v, %v", held, err)
		}
		if _, err := l.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if string(m.files["config.toml"]) != string(written) {
			t.Errorf("resumed:\n%s\nwant:\n%s", m.files["config.toml"], written)
		}
	})
}

// checkOnlyAdded takes Shoal's keys out of what was written and compares the
// rest with what the operator wrote.
func checkOnlyAdded(t *testing.T, wrote, got map[string]any, n int) {
	t.Helper()
	unless := func(was, is map[string]any, key string) {
		old, had := was[key]
		if had && old != "" && old != int64(0) {
			return // the operator's own, must be unchanged
		}
		delete(was, key)
		delete(is, key)
	}
	unless(wrote, got, "listen_address")
	if _, had := wrote["shutdown_timeout"]; !had {
		delete(got, "shutdown_timeout")
	}
	is, _ := got["runners"].([]any)
	was, _ := wrote["runners"].([]any)
	if len(was) == 0 {
		if n != 1 || len(is) != 1 {
			t.Errorf("%d sections counted, %d written; want 1", n, len(is))
		}
		delete(wrote, "runners")
		delete(got, "runners")
	}
	for i := range was {
		a, b := was[i].(map[string]any), is[i].(map[string]any)
		if b["token"] == "" || b["token"] == nil {
			t.Errorf("section %d has no token", i)
		}
		for _, key := range []string{"name", "url", "id", "token"} {
			unless(a, b, key)
		}
	}
	if !sameTree(wrote, got) {
		t.Errorf("wrote %v\ngot   %v", wrote, got)
	}
}
