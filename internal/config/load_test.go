package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// good is the least that is valid.
const good = "[gitlab]\nurl = \"https://gitlab.example.com\"\ntoken = \"ssm:/ci/token\"\n"

// load reads a text as the file "shoal.toml".
func load(t *testing.T, text string, environ ...string) (*Loaded, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("shoal.toml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Source{Path: "shoal.toml", Environ: environ})
}

func TestLeastConfigurationGivesTheDefaults(t *testing.T) {
	l, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.GitLab.URL, want.GitLab.Token = "https://gitlab.example.com", Secret{"ssm:/ci/token"}
	if !reflect.DeepEqual(l.Config, want) {
		t.Errorf("got %+v, want %+v", l.Config, want)
	}
	if l.Monitor.IdleThreshold != 180*time.Second || l.GitLab.Mode != fleet.ModeToken || l.Runner.ListenAddress != "localhost:9090" {
		t.Errorf("defaults are not those promised: %+v", l.Config)
	}
	if want := (Dirs{State: "/var/lib/shoal", Run: "/run/shoal"}); l.Dirs != want {
		t.Errorf("got %+v, want %+v", l.Dirs, want)
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		environ []string
		want    []string
	}{
		"empty": {"", nil, []string{
			`shoal.toml: gitlab.url: required, and not set: an http:// or https:// address such as "https://gitlab.example.com", without user, query or fragment (or set SHOAL_GITLAB_URL)`,
			`shoal.toml: gitlab.token: required, and not set: a reference to a secret: ` + secretForms + ` (or set SHOAL_GITLAB_TOKEN)`,
		}},
		"several at once": {good + "tokn = \"x\"\ngroup_id = \"7\"\n[monitor]\nperiod = 10\nidle_treshold = \"1m\"\n[log]\nlevel = \"loud\"\n", nil, []string{
			`shoal.toml:4: gitlab.tokn: unknown key; did you mean gitlab.token?`,
			`shoal.toml:5: gitlab.group_id: must be an integer, 0 or more; got "7"`,
			`shoal.toml:7: monitor.period: must be a duration of at least 100ms, such as "90s" or "5m"; got 10 (an integer)`,
			`shoal.toml:8: monitor.idle_treshold: unknown key; did you mean monitor.idle_threshold?`,
			`shoal.toml:10: log.level: must be one of "debug", "info", "warn", "error"; got "loud"`,
		}},
		"unknown table":         {good + "[gitlba]\nurl = \"x\"\n", nil, []string{`shoal.toml:4: gitlba: unknown key; did you mean gitlab?`}},
		"key outside its table": {"url = \"https://x\"\n" + good, nil, []string{`shoal.toml:1: url: unknown key; did you mean gitlab.url?`}},
		"inline table": {"gitlab = { url = \"ftp://x\", token = \"file:/t\" }\n", nil, []string{
			`shoal.toml:1: gitlab.url: must be an http:// or https:// address such as "https://gitlab.example.com", without user, query or fragment; got "ftp://x"`,
		}},
		"two inline tables": {"gitlab = { url = \"https://x\", token = \"env:T\" }\nmonitor = { period = 1 }\nscale_up = { period = 2 }\n", nil, []string{
			`shoal.toml: monitor.period: must be a duration of at least 100ms, such as "90s" or "5m"; got 1 (an integer)`,
			`shoal.toml: scale_up.period: must be a duration of at least 100ms, such as "90s" or "5m"; got 2 (an integer)`,
		}},
		"a key with a line break": {good + "\"a\\nb\" = 1\n", nil, []string{`shoal.toml:4: "gitlab.a\nb": unknown key`}},
		"dotted key":              {"gitlab.url = \"https://x\"\ngitlab.token = \"file:t\"\n", nil, []string{`shoal.toml:2: gitlab.token: must be a reference to a secret: ` + secretForms + `; got something else (not shown): file: needs an absolute path, such as file:/etc/shoal/token`}},
		"a table as value":        {good + "[gitlab.mode]\nx = 1\n", nil, []string{`shoal.toml:4: gitlab.mode: must be one of "token", "create", "legacy"; got a table`}},
		"a value as table":        {"log = 3\n" + good, nil, []string{`shoal.toml:1: log: must be a table, [log]; got a value`}},
		"a list of tables":        {good + "[[log]]\nlevel = \"info\"\n", nil, []string{`shoal.toml:4: log: must be a table, [log]; got a value`}},
		"case matters":            {good + "[Log]\nlevel = \"info\"\n", nil, []string{`shoal.toml:5: Log: unknown key; did you mean log?`}},
		"twice":                   {good + "url = \"https://y\"\n", nil, []string{`shoal.toml:4: not valid TOML: key url is already defined; nothing else was checked`}},
		"no TOML":                 {"[gitlab\n", nil, []string{`shoal.toml:1: not valid TOML: expected ']' to close table name; nothing else was checked`}},
		"short period":            {good + "[scale_up]\nperiod = \"1ms\"\n", nil, []string{`shoal.toml:5: scale_up.period: must be a duration of at least 100ms, such as "90s" or "5m"; got "1ms"`}},
		"negative":                {good + "[init]\npatience = \"-1s\"\n", nil, []string{`shoal.toml:5: init.patience: must be a duration of at least 0s, such as "90s" or "5m"; got "-1s"`}},
		"job timeout":             {good + "maximum_timeout = \"5m\"\n", nil, []string{`shoal.toml:4: gitlab.maximum_timeout: must be "0s", or a duration in whole seconds of at least 10m, such as "90s" or "5m"; got "5m"`}},
		"half a second":           {good + "[runner]\nshutdown_timeout = \"7500ms\"\n", nil, []string{`shoal.toml:5: runner.shutdown_timeout: must be a duration in whole seconds of at least 1s, such as "90s" or "5m"; got "7.5s"`}},
		"port":                    {good + "[runner]\nlisten_address = \"localhost:0\"\n", nil, []string{`shoal.toml:5: runner.listen_address: must be host:port such as "localhost:9090"; got "localhost:0"`}},
		"no port":                 {good + "[runner]\nlisten_address = \"localhost\"\n", nil, []string{`shoal.toml:5: runner.listen_address: must be host:port such as "localhost:9090"; got "localhost"`}},
		"relative path":           {good + "[runner]\nconfig = \"config.toml\"\n", nil, []string{`shoal.toml:5: runner.config: must be an absolute path; got "config.toml"`}},
		"tags":                    {good + "tags = [\"a\", \"b,c\"]\n", nil, []string{`shoal.toml:4: gitlab.tags: must be a list of tags such as ["linux", "docker"], none empty, twice or with a comma; got "b,c" at place 2`}},
		"tags of numbers":         {good + "tags = [1]\n", nil, []string{`shoal.toml:4: gitlab.tags: must be a list of tags such as ["linux", "docker"], none empty, twice or with a comma; got a list`}},
		"date":                    {good + "locked = 2026-01-01\n", nil, []string{`shoal.toml:4: gitlab.locked: must be true or false; got a date or time`}},
		"float":                   {good + "group_id = 1.5\n", nil, []string{`shoal.toml:4: gitlab.group_id: must be an integer, 0 or more; got 1.5 (a number)`}},
		"create, no group":        {good + "mode = \"create\"\n", nil, []string{`shoal.toml:4: gitlab.group_id: required with gitlab.mode "create" and gitlab.runner_type "group_type", and not set: the id as GitLab's own page shows it`}},
		"create, no project":      {good + "mode = \"create\"\nrunner_type = \"project_type\"\ngroup_id = 3\n", nil, []string{`shoal.toml:4: gitlab.project_id: required with gitlab.mode "create" and gitlab.runner_type "project_type", and not set: the id as GitLab's own page shows it`}},
		"time-out and margin":     {good + "[unregister]\nmargin = \"8s\"\n", nil, []string{`shoal.toml:5: runner.shutdown_timeout: must be shorter than unregister.margin (8s), or killed jobs are not reported; got 8s`}},
		"kill and time-out":       {good + "[unregister]\nkill_after = \"8s\"\n", nil, []string{`shoal.toml:5: unregister.kill_after: must be shorter than runner.shutdown_timeout (8s), or killed jobs are not reported; got 8s`}},
		"spares": {good + "[spares]\nslots = [\"6\", \"12 * 8-18 * mon-fri\"]\ntime_zone = \"Berlin\"\n", nil, []string{
			`shoal.toml:5: spares.slots: must be a list such as ["6 * 8-18 * * mon-fri"]: slots from 0 to 1000000, and minute, hour, day of the month, month and day of the week, or nothing for always; got "12 * 8-18 * mon-fri" at place 2: period "* 8-18 * mon-fri": 4 fields; it has five: minute, hour, day of the month, month, day of the week`,
			`shoal.toml:6: spares.time_zone: must be a time zone such as "UTC" or "Europe/Berlin"; got "Berlin"`,
		}},
		"no slots":             {good + "[spares]\nslots = [\"* 8-18 * * mon-fri\"]\n", nil, []string{`shoal.toml:5: spares.slots: must be a list such as ["6 * 8-18 * * mon-fri"]: slots from 0 to 1000000, and minute, hour, day of the month, month and day of the week, or nothing for always; got "* 8-18 * * mon-fri" at place 1: "* 8-18 * * mon-fri": it begins with a number of slots, from 0 to 1000000`}},
		"learns nothing":       {good + "[monitor]\nlearn_idle = \"2m\"\n", nil, []string{`shoal.toml:5: monitor.learn_idle: must be longer than monitor.idle_threshold (3m), or 0s; got 2m`}},
		"reboot and margin":    {good + "[unregister]\nreboot_timeout = \"10s\"\n", nil, []string{`shoal.toml:5: unregister.reboot_timeout: must be longer than unregister.margin (15s), in which jobs are ended and reported; got 10s`}},
		"power-off and margin": {good + "[unregister]\npoweroff_timeout = \"15s\"\n", nil, []string{`shoal.toml:5: unregister.poweroff_timeout: must be longer than unregister.margin (15s), in which jobs are ended and reported; got 15s`}},
		"one bad, no rule":     {good + "[unregister]\nmargin = \"x\"\n", nil, []string{`shoal.toml:5: unregister.margin: must be a duration of at least 1s, such as "90s" or "5m"; got "x"`}},
		"variables": {good, []string{"SHOAL_LOG_LEVEL=loud", "SHOAL_GITLAB_GROUP_ID=x", "SHOAL_LOG_LVEL=info", "SHOAL_FOO=1", "SHOAL_RUN_DIR=run"}, []string{
			`env SHOAL_FOO: unknown variable`,
			`env SHOAL_GITLAB_GROUP_ID: gitlab.group_id: must be an integer, 0 or more; got "x"`,
			`env SHOAL_LOG_LEVEL: log.level: must be one of "debug", "info", "warn", "error"; got "loud"`,
			`env SHOAL_LOG_LVEL: unknown variable; did you mean SHOAL_LOG_LEVEL?`,
			`env SHOAL_RUN_DIR: must be an absolute path; got "run"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, c.text, c.environ...)
			if err == nil {
				t.Fatal("accepted")
			}
			if got, want := err.Error(), strings.Join(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestVariablesOverrideTheFile(t *testing.T) {
	l, err := load(t, good+"tags = [\"file\"]\n[monitor]\nperiod = \"7s\"\n",
		"PATH=/bin", "SHOAL_MONITOR_IDLE_THRESHOLD=9m", "SHOAL_SCALE_UP_BLIND_AFTER=0s", "SHOAL_LIFECYCLE_CHECK_ON_REBALANCE=leave",
		"SHOAL_GITLAB_TAGS=a, b", "SHOAL_GITLAB_LOCKED=yes", "SHOAL_GITLAB_RUN_UNTAGGED=0", "SHOAL_GITLAB_GROUP_ID=42",
		"SHOAL_LOG_LEVEL=", "SHOAL_STATE_DIR=/srv/state/", "SHOAL_RUN_DIR=/srv/run", "SHOAL_CONFIG=/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range l.Values() {
		if v.Origin != "default" {
			got[v.Key] = v.Text + " " + v.Origin
		}
	}
	want := map[string]string{
		"gitlab.url":                   `"https://gitlab.example.com" shoal.toml:2`,
		"gitlab.token":                 `"ssm:/ci/token" shoal.toml:3`,
		"gitlab.tags":                  `["a", "b"] env SHOAL_GITLAB_TAGS`,
		"gitlab.locked":                `true env SHOAL_GITLAB_LOCKED`,
		"gitlab.run_untagged":          `false env SHOAL_GITLAB_RUN_UNTAGGED`,
		"gitlab.group_id":              `42 env SHOAL_GITLAB_GROUP_ID`,
		"monitor.period":               `"7s" shoal.toml:6`,
		"monitor.idle_threshold":       `"9m" env SHOAL_MONITOR_IDLE_THRESHOLD`,
		"scale_up.blind_after":         `"0s" env SHOAL_SCALE_UP_BLIND_AFTER`,
		"lifecycle_check.on_rebalance": `"leave" env SHOAL_LIFECYCLE_CHECK_ON_REBALANCE`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if want := (Dirs{State: "/srv/state", Run: "/srv/run"}); l.Dirs != want {
		t.Errorf("got %+v, want %+v", l.Dirs, want)
	}
	if len(l.Warnings()) != 2 { // tags and locked, in mode token
		t.Errorf("got %q, want two warnings", l.Warnings())
	}
}

func TestFileItself(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	link := filepath.Join(dir, "link")
	write(t, big, strings.Repeat("#", maxFile+1))
	write(t, filepath.Join(dir, "real"), good)
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(dir, "absent")
	for path, want := range map[string]string{
		absent: `no configuration file at ` + absent + `; "shoal config show --defaults" prints one to begin with`,
		big:    `read configuration file ` + big + `: larger than 1048576 bytes`,
		dir:    `read configuration file ` + dir + `: is a directory`,
		link:   ``,
	} {
		_, err := Load(Source{Path: path})
		if got := message(err); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestEnvironmentAloneIsEnough(t *testing.T) {
	if _, err := os.Stat(DefaultPath); err == nil {
		t.Logf("%s exists here: what its absence does is not tried", DefaultPath)
		return
	}
	both := []string{"SHOAL_GITLAB_URL=https://x.example", "SHOAL_GITLAB_TOKEN=env:TOKEN"}
	l, err := Load(Source{Environ: both})
	if err != nil || l.Path != "" {
		t.Errorf("got %v, want a configuration without a file", err)
	}
	for _, environ := range [][]string{both[:1], append(both, "SHOAL_CONFIG=/nowhere")} {
		if _, err := Load(Source{Environ: environ}); err == nil || !strings.HasPrefix(err.Error(), "no configuration file at /") {
			t.Errorf("%q: got %v, want that there is no file", environ, err)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
