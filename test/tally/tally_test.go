package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	passes = `{"Action":"output","Package":"m/life","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"m/life","Test":"TestA"}
`
	skips = `{"Action":"output","Package":"m/life","Test":"TestB","Output":"    b_test.go:9: no moto_server on the PATH\n"}
{"Action":"skip","Package":"m/life","Test":"TestB"}
`
	fails = `{"Action":"output","Package":"m/life","Test":"TestC","Output":"    c_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"m/life","Test":"TestC"}
{"Action":"fail","Package":"m/life"}
`
	ends = `{"Action":"output","Package":"m/life","Output":"ok  \tm/life\t0.1s\tcoverage: 91.5% of statements\n"}
{"Action":"pass","Package":"m/life"}
`
	panics = `{"Action":"output","Package":"m/life","Output":"panic: oh\n"}
{"Action":"fail","Package":"m/life"}
`
)

// profile has one block that one of two binaries ran, one that both ran, and
// one that none did: three of four statements.
const profile = `mode: atomic
m/life/a.go:1.1,2.2 2 0
m/life/a.go:3.1,4.2 1 1
m/life/a.go:5.1,6.2 1 0
m/life/a.go:1.1,2.2 2 7
m/life/a.go:3.1,4.2 1 1
m/life/a.go:5.1,6.2 1 0
`

func TestTally(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		o    options
		code int
		says []string
	}{
		"all pass":              {passes + ends, options{gate: []string{"life"}, least: 75}, 0, []string{"ok  \tm/life\t0.1s\n", "coverage of life: 75.0 %", "1 passed, 0 failed, 0 skipped\n"}},
		"left out":              {passes + skips + ends, options{}, 0, []string{"LEFT OUT", "TestB in m/life: no moto_server on the PATH", "1 passed, 0 failed, 1 skipped\n"}},
		"left out, but may":     {passes + skips + ends, options{strict: true, may: regexp.MustCompile("moto_server")}, 0, []string{"LEFT OUT"}},
		"left out, strict":      {passes + skips + ends, options{strict: true}, 1, []string{"FAIL: left out where nothing may be: TestB"}},
		"by the caller":         {passes + ends, options{strict: true, leftOut: []string{"the race detector"}}, 1, []string{"***   the race detector"}},
		"a failure":             {passes + fails, options{}, 1, []string{"got 1, want 2", "1 passed, 1 failed, 0 skipped\n"}},
		"a panic":               {passes + panics, options{}, 1, []string{"panic: oh", "FAIL: m/life failed outside its tests"}},
		"too little covered":    {passes + ends, options{gate: []string{"life"}, least: 95}, 1, []string{"coverage of life is 75.0 %, and must be at least 95 %"}},
		"coverage not measured": {passes + ends, options{gate: []string{"world"}}, 1, []string{"no coverage of world was measured"}},
		"does not build":        {"{\"Action\":\"build-output\",\"ImportPath\":\"m\",\"Output\":\"x.go:1: syntax error\\n\"}\n{\"Action\":\"fail\",\"Package\":\"m\"}\n", options{}, 1, []string{"syntax error"}},
		"no test at all":        {"go: no packages\n", options{}, 1, []string{"go: no packages"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.profile = filepath.Join(t.TempDir(), "cover.out")
			if err := os.WriteFile(c.o.profile, []byte(profile), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			c.o.out = &out
			if c.o.may == nil {
				c.o.may = regexp.MustCompile("$^")
			}
			code := run(strings.NewReader(c.in), c.o)
			if code != c.code {
				t.Errorf("got exit %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in\n%s", want, out.String())
				}
			}
			if strings.Contains(out.String(), "noise") {
				t.Errorf("a passing test is shown:\n%s", out.String())
			}
		})
	}
}
